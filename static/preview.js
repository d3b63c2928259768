// Shows a campaign's landing page beside its form, while the form is filled in. Without this script
// a button does the same.
(() => {
  "use strict";

  const WAIT = 300; // ms after the last letter
  const pane = document.querySelector("[data-preview-url]");
  const form = pane.closest("form");
  const frame = pane.querySelector("iframe");
  const said = pane.querySelector("[data-preview-said]");
  const findingsHere = form.querySelector("[data-findings-here]");
  const findingsNote = pane.querySelector("[data-findings-note]");
  const FILES = ["upload", "more_uploads"];
  const held = { upload: [], more_uploads: [] };
  let timer = 0;
  let asked = null;

  // No file is sent at every letter: the answer leaves a place for it, which is filled in here.
  const fields = () => {
    const sent = new FormData(form);
    for (const name of FILES) {
      sent.delete(name);
      sent.set(`${name}_held`, held[name].length);
    }
    return sent;
  };

  const fillPictures = (page) => {
    for (const name of FILES) {
      held[name].forEach((data, number) => {
        const place = page.querySelector(`img[src="data:,${name}-${number}"]`);
        if (place) place.src = data;
      });
    }
  };

  const showFindings = (page) => {
    const found = page.querySelector("[data-findings]");
    const words = found ? found.innerHTML : "";
    if (findingsHere.innerHTML !== words) findingsHere.innerHTML = words;
    findingsHere.hidden = findingsNote.hidden = !found;
    if (found) found.remove();
  };

  // Only the body changes from one letter to the next: the style stays, and the place on the page.
  const show = (html) => {
    const page = new DOMParser().parseFromString(html, "text/html");
    showFindings(page);
    fillPictures(page);
    const shown = frame.contentDocument;
    if (shown.body && shown.querySelector("link[rel=stylesheet]")) {
      shown.documentElement.lang = page.documentElement.lang;
      const at = frame.contentWindow.scrollY;
      shown.body.replaceWith(shown.adoptNode(page.body));
      frame.contentWindow.scrollTo(0, at);
    } else {
      shown.open();
      shown.write("<!doctype html>" + page.documentElement.outerHTML);
      shown.close();
    }
    frame.dataset.shown = page.documentElement.lang;
  };

  const refresh = async () => {
    if (asked) asked.abort();
    asked = new AbortController();
    try {
      const answer = await fetch(pane.dataset.previewUrl, {
        method: "POST", body: fields(), credentials: "same-origin", signal: asked.signal,
      });
      // Signed out in the meantime: what is typed must not be lost to a sign-in page.
      if (!answer.ok || answer.redirected) throw new Error(String(answer.status));
      show(await answer.text());
      said.textContent = "";
    } catch (e) {
      if (e.name !== "AbortError") said.textContent = said.dataset.previewFails;
    }
  };

  const soon = () => {
    clearTimeout(timer);
    timer = setTimeout(refresh, WAIT);
  };

  const read = (file) => new Promise((done) => {
    const reader = new FileReader();
    reader.onload = () => done(reader.result);
    reader.onerror = () => done("");
    reader.readAsDataURL(file);
  });

  const hold = async (input) => {
    held[input.name] = (await Promise.all(Array.from(input.files, read))).filter(Boolean).slice(0, 5);
    soon();
  };

  form.addEventListener("input", soon);
  form.addEventListener("change", (event) => {
    if (event.target.type === "file") hold(event.target);
  });
  // Whoever writes in a language wants to see the page in it.
  form.addEventListener("focusin", (event) => {
    const part = event.target.closest("[data-tongue]");
    const choice = part && pane.querySelector(`input[value="${part.dataset.tongue}"]`);
    if (choice && !choice.checked) {
      choice.checked = true;
      soon();
    }
  });
  pane.querySelector("[data-preview-button]").hidden = true;
  refresh();
})();
