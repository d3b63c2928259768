"""Every purchase that was proven in some time, in order, with what rules may know of it: as it was
then and not as it is now."""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from referral.batches import Batch
from referral.catalog import Product
from referral.claims import Claim
from referral.graph import Referral
from referral.orders import Order
from referral.reports import audiences
from referral.rewards import Proof
from referral.segments import Conditions

AT_ONCE = 2_000
"""How many rows are held at a time."""


@dataclass(frozen=True)
class Scope:
    """Which purchases: those proven from `since` up to and not including `until`."""

    since: datetime
    until: datetime
    campaign_id: int | None = None
    """Those that this campaign paid for; None for all of the products."""
    gtins: Sequence[str] = ()
    """Empty for all products."""
    currency: str | None = None
    """Of orders; None for every one."""
    audience: Conditions | None = None
    """Those of the customers of a segment; None for everybody's."""


@dataclass(frozen=True, slots=True)
class Made:
    """A purchase that was made. What of a merged customer was once two people's is one's now."""

    at: datetime
    """When it was proven: an order may have been placed before."""
    proof: Proof
    number: int
    """Of the claim or the order."""
    customer: int
    is_first: bool
    referrer: int | None
    """Who brought the customer in, if the campaign pays for that."""
    above: int | None
    """Who had brought the referrer in by then."""
    referrals: int
    """How many customers the referrer had brought in by then, this one included; for a first
    purchase."""
    amount: int

    @property
    def event(self) -> str:
        return f"{self.proof}:{self.number}"

    @property
    def order(self) -> tuple[datetime, str, int]:
        return self.at, self.proof, self.number


def made(tx: Session, scope: Scope) -> Iterator[Made]:
    """The purchases in order of time; read as they are asked for."""
    claims, orders = claims_in(scope), orders_in(scope)
    said = scope.audience
    if said is not None:
        claims = audiences.of_them(tx, claims, said, Claim.customer_id, Claim.at)
        orders = audiences.of_them(tx, orders, said, Order.customer_id, Order.at)
    claimed = (
        _made(Proof.claim, row)
        for row in _rows(tx, claims)
        if said is None or audiences.was_invited(said, row, row.at)
    )
    ordered = (
        _made(Proof.order, row)
        for row in _rows(tx, orders)
        if not row.gtins or not scope.gtins or not set(row.gtins).isdisjoint(scope.gtins)
        if said is None or audiences.was_invited(said, row, row.placed_at)
    )
    return heapq.merge(claimed, ordered, key=attrgetter("order"))


def claims_in(scope: Scope) -> sa.Select[Any]:
    found = (
        sa.select(
            Claim.id,
            Claim.at,
            Claim.customer_id,
            Claim.campaign_id,
            sa.literal(0).label("amount"),
            sa.literal("claim:").concat(sa.cast(Claim.id, sa.String)).label("event"),
            *_PLACE,
        )
        .outerjoin(_ref, _ref.customer_id == Claim.customer_id)
        .outerjoin(_up, _up.customer_id == _ref.referrer_id)
        .outerjoin(_NTH, _NTH.c.customer_id == Claim.customer_id)
        .where(Claim.at >= scope.since, Claim.at < scope.until)
        .order_by(Claim.at, Claim.id)
    )
    if scope.campaign_id is not None:
        found = found.where(Claim.campaign_id == scope.campaign_id)
    if scope.gtins:
        batches = sa.select(Batch.id).join(Product).where(Product.gtin.in_(scope.gtins))
        found = found.where(Claim.batch_id.in_(batches))
    return found


def orders_in(scope: Scope) -> sa.Select[Any]:
    """Orders; which of them are for the products is not looked at."""
    found = (
        sa.select(
            Order.id,
            Order.reported_at.label("at"),
            Order.at.label("placed_at"),
            Order.customer_id,
            Order.campaign_id,
            Order.amount,
            Order.gtins,
            sa.literal("order:").concat(sa.cast(Order.id, sa.String)).label("event"),
            *_PLACE,
        )
        .outerjoin(_ref, _ref.customer_id == Order.customer_id)
        .outerjoin(_up, _up.customer_id == _ref.referrer_id)
        .outerjoin(_NTH, _NTH.c.customer_id == Order.customer_id)
        .where(Order.reported_at >= scope.since, Order.reported_at < scope.until)
        .order_by(Order.reported_at, Order.id)
    )
    if scope.campaign_id is not None:
        found = found.where(Order.campaign_id == scope.campaign_id)
    if scope.currency is not None:
        found = found.where(Order.currency == scope.currency)
    return found


_ref, _up = aliased(Referral), aliased(Referral)
_NTH = (
    sa.select(
        Referral.customer_id,
        sa.func.row_number()
        .over(partition_by=Referral.referrer_id, order_by=(Referral.at, Referral.customer_id))
        .label("nth"),
    )
    .where(Referral.referrer_id.is_not(None))
    .subquery()
)
_PLACE = (
    _ref.referrer_id,
    _ref.event.label("first_event"),
    _ref.why["campaign"].as_integer().label("link_campaign_id"),
    _up.referrer_id.label("above_id"),
    _up.at.label("above_at"),
    _NTH.c.nth,
)


def _rows(tx: Session, statement: sa.Select[Any]) -> Iterator[Any]:
    return iter(tx.execute(statement, execution_options={"yield_per": AT_ONCE}))


def _made(proof: Proof, row: Any) -> Made:
    is_first = row.first_event == row.event
    # A first one is paid for to the referrer by the campaign whose link led to it, no other.
    is_paid_for = not is_first or row.link_campaign_id == row.campaign_id
    has_above = row.above_at is not None and row.above_at <= row.at
    return Made(
        at=row.at,
        proof=proof,
        number=row.id,
        customer=row.customer_id,
        is_first=is_first,
        referrer=row.referrer_id if is_paid_for else None,
        above=row.above_id if has_above and is_paid_for else None,
        referrals=row.nth if is_first and row.nth else 1,
        amount=row.amount,
    )
