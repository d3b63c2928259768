"""Figures of a campaign, and its spread graph."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict
from sqlalchemy.orm import Session

from referral import ledger
from referral.campaigns import Campaign
from referral.claims import Claim
from referral.graph import Referral, SpreadNode
from referral.links import visitor_id, visitor_name
from referral.reports import orders
from referral.rewards import Reward
from referral.rollups import VisitCount
from referral.visits import Kind, VisitRow

SPREAD_PAGE_MAX = 1000


class Metrics(BaseModel):
    """Figures of a campaign. Fetches, opens and engagements are three things: never add them."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    fetches: int
    """A machine asked for a link or a code: previews, crawlers."""
    opens: int
    """A person's browser loaded a link."""
    engagements: int
    """The page ran and was seen; once a visitor and day."""
    visitors: int
    """Different browsers that opened a link."""
    shares: int
    """Presses on a share button."""
    scans: int
    """A person's browser loaded a code."""
    claims: int
    new_customers: int
    """Customers whose first claim fell to this campaign."""
    referred_customers: int
    """Those of them whom another customer brought in."""
    cost: int
    """Points granted and not taken back."""
    budget_left: int
    """Points that can still be granted."""
    orders: int
    """Orders that fall under its rules."""
    order_amount: int
    """What they came to, in minor units of the campaign's currency."""
    refunded_amount: int
    """What of that was refunded."""


def metrics(tx: Session, campaign: Campaign) -> Metrics:
    mine = VisitRow.campaign_id == campaign.id
    by_kind = (
        sa.select(VisitCount.kind, sa.func.sum(VisitCount.count))
        .where(VisitCount.campaign_id == campaign.id)
        .group_by(VisitCount.kind)
    )
    kinds = {kind: int(count) for kind, count in tx.execute(by_kind)}
    count = sa.select(sa.func.count())
    opened = sa.func.count(VisitRow.visitor_id.distinct())
    new = count.where(Referral.campaign_id == campaign.id)
    granted = sa.select(sa.func.sum(Reward.amount - Reward.taken_back)).where(
        Reward.campaign_id == campaign.id, Reward.unit == "points"
    )
    ordered = orders.totals(tx, campaign.id)
    return Metrics(
        fetches=kinds.get(Kind.fetch, 0),
        opens=kinds.get(Kind.open, 0),
        engagements=kinds.get(Kind.engagement, 0),
        visitors=tx.scalar(sa.select(opened).where(mine, VisitRow.kind == Kind.open)) or 0,
        shares=kinds.get(Kind.share, 0),
        scans=kinds.get(Kind.scan, 0),
        claims=tx.scalar(count.where(Claim.campaign_id == campaign.id)) or 0,
        new_customers=tx.scalar(new) or 0,
        referred_customers=tx.scalar(new.where(Referral.referrer_id.is_not(None))) or 0,
        cost=int(tx.scalar(granted) or 0),
        orders=ordered.orders,
        order_amount=ordered.amount,
        refunded_amount=ordered.refunded,
        budget_left=ledger.balances(tx, ledger.Kind.budget, campaign.id).get("points", 0),
    )


def as_numbers(metrics: Metrics) -> dict[str, int]:
    return metrics.model_dump()


def listed(tx: Session, *, after: int, limit: int) -> list[Campaign]:
    """The campaigns whose ids follow `after`, in their order."""
    statement = sa.select(Campaign).where(Campaign.id > after).order_by(Campaign.id).limit(limit)
    return list(tx.scalars(statement))


@dataclass(frozen=True)
class Edge:
    """`child` first opened the campaign through a link of `parent`."""

    parent: str
    child: str
    hop: int
    channel: str
    at: datetime


def spread(
    tx: Session, campaign_id: int, *, after: str | None, limit: int
) -> tuple[list[Edge], str | None]:
    """A page of the spread's edges and the next cursor. Raises `ValueError` for a bad cursor."""
    statement = (
        sa.select(SpreadNode)
        .where(SpreadNode.campaign_id == campaign_id, SpreadNode.parent_id.is_not(None))
        .order_by(SpreadNode.visitor_id)
        .limit(min(limit, SPREAD_PAGE_MAX) + 1)
    )
    if after is not None:
        statement = statement.where(SpreadNode.visitor_id > visitor_id(after))
    nodes = list(tx.scalars(statement))
    page = nodes[: min(limit, SPREAD_PAGE_MAX)]
    following = visitor_name(page[-1].visitor_id) if len(nodes) > len(page) else None
    return [_edge(node) for node in page], following


def _edge(node: SpreadNode) -> Edge:
    if node.parent_id is None:
        raise ValueError("a first sharer has no edge")
    return Edge(
        visitor_name(node.parent_id),
        visitor_name(node.visitor_id),
        node.hop,
        node.channel,
        node.at,
    )
