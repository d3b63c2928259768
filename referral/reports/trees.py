"""The referral tree of customers and the spread of visitors, branch by branch."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral import graph, people
from referral.crypto import KeyRing
from referral.db import run
from referral.db.bulk import numbers
from referral.graph import Referral, SpreadNode
from referral.links import visitor_name
from referral.people import Customer, Visitor
from referral.spread import counters
from referral.spread.forests import Counts
from referral.stores import Store

DEPTH_MAX = 10
"""How many levels one answer may hold; branches below are asked for on their own."""
CHILDREN_MAX = 100
"""How many children of one customer an answer may hold."""
NODES_MAX = 2_000
PATH_MAX = 1_000
"""How many of those above somebody are told, nearest first."""


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
    depth: int
    """How many levels there are below."""
    children: list["Branch"] = field(default_factory=list)


@dataclass(frozen=True)
class Page:
    branches: list[Branch]
    next: int | None
    """The offset of the next page; None on the last."""


def roots(tx: Session, keys: KeyRing, *, limit: int = 20) -> list[Branch]:
    """Customers nobody brought in who brought in others: those with most friends, first."""
    return _branches(tx, keys, counters.tops(tx, counters.TREE, limit=limit))


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
    found = list(rows)
    following = offset + limit if len(found) > limit else None
    return Page(_branches(tx, keys, found[:limit]), following)


def branch(tx: Session, keys: KeyRing, customer_id: int, *, depth: int, limit: int) -> Branch:
    """A customer and `depth` levels below, at most `limit` children each. `UnknownCustomer`."""
    customer_id = people.customer_by_id(tx, customer_id).id
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
    """The customers above one, nearest first; the topmost of very many are left out."""
    return graph.referrers_above(tx, customer_id, PATH_MAX)


def _first_children(tx: Session, parents: Sequence[int], limit: int) -> dict[int, list[int]]:
    """The first children of each parent, by parent."""
    statement = _FIRSTS[tx.get_bind().dialect.name]
    told = {"parents": numbers(tx, parents), "most": min(limit, CHILDREN_MAX)}
    listed: dict[int, list[int]] = defaultdict(list)
    for row in run(tx, statement, **told):
        listed[row.referrer_id].append(row.customer_id)
    return listed


_FIRSTS = {
    # Out of the index, parent by parent: numbering them reads all children there are.
    "postgresql": sa.text(
        """
        SELECT firsts.customer_id, above.referrer_id
        FROM unnest(CAST(:parents AS bigint[])) AS above(referrer_id)
        CROSS JOIN LATERAL (
            SELECT customer_id, at FROM referrals WHERE referrals.referrer_id = above.referrer_id
            ORDER BY at, customer_id LIMIT :most
        ) AS firsts
        ORDER BY above.referrer_id, firsts.at, firsts.customer_id
        """
    ),
    "sqlite": sa.text(
        """
        SELECT customer_id, referrer_id FROM (
            SELECT customer_id, referrer_id, row_number() OVER (
                PARTITION BY referrer_id ORDER BY at, customer_id
            ) AS place
            FROM referrals WHERE referrer_id IN (SELECT value FROM json_each(:parents))
        ) WHERE place <= :most ORDER BY referrer_id, place
        """
    ),
}


def _branches(tx: Session, keys: KeyRing, customers: Sequence[int]) -> list[Branch]:
    """Branches without children, in the order given."""
    rows = tx.execute(
        sa.select(Customer.id, Customer.name_encrypted, Referral.at)
        .outerjoin(Referral, Referral.customer_id == Customer.id)
        .where(Customer.id.in_(customers))
    )
    known = {customer: (name, at) for customer, name, at in rows}
    counts = counters.counts_of(tx, counters.TREE, customers)
    return [_branch(keys, each, *known[each], counts[each]) for each in customers]


def _branch(
    keys: KeyRing, customer_id: int, name: str | None, at: datetime | None, below: Counts
) -> Branch:
    shown = keys.decrypt_if_any(name)
    return Branch(customer_id, shown, at, below.direct, below.total, below.depth)


@dataclass(frozen=True)
class StoreName:
    """A store, as addresses and people name it."""

    slug: str
    name: str


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
    total: int
    """All visitors below, at any depth."""
    customers: int
    """How many customers are among them; each counts once, where first reached."""
    depth: int
    """How many levels there are below."""
    buyers: int
    """How many of these customers have bought something."""
    store: StoreName | None = None
    """The store on whose posters this visitor's links are: that is no person."""


@dataclass(frozen=True)
class SpreadPage:
    branches: list[SpreadBranch]
    next: int | None
    """Behind which visitor the next page begins; None on the last."""

    @property
    def next_name(self) -> str | None:
        """The same as an address names the visitor."""
        return None if self.next is None else visitor_name(self.next)


def spread_children(
    tx: Session, campaign_id: int, parent: int | None, *, after: int | None = None, limit: int = 20
) -> SpreadPage:
    """The visitors who first came through a visitor's link, earliest first; for None the first
    sharers, those who reached most first. With `after` those behind that one."""
    if parent is None:
        found = counters.tops(tx, campaign_id, after=after, limit=limit + 1)
    else:
        found = _readers(tx, campaign_id, parent, after, limit + 1)
    places = spread_of(tx, campaign_id, found[:limit])
    branches = [places[visitor] for visitor in found[:limit] if visitor in places]
    return SpreadPage(branches, found[limit - 1] if len(found) > limit else None)


def _readers(tx: Session, campaign_id: int, parent: int, after: int | None, most: int) -> list[int]:
    order = (SpreadNode.at, SpreadNode.visitor_id)
    statement = sa.select(SpreadNode.visitor_id).where(
        SpreadNode.campaign_id == campaign_id, SpreadNode.parent_id == parent
    )
    if after is not None:
        at = tx.scalar(
            sa.select(SpreadNode.at).where(
                SpreadNode.campaign_id == campaign_id, SpreadNode.visitor_id == after
            )
        )
        if at is None:
            return []
        behind = sa.tuple_(sa.literal(at, SpreadNode.at.type), sa.literal(after))
        statement = statement.where(sa.tuple_(*order) > behind)
    return list(tx.scalars(statement.order_by(*order).limit(most)))


def spread_of(tx: Session, campaign_id: int, visitors: Sequence[int]) -> dict[int, SpreadBranch]:
    """The places of these visitors in a campaign's spread, for those that have one."""
    rows = tx.execute(
        sa.select(SpreadNode, Visitor.customer_id, Store.slug, Store.name)
        .outerjoin(Visitor, Visitor.id == SpreadNode.visitor_id)
        .outerjoin(Store, Store.visitor_id == SpreadNode.visitor_id)
        .where(SpreadNode.campaign_id == campaign_id, SpreadNode.visitor_id.in_(visitors))
    ).all()
    counts = counters.counts_of(tx, campaign_id, [node.visitor_id for node, *_ in rows])
    return {
        node.visitor_id: _spread_branch(
            node, customer_id, counts[node.visitor_id], StoreName(slug, name) if slug else None
        )
        for node, customer_id, slug, name in rows
    }


def _spread_branch(
    node: SpreadNode, customer_id: int | None, below: Counts, store: StoreName | None
) -> SpreadBranch:
    return SpreadBranch(
        node.visitor_id,
        visitor_name(node.visitor_id),
        customer_id,
        node.hop,
        node.channel,
        node.at,
        below.direct,
        below.total,
        below.customers,
        below.depth,
        below.buyers,
        store,
    )
