// Numbers as people of a language write them.

// Grouped as in the table beside it: compact numbers of four digits would else be without a comma in Chinese.
const compact = (lang, more) =>
  new Intl.NumberFormat(lang, { notation: "compact", useGrouping: "always", ...more });

const minorDigits = (currency) =>
  new Intl.NumberFormat("en", { style: "currency", currency }).resolvedOptions().maximumFractionDigits;

const money = (lang, currency) => {
  const whole = new Intl.NumberFormat(lang, { style: "currency", currency });
  const short = compact(lang, { style: "currency", currency });
  const units = 10 ** minorDigits(currency);
  return { long: (value) => whole.format(value / units), short: (value) => short.format(value / units) };
};

const share = (lang) => {
  const percent = new Intl.NumberFormat(lang, { style: "percent", maximumFractionDigits: 1 });
  return { long: (value) => percent.format(value), short: (value) => percent.format(value) };
};

const count = (lang) => {
  const whole = new Intl.NumberFormat(lang, { maximumFractionDigits: 2 });
  return { long: (value) => whole.format(value), short: (value) => compact(lang, { maximumFractionDigits: 1 }).format(value) };
};

// `unit` is "count", "share" (1 is all) or a currency's code (values in its minor units).
export const numbers = (lang, unit) => {
  const say = unit === "share" ? share(lang) : /^[A-Z]{3}$/.test(unit) ? money(lang, unit) : count(lang);
  const missing = (write) => (value) => (value === null || value === undefined ? "–" : write(value));
  return { long: missing(say.long), short: missing(say.short) };
};
