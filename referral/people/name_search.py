"""Looking for customers by a part of their names: see `names` for how these are kept."""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral.crypto import KeyRing
from referral.people.customers import Customer
from referral.people.names import Hasher, NamePart, asked_parts, folded, index_names

FOUND_MAX = 20
"""How many customers one search gives."""
LOOKED_AT_MAX = 200
"""How many that have all parts are looked at; parts may stand in another order than asked for."""
INDEXED_AT_ONCE = 2_000


@dataclass(frozen=True)
class Named:
    """Customers whose names have what was asked for."""

    customers: list[int]
    has_more: bool
    """Whether there may be others: ask for more letters."""


def index_missing(tx: Session, keys: KeyRing) -> int:
    """Index some names that were stored without it. Returns how many; 0 when none is left."""
    has_parts = sa.exists().where(NamePart.customer_id == Customer.id)
    rows = tx.execute(
        sa.select(Customer.id, Customer.name_encrypted)
        .where(Customer.name_encrypted.is_not(None), ~has_parts)
        .order_by(Customer.id)
        .limit(INDEXED_AT_ONCE)
    ).all()
    if rows:
        index_names(tx, keys, {row.id: keys.decrypt_if_any(row.name_encrypted) for row in rows})
    return len(rows)


def find_named(tx: Session, keys: KeyRing, query: str) -> Named:
    """Customers whose names have this in them, those who are known longest first."""
    parts = asked_parts(query)
    if not parts:
        return Named([], False)
    hasher = Hasher(keys)
    rows = tx.execute(_having([hasher.asked(part) for part in parts])).all()
    wanted, begins = folded(query), len(folded(query)) == 1
    found = [
        customer
        for customer, name in rows
        if _matches(folded(keys.decrypt_if_any(name) or ""), wanted, begins=begins)
    ]
    has_more = len(found) > FOUND_MAX or len(rows) == LOOKED_AT_MAX
    return Named(found[:FOUND_MAX], has_more)


def _having(parts: Sequence[Sequence[int]]) -> sa.Select[int, str | None]:
    """Customers who have each of these parts, of which each may be one of several numbers.

    They are found by the index in the order of their numbers, until there are enough.
    """
    first, *others = (sa.orm.aliased(NamePart) for _ in parts)
    statement = (
        sa.select(first.customer_id, Customer.name_encrypted)
        .select_from(first)
        .join(Customer, Customer.id == first.customer_id)
        .where(first.part.in_(parts[0]), Customer.merged_into.is_(None))
        .order_by(first.customer_id)
        .limit(LOOKED_AT_MAX)
    )
    for other, numbers_ in zip(others, parts[1:], strict=True):
        has = sa.exists().where(other.part.in_(numbers_), other.customer_id == first.customer_id)
        statement = statement.where(has)
    return statement.distinct() if len(parts[0]) > 1 else statement


def _matches(name: str, wanted: str, *, begins: bool) -> bool:
    return name.startswith(wanted) if begins else wanted in name
