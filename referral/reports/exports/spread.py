"""The spread of a campaign as a file: visitors by opaque names, and who opened whose link."""

import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral.campaigns import campaign_by_id
from referral.errors import N_
from referral.exports.kinds import (
    AT_ONCE,
    Column,
    Gone,
    Graph,
    Key,
    Kind,
    Page,
    Wanted,
    register,
)
from referral.graph import SpreadNode
from referral.links import visitor_name
from referral.people import Visitor
from referral.spread import counters


def _campaign(tx: Session, wanted: Wanted) -> int:
    number = int(wanted.params.get("campaign") or 0)
    if campaign_by_id(tx, number) is None:
        raise Gone()
    return number


def _page(tx: Session, wanted: Wanted, after: Key | None) -> Page:
    campaign = _campaign(tx, wanted)
    statement = (
        sa.select(SpreadNode, Visitor.customer_id)
        .outerjoin(Visitor, Visitor.id == SpreadNode.visitor_id)
        .where(SpreadNode.campaign_id == campaign)
        .order_by(SpreadNode.visitor_id)
        .limit(AT_ONCE)
    )
    if after is not None:
        statement = statement.where(SpreadNode.visitor_id > after[0])
    found = tx.execute(statement).all()
    below = counters.counts_of(tx, campaign, [node.visitor_id for node, _ in found])
    rows = [
        (
            visitor_name(node.visitor_id),
            "" if node.parent_id is None else visitor_name(node.parent_id),
            node.hop,
            node.channel,
            node.at,
            customer,
            below[node.visitor_id].direct,
            below[node.visitor_id].total,
            below[node.visitor_id].customers,
            below[node.visitor_id].depth,
            below[node.visitor_id].buyers,
        )
        for node, customer in found
    ]
    return Page(rows, [found[-1][0].visitor_id] if len(found) == AT_ONCE else None)


def _count(tx: Session, wanted: Wanted) -> int:
    nodes = sa.select(sa.func.count()).where(SpreadNode.campaign_id == _campaign(tx, wanted))
    return tx.scalar(nodes) or 0


SPREAD = register(
    Kind(
        name="spread",
        title=N_("Spread of a campaign"),
        columns=(
            Column("visitor", N_("Visitor")),
            Column("parent", N_("Came from")),
            Column("hop", N_("Hop"), 8),
            Column("channel", N_("Channel")),
            Column("at", N_("Time"), 20),
            Column("customer", N_("Customer")),
            Column("direct", N_("Reached directly")),
            Column("total", N_("Reached in all")),
            Column("customers", N_("Customers among them")),
            Column("depth", N_("Depth"), 8),
            Column("buyers", N_("Buyers among them")),
        ),
        page=_page,
        count=_count,
        graph=Graph(
            node="visitor",
            parent="parent",
            of_node={
                "hop": "int",
                "at": "string",
                "customer": "long",
                "direct": "long",
                "total": "long",
                "customers": "long",
                "depth": "int",
                "buyers": "long",
            },
            of_edge={"channel": "string"},
        ),
        of_campaign=True,
    )
)
