"""What two customers have who may be one person, side by side, before anybody decides."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral import graph, people
from referral.claims import Claim
from referral.crypto import KeyRing
from referral.orders import Order
from referral.reports import customers, wallet
from referral.reports.customers import Balance


@dataclass(frozen=True)
class Side:
    """One of the two."""

    id: int
    name: str | None
    created_at: datetime
    contacts: list[tuple[str, str]]
    """Kind and masked value."""
    packages: int
    orders: int
    friends: int
    balances: list[Balance]
    owed: dict[str, int]
    """By unit, as numbers above zero."""


@dataclass(frozen=True)
class Preview:
    """Two customers, the one that would be kept first."""

    kept: Side
    gone: Side
    brought_in: bool
    """Whether one of them brought the other in: what was paid for that is taken back."""


def preview(tx: Session, keys: KeyRing, one: int, other: int) -> Preview | None:
    """None when the two numbers are one customer's. Raises `UnknownCustomer`."""
    found = [people.customer_by_id(tx, each) for each in (one, other)]
    if found[0].id == found[1].id:
        return None
    kept, gone = sorted(found, key=lambda each: (each.created_at, each.id))
    above = (graph.referrer_of(tx, kept.id), graph.referrer_of(tx, gone.id))
    brought_in = above[0] == gone.id or above[1] == kept.id
    return Preview(_side(tx, keys, kept.id), _side(tx, keys, gone.id), brought_in)


def _side(tx: Session, keys: KeyRing, customer_id: int) -> Side:
    def count(model: type[Claim] | type[Order]) -> int:
        of = sa.select(sa.func.count()).where(model.customer_id == customer_id)
        return tx.scalar(of) or 0

    balances = customers.balances(tx, customer_id)
    return Side(
        customer_id,
        customers.name_of(tx, keys, customer_id),
        people.customer_by_id(tx, customer_id).created_at,
        customers.masked_contacts(tx, keys, customer_id),
        count(Claim),
        count(Order),
        wallet.friend_count(tx, customer_id),
        balances,
        {each.unit: each.owed for each in balances if each.owed},
    )
