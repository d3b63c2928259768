// What a colour of the picture says: classes of value, hop or date, with their words.

const CLASSES = 5;
/** The class of those of whom nothing is known, or who have none. */
export const NONE = 0;

/** How somebody is coloured, and what the legend says: `of` gives a class, 1 to 5, or `NONE`. */
export function scale(mode, people, words) {
  return { value: byValue, hop: byHop, date: byDate }[mode](people, words);
}

function byValue(people, words) {
  const values = people.map((person) => person.value).filter((value) => value > 0);
  const cuts = [...new Set(shares(values).map(roundUp))];
  const entries = [[NONE, words.say("none")]];
  cuts.forEach((cut, at) => entries.push([at + 1, words.values(cuts[at - 1] ?? 0, cut)]));
  if (cuts.length && values.some((value) => value > cuts[cuts.length - 1]))
    entries.push([cuts.length + 1, `> ${words.value(cuts[cuts.length - 1])}`]);
  return { entries: values.length ? entries : [entries[0]], of: (p) => classOf(p.value, cuts) };
}

function classOf(value, cuts) {
  if (!(value > 0)) return NONE;
  const at = cuts.findIndex((cut) => value <= cut);
  return at < 0 ? cuts.length + 1 : at + 1;
}

/** What parts values into five classes of about as many people each. */
function shares(values) {
  const sorted = Float64Array.from(values).sort();
  if (!sorted.length) return [];
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
  return Array.from({ length: CLASSES - 1 }, (_, one) => at((one + 1) / CLASSES));
}

/** The next number that begins with 1, 2 or 5, so that a legend has round numbers. */
function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((round) => round >= value);
}

function byHop(people, words) {
  let least = Infinity;
  let most = 0;
  for (const person of people) {
    least = Math.min(least, person.hop);
    most = Math.max(most, person.hop);
  }
  const entries = [];
  for (let at = 1; at <= CLASSES && least + at - 1 <= most; at += 1) {
    const hop = least + at - 1;
    const isLast = at === CLASSES && hop < most;
    entries.push([at, isLast ? `${words.hop(hop)} +` : words.hop(hop)]);
  }
  return { entries, of: (person) => Math.min(CLASSES, person.hop - least + 1) };
}

function byDate(people, words) {
  const times = people.map((person) => person.at).filter((at) => at !== null);
  let [first, last] = [Infinity, -Infinity];
  for (const time of times) {
    first = Math.min(first, time);
    last = Math.max(last, time);
  }
  const entries = [];
  const step = Math.max(1, (last - first) / CLASSES);
  for (let at = 1; times.length && at <= CLASSES; at += 1)
    entries.push([at, words.days(first + step * (at - 1), Math.min(last, first + step * at))]);
  if (times.length < people.length) entries.unshift([NONE, words.say("no_date")]);
  const of = ({ at }) =>
    at === null ? NONE : Math.min(CLASSES, 1 + Math.floor((at - first) / step));
  return { entries, of };
}

/** The colours of the page, light or dark, as the style sheet has them. */
export function palette(element) {
  const style = getComputedStyle(element);
  const colour = (name) => style.getPropertyValue(name).trim();
  return {
    sheet: colour("--sheet"),
    tint: colour("--tint"),
    ink: colour("--ink"),
    soft: colour("--soft"),
    line: colour("--line"),
    branch: colour("--branch"),
    accent: colour("--accent"),
    found: colour("--found"),
    ramp: Array.from({ length: CLASSES + 1 }, (_, at) => colour(`--ramp-${at}`)),
    font: style.fontFamily,
  };
}
