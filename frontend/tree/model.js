// The people of a picture: who is below whom, what is open, and in which row each stands.
//
// A leaf takes one row, whoever has people below them takes as many rows as these do together. So
// every branch is a band of rows that no other touches, whatever it is looked at through: what is
// seen and what is hit is a search in a sorted column.
import { hierarchy, partition } from "d3-hierarchy";

/** How many people a picture may hold; further branches have pictures of their own. */
export const PEOPLE_MAX = 60_000;

const byWeight = (one, other) =>
  other.total - one.total || (one.at ?? 0) - (other.at ?? 0) || (one.id < other.id ? -1 : 1);

export class Tree {
  /** `read` makes a person out of a row, `title` names what several first people hang from,
   * `hop` is that of a first one where rows do not say, `isPart` says that there may be more first
   * people than those. */
  constructor(rows, { read, title, hop, isPart }) {
    Object.assign(this, { read, hop, isPart });
    this.people = new Map();
    const added = this.take(rows);
    const tops = added.filter((person) => !person.parent);
    this.root = tops.length === 1 && !isPart ? tops[0] : this.gathered(tops, title);
    this.settle(added);
    this.layout();
  }

  gathered(tops, title) {
    const total = tops.reduce((sum, top) => sum + 1 + top.total, 0);
    // How many there are in all nobody said: one more, until the last of them came.
    const direct = tops.length + (this.isPart ? 1 : 0);
    const root = { id: null, called: title, at: null, direct, total };
    Object.assign(root, { kids: tops, open: true, appears: -Infinity, gathers: true });
    for (const top of tops) top.parent = root;
    return root;
  }

  /** Put rows into the tree, those without a parent below `top`; who was not there yet. */
  take(rows, top = null) {
    const added = [];
    for (const row of rows) {
      const person = this.read(row);
      if (this.people.has(person.id) || this.people.size >= PEOPLE_MAX) continue;
      person.kids = [];
      person.open = true;
      person.parent = null;
      person.appears = person.at ?? Infinity;
      this.people.set(person.id, person);
      added.push(person);
    }
    for (const person of added) {
      person.parent = this.people.get(person.above) ?? top;
      if (person.parent) person.parent.kids.push(person);
    }
    return added;
  }

  /** Order what was added, and let nobody appear after somebody below them. */
  settle(added) {
    const parents = new Set(added.map((person) => person.parent));
    for (const parent of parents) if (parent) parent.kids.sort(byWeight);
    for (const person of added) {
      let above = person.parent;
      while (above && above.appears > person.appears) {
        above.appears = person.appears;
        above = above.parent;
      }
    }
    for (const person of added) {
      if (person.appears === Infinity) person.appears = -Infinity;
      this.count(person);
    }
    this.times = Float64Array.from(this.people.values(), (person) => person.appears).sort();
  }

  /** The hop of somebody: one more than that of whoever is above them. */
  count(person) {
    const above = [];
    let top = person;
    while (top.hop === undefined && top.parent && !top.parent.gathers) {
      above.push(top);
      top = top.parent;
    }
    top.hop ??= this.hop;
    while (above.length) {
      const next = above.pop();
      next.hop = next.parent.hop + 1;
    }
  }

  /** Add rows below somebody; how many were new. */
  add(rows, below) {
    const added = this.take(rows, below);
    if (below.gathers) {
      below.direct += added.length;
      below.total += added.reduce((sum, person) => sum + 1 + person.total, 0);
    }
    this.settle(added);
    this.layout();
    return added.length;
  }

  /** Give everybody who is to be seen a row and a column. */
  layout() {
    const placed = partition();
    const top = hierarchy(this.root, shown).count();
    placed.size([top.value, 1])(top);
    this.rows = top.value;
    this.columns = [];
    top.eachBefore((place) => {
      const node = place.data;
      node.top = place.x0;
      node.bottom = place.x1;
      node.column = place.depth;
      (this.columns[place.depth] ??= []).push(node);
      node.place = this.columns[place.depth].length - 1;
    });
  }

  /** Open everything above somebody; whether anything was closed. */
  reveal(person) {
    let changed = false;
    for (let above = person.parent; above; above = above.parent) {
      changed ||= !above.open;
      above.open = true;
    }
    if (changed) this.layout();
    return changed;
  }

  /** People whose name has these words in it, or whose number it is, the largest branches first. */
  named(words) {
    const asked = plain(words);
    if (!asked) return [];
    const found = [];
    for (const person of this.people.values()) {
      const isNumber = asked === String(person.id) || asked === `#${person.id}`;
      if (isNumber || plain(person.called).includes(asked)) found.push(person);
    }
    return found.sort(byWeight);
  }

  /** How many people are there by a time; all of them for null. */
  countAt(time) {
    if (time === null) return this.times.length;
    let low = 0;
    let high = this.times.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.times[middle] <= time) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** When the first and the last of them came; null where no two times are known. */
  span() {
    const first = this.times.find(Number.isFinite);
    const last = this.times[this.times.length - 1];
    return Number.isFinite(last) && last > first ? [first, last] : null;
  }
}

/** How many people directly below somebody are not in the picture yet. */
export const missing = (person) => Math.max(0, person.direct - person.kids.length);

/** Whether there is a branch to open. */
export const hasBelow = (person) => !person.rest && (person.kids.length > 0 || person.direct > 0);

/** Whether the branch is seen. */
export const isOpen = (person) => person.open && person.kids.length > 0;

function shown(node) {
  if (node.rest || !node.open || !node.kids.length) return null;
  if (!missing(node)) return node.kids;
  node.remainder ??= { rest: true, id: null, parent: node, kids: [], direct: 0, total: 0 };
  node.remainder.appears = -Infinity;
  return [...node.kids, node.remainder];
}

/** Whether somebody is there by a time; null is today. */
export const isThere = (person, time) => time === null || (person.appears <= time && !person.rest);

/** Whether the branch goes on by a time. */
export const goesOn = (person, time) => isOpen(person) && person.kids.some((one) => isThere(one, time));

const plain = (text) => text.normalize("NFKC").toLowerCase().trim();
