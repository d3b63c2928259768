"""Who somebody in the referral tree is at this moment: her place, and what she adds to those above.

It is read from places, claims, orders and the last days of browsers. Active and paying are as of
the midnight that is kept as `TREE_DAY` among what is tallied.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral.batches import Batch
from referral.catalog import Product
from referral.claims import Claim
from referral.config import ValueSettings
from referral.db import run
from referral.db.bulk import among, numbers
from referral.graph import Referral
from referral.orders import Order
from referral.people import Visitor
from referral.rollups import tallies
from referral.rollups.last_days import LastDay
from referral.rollups.tallies import What
from referral.rollups.tree_sums import Own

ACTIVE = timedelta(days=90)
"""Whoever scanned, claimed, shared or ordered within it is active."""
PAYING = timedelta(days=365)
"""Whoever bought something within it, and did not give it back, is paying."""
TREE_DAY = What.tree


@dataclass(frozen=True, slots=True)
class Now:
    """Somebody as she is."""

    parent: int | None
    is_settled: bool
    own: Own
    active_at: datetime | None
    bought_at: datetime | None


_CLAIMED = (
    sa.select(
        Claim.customer_id,
        sa.func.sum(
            sa.case((Product.currency == sa.bindparam("currency"), Product.price), else_=0)
        ),
        sa.type_coerce(sa.func.max(Claim.at), Claim.at.type),
    )
    .select_from(Claim)
    .join(Batch, Batch.id == Claim.batch_id)
    .join(Product, Product.id == Batch.product_id)
    .group_by(Claim.customer_id)
)
_kept_at = sa.case((Order.refunded < Order.amount, Order.at))
_spent = sa.case(
    (Order.currency == sa.bindparam("currency"), Order.amount - Order.refunded), else_=0
)
_ORDERED = sa.select(
    Order.customer_id,
    sa.func.sum(_spent),
    sa.type_coerce(sa.func.max(Order.at), Order.at.type),
    sa.type_coerce(sa.func.max(_kept_at), Order.at.type),
).group_by(Order.customer_id)
_SEEN = (
    sa.select(Visitor.customer_id, sa.type_coerce(sa.func.max(LastDay.day), LastDay.day.type))
    .join(LastDay, LastDay.visitor_id == Visitor.id)
    .where(Visitor.customer_id.is_not(None))
    .group_by(Visitor.customer_id)
)
_PLACES = sa.select(Referral.customer_id, Referral.referrer_id)
_CLAIMED_BY = _CLAIMED.where(among(Claim.customer_id, "people"))
_ORDERED_BY = _ORDERED.where(among(Order.customer_id, "people"))
_SEEN_OF = _SEEN.where(among(Visitor.customer_id, "people"))
_PLACES_OF = _PLACES.where(among(Referral.customer_id, "people"))


def state(
    tx: Session, settings: ValueSettings, people: Collection[int] | None = None
) -> dict[int, Now]:
    """These people as they are now; for None everybody who has a place."""
    if people is None:
        statements = (_PLACES, _CLAIMED, _ORDERED, _SEEN)
        asked: dict[str, Any] = {}
    else:
        statements = (_PLACES_OF, _CLAIMED_BY, _ORDERED_BY, _SEEN_OF)
        asked = {"people": numbers(tx, people)}
    places, claimed, ordered, seen = statements
    of_money = {"currency": settings.currency, **asked}
    above: dict[int, int | None] = pairs_of(run(tx, places, **asked))
    claims: dict[int, tuple[Any, ...]] = {
        row[0]: tuple(row[1:]) for row in run(tx, claimed, **of_money)
    }
    orders: dict[int, tuple[Any, ...]] = {
        row[0]: tuple(row[1:]) for row in run(tx, ordered, **of_money)
    }
    days: dict[int, datetime] = pairs_of(run(tx, seen, **asked))
    day = tallies.until(tx, TREE_DAY)
    found: dict[int, Now] = {}
    for who in above if people is None else people:
        if who not in above:
            found[who] = Now(None, False, Own(), None, None)
            continue
        spent, claimed_at = claims.get(who, (0, None))
        paid, ordered_at, kept_at = orders.get(who, (0, None, None))
        active_at = _latest(claimed_at, ordered_at, days.get(who))
        if settings.purchases == "orders":
            spent, claimed_at = 0, None
        if settings.purchases == "claims":
            paid, kept_at = 0, None
        bought_at = _latest(claimed_at, kept_at)
        own = Own(
            1, _is_since(active_at, day - ACTIVE), _is_since(bought_at, day - PAYING), spent + paid
        )
        found[who] = Now(above[who], True, own._replace(value=int(own.value)), active_at, bought_at)
    return found


def pairs_of(rows: sa.CursorResult[Any]) -> dict[int, Any]:
    pairs: list[tuple[int, Any]] = [tuple(row) for row in rows]
    return dict(pairs)


def _latest(*moments: datetime | None) -> datetime | None:
    return max((each for each in moments if each is not None), default=None)


def _is_since(moment: datetime | None, since: datetime) -> int:
    return int(moment is not None and moment >= since)


UNSETTLED = Now(None, False, Own(), None, None)
"""Somebody who has no place of her own."""
