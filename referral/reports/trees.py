"""The referral tree of customers and the spread of visitors, branch by branch."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral import graph, people
from referral.crypto import KeyRing
from referral.graph import Referral, SpreadNode
from referral.links import visitor_name
from referral.people import Customer, Visitor

DEPTH_MAX = 10
"""How many levels one answer may hold; branches below are asked for on their own."""
CHILDREN_MAX = 100
"""How many children of one customer an answer may hold."""
NODES_MAX = 2_000


@dataclass
class Branch:
    """A customer in the referral tree, with the children that were asked for."""

    customer_id: int
    name: str | None
    at: datetime | None
    """When the customer's place was settled; None before a purchase of their own."""
    direct: int
    total: int
    """All customers below, at any depth."""
    children: list["Branch"] = field(default_factory=list)


@dataclass(frozen=True)
class Page:
    branches: list[Branch]
    next: int | None
    """The offset of the next page; None on the last."""


def roots(tx: Session, keys: KeyRing, *, offset: int = 0, limit: int = 20) -> Page:
    """Customers nobody brought in who brought in others, those with most friends first."""
    above = sa.orm.aliased(Referral)
    brought_in = sa.exists().where(
        above.customer_id == Referral.referrer_id, above.referrer_id.is_not(None)
    )
    rows = tx.execute(
        sa.select(Referral.referrer_id, sa.func.count().label("direct"))
        .where(Referral.referrer_id.is_not(None), ~brought_in)
        .group_by(Referral.referrer_id)
        .order_by(sa.desc("direct"), Referral.referrer_id)
        .offset(offset)
        .limit(limit + 1)
    )
    found = [customer for customer, _ in rows if customer is not None]
    return _page(tx, keys, found, offset, limit)


def children(
    tx: Session, keys: KeyRing, customer_id: int, *, offset: int = 0, limit: int = 20
) -> Page:
    """The customers one customer brought in, earliest first."""
    rows = tx.scalars(
        sa.select(Referral.customer_id)
        .where(Referral.referrer_id == customer_id)
        .order_by(Referral.at, Referral.customer_id)
        .offset(offset)
        .limit(limit + 1)
    )
    return _page(tx, keys, list(rows), offset, limit)


def _page(tx: Session, keys: KeyRing, found: list[int], offset: int, limit: int) -> Page:
    following = offset + limit if len(found) > limit else None
    return Page(_branches(tx, keys, found[:limit]), following)


def branch(tx: Session, keys: KeyRing, customer_id: int, *, depth: int, limit: int) -> Branch:
    """A customer and `depth` levels below, at most `limit` children each. `UnknownCustomer`."""
    people.customer_by_id(tx, customer_id)
    top = _branches(tx, keys, [customer_id])[0]
    level, held = [top], 1
    for _ in range(min(depth, DEPTH_MAX)):
        below = _first_children(tx, [b.customer_id for b in level if b.direct], limit)
        chosen = [child for listed in below.values() for child in listed][: NODES_MAX - held]
        if not chosen:
            break
        held += len(chosen)
        made = {each.customer_id: each for each in _branches(tx, keys, chosen)}
        for each in level:
            listed = below.get(each.customer_id, [])
            each.children = [made[child] for child in listed if child in made]
        level = list(made.values())
    return top


def path_to_root(tx: Session, customer_id: int) -> list[int]:
    """The customers above one, nearest first."""
    above = []
    current = graph.referrer_of(tx, customer_id)
    while current is not None:
        above.append(current)
        current = graph.referrer_of(tx, current)
    return above


def _first_children(tx: Session, parents: Sequence[int], limit: int) -> dict[int, list[int]]:
    """The first children of each parent, by parent."""
    place = sa.func.row_number().over(
        partition_by=Referral.referrer_id, order_by=(Referral.at, Referral.customer_id)
    )
    numbered = (
        sa.select(Referral.customer_id, Referral.referrer_id, place.label("place"))
        .where(Referral.referrer_id.in_(parents))
        .subquery()
    )
    listed: dict[int, list[int]] = defaultdict(list)
    for child, parent in tx.execute(
        sa.select(numbered.c.customer_id, numbered.c.referrer_id)
        .where(numbered.c.place <= min(limit, CHILDREN_MAX))
        .order_by(numbered.c.referrer_id, numbered.c.place)
    ):
        listed[parent].append(child)
    return listed


def _branches(tx: Session, keys: KeyRing, customers: Sequence[int]) -> list[Branch]:
    """Branches without children, in the order given."""
    rows = tx.execute(
        sa.select(Customer.id, Customer.name_encrypted, Referral.at)
        .outerjoin(Referral, Referral.customer_id == Customer.id)
        .where(Customer.id.in_(customers))
    )
    known = {customer: (name, at) for customer, name, at in rows}
    direct, total = _counts(tx, customers)
    return [
        Branch(
            customer,
            keys.decrypt_if_any(known[customer][0]),
            known[customer][1],
            direct.get(customer, 0),
            total.get(customer, 0),
        )
        for customer in customers
    ]


def _counts(tx: Session, customers: Sequence[int]) -> tuple[dict[int, int], dict[int, int]]:
    """How many customers are directly below each of these, and how many at any depth."""
    below = sa.orm.aliased(Referral)
    first = (
        sa.select(
            Referral.referrer_id.label("top"), Referral.customer_id, sa.literal(1).label("depth")
        )
        .where(Referral.referrer_id.in_(customers))
        .cte("below", recursive=True)
    )
    reached = first.union_all(
        sa.select(first.c.top, below.customer_id, first.c.depth + 1).join(
            first, below.referrer_id == first.c.customer_id
        )
    )
    rows = tx.execute(
        sa.select(
            reached.c.top,
            sa.func.count(),
            sa.func.sum(sa.case((reached.c.depth == 1, 1), else_=0)),
        ).group_by(reached.c.top)
    ).all()
    return {top: direct for top, _, direct in rows}, {top: total for top, total, _ in rows}


@dataclass(frozen=True)
class SpreadBranch:
    """A visitor in a campaign's spread; `customer_id` is None for somebody who never signed in."""

    visitor: int
    visitor_name: str
    customer_id: int | None
    hop: int
    channel: str
    at: datetime
    direct: int


@dataclass(frozen=True)
class SpreadPage:
    branches: list[SpreadBranch]
    next: int | None


def spread_children(
    tx: Session, campaign_id: int, parent: int | None, *, offset: int = 0, limit: int = 20
) -> SpreadPage:
    """The visitors who first came through a visitor's link; the first sharers for None."""
    statement = _spread(campaign_id)
    if parent is None:
        statement = statement.where(SpreadNode.parent_id.is_(None)).order_by(sa.desc("direct"))
    else:
        statement = statement.where(SpreadNode.parent_id == parent)
    rows = tx.execute(
        statement.order_by(SpreadNode.at, SpreadNode.visitor_id).offset(offset).limit(limit + 1)
    ).all()
    branches = [_spread_branch(row) for row in rows[:limit]]
    return SpreadPage(branches, offset + limit if len(rows) > limit else None)


def spread_of(tx: Session, campaign_id: int, visitors: Sequence[int]) -> dict[int, SpreadBranch]:
    """The places of these visitors in a campaign's spread, for those that have one."""
    rows = tx.execute(_spread(campaign_id).where(SpreadNode.visitor_id.in_(visitors)))
    return {branch.visitor: branch for branch in map(_spread_branch, rows)}


def _spread(campaign_id: int) -> sa.Select[Any]:
    below = sa.orm.aliased(SpreadNode)
    direct = (
        sa.select(sa.func.count())
        .where(below.campaign_id == campaign_id, below.parent_id == SpreadNode.visitor_id)
        .correlate(SpreadNode)
        .scalar_subquery()
        .label("direct")
    )
    return (
        sa.select(SpreadNode, Visitor.customer_id, direct)
        .outerjoin(Visitor, Visitor.id == SpreadNode.visitor_id)
        .where(SpreadNode.campaign_id == campaign_id)
    )


def _spread_branch(row: Any) -> SpreadBranch:
    node, customer_id, direct = row
    return SpreadBranch(
        node.visitor_id,
        visitor_name(node.visitor_id),
        customer_id,
        node.hop,
        node.channel,
        node.at,
        direct,
    )
