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

  // For when the page goes away: other requests may be given up then.
  const leave = (url) => {
    try {
      if (navigator.sendBeacon && navigator.sendBeacon(url)) return;
    } catch (e) { /* the other way */ }
    report(url);
  };

  const isHidden = () => document.visibilityState === "hidden";

  // Seen means: on the screen for a second. Once per page. A page that is left before says that it
  // ran, for otherwise it may have been a machine's.
  const watch = (seenUrl, ranUrl) => {
    let timer = 0;
    let seen = false;
    let ran = false;
    const gone = () => {
      clearTimeout(timer);
      if (ran) return;
      ran = true;
      leave(ranUrl);
    };
    const look = () => {
      clearTimeout(timer);
      if (seen) return;
      if (isHidden()) gone();
      else timer = setTimeout(() => { seen = ran = true; report(seenUrl); }, 1000);
    };
    document.addEventListener("visibilitychange", look);
    addEventListener("pagehide", gone);
    if (!isHidden()) look();
  };

  // A page that was fetched before anybody wanted to see it is nobody's: whoever sees it after all
  // asks for it anew, once, and gets a link of his own.
  const askAnew = () => {
    const navigation = window.performance && performance.navigation;
    if (!navigation || navigation.type !== 1) location.reload(); // 1: it was reloaded
  };

  // Calls back as soon as the page is somebody's: not while it is prepared out of sight.
  const whenWanted = (call) => {
    if (!document.prerendering) call();
    else document.addEventListener("prerenderingchange", call, { once: true });
  };
  const whenSeen = (call) => {
    if (!isHidden()) { call(); return; }
    const look = () => {
      if (isHidden()) return;
      document.removeEventListener("visibilitychange", look);
      call();
    };
    document.addEventListener("visibilitychange", look);
  };

  const selectAll = (field) => {
    field.focus();
    field.setSelectionRange(0, field.value.length); // iOS ignores select() on read-only fields
  };

  // Calls back with whether the text reached the clipboard.
  const copy = (text, done) => {
    const byCommand = () => {
      const field = document.createElement("textarea");
      field.value = text;
      field.readOnly = true; // or a keyboard comes up
      document.body.appendChild(field);
      let copied = false;
      try { selectAll(field); copied = document.execCommand("copy"); } catch (e) { /* by hand */ }
      document.body.removeChild(field);
      done(copied);
    };
    if (navigator.clipboard && navigator.clipboard.writeText) {
      navigator.clipboard.writeText(text).then(() => done(true), byCommand);
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

    // The words say that the sharer benefits, so they go with the link.
    const copyBoth = () => {
      copy(copyButton.getAttribute("data-words") + "\n" + field.value, (copied) => {
        if (copied) pressed("copy");
        else selectAll(field);
        said.textContent = copyButton.getAttribute(copied ? "data-done" : "data-fail");
      });
    };
    field.addEventListener("click", () => selectAll(field));
    field.addEventListener("copy", () => pressed("copy")); // by hand
    copyButton.hidden = false;
    copyButton.addEventListener("click", copyBoth);
    for (const [part, channel] of [["[data-qr]", "qr"], ["[data-poster-part]", "poster"]]) {
      find(part, block).addEventListener("toggle", (event) => {
        if (event.currentTarget.open) pressed(channel);
      });
    }
    const tick = find("[data-name-tick]", block);
    if (tick) {
      tick.hidden = false;
      tick.addEventListener("change", (event) => {
        const poster = find("[data-poster]", block);
        poster.href = tick.getAttribute(event.target.checked ? "data-with" : "data-without");
        find("img", poster).src = poster.href;
      });
    }

    if (inWeChat) { // where navigator.share does nothing
      find("[data-in-wechat]", block).hidden = false;
    } else if (navigator.share) {
      sheet.hidden = false;
      sheet.addEventListener("click", () => {
        const { title, text, url } = sheet.dataset;
        // Whoever closes the sheet has shared nothing; where there is none after all, copying helps.
        const failed = (error) => { if (!error || error.name !== "AbortError") copyBoth(); };
        try {
          navigator.share({ title, text, url }).then(() => pressed("sheet"), failed);
        } catch (error) { failed(error); }
      });
    }
  };

  if (find("[data-fetched-ahead]")) {
    whenWanted(() => whenSeen(askAnew));
    return;
  }
  if (find("[data-landing]")) {
    takeAddress();
    addEventListener("pageshow", (event) => { if (event.persisted) takeAddress(); });
  }
  const page = find("[data-seen-url]");
  if (page) {
    whenWanted(() => watch(page.getAttribute("data-seen-url"), page.getAttribute("data-ran-url")));
  }
  const block = find("[data-share-url]");
  if (block) wire(block);
})();
