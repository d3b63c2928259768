// The two pictures there are: customers by who brought them in, and visitors by whose link they
// opened first. What a row holds, and what is told of it.

export const KINDS = {
  tree: {
    isMoney: true,
    hasOneRoot: true,
    modes: ["value", "hop", "date"],
    read: ([id, above, name, at, direct, total, active, paying, value]) =>
      ({ id, above, name, at, direct, total, active, paying, value, known: true }),
    facts: (person, words) => [
      ["direct", words.number(person.direct)],
      ["total", words.number(person.total)],
      ["active", words.number(person.active)],
      ["paying", words.number(person.paying)],
      ["value", words.value(person.value)],
    ],
  },
  spread: {
    modes: ["value", "hop", "date"],
    // What a place in the spread is worth are the customers it led to.
    // A store's posters have a name and are no customer.
    read: ([id, above, name, at, direct, total, customers, paying, hop, isStore]) =>
      ({ id, above, name, at, direct, total, value: customers, paying, hop, known: name !== null && !isStore }),
    facts: (person, words) => [
      ["direct", words.number(person.direct)],
      ["total", words.number(person.total)],
      ["value", words.number(person.value)],
      ["paying", words.number(person.paying)],
    ],
  },
};
