"""The graphs: the referral tree of customers, and with it the spread of visitors (`spread`)."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral import people
from referral.db import Base, run
from referral.spread import (
    SpreadNode,
    Step,
    attach,
    hop_of,
    path_up,
    step_of,
    touches_of,
)

__all__ = [
    "Referral",
    "SpreadNode",
    "Step",
    "TouchOutcome",
    "attach",
    "hop_of",
    "is_settled",
    "nearest",
    "path_up",
    "referrer_of",
    "settle",
    "step_of",
    "touches_of",
]

SETTLE_TRIES_MAX = 10
"""How often the end of a chain may move while we wait for its lock."""


class TouchOutcome(StrEnum):
    """What became of an opening that was considered when a referrer was settled."""

    credited = "credited"
    too_old = "too_old"
    nobody = "nobody"
    """Nobody up its path is a customer."""
    came_later = "came_later"
    """The campaign credits the first touch."""
    came_earlier = "came_earlier"
    """The campaign credits the last touch."""
    other_campaign = "other_campaign"
    """A link of another campaign was opened before."""
    below = "below"
    """Whoever is up its path was brought in by this customer."""


class Referral(Base):
    """A customer's place in the referral tree, settled at the first proof of purchase."""

    __tablename__ = "referrals"

    customer_id: Mapped[int] = mapped_column(
        sa.ForeignKey("customers.id"), primary_key=True, autoincrement=False
    )
    referrer_id: Mapped[int | None] = mapped_column(sa.ForeignKey("customers.id"), index=True)
    """None for a customer nobody brought in."""
    event: Mapped[str] = mapped_column(sa.String(60))
    """The first proof of purchase, e.g. ``claim:17``."""
    campaign_id: Mapped[int | None] = mapped_column(sa.ForeignKey("campaigns.id"), index=True)
    why: Mapped[dict[str, Any]]
    """Path, rule and touches considered, as `actions` found them: see `reports.referrals`."""
    at: Mapped[datetime] = mapped_column(index=True)

    __table_args__ = (sa.CheckConstraint("referrer_id <> customer_id", name="not_own_referrer"),)

    @property
    def link_campaign_id(self) -> int | None:
        """The campaign of the link that brought the customer in; None where there was none, and
        where it was not kept."""
        return self.why.get("campaign")


_PLACE = sa.select(Referral.referrer_id, Referral.event).where(
    Referral.customer_id == sa.bindparam("customer")
)


def is_settled(tx: Session, customer: int) -> bool:
    """Whether a customer has had a first proof of purchase."""
    return run(tx, _PLACE, customer=customer).one_or_none() is not None


def referrer_of(tx: Session, customer: int) -> int | None:
    """Who brought a customer in; None for nobody, and before the first proof of purchase."""
    referrer: int | None = run(tx, _PLACE, customer=customer).scalar()
    return referrer


def nearest(tx: Session, customer: int, candidates: Sequence[int]) -> int | None:
    """The first candidate who may have brought `customer` in: one who is not below the customer.

    Call it in the transaction that settles the customer's place.
    """
    return next((c for c in candidates if _may_refer(tx, c, customer)), None)


def settle(
    tx: Session,
    customer: int,
    referrer: int | None,
    *,
    event: str,
    campaign_id: int | None,
    why: dict[str, Any],
    now: datetime,
) -> None:
    """Fix who brought a customer in, in the transaction of the first proof of purchase.

    `referrer` is what `nearest` found in the same transaction.
    """
    row = {"customer_id": customer, "referrer_id": referrer, "campaign_id": campaign_id}
    run(tx, _SETTLE, **row, event=event, why=why, at=now)


_SETTLE = sa.insert(Referral.__table__)  # type: ignore[arg-type]


def _may_refer(tx: Session, candidate: int, customer: int) -> bool:
    """Whether the tree stays a tree with `candidate` above `customer`.

    A chain of referrers ends in somebody who is not settled yet, or at a root for good. Only the
    first kind can close a circle, in this transaction or in one that runs beside it; so the one at
    the end is locked (`customer` is locked by the claim) and the chain walked again until it holds.
    """
    locked: set[int] = set()
    for _ in range(SETTLE_TRIES_MAX):
        end, is_root = _chain_end(tx, candidate)
        if end == customer:
            return False
        if is_root or end in locked:
            return True
        people.lock_customer(tx, end)
        locked.add(end)
    return False


def _chain_up() -> sa.Select[Any]:
    above = sa.orm.aliased(Referral)
    chain = (
        sa.select(Referral.customer_id, Referral.referrer_id, sa.literal(1).label("steps"))
        .where(Referral.customer_id == sa.bindparam("customer"))
        .cte("chain", recursive=True)
    )
    chain = chain.union_all(
        sa.select(above.customer_id, above.referrer_id, chain.c.steps + 1).join(
            chain, above.customer_id == chain.c.referrer_id
        )
    )
    ends = sa.select(chain.c.customer_id, chain.c.referrer_id).order_by(chain.c.steps.desc())
    return ends.limit(1)


_CHAIN_UP = _chain_up()


def _chain_end(tx: Session, start: int) -> tuple[int, bool]:
    """The last customer on the way up from `start`, and whether that one is settled as a root."""
    last = run(tx, _CHAIN_UP, customer=start).one_or_none()
    if last is None:
        return start, False
    return (last.customer_id, True) if last.referrer_id is None else (last.referrer_id, False)
