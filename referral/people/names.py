"""Finding customers by a part of their names, which are stored encrypted.

Every two and every three letters that stand together in a name, and its first one, are kept as
keyed hashes: what is looked for is hashed alike, and whoever has all of its parts is looked at. So
nothing of a name can be read in the database. Whoever looks for one letter finds names that begin
with it.
"""

import unicodedata
from collections.abc import Mapping
from hashlib import blake2b

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral.crypto import KeyRing
from referral.db import Base, run
from referral.db.bulk import among, insert_many, numbers

PARTS_MAX = 6
"""How many parts of what is asked are looked for: more would not find fewer."""
ASKED_LENGTH_MAX = 40
_BEGINS = "\x02"


class NamePart(Base):
    """That a customer's name has a part, by the part's keyed hash."""

    __tablename__ = "name_parts"

    part: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    customer_id: Mapped[int] = mapped_column(
        sa.BigInteger, primary_key=True, autoincrement=False, index=True
    )


def folded(name: str) -> str:
    """A name as it is compared: without case, accents' variants, width and double spaces."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def parts_of(name: str) -> set[str]:
    """What a name is found by."""
    text = folded(name)
    if not text:
        return set()
    twos = {text[at : at + 2] for at in range(len(text) - 1)}
    threes = {text[at : at + 3] for at in range(len(text) - 2)}
    return {_BEGINS + text[0]} | twos | threes


def asked_parts(query: str) -> list[str]:
    """The parts that a name must have to have this in it; none for nothing."""
    text = folded(query)[:ASKED_LENGTH_MAX]
    if not text:
        return []
    if len(text) == 1:
        return [_BEGINS + text]
    if len(text) == 2:
        return [text]
    threes = list(dict.fromkeys(text[at : at + 3] for at in range(len(text) - 2)))
    step = max(len(threes) // PARTS_MAX, 1)
    return threes[::step][:PARTS_MAX]


class Hasher:
    """Hashes parts under every secret key, newest first."""

    def __init__(self, keys: KeyRing) -> None:
        self._keys = keys.derive_all("name-part")

    def stored(self, part: str) -> int:
        return self._hash(self._keys[0], part)

    def asked(self, part: str) -> list[int]:
        return [self._hash(key, part) for key in self._keys]

    @staticmethod
    def _hash(key: bytes, part: str) -> int:
        digest = blake2b(part.encode(), key=key, digest_size=8).digest()
        return int.from_bytes(digest, signed=True)


_FORGET = sa.delete(NamePart).where(among(NamePart.customer_id, "customers"))
_HAND_OVER = (
    sa.update(NamePart)
    .where(NamePart.customer_id == sa.bindparam("gone"))
    .values(customer_id=sa.bindparam("kept"))
)


def index_names(tx: Session, keys: KeyRing, names: Mapping[int, str | None]) -> None:
    """Let customers be found by these names, and by no other; None for one who has none."""
    run(tx, _FORGET, customers=numbers(tx, names))
    index_new(tx, keys, names)


def index_new(tx: Session, keys: KeyRing, names: Mapping[int, str | None]) -> None:
    """The same of customers who had no name."""
    hasher = Hasher(keys)
    rows = [
        {"part": hasher.stored(part), "customer_id": customer}
        for customer, name in names.items()
        if name
        for part in sorted(parts_of(name))
    ]
    insert_many(tx, NamePart, rows, ("customer_id",))  # two parts may share a hash


def forget_names(tx: Session, *customers: int) -> None:
    run(tx, _FORGET, customers=numbers(tx, customers))


def hand_over_name(tx: Session, gone: int, kept: int) -> None:
    """Let one customer be found by the name of another, who is the same person."""
    run(tx, _HAND_OVER, gone=gone, kept=kept)
