"""The graphs: the spread of visitors per campaign, and the referral tree of customers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral import people
from referral.db import Base, insert_new, run
from referral.links import Link
from referral.people import Visitor

SETTLE_TRIES_MAX = 10
"""How often the end of a chain may move while we wait for its lock."""


class SpreadNode(Base):
    """A visitor in a campaign's spread: whose link was opened first, and at which hop.

    A node's hop is its parent's plus one and never changes, so there can be no cycle.
    """

    __tablename__ = "spread_nodes"

    campaign_id: Mapped[int] = mapped_column(
        sa.ForeignKey("campaigns.id"), primary_key=True, autoincrement=False
    )
    visitor_id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    parent_id: Mapped[int | None] = mapped_column(sa.BigInteger)
    """None for a first sharer."""
    hop: Mapped[int] = mapped_column(sa.Integer)
    channel: Mapped[str] = mapped_column(sa.String(12))
    at: Mapped[datetime]

    __table_args__ = (
        # Parents and visitors first: a customer's visitors are looked up in all campaigns at once.
        sa.Index(None, "parent_id", "campaign_id"),
        sa.Index(None, "visitor_id"),
        sa.CheckConstraint("parent_id <> visitor_id", name="not_own_parent"),
    )


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
    """Path, rule and touches considered, as `actions` found them."""
    at: Mapped[datetime] = mapped_column(index=True)

    __table_args__ = (sa.CheckConstraint("referrer_id <> customer_id", name="not_own_referrer"),)


_FIND_PARENT = (
    sa.update(SpreadNode)
    .where(SpreadNode.campaign_id == sa.bindparam("campaign"))
    .where(SpreadNode.visitor_id == sa.bindparam("visitor"))
    .where(SpreadNode.parent_id.is_(None), SpreadNode.hop == sa.bindparam("own_hop"))
    .values(
        parent_id=sa.bindparam("parent"),
        channel=sa.bindparam("by_channel"),
        at=sa.bindparam("moment"),
    )
)


def attach(tx: Session, visitor: int, link: Link, at: datetime) -> bool:
    """Keep that `visitor` was first reached by `link`. False when it had a place already.

    Openings may arrive out of order. A sharer whose own opening is still on its way gets a node
    without a parent but with the hop that the link says, and its parent when that opening comes.
    """
    if visitor == link.visitor:
        return False
    shared = {"campaign_id": link.campaign, "channel": link.channel.name, "at": at}
    above = _hop(tx, link.campaign, link.visitor)
    if above is None:
        sharer = {**shared, "visitor_id": link.visitor, "parent_id": None, "hop": link.hop}
        insert_new(tx, SpreadNode, sharer)
        above = hop_of(tx, link.campaign, link.visitor)  # not ours when it came in between
    hop = above + 1
    node = {**shared, "visitor_id": visitor, "parent_id": link.visitor, "hop": hop}
    if insert_new(tx, SpreadNode, node):
        return True
    found = run(
        tx,
        _FIND_PARENT,
        campaign=link.campaign,
        visitor=visitor,
        own_hop=hop,
        parent=link.visitor,
        by_channel=link.channel.name,
        moment=at,
    )
    return found.rowcount == 1


_TOUCHES_OF = (
    sa.select(SpreadNode)
    .join(Visitor, Visitor.id == SpreadNode.visitor_id)
    .where(Visitor.customer_id == sa.bindparam("customer"), SpreadNode.parent_id.is_not(None))
    .order_by(SpreadNode.at, SpreadNode.campaign_id)
)


def touches_of(tx: Session, customer_id: int) -> list[SpreadNode]:
    """Where a customer's visitors were brought in by somebody's link, first touch first."""
    return list(tx.scalars(_TOUCHES_OF, {"customer": customer_id}))


_HOP_OF = sa.select(SpreadNode.hop).where(
    SpreadNode.campaign_id == sa.bindparam("campaign"),
    SpreadNode.visitor_id == sa.bindparam("visitor"),
)


def _hop(tx: Session, campaign_id: int, visitor: int) -> int | None:
    hop: int | None = run(tx, _HOP_OF, campaign=campaign_id, visitor=visitor).scalar()
    return hop


def hop_of(tx: Session, campaign_id: int, visitor: int) -> int:
    """How many hops below a first sharer a visitor is; 0 for a first sharer."""
    return _hop(tx, campaign_id, visitor) or 0


@dataclass(frozen=True)
class Step:
    """One visitor on the way up, and the customer that visitor is, if any."""

    visitor: int
    customer: int | None


def _path_up() -> sa.Select[Any]:
    node = sa.orm.aliased(SpreadNode)
    campaign: sa.BindParameter[int] = sa.bindparam("campaign")
    base = (
        sa.select(SpreadNode.parent_id.label("visitor_id"), sa.literal(1).label("steps"))
        .where(SpreadNode.campaign_id == campaign)
        .where(SpreadNode.visitor_id == sa.bindparam("visitor"))
        .where(SpreadNode.parent_id.is_not(None))
        .cte("path", recursive=True)
    )
    path = base.union_all(
        sa.select(node.parent_id, base.c.steps + 1)
        .join(base, node.visitor_id == base.c.visitor_id)
        .where(node.campaign_id == campaign, node.parent_id.is_not(None))
    )
    return (
        sa.select(path.c.visitor_id, Visitor.customer_id)
        .outerjoin(Visitor, Visitor.id == path.c.visitor_id)
        .order_by(path.c.steps)
    )


_PATH_UP = _path_up()


def path_up(tx: Session, campaign_id: int, visitor: int) -> Iterator[Step]:
    """The visitors above one in a campaign's spread, nearest first."""
    for row in run(tx, _PATH_UP, campaign=campaign_id, visitor=visitor):
        yield Step(row.visitor_id, row.customer_id)


def step_of(tx: Session, visitor: int) -> Step:
    """A visitor by itself."""
    return Step(visitor, people.customer_of(tx, visitor))


_PLACE = sa.select(Referral.referrer_id, Referral.event).where(
    Referral.customer_id == sa.bindparam("customer")
)


def is_settled(tx: Session, customer: int) -> bool:
    """Whether a customer has had a first proof of purchase."""
    return run(tx, _PLACE, customer=customer).one_or_none() is not None


def is_settled_by(tx: Session, customer: int, event: str) -> bool:
    """Whether this was a customer's first proof of purchase."""
    place = run(tx, _PLACE, customer=customer).one_or_none()
    return place is not None and place.event == event


def referrer_of(tx: Session, customer: int) -> int | None:
    """Who brought a customer in; None for nobody, and before the first proof of purchase."""
    referrer: int | None = run(tx, _PLACE, customer=customer).scalar()
    return referrer


def settle(
    tx: Session,
    customer: int,
    candidates: Sequence[int],
    *,
    event: str,
    campaign_id: int | None,
    why: dict[str, Any],
    now: datetime,
) -> int | None:
    """Fix who brought a customer in: the first candidate who is not below the customer.

    Call it in the transaction of the first proof of purchase. Returns the referrer or None.
    """
    referrer = next((c for c in candidates if _may_refer(tx, c, customer)), None)
    row = {"customer_id": customer, "referrer_id": referrer, "campaign_id": campaign_id}
    run(tx, _SETTLE, **row, event=event, why=why, at=now)
    return referrer


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
