// The picture as a whole: what it holds, what is chosen, and what can be done with it.
import { Card } from "./card.js";
import { palette, scale } from "./colours.js";
import { Drawing } from "./draw.js";
import { hasBelow, isOpen, isThere, missing, PEOPLE_MAX } from "./model.js";
import { nodeAt, View } from "./view.js";

const ROW_TO_READ = 20;
const MOVE_MS = 220;
const SLACK = { mouse: 9, pen: 12, touch: 22 };

export class Picture {
  constructor(figure, { tree, kind, words, source }) {
    Object.assign(this, { figure, tree, kind, words, source });
    this.canvas = figure.querySelector("canvas");
    this.said = figure.querySelector("[data-said]");
    this.legend = figure.querySelector("[data-legend]");
    this.view = new View();
    this.drawing = new Drawing(this.canvas, words);
    this.card = new Card(this);
    this.time = null;
    this.chosen = null;
    this.hovered = null;
    this.found = [];
    this.calm = matchMedia("(prefers-reduced-motion: reduce)");
    this.isSeen = (node) => node === this.tree.columns[node.column]?.[node.place] && this.isThere(node);
    this.placed();
    this.colours = palette(figure);
    this.watch();
  }

  /** Draw anew when the room, the screen or the colours of the page change. */
  watch() {
    new ResizeObserver(() => this.resize()).observe(this.canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.recolour());
    // Paper is white, whatever the screen is.
    addEventListener("beforeprint", () => this.forPaper(true));
    addEventListener("afterprint", () => this.forPaper(false));
  }

  resize() {
    const { clientWidth, clientHeight } = this.canvas;
    if (!clientWidth || !clientHeight) return;
    this.view.resize(clientWidth, clientHeight);
    this.drawing.resize(clientWidth, clientHeight, devicePixelRatio || 1);
    this.draw();
  }

  forPaper(on) {
    this.figure.classList.toggle("on-paper", on);
    this.recolour();
    this.draw();
  }

  recolour() {
    this.colours = palette(this.figure);
    this.redraw();
  }

  /** Draw in the next frame, once, however much changes before it. */
  redraw() {
    this.frame ||= requestAnimationFrame(() => this.draw());
  }

  draw() {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    this.colourOf ??= this.coloured(this.kind.modes[0]);
    this.drawn = this.drawing.draw(this);
    this.card.follow();
  }

  isThere(node) {
    return isThere(node, this.time);
  }

  /** Colour by one of the kind's modes, and say in the legend what that means. */
  colourBy(mode) {
    this.colourOf = this.coloured(mode);
    this.redraw();
  }

  coloured(mode) {
    this.mode = mode;
    const { entries, of } = scale(mode, [...this.tree.people.values()], this.words);
    const items = entries.map(([at, said]) => {
      const item = document.createElement("li");
      const swatch = document.createElement("span");
      swatch.className = `swatch ramp-${at}`;
      item.append(swatch, said);
      return item;
    });
    this.legend.replaceChildren(...items);
    return of;
  }

  /** After rows were placed anew. */
  placed() {
    this.view.take(this.tree.rows, this.tree.columns.length);
    this.hovered = null;
  }

  at(x, y, pointer = "mouse") {
    const isThere = (node) => this.isThere(node);
    return nodeAt(this.tree.columns, this.view, x, y, { slack: SLACK[pointer] ?? 12, isThere });
  }

  hover(node) {
    if (node === this.hovered) return;
    this.hovered = node;
    this.canvas.classList.toggle("over", Boolean(node));
    this.redraw();
  }

  /** Choose somebody (null: nobody), and say who it is. */
  choose(node) {
    this.chosen = node;
    if (node) this.tell(this.card.summary(node));
    this.redraw();
  }

  tell(text) {
    this.said.textContent = text;
  }

  /** A press on somebody: choose them, or fetch who is missing. */
  press(node) {
    if (node?.rest) this.open(node.parent);
    else this.choose(node);
  }

  /** Open or close the branch of somebody. */
  async toggle(node) {
    if (!node || !hasBelow(node)) return;
    if (isOpen(node)) this.relayout(node, () => (node.open = false));
    else await this.open(node);
  }

  /** Show who is below somebody; those who are not here yet are fetched. */
  async open(node) {
    this.relayout(node, () => (node.open = true));
    if (!missing(node) || this.isBusy) return;
    if (this.tree.people.size >= PEOPLE_MAX) return this.tell(this.words.say("full"));
    this.isBusy = true;
    this.canvas.setAttribute("aria-busy", "true");
    this.tell(this.words.say("loading"));
    try {
      let added = 0;
      while (!added && missing(node) && this.source.hasMore(node)) {
        const rows = await this.source.below(node);
        this.relayout(node, () => (added = this.tree.add(rows, node)));
      }
      // Who was counted and cannot be had was merged or erased in the meantime.
      if (!this.source.hasMore(node)) this.relayout(node, () => (node.direct = node.kids.length));
      this.colourBy(this.mode);
      this.tell(this.words.say("opened", { name: node.called, n: this.words.number(node.kids.length) }));
    } catch {
      this.tell(this.words.say("failed"));
      this.figure.querySelector("[data-failed]").hidden = false;
    } finally {
      this.isBusy = false;
      this.canvas.removeAttribute("aria-busy");
    }
  }

  /** Change what is open with somebody staying where they are. */
  relayout(node, change) {
    const [before, whole] = [this.view.yOfNode(node), this.view.isWhole];
    change();
    this.tree.layout();
    this.placed();
    if (whole) this.view.fit();
    else {
      this.view.hold();
      this.view.pan(0, before - this.view.yOfNode(node));
    }
    if (this.chosen && !this.isSeen(this.chosen)) this.choose(node);
    this.redraw();
  }

  /** Bring somebody into the middle, readable. */
  show(node) {
    if (this.tree.reveal(node)) this.placed();
    if (!this.isThere(node)) this.replay.to(null);
    this.choose(node);
    this.move(this.view.onto(node, Math.max(this.view.row, ROW_TO_READ)));
  }

  /** Move just so far that somebody is seen. */
  keepInSight(node) {
    const { view } = this;
    const [x, y] = [view.xOf(node.column), view.yOfNode(node)];
    const inSight = x > 8 && x < view.width - 90 && y > 34 && y < view.height * (view.middle < 0.5 ? 0.45 : 0.97);
    const isThick = (node.bottom - node.top) * view.row >= 4 || view.isNearest;
    if (!inSight || !isThick) this.move(view.onto(node, isThick ? view.row : ROW_TO_READ));
    else this.redraw();
  }

  zoom(by, x, y) {
    this.moving = null;
    this.view.zoom(by, x, y);
    this.redraw();
  }

  zoomStep(by) {
    const to = Object.assign(new View(), this.view);
    const node = this.chosen;
    const isNear = node && this.isSeen(node) && this.view.yOf(node.bottom) > 0;
    if (isNear) to.zoom(by, this.view.xOf(node.column), this.view.yOfNode(node));
    else to.zoom(by);
    this.move(to);
  }

  pan(x, y) {
    this.moving = null;
    this.view.pan(x, y);
    this.redraw();
  }

  whole() {
    const to = Object.assign(new View(), this.view);
    to.fit();
    this.move(to);
  }

  /** Go to another view: at once for who wants no motion. */
  move(to) {
    if (this.calm.matches) {
      Object.assign(this.view, to);
      this.redraw();
      return;
    }
    const from = Object.assign(new View(), this.view);
    const moving = { begun: performance.now() };
    this.moving = moving;
    const step = (now) => {
      if (this.moving !== moving) return;
      const share = Math.min(1, Math.max(0, (now - moving.begun) / MOVE_MS));
      Object.assign(this.view, { row: from.row, top: from.top, left: from.left });
      this.view.towards(to, 1 - (1 - share) ** 3);
      this.redraw();
      if (share < 1) requestAnimationFrame(step);
      else this.moving = null;
    };
    requestAnimationFrame(step);
  }

  /** Show who was there by a time; null for all. */
  setTime(time) {
    this.time = time;
    this.hovered = null;
    if (this.chosen && !this.isThere(this.chosen)) this.choose(null);
    this.redraw();
  }
}
