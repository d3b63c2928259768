"""Who is in a segment, those worth most first, a page at a time."""

from dataclasses import dataclass
from datetime import datetime
from typing import Self

import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral.catalog import Product
from referral.crypto import KeyRing
from referral.people import Customer
from referral.rollups.customer_values import CustomerValue
from referral.segments import Conditions, meets
from referral.stores import Store

PAGE = 25


@dataclass(frozen=True)
class Person:
    """A customer and her value, as it was worked out last."""

    name: str | None
    value: CustomerValue

    @property
    def place(self) -> "Place":
        return Place(self.value.own, self.value.customer_id)


@dataclass(frozen=True)
class Place:
    """A place in the list, which the next page begins behind."""

    own: int
    customer_id: int

    def __str__(self) -> str:
        return f"{self.own}.{self.customer_id}"

    @classmethod
    def read(cls, text: str) -> Self | None:
        """None for anything that is no place."""
        own, _, number = text.partition(".")
        if not all(each.isascii() and each.isdigit() and len(each) < 19 for each in (own, number)):
            return None
        return cls(int(own), int(number))


@dataclass(frozen=True)
class People:
    rows: list[Person]
    next: Place | None
    """None on the last page."""


def people(
    tx: Session,
    keys: KeyRing,
    conditions: Conditions,
    now: datetime,
    *,
    after: Place | None = None,
    limit: int = PAGE,
) -> People:
    """Those of whom the conditions are so at a moment."""
    value = CustomerValue
    statement = (
        sa.select(value, Customer.name_encrypted)
        .join(Customer, Customer.id == value.customer_id)
        .where(*meets(conditions, now))
        .order_by(value.own.desc(), value.customer_id.desc())
        .limit(limit + 1)
    )
    if after is not None:
        behind = sa.tuple_(sa.literal(after.own), sa.literal(after.customer_id))
        statement = statement.where(sa.tuple_(value.own, value.customer_id) < behind)
    found = [Person(keys.decrypt_if_any(name), row) for row, name in tx.execute(statement)]
    shown = found[:limit]
    return People(shown, shown[-1].place if len(found) > limit else None)


@dataclass(frozen=True)
class Choice:
    """A product or a store that conditions can name: by GTIN or short name, here by number."""

    key: str
    number: int
    name: str


def products(tx: Session, limit: int) -> list[Choice]:
    """By name."""
    found = sa.select(Product.gtin, Product.id, Product.name).order_by(Product.name, Product.id)
    return [Choice(*row) for row in tx.execute(found.limit(limit))]


def stores(tx: Session, limit: int) -> list[Choice]:
    """By name."""
    found = sa.select(Store.slug, Store.id, Store.name).order_by(Store.name, Store.id)
    return [Choice(*row) for row in tx.execute(found.limit(limit))]
