// The card of who is looked at or chosen: their numbers, and the way to their page.
import { hasBelow, isOpen } from "./model.js";

const APART = 14;

export class Card {
  constructor(picture) {
    this.picture = picture;
    this.card = picture.figure.querySelector("[data-card]");
    this.parts = {};
    for (const part of this.card.querySelectorAll("[data-part]")) this.parts[part.dataset.part] = part;
    this.parts.close.addEventListener("click", () => {
      picture.choose(null);
      picture.canvas.focus();
    });
    this.parts.branch.addEventListener("click", () => picture.toggle(this.node));
  }

  /** What the card says, in a sentence for who listens. */
  summary(node) {
    const facts = this.picture.kind.facts;
    const { words } = this.picture;
    if (node.gathers) return node.called;
    const said = facts(node, words).map(([fact, value]) => `${words.say(fact)} ${value}`);
    return [node.called, words.hop(node.hop), ...said].join(", ");
  }

  /** Show who is chosen, else who is looked at, beside where they stand. */
  follow() {
    const { chosen, hovered, isSeen } = this.picture;
    // Who is chosen stays: on the way to the card the mouse goes over others.
    const node = chosen ?? hovered;
    if (!node || node.rest || node.gathers || !isSeen(node)) {
      this.card.hidden = true;
      this.node = null;
      return;
    }
    const isPinned = node === chosen;
    this.card.hidden = false;
    this.card.classList.toggle("pinned", isPinned);
    if (node !== this.node || isOpen(node) !== this.wasOpen) this.fill(node);
    for (const part of ["close", "acts"]) this.parts[part].hidden = !isPinned;
    this.place(node);
  }

  fill(node) {
    const { kind, words, source } = this.picture;
    this.node = node;
    this.wasOpen = isOpen(node);
    this.parts.name.textContent = node.called;
    this.parts.when.textContent = [
      words.hop(node.hop),
      node.at === null ? words.say("no_date") : words.moment(node.at),
    ].join(" · ");
    const facts = kind.facts(node, words).flatMap(([fact, value]) => {
      const [term, told] = [document.createElement("dt"), document.createElement("dd")];
      term.textContent = words.say(fact);
      told.textContent = value;
      return [term, told];
    });
    this.parts.facts.replaceChildren(...facts);
    this.parts.page.href = source.pageOf(node);
    this.parts.from.href = source.pictureOf(node);
    this.parts.from.hidden = node === this.picture.tree.root || !hasBelow(node);
    this.parts.branch.hidden = !hasBelow(node);
    this.parts.branch.textContent = words.say(this.wasOpen ? "close" : "open");
  }

  /** Where there is room: to the right of somebody, else to the left. */
  place(node) {
    const { view } = this.picture;
    const { offsetWidth: width, offsetHeight: height } = this.card;
    // On a narrow screen the style sheet has it at the foot.
    const [x, y] = [view.xOf(node.column), view.yOfNode(node)];
    const right = x + APART + 120;
    const left = right + width < view.width ? right : Math.max(4, x - APART - width);
    const top = Math.min(Math.max(30, y - height / 2), Math.max(30, view.height - height - 4));
    this.card.style.setProperty("--x", `${Math.round(left)}px`);
    this.card.style.setProperty("--y", `${Math.round(top)}px`);
  }
}
