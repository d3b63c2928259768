// Where the rows come from, and which pages there are about somebody.

export class SignedOut extends Error {}

export class Source {
  /** `addresses` have `0` or `-` in the place of somebody's id (`mark`), or none. */
  constructor(addresses, mark) {
    Object.assign(this, { addresses, mark });
    this.next = new Map();
  }

  /** All that the first picture needs. */
  picture() {
    return answered(this.addresses.picture);
  }

  /** Whether there may be rows below somebody that were not fetched yet. */
  hasMore(person) {
    return this.next.get(person.id) !== null;
  }

  /** The next rows below somebody. */
  async below(person) {
    const key = this.next.get(person.id);
    const address = new URL(this.of("branch", person), location);
    if (key !== undefined) address.searchParams.set("offset_key", key);
    const { nodes, next } = await answered(address);
    this.next.set(person.id, next);
    return nodes;
  }

  pageOf(person) {
    return this.of("person", person);
  }

  pictureOf(person) {
    return this.of("from", person);
  }

  of(name, person) {
    return this.addresses[name].replace(this.mark, encodeURIComponent(person.id ?? ""));
  }
}

async function answered(address) {
  const answer = await fetch(address, { credentials: "same-origin" });
  // Signed out in the meantime: the page itself knows how to ask for a sign-in.
  if (answer.redirected) throw new SignedOut();
  if (!answer.ok) throw new Error(String(answer.status));
  return answer.json();
}
