/* Inside WeChat: what a forward from its menu shows, and the reader's own link behind it. Without
   any of it a forward still carries that link, from the address bar. */
(() => {
  "use strict";

  const own = document.currentScript;
  if (!own || !/MicroMessenger/i.test(navigator.userAgent)) return;
  const { sdk, signature, title, text, link, moments, picture } = own.dataset;

  const TRIES_MAX = 6;
  const bare = () => location.href.split("#")[0];
  // This runs before share.js puts the reader's own link into the address bar.
  const landed = bare();

  // WeChat on Apple's systems goes by the address a page was opened at, elsewhere by the one it has
  // now. Which it is has changed before, so the other one is tried when the first is refused.
  const addresses = () => {
    const apple = /iPhone|iPad|iPod|Macintosh/i.test(navigator.userAgent);
    const both = apple ? [landed, bare()] : [bare(), landed];
    return both[0] === both[1] ? [both[0]] : both;
  };

  // 204 means that another reader's request is fetching what there is to sign with.
  const ask = (address, tries, done) => {
    const request = new XMLHttpRequest();
    request.open("GET", signature + "?url=" + encodeURIComponent(address));
    request.onload = () => {
      if (request.status === 200) done(JSON.parse(request.responseText));
      else if (request.status === 204 && tries > 1) setTimeout(ask, 1500, address, tries - 1, done);
    };
    request.send();
  };

  // Ready is said after a refusal too: what was set too early is set again.
  const set = (tries) => {
    let failed = false;
    const fail = () => {
      if (failed || tries <= 1) return;
      failed = true;
      setTimeout(set, 500, tries - 1);
    };
    window.wx.updateAppMessageShareData({ title, desc: text, link, imgUrl: picture, fail });
    window.wx.updateTimelineShareData({ title, link: moments, imgUrl: picture, fail });
  };

  const configure = (left) => {
    if (!left.length) return;
    ask(left[0], 3, (signed) => {
      window.wx.error(() => configure(left.slice(1)));
      window.wx.config(Object.assign({
        debug: false,
        jsApiList: ["updateAppMessageShareData", "updateTimelineShareData"],
      }, signed));
      window.wx.ready(() => set(TRIES_MAX));
    });
  };

  document.addEventListener("DOMContentLoaded", () => {
    const script = document.createElement("script");
    script.src = sdk;
    script.onload = () => { if (window.wx) configure(addresses()); };
    document.head.appendChild(script);
  });
})();
