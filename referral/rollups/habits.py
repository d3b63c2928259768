"""What customers do: which purchases count, and how many went on to buy."""

from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral.claims import Claim
from referral.config import ValueSettings
from referral.orders import Order
from referral.rollups import life
from referral.rollups.life import Further, Habits

NOT_REFUNDED = Order.amount > Order.refunded


def _bought(settings: ValueSettings, *columns: str) -> sa.CompoundSelect[Any] | sa.Select[Any]:
    """All purchases that count."""
    claims = sa.select(*(getattr(Claim, name) for name in columns))
    orders = sa.select(*(getattr(Order, name) for name in columns)).where(NOT_REFUNDED)
    if settings.purchases == "both":
        return sa.union_all(claims, orders)
    return claims if settings.purchases == "claims" else orders


def habits(tx: Session, settings: ValueSettings, now: datetime) -> Habits:
    """What customers went on to buy, by the class that they were of."""
    bought = _bought(settings, "customer_id", "at").subquery()
    first = tx.scalar(sa.select(sa.func.min(bought.c.at)))
    days = life.watched_days(first, now)
    if not days:
        return Habits()
    cut = now - timedelta(days=days)
    was_before = bought.c.at < cut
    was_watched = sa.and_(bought.c.at >= cut, bought.c.at <= now)
    states = (
        sa.select(
            sa.func.sum(sa.case((was_before, 1), else_=0)).label("before"),
            sa.func.max(sa.case((was_before, bought.c.at))).label("last"),
            sa.func.sum(sa.case((was_watched, 1), else_=0)).label("further"),
        )
        .group_by(bought.c.customer_id)
        .subquery()
    )
    most = life.PURCHASES_TOLD_APART
    purchases = sa.case((states.c.before < most, states.c.before), else_=most)
    ends = [(states.c.last >= cut - end, place) for place, end in enumerate(life.SINCE_LAST)]
    since = sa.case(*ends, else_=len(life.SINCE_LAST))
    classes: Any = sa.select(
        purchases.label("purchases"), since.label("since"), states.c.further
    ).where(states.c.before > 0)
    of = classes.subquery().c
    counted = sa.select(of.purchases, of.since, sa.func.count(), sa.func.sum(of.further))
    rows = tx.execute(counted.group_by(of.purchases, of.since).order_by(of.purchases, of.since))
    return Habits(days, {(int(n), int(ago)): Further(p, int(more)) for n, ago, p, more in rows})
