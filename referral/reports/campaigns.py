"""Figures of a campaign, and its spread graph."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict
from sqlalchemy.orm import Session

from referral import (
    ledger,
)
from referral.campaigns import Campaign, CampaignState
from referral.graph import SpreadNode
from referral.links import visitor_id, visitor_name
from referral.reports import orders
from referral.rollups import tallies
from referral.rollups.sums import CampaignVisits
from referral.spread import counters
from referral.visits import Kind

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
    """Different browsers that somebody's link brought in."""
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
    by_kind = (
        sa.select(CampaignVisits.kind, sa.func.sum(CampaignVisits.count))
        .where(CampaignVisits.campaign_id == campaign.id)
        .group_by(CampaignVisits.kind)
    )
    kinds = {kind: int(count) for kind, count in tx.execute(by_kind)}
    new = tallies.newcomers_by_campaign(tx, [campaign.id])[campaign.id]
    left = ledger.balances(tx, ledger.Kind.budget, campaign.id).get("points", 0)
    # Nothing else is paid from a budget, and what is taken back goes back into it.
    put_up = campaign.budget if campaign.state == CampaignState.published else 0
    ordered = orders.totals(tx, campaign.id)
    return Metrics(
        fetches=kinds.get(Kind.fetch, 0),
        opens=kinds.get(Kind.open, 0),
        engagements=kinds.get(Kind.engagement, 0),
        visitors=counters.reached(tx, campaign.id),
        shares=kinds.get(Kind.share, 0),
        scans=kinds.get(Kind.scan, 0),
        claims=tallies.claims_by_campaign(tx, [campaign.id])[campaign.id],
        new_customers=new.all,
        referred_customers=new.referred,
        cost=put_up - left,
        orders=ordered.orders,
        order_amount=ordered.amount,
        refunded_amount=ordered.refunded,
        budget_left=left,
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
