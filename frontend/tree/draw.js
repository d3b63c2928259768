// Draws what is seen of the tree on a canvas, column by column. Rows thinner than a pixel share one,
// so a frame takes as long for a million rows as for some thousands.
import { goesOn, hasBelow, isOpen, isThere, missing } from "./model.js";
import { firstBelow, HEAD } from "./view.js";

const LETTERS = 12;
const LETTERS_ROOM = 13;
const DOT_MAX = 3.5;
const BRANCH_DOT_MAX = 9;
/** How far a branch goes on level, under its name, before it parts. */
const STEM = 0.68;

export class Drawing {
  constructor(canvas, words) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.words = words;
    this.widths = new Map();
  }

  /** As many pixels as the screen has. */
  resize(width, height, ratio) {
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    this.ratio = ratio;
  }

  /** One frame; how many it drew. `state`: the tree, the view, `time`, `colourOf`, who is `chosen`, `hovered`, `found`. */
  draw(state) {
    const { context } = this;
    const { tree, view } = state;
    context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    context.clearRect(0, 0, view.width, view.height);
    const first = Math.max(0, Math.floor((view.left - 220) / view.column));
    const last = Math.min(tree.columns.length - 1, view.columnAt(view.width) + 1);
    const seen = [];
    for (let at = first; at <= last; at += 1) seen.push(this.seen(tree.columns[at], view, state.time));
    this.links(seen, state);
    this.way(state);
    this.dots(seen, state);
    this.marks(state);
    this.letters(seen, state);
    this.heads(first, last, state);
    return seen.reduce((sum, column) => sum + column.length, 0);
  }

  /** Those of a column who are in sight and there by this time, one for each line of pixels. */
  seen(column, view, time) {
    const found = [];
    let line = -Infinity;
    for (let at = firstBelow(column, view.rowAt(HEAD)); at < column.length; at += 1) {
      const node = column[at];
      if (view.yOf(node.top) > view.height) break;
      if (!isThere(node, time)) continue;
      const y = view.yOfNode(node);
      if (y - line < 1) continue;
      line = y;
      node.y = y;
      found.push(node);
    }
    return found;
  }

  links(seen, { view, colours, time }) {
    const { context } = this;
    const stem = view.column * STEM;
    context.beginPath();
    for (const column of seen) {
      for (const node of column) {
        const x = view.xOf(node.column);
        if (node.column) {
          const from = x - view.column + stem;
          this.curve(from, view.yOfNode(node.parent), x, node.y);
        }
        if (!goesOn(node, time)) continue;
        context.moveTo(x, node.y);
        context.lineTo(x + stem, node.y);
        this.beyond(node, x + stem, x + view.column, view);
      }
    }
    context.strokeStyle = colours.branch;
    context.lineWidth = 1;
    context.stroke();
  }

  curve(x0, y0, x1, y1) {
    const middle = (x0 + x1) / 2;
    this.context.moveTo(x0, y0);
    if (Math.abs(y1 - y0) < 1) this.context.lineTo(x1, y1);
    else this.context.bezierCurveTo(middle, y0, middle, y1, x1, y1);
  }

  /** Where a branch goes on above or below what is seen. */
  beyond(node, from, to, view) {
    if (view.yOf(node.top) < HEAD - 1) this.curve(from, node.y, to, HEAD - 30);
    if (view.yOf(node.bottom) > view.height + 1) this.curve(from, node.y, to, view.height + 30);
  }

  /** The way from the first of all to who is chosen, or looked at. */
  way({ view, colours, chosen, hovered, isSeen }) {
    const { context } = this;
    const end = hovered ?? chosen;
    if (!end || !isSeen(end)) return;
    context.beginPath();
    for (let node = end; node.parent; node = node.parent) {
      const x = view.xOf(node.column);
      const from = x - view.column + view.column * STEM;
      const y = view.yOfNode(node.parent);
      context.moveTo(x - view.column, y);
      context.lineTo(from, y);
      this.curve(from, y, x, this.near(view.yOfNode(node), view));
    }
    context.strokeStyle = colours.accent;
    context.lineWidth = 2;
    context.stroke();
  }

  near(y, view) {
    return Math.min(Math.max(y, -40), view.height + 40);
  }

  dots(seen, { view, colours, colourOf }) {
    const solid = colours.ramp.map(() => []);
    const hollow = colours.ramp.map(() => []);
    for (const column of seen) {
      for (const node of column) {
        if (node.rest) continue;
        (node.known || node.gathers ? solid : hollow)[node.gathers ? 0 : colourOf(node)].push(node);
      }
    }
    const { context } = this;
    context.lineWidth = 1.75;
    colours.ramp.forEach((colour, at) => {
      context.beginPath();
      for (const node of solid[at]) this.dot(node, view, 0);
      context.fillStyle = colour;
      context.fill();
      context.beginPath();
      for (const node of hollow[at]) this.dot(node, view, 0.9);
      context.fillStyle = colours.sheet;
      context.fill();
      context.strokeStyle = colour;
      context.stroke();
    });
  }

  dot(node, view, inside) {
    const x = view.xOf(node.column);
    const radius = radiusOf(node, view);
    if (radius < 1.2) {
      const height = Math.max(1, (node.bottom - node.top) * view.row);
      this.context.rect(x - 2, node.y - height / 2, 4, height);
      return;
    }
    const drawn = Math.max(0.8, radius - inside);
    this.context.moveTo(x + drawn, node.y);
    this.context.arc(x, node.y, drawn, 0, 2 * Math.PI);
  }

  /** Rings around who was found, who is looked at and who is chosen. */
  marks({ view, colours, chosen, hovered, found, isSeen }) {
    const ring = (node, colour, width, apart) => {
      if (!isSeen(node) || view.yOf(node.bottom) < HEAD || view.yOf(node.top) > view.height) return;
      const { context } = this;
      context.beginPath();
      const y = view.yOfNode(node);
      context.arc(view.xOf(node.column), y, radiusOf(node, view) + apart, 0, 2 * Math.PI);
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.stroke();
    };
    for (const node of found) ring(node, colours.found, 2, 3);
    if (hovered) ring(hovered, colours.accent, 1.5, 3);
    if (chosen) ring(chosen, colours.accent, 2.5, 4);
  }

  letters(seen, state) {
    const { context } = this;
    const { view, colours, chosen, hovered } = state;
    context.textBaseline = "middle";
    context.lineJoin = "round";
    context.lineWidth = 4;
    context.strokeStyle = colours.sheet;
    for (const column of seen) {
      let line = -Infinity;
      for (const node of column) {
        if (node.y < HEAD + 4) continue;
        const band = Math.min(view.yOf(node.bottom), view.height) - Math.max(view.yOf(node.top), HEAD);
        const isAsked = node === chosen || node === hovered;
        const hasRoom = band >= LETTERS_ROOM || isAsked || (hasBelow(node) && node.y - line >= LETTERS_ROOM);
        if (!hasRoom || node.y - line < LETTERS_ROOM * (isAsked ? 0 : 1)) continue;
        line = node.y;
        this.name(node, view, colours, { isAsked, isThick: band >= LETTERS_ROOM, isHigh: band >= 2 * LETTERS_ROOM });
      }
    }
  }

  name(node, view, colours, { isAsked, isThick, isHigh }) {
    const { context, words } = this;
    const open = isOpen(node);
    const x = view.xOf(node.column) + (node.rest ? -4 : radiusOf(node, view) + 5);
    const isOver = open && isHigh;
    const y = isOver ? node.y - LETTERS / 2 - 3 : node.y;
    const room = view.xOf(node.column) + view.column * (open ? STEM + 0.1 : 1.9) - x;
    const said = node.rest ? this.rest(node.parent) : node.called;
    const weight = (open && isThick) || isAsked ? 600 : 400;
    const name = this.fitting(said, isAsked ? 400 : room, weight, colours.font);
    context.font = `${weight} ${LETTERS}px ${colours.font}`;
    context.strokeText(name.text, x, y);
    context.fillStyle = node.rest ? colours.accent : node.known || node.gathers ? colours.ink : colours.soft;
    context.fillText(name.text, x, y);
    const count = this.beside(node, open);
    if (!count || (room - name.width < 34 && !isAsked)) return;
    context.font = `400 ${LETTERS - 1}px ${colours.font}`;
    context.strokeText(count, x + name.width + 6, y);
    context.fillStyle = open ? colours.soft : colours.accent;
    context.fillText(count, x + name.width + 6, y);
  }

  /** Those below somebody who are not in the picture yet. */
  rest(above) {
    if (above.gathers) return this.words.say("others");
    return this.words.say("more", { n: this.words.number(missing(above)) });
  }

  /** What stands beside a name: how many are below, and whether they are seen. */
  beside(node, open) {
    if (node.rest || !hasBelow(node)) return "";
    return open ? this.words.number(node.total) : `+${this.words.number(node.total || node.direct)}`;
  }

  /** As much of a text as there is room for, and its width. */
  fitting(text, room, weight, font) {
    const key = `${weight}${Math.round(room / 8)} ${text}`;
    let fitted = this.widths.get(key);
    if (fitted) return fitted;
    if (this.widths.size > 20_000) this.widths.clear();
    const { context } = this;
    context.font = `${weight} ${LETTERS}px ${font}`;
    const letters = Array.from(text);
    let width = context.measureText(text).width;
    let shown = text;
    while (width > room && letters.length > 1) {
      letters.splice(-Math.max(1, Math.floor(letters.length * 0.15)));
      shown = `${letters.join("").trimEnd()}…`;
      width = context.measureText(shown).width;
    }
    fitted = { text: shown, width };
    this.widths.set(key, fitted);
    return fitted;
  }

  /** What the columns are, on top. */
  heads(first, last, { view, colours, tree }) {
    const { context } = this;
    context.fillStyle = colours.tint;
    context.fillRect(0, 0, view.width, HEAD - 4);
    context.fillStyle = colours.soft;
    context.textBaseline = "middle";
    for (let at = first; at <= last; at += 1) {
      const [node] = tree.columns[at];
      if (node.gathers) continue;
      const said = this.words.hop(node.hop ?? node.parent.hop + 1);
      const { text } = this.fitting(said, view.column - 8, 400, colours.font);
      context.font = `400 ${LETTERS - 1}px ${colours.font}`;
      context.fillText(text, view.xOf(at) - 6, (HEAD - 4) / 2);
    }
  }
}

function radiusOf(node, view) {
  const band = (node.bottom - node.top) * view.row;
  if (!hasBelow(node)) return Math.min(DOT_MAX, band * 0.34);
  const size = DOT_MAX + Math.log2(1 + (node.total || node.direct)) * 0.5;
  return Math.min(BRANCH_DOT_MAX, Math.max(1.2, Math.min(size, band * 0.4 + 0.4)));
}
