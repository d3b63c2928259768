// What part of the picture is looked at: rows get higher with the zoom, columns a little wider,
// letters stay as they are.

const ROW_MAX = 46;
const ROW_AT_FIRST_MAX = 32;
const COLUMN_MIN = 100;
const COLUMN_MAX = 230;
const WIDENING = 0.3;
/** Room for the words of the last column, and around everything. */
const LAST_COLUMN = 150;
export const HEAD = 26;
/** Above the first row: its name stands over it. */
const LEAD = 12;
const FOOT = 12;
const NARROW = 600;
const LEFT = 20;

const within = (value, least, most) => Math.min(Math.max(value, least), most);

export class View {
  constructor() {
    Object.assign(this, { width: 1, height: 1, row: 0, top: 0, left: 0, rows: 1, levels: 1 });
  }

  /** The room there is; what is seen stays, and what was seen whole stays whole. */
  resize(width, height) {
    const whole = this.isWhole;
    Object.assign(this, { width, height });
    if (whole) this.fit();
    else this.hold();
  }

  /** How much there is to see. */
  take(rows, levels) {
    Object.assign(this, { rows, levels });
  }

  /** Where who is shown comes to stand: on a narrow screen above the card at its foot. */
  get middle() {
    return this.width < NARROW ? 0.2 : 0.5;
  }

  get room() {
    return this.height - HEAD - LEAD - FOOT;
  }

  /** The height of a row when everything is seen at once. */
  get wholeRow() {
    return Math.min(ROW_AT_FIRST_MAX, Math.max(1, this.room) / this.rows);
  }

  get isWhole() {
    return !this.row || this.row <= this.wholeRow * 1.001;
  }

  get isNearest() {
    return this.row >= ROW_MAX;
  }

  get column() {
    const even = (this.width - LEFT - LAST_COLUMN) / Math.max(1, this.levels - 1);
    const first = within(even, COLUMN_MIN, COLUMN_MAX);
    return Math.min(COLUMN_MAX, first * Math.max(1, this.row / this.wholeRow) ** WIDENING);
  }

  fit() {
    this.row = this.wholeRow;
    this.top = 0;
    this.left = 0;
  }

  /** Come nearer (over 1) or go further away, with the point at x and y staying where it is. */
  zoom(by, x = this.width / 2, y = HEAD + LEAD + this.room / 2) {
    const [row, column] = [this.rowAt(y), (x + this.left - LEFT) / this.column];
    this.row = within(this.row * by, this.wholeRow, ROW_MAX);
    this.top = row - (y - HEAD - LEAD - this.margin) / this.row;
    this.left = column * this.column + LEFT - x;
    this.hold();
  }

  pan(x, y) {
    this.left -= x;
    this.top -= y / this.row;
    this.hold();
  }

  /** The view with somebody in its middle, near enough to be read. */
  onto(node, row = this.row) {
    const to = Object.assign(new View(), this);
    to.row = within(row, this.wholeRow, ROW_MAX);
    to.top = (node.top + node.bottom) / 2 - (this.room * this.middle) / to.row;
    to.left = LEFT + node.column * to.column - this.width * 0.4;
    to.hold();
    return to;
  }

  /** Leave no more emptiness at the edges than there has to be. */
  hold() {
    this.row = within(this.row, this.wholeRow, ROW_MAX);
    this.top = within(this.top, 0, Math.max(0, this.rows - this.room / this.row));
    const all = LEFT + (this.levels - 1) * this.column + LAST_COLUMN;
    this.left = within(this.left, 0, Math.max(0, all - this.width));
  }

  /** What is empty above few rows. */
  get margin() {
    return Math.max(0, (this.room - this.rows * this.row) / 2);
  }

  yOf(row) {
    return HEAD + LEAD + this.margin + (row - this.top) * this.row;
  }

  rowAt(y) {
    return this.top + (y - HEAD - LEAD - this.margin) / this.row;
  }

  xOf(column) {
    return LEFT + column * this.column - this.left;
  }

  columnAt(x) {
    return Math.floor((x + this.left - LEFT + 12) / this.column);
  }

  /** Where somebody stands: in the middle of what is seen of their band of rows. */
  yOfNode(node) {
    const top = Math.max(this.yOf(node.top), HEAD);
    const bottom = Math.min(this.yOf(node.bottom), this.height);
    return (top + bottom) / 2;
  }

  /** Between this view and another; `share` is 0 to 1. */
  towards(other, share) {
    const row = this.row * (other.row / this.row) ** share;
    const between = (one, two) => one + (two - one) * share;
    Object.assign(this, { row, top: between(this.top, other.top) });
    this.left = between(this.left, other.left);
    this.hold();
  }
}

/** The first node of a sorted column that reaches below a row. */
export function firstBelow(column, row) {
  let low = 0;
  let high = column.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (column[middle].bottom > row) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** Who stands at a point, `slack` pixels wide; null for nobody. */
export function nodeAt(columns, view, x, y, { slack, isThere }) {
  const column = columns[view.columnAt(x)];
  if (!column) return null;
  const near = firstBelow(column, view.rowAt(y - slack));
  let best = null;
  let distance = slack;
  for (let at = near; at < column.length; at += 1) {
    const node = column[at];
    if (view.yOf(node.top) > y + slack) break;
    const apart = Math.abs(view.yOfNode(node) - y);
    if (apart <= distance && isThere(node)) [best, distance] = [node, apart - 0.001];
  }
  return best;
}
