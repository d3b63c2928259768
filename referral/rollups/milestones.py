"""What each customer who has claimed did for the first time, and when: a row a customer."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral.claims import Claim
from referral.db import Base, is_sqlite
from referral.graph import Referral
from referral.orders import Order
from referral.people import Visitor
from referral.rollups.sharers import Sharer

APART = timedelta(hours=12)
"""What is claimed or ordered sooner after a first claim belongs to the same purchase."""

Whose = Callable[[Any], sa.ColumnElement[bool]]
"""Says of a column of customers which of them are meant."""


class Milestones(Base):
    """When a customer who has claimed a package did what for the first time, as far as counted."""

    __tablename__ = "customer_milestones"

    customer_id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    batch_id: Mapped[int] = mapped_column(sa.BigInteger)
    """Of the package that was claimed first."""
    claimed_at: Mapped[datetime]
    again_at: Mapped[datetime | None]
    """The next purchase after that."""
    shared_at: Mapped[datetime | None]
    friend_at: Mapped[datetime | None]
    """The first purchase of somebody whom the customer brought in."""


def everybody(column: Any) -> sa.ColumnElement[bool]:
    found: sa.ColumnElement[bool] = column.is_not(None)
    return found


def busy(since: datetime, end: datetime) -> sa.CompoundSelect[int]:
    """Who did something from one midnight to another that may be a milestone."""

    def within(at: Any) -> sa.ColumnElement[bool]:
        return sa.and_(at >= since, at < end)

    return sa.union(
        sa.select(Claim.customer_id).where(within(Claim.at)),
        sa.select(Order.customer_id).where(within(Order.reported_at)),
        sa.select(Visitor.customer_id)
        .join(Sharer, Sharer.visitor_id == Visitor.id)
        .where(within(Sharer.at), Visitor.customer_id.is_not(None)),
        sa.select(Referral.referrer_id).where(
            within(Referral.at), Referral.referrer_id.is_not(None)
        ),
    )


def found(tx: Session, whose: Whose, end: datetime) -> sa.Subquery:
    """The milestones of customers out of what there is before `end`: a row for each who claimed."""
    place = sa.func.row_number().over(partition_by=Claim.customer_id, order_by=(Claim.at, Claim.id))
    claims = (
        sa.select(Claim.customer_id, Claim.batch_id, Claim.at, place.label("place"))
        .where(Claim.at < end, whose(Claim.customer_id))
        .subquery()
    )
    first = sa.select(claims).where(claims.c.place == 1).subquery()
    purchases = sa.union_all(
        sa.select(claims.c.customer_id.label("who"), claims.c.at.label("at")),
        sa.select(Order.customer_id, Order.at).where(
            Order.reported_at < end, whose(Order.customer_id)
        ),
    ).subquery()
    again = (
        sa.select(purchases.c.who, sa.func.min(purchases.c.at).label("at"))
        .join(first, first.c.customer_id == purchases.c.who)
        .where(purchases.c.at >= _half_a_day_later(tx, first.c.at))
        .group_by(purchases.c.who)
        .subquery()
    )
    shared = (
        sa.select(Visitor.customer_id.label("who"), sa.func.min(Sharer.at).label("at"))
        .join(Sharer, Sharer.visitor_id == Visitor.id)
        .where(Sharer.at < end, whose(Visitor.customer_id))
        .group_by(Visitor.customer_id)
        .subquery()
    )
    friend = (
        sa.select(Referral.referrer_id.label("who"), sa.func.min(Referral.at).label("at"))
        .where(Referral.at < end, whose(Referral.referrer_id))
        .group_by(Referral.referrer_id)
        .subquery()
    )
    statement = sa.select(
        first.c.customer_id,
        first.c.batch_id,
        first.c.at.label("claimed_at"),
        again.c.at.label("again_at"),
        shared.c.at.label("shared_at"),
        friend.c.at.label("friend_at"),
    ).select_from(first)
    for each in (again, shared, friend):
        statement = statement.outerjoin(each, each.c.who == first.c.customer_id)
    return statement.subquery()


def kept_of(whose: Whose) -> sa.Subquery:
    """The milestones of customers, as they are kept."""
    return sa.select(Milestones.__table__).where(whose(Milestones.customer_id)).subquery()


def _half_a_day_later(tx: Session, at: Any) -> sa.ColumnElement[datetime]:
    """`APART` after a moment."""
    if is_sqlite(tx):
        pattern: sa.ColumnElement[Any] = sa.literal_column("'%Y-%m-%d %H:%M:%f000'")
        text = sa.func.strftime(pattern, at, f"+{APART.total_seconds()} seconds", type_=sa.String())
        return sa.type_coerce(text, at.type)
    later: sa.ColumnElement[datetime] = at + sa.literal(APART, sa.Interval())
    return later
