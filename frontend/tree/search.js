// Finding somebody in the picture by name.

export class Search {
  constructor(picture, form) {
    Object.assign(this, { picture, form });
    this.input = form.querySelector("input");
    this.told = form.querySelector("output");
    this.at = -1;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.next();
    });
    this.input.addEventListener("input", () => this.find());
    this.input.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.preventDefault();
      this.input.value = "";
      this.find();
      picture.canvas.focus();
    });
  }

  focus() {
    this.input.focus();
    this.input.select();
  }

  find() {
    const { picture, input } = this;
    this.at = -1;
    this.asked = input.value;
    picture.found = picture.tree.named(input.value);
    this.told.textContent = input.value.trim() ? this.count() : "";
    picture.redraw();
  }

  /** Jump to the next of those found, and from the last to the first. */
  next() {
    const { picture, input } = this;
    if (this.asked !== input.value) this.find();
    const { found } = picture;
    if (!found.length) return;
    this.at = (this.at + 1) % found.length;
    this.told.textContent = this.count();
    picture.show(found[this.at]);
  }

  count() {
    const { words, found } = this.picture;
    if (!found.length) return words.say("nobody_found");
    const n = words.number(found.length);
    return this.at < 0 ? words.say("found", { n }) : words.say("one_found", { at: words.number(this.at + 1), n });
  }
}
