/* What the consumer pages do by script; all else on them works without.
   For old in-app browsers: any of it may be missing, none of it may throw. */
(() => {
  "use strict";

  const find = (selector, root) => (root || document).querySelector(selector);
  const inWeChat = /MicroMessenger/i.test(navigator.userAgent);

  // Reports are best effort: a lost one must never disturb the reader.
  const report = (url, channel) => {
    if (!url) return;
    const type = "application/x-www-form-urlencoded";
    const body = channel ? "channel=" + encodeURIComponent(channel) : "";
    try {
      if (window.fetch) {
        fetch(url, {
          method: "POST", body, keepalive: true, credentials: "same-origin",
          headers: { "Content-Type": type },
        }).catch(() => {});
      } else {
        const request = new XMLHttpRequest();
        request.open("POST", url);
        request.setRequestHeader("Content-Type", type);
        request.send(body);
      }
    } catch (e) { /* best effort */ }
  };

  // The address becomes the reader's own link, so that a forward from the browser's menu keeps its
  // hop. Path and query only: another host name for this same site must not make it fail.
  const takeAddress = () => {
    const own = find("link[data-own-link]");
    try {
      const link = document.createElement("a");
      link.href = own.href;
      history.replaceState(history.state, "", link.pathname + link.search);
    } catch (e) { /* the canonical link still names it */ }
  };

  // Seen means: on the screen for a second. Once per page.
  const watchSeen = (url) => {
    let timer = 0;
    let seen = false;
    const look = () => {
      clearTimeout(timer);
      if (seen || document.visibilityState === "hidden") return;
      timer = setTimeout(() => { seen = true; report(url); }, 1000);
    };
    document.addEventListener("visibilitychange", look);
    look();
  };

  const selectAll = (field) => {
    field.focus();
    field.setSelectionRange(0, field.value.length); // iOS ignores select() on read-only fields
  };

  // Calls back with whether the field's text reached the clipboard.
  const copy = (field, done) => {
    const byCommand = () => {
      let copied = false;
      try { selectAll(field); copied = document.execCommand("copy"); } catch (e) { /* by hand */ }
      done(copied);
    };
    if (navigator.clipboard && navigator.clipboard.writeText) {
      navigator.clipboard.writeText(field.value).then(() => done(true), byCommand);
    } else {
      byCommand();
    }
  };

  const wire = (block) => {
    const pressed = (channel) => report(block.getAttribute("data-share-url"), channel);
    const field = find("[data-own-field]", block);
    const copyButton = find("[data-copy]", block);
    const sheet = find("[data-sheet]", block);
    const said = find("[data-said]", block);

    field.addEventListener("click", () => selectAll(field));
    copyButton.hidden = false;
    copyButton.addEventListener("click", () => {
      pressed("copy");
      copy(field, (copied) => {
        said.textContent = copyButton.getAttribute(copied ? "data-done" : "data-fail");
      });
    });
    find("[data-poster]", block).addEventListener("click", () => pressed("poster"));
    find("[data-qr]", block).addEventListener("toggle", (event) => {
      if (event.currentTarget.open) pressed("qr");
    });

    if (inWeChat) { // where navigator.share does nothing
      find("[data-in-wechat]", block).hidden = false;
    } else if (navigator.share) {
      sheet.hidden = false;
      sheet.addEventListener("click", () => {
        pressed("sheet");
        const { title, text, url } = sheet.dataset;
        try { navigator.share({ title, text, url }).catch(() => {}); } catch (e) { /* closed */ }
      });
    }
  };

  const landing = find("[data-landing]");
  if (landing) {
    takeAddress();
    addEventListener("pageshow", (event) => { if (event.persisted) takeAddress(); });
    watchSeen(landing.getAttribute("data-seen-url"));
  }
  const block = find("[data-share-url]");
  if (block) wire(block);
})();
