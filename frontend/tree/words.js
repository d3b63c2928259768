// The words of a picture, which the page brings in its language, and numbers and dates in it.

export class Words {
  /** `unit` is a currency's code, or null where values are people. */
  constructor(texts, language, zone, unit) {
    this.texts = texts;
    this.plain = new Intl.NumberFormat(language);
    const order = language === "en" ? "en-GB" : language; // day before month, as in the pages
    const dated = (style) => new Intl.DateTimeFormat(order, { ...style, timeZone: zone });
    this.dated = dated({ dateStyle: "medium" });
    this.timed = dated({ dateStyle: "medium", timeStyle: "short" });
    if (unit) {
      const money = { style: "currency", currency: unit };
      const whole = new Intl.NumberFormat(language, money);
      this.minor = 10 ** whole.resolvedOptions().maximumFractionDigits;
      this.money = new Intl.NumberFormat(language, { ...money, trailingZeroDisplay: "stripIfInteger" });
    }
  }

  /** A text with its numbers put in. */
  say(name, said = {}) {
    return this.texts[name].replace(/\{(\w+)\}/g, (_, key) => said[key]);
  }

  number(value) {
    return this.plain.format(value);
  }

  value(value) {
    return this.money ? this.money.format(value / this.minor) : this.number(value);
  }

  /** A class of values: more than `above`, up to `most`. People are counted in whole numbers. */
  values(above, most) {
    if (!this.money) {
      const least = above + 1;
      return least === most ? this.number(most) : `${this.number(least)} – ${this.number(most)}`;
    }
    return above ? `${this.value(above)} – ${this.value(most)}` : `≤ ${this.value(most)}`;
  }

  hop(hop) {
    return hop ? this.say("hop", { hop: this.number(hop) }) : this.say("first");
  }

  day(seconds) {
    return this.dated.format(seconds * 1000);
  }

  moment(seconds) {
    return this.timed.format(seconds * 1000);
  }

  days(from, to) {
    const [first, last] = [this.day(from), this.day(to)];
    return first === last ? first : `${first} – ${last}`;
  }

  /** What somebody is called. */
  name(person) {
    if (person.name) return person.name;
    return this.say("nameless", { id: person.id });
  }
}
