// Opens branches of a tree in place. Without this script each opener is a link to a page of its own.
(() => {
  "use strict";

  const fragment = async (url) => {
    const answer = await fetch(url, { credentials: "same-origin" });
    // Signed out in the meantime: the full page knows how to ask for a sign-in.
    if (!answer.ok || answer.redirected) throw new Error(String(answer.status));
    const made = document.createElement("template");
    made.innerHTML = await answer.text();
    upgrade(made.content);
    return made.content;
  };

  const branchOf = (button) => button.closest("li").querySelector(":scope > ul");

  const show = (button, open) => {
    button.setAttribute("aria-expanded", String(open));
    branchOf(button).hidden = !open;
  };

  const open = async (button) => {
    if (branchOf(button)) return show(button, true);
    if (button.getAttribute("aria-busy")) return;
    button.setAttribute("aria-busy", "true");
    try {
      const list = document.createElement("ul");
      list.append(await fragment(button.dataset.branches));
      button.closest("li").append(list);
      show(button, true);
    } catch {
      location.assign(button.dataset.page);
    } finally {
      button.removeAttribute("aria-busy");
    }
  };

  const toggle = (button) =>
    button.getAttribute("aria-expanded") === "true" ? show(button, false) : open(button);

  // A link says "go there", a button "open here": with the script it is the second.
  const upgrade = (root) => {
    for (const link of root.querySelectorAll("a[data-branches]")) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = link.className;
      button.dataset.branches = link.dataset.branches;
      button.dataset.page = link.getAttribute("href");
      button.setAttribute("aria-label", link.getAttribute("aria-label"));
      button.setAttribute("aria-expanded", "false");
      button.append(...link.childNodes);
      link.replaceWith(button);
    }
  };

  const more = async (link) => {
    if (link.getAttribute("aria-busy")) return;
    link.setAttribute("aria-busy", "true");
    try {
      const rest = await fragment(link.dataset.more);
      const next = rest.querySelector("button, a");
      link.closest("li").replaceWith(rest);
      if (next) next.focus();
    } catch {
      location.assign(link.href);
    }
  };

  // Arrow keys, as in any tree: right opens, left closes or goes up, up and down walk along.
  const walk = (tree, button, key) => {
    const isOpen = button.getAttribute("aria-expanded") === "true";
    if (key === "ArrowRight" && !isOpen) return open(button);
    if (key === "ArrowLeft" && isOpen) return show(button, false);
    const all = [...tree.querySelectorAll("button.opener")].filter((b) => b.offsetParent !== null);
    const at = all.indexOf(button);
    const above = button.closest("ul").closest("li");
    const to = { ArrowUp: all[at - 1], ArrowDown: all[at + 1], ArrowRight: all[at + 1] };
    to.ArrowLeft = above && above.querySelector("button.opener");
    if (to[key]) to[key].focus();
    return undefined;
  };

  for (const tree of document.querySelectorAll("[data-tree]")) {
    upgrade(tree);
    tree.addEventListener("click", (event) => {
      const button = event.target.closest("button.opener");
      if (button) toggle(button);
      const link = event.target.closest("a[data-more]");
      if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey && event.button === 0) {
        event.preventDefault();
        more(link);
      }
    });
    tree.addEventListener("keydown", (event) => {
      const button = event.target.closest("button.opener");
      if (!button || !/^Arrow(Up|Down|Left|Right)$/.test(event.key)) return;
      event.preventDefault();
      walk(tree, button, event.key);
    });
  }
})();
