// Adds rules to the campaign form and takes them away without loading the page again: the answer to
// the same button, of which only the part with the rules is put in. Without this script the button
// sends the form and the page comes back with one rule more or less.
(() => {
  "use strict";

  const BUTTONS = "button[name=add_rule], button[name=drop_rule], button[name=more_rows]";
  const form = document.querySelector("[data-rules]").closest("form");

  const swap = async (button) => {
    const sent = new FormData(form);
    for (const name of ["upload", "more_uploads"]) sent.delete(name);
    sent.set(button.name, button.value);
    const answer = await fetch(form.action, { method: "POST", body: sent, credentials: "same-origin" });
    // Signed out in the meantime: what is typed must not be lost to a sign-in page.
    if (!answer.ok || answer.redirected) throw new Error(String(answer.status));
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = document.adoptNode(page.querySelector("[data-rules]"));
    form.querySelector("[data-rules]").replaceWith(fresh);
    form.dispatchEvent(new Event("input", { bubbles: true }));
    const rules = fresh.querySelectorAll("fieldset.rule");
    const next = button.name === "add_rule" && rules.length
      ? rules[rules.length - 1].querySelector("select")
      : fresh.querySelector(`button[name=${button.name}]`) || fresh.querySelector("button");
    if (next) next.focus();
  };

  form.addEventListener("click", async (event) => {
    const button = event.target.closest(BUTTONS);
    if (!button || button.dataset.plain) return;
    event.preventDefault();
    button.disabled = true;
    try {
      await swap(button);
    } catch (e) {
      // As without the script.
      button.disabled = false;
      button.dataset.plain = "1";
      button.click();
    }
  });
})();
