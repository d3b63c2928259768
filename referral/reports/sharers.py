"""Who brings people in: by those who bought through them, not by how often links were opened."""

from collections import Counter

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict
from sqlalchemy.orm import Session

from referral import people
from referral.graph import Referral
from referral.orders import Order
from referral.people import Visitor
from referral.risk import Case, Decision, VerdictRow
from referral.spread import counters

TOP = 10


class Sharer(BaseModel):
    """A customer who brought others in."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    customer_id: int
    verified: int
    """How many people's first purchase came through them and stands: not refunded as a whole, and
    nothing that the risk rules or staff hold or took back."""
    open: int
    """How many more are still looked at, or did not stand."""


def top(tx: Session, campaign_id: int, limit: int = TOP) -> list[Sharer]:
    """Those through whom most people bought in a campaign."""
    stands = sa.case((sa.and_(_IS_CLEAR, ~_IS_REFUNDED), 1), else_=0)
    verified = sa.func.sum(stands)
    rows = tx.execute(
        sa.select(Referral.referrer_id, verified, sa.func.count())
        .outerjoin(VerdictRow, VerdictRow.event == Referral.event)
        .where(Referral.campaign_id == campaign_id, Referral.referrer_id.is_not(None))
        .group_by(Referral.referrer_id)
        .order_by(verified.desc(), sa.func.count().desc(), Referral.referrer_id)
        .limit(limit)
    )
    return [
        Sharer(customer_id=who, verified=int(good), open=count - int(good))
        for who, good, count in rows
    ]


_IS_CLEAR = sa.or_(
    VerdictRow.id.is_(None),
    VerdictRow.case_state == Case.accepted.value,
    sa.and_(VerdictRow.decision == Decision.pay.value, VerdictRow.case_state.is_(None)),
)
_IS_REFUNDED = sa.exists().where(
    Referral.event == sa.literal("order:").concat(sa.cast(Order.id, sa.String)),
    Order.customer_id == Referral.customer_id,
    Order.refunded >= Order.amount,
)


def opened(tx: Session, campaign_id: int, customers: list[int]) -> Counter[int]:
    """How many people opened a link of each of these first of all, from whichever browser."""
    kept = people.current(tx, customers)
    rows = tx.execute(
        sa.select(Visitor.id, Visitor.customer_id).where(
            Visitor.customer_id.in_({*customers, *kept.values()})
        )
    )
    owner: dict[int, int] = {row.id: row.customer_id for row in rows}
    below = counters.counts_of(tx, campaign_id, list(owner))
    found = Counter[int]()
    for visitor, customer in owner.items():
        found[customer] += below[visitor].direct
    return Counter({each: found[kept[each]] for each in customers})
