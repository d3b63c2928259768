/* A store's till: a press that accepts a voucher is sent until it is answered, also when the network
   comes and goes or the page is opened anew. Without scripts the form does the same, once. */
(() => {
  "use strict";

  const KEPT = "referral-till-press";
  const GIVE_UP_MS = 10 * 60 * 1000; // whoever waited for it has left by then
  const ANSWER_MS = 10 * 1000;
  const PAUSES_MS = [1000, 2000, 4000, 8000, 15000];

  const find = (selector, root) => (root || document).querySelector(selector);
  const panel = find("[data-pending]");
  const form = find("form[data-accept]");
  let memory = null; // where the browser keeps nothing
  let timer = 0;
  let tries = 0;
  let isSending = false;

  const kept = () => {
    try { return JSON.parse(localStorage.getItem(KEPT)) || memory; } catch (e) { return memory; }
  };
  const keep = (press) => {
    memory = press;
    try {
      if (press) localStorage.setItem(KEPT, JSON.stringify(press));
      else localStorage.removeItem(KEPT);
    } catch (e) { /* in memory, then */ }
  };

  const say = (title, text, what, isOver) => {
    panel.hidden = false;
    find("[data-title]", panel).textContent = title;
    find("[data-text]", panel).textContent = text;
    find("[data-what]", panel).textContent = what;
    find("[data-stop]", panel).hidden = isOver;
    find("[data-look]", panel).hidden = true;
  };

  // One press at a time: there is no button while one waits for its answer.
  const lock = (isLocked) => {
    if (form) form.hidden = isLocked;
  };
  const paint = (tone) => { if (form) document.body.className = tone; };

  // Nobody knows whether it arrived: the voucher's own page does.
  const stop = (press) => {
    clearTimeout(timer);
    keep(null);
    say(panel.getAttribute("data-stopped"), "", press.item, true);
    const look = find("[data-look]", panel);
    look.href = press.look;
    look.hidden = false;
    lock(true);
  };

  const settled = (answer, press) => {
    keep(null);
    const isHere = form && form.action === press.url;
    const what = isHere ? answer.at || "" : [press.item, answer.at].filter(Boolean).join(" · ");
    say(answer.title, answer.accepted ? "" : answer.text, what, true);
    if (isHere) {
      paint(answer.accepted ? "claimed-by-you" : "voided");
      find(".hero h1").textContent = answer.title;
      find(".hero p").textContent = answer.text;
    }
    lock(isHere);
    if (!isHere) paint("brand");
  };

  // The token against forged forms may be older than the session; a page of ours has the one for now.
  const newToken = () => fetch("/till", { credentials: "same-origin" })
    .then((response) => response.text())
    .then((text) => {
      const field = new DOMParser().parseFromString(text, "text/html").querySelector("[name=csrf_token]");
      if (field) find("[name=csrf_token]").value = field.value;
    });

  const ask = (press) => {
    const aborted = new AbortController();
    const late = setTimeout(() => aborted.abort(), ANSWER_MS);
    const body = new URLSearchParams({ press: press.key });
    const token = find("[name=csrf_token]");
    if (token) body.set("csrf_token", token.value);
    return fetch(press.url, {
      method: "POST", body, credentials: "same-origin", signal: aborted.signal,
      headers: { Accept: "application/json" },
    }).then((response) => {
      // What a hotel's network or a broken proxy answers is not ours, whatever its status.
      const isOurs = (response.headers.get("Content-Type") || "").indexOf("application/json") === 0;
      if (isOurs && response.status !== 429) return response.json();
      return (response.status === 400 ? newToken() : Promise.resolve()).then(() => null);
    }).then((answer) => { clearTimeout(late); return answer; }, (error) => { clearTimeout(late); throw error; });
  };

  const send = () => {
    const press = kept();
    clearTimeout(timer);
    if (!press || isSending) return;
    if (Date.now() - press.at > GIVE_UP_MS || press.at > Date.now() + GIVE_UP_MS) { stop(press); return; }
    isSending = true;
    const again = () => {
      isSending = false;
      if (!kept()) return;
      say(panel.getAttribute("data-waiting"), "", press.item, false);
      timer = setTimeout(send, PAUSES_MS[Math.min(tries, PAUSES_MS.length - 1)]);
      tries += 1;
    };
    ask(press).then((answer) => {
      if (!answer || typeof answer.accepted !== "boolean") { again(); return; }
      isSending = false;
      if (kept()) settled(answer, press);
    }).catch(again);
  };

  const accept = (event) => {
    event.preventDefault();
    const key = find("[name=press]", form).value;
    const look = form.action.replace(/\/accept$/, "") + "?press=" + encodeURIComponent(key);
    keep({ url: form.action, key, look, item: form.getAttribute("data-item"), at: Date.now() });
    lock(true);
    paint("claimed");
    tries = 0;
    say(panel.getAttribute("data-waiting"), "", form.getAttribute("data-item"), false);
    send();
  };

  const scan = (button, video) => {
    const detector = new window.BarcodeDetector({ formats: ["qr_code"] });
    const failed = () => { button.textContent = button.getAttribute("data-fail"); video.hidden = true; };
    navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } }).then((stream) => {
      video.srcObject = stream;
      video.hidden = false;
      video.play();
      const look = () => {
        detector.detect(video).then((codes) => {
          if (codes.length) {
            stream.getTracks().forEach((track) => track.stop());
            location.href = "/v?code=" + encodeURIComponent(codes[0].rawValue);
          } else {
            setTimeout(look, 200);
          }
        }, () => setTimeout(look, 500));
      };
      look();
    }, failed);
  };

  find("[data-stop]", panel).addEventListener("click", () => { const press = kept(); if (press) stop(press); });
  if (form && window.fetch && window.AbortController) form.addEventListener("submit", accept);
  addEventListener("online", () => { tries = 0; send(); });
  const before = kept();
  if (before) {
    lock(true);
    paint("claimed");
    say(panel.getAttribute("data-waiting"), "", before.item, false);
    send();
  }

  const scanning = find("[data-scanning]");
  if (scanning && window.BarcodeDetector && navigator.mediaDevices) {
    scanning.hidden = false;
    find("[data-scan]", scanning).addEventListener("click", (event) => {
      scan(event.currentTarget, find("[data-video]", scanning));
    });
  }
})();
