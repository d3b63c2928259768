"""Campaigns: drafted, published, and what came of them."""

from dataclasses import asdict
from datetime import datetime

from referral import actions, campaigns
from referral.campaigns import (
    AlreadyPublished,
    Campaign,
    CampaignExists,
    CampaignOver,
    CampaignState,
    Content,
    Draft,
    EndsTooEarly,
    NoRules,
    NothingToSell,
    PayoutOverBound,
    UnknownCampaign,
)
from referral.pictures import UnknownPicture
from referral.reports import campaigns as report
from referral.rewards import Rule
from referral.web.api.endpoint import Output, get, post
from referral.web.api.paging import Page, bad_cursor
from referral.web.api.reading import Nothing
from referral.web.context import deployment


class CampaignOut(Output):
    """A campaign."""

    slug: str
    title: str
    state: CampaignState
    """A published campaign keeps its terms; it runs from `starts_at` up to `ends_at`."""
    content: dict[str, Content]
    rules: list[Rule]
    budget: int
    """In points."""
    gtins: list[str]
    """The products it is for; empty for all."""
    picture: str | None
    """The hash of its picture."""
    buy_url: str | None
    organiser: str
    starts_at: datetime
    ends_at: datetime
    """Not included."""
    hold_days: int
    """How long a reward stays pending."""
    window_days: int
    """How long after a link was opened a claim still credits it."""
    created_at: datetime


class CampaignList(Output):
    """A page of campaigns, oldest first."""

    items: list[CampaignOut]
    next: str | None


class MetricsOut(Output):
    """Figures of a campaign. Fetches, opens and engagements are three things: never add them."""

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
    """Points granted and not reversed."""
    budget_left: int
    """Points that can still be granted."""


class EdgeOut(Output):
    """`child` first came through a link of `parent`; both are visitors' opaque ids."""

    parent: str
    child: str
    hop: int
    """How many hops the child is below the first sharer."""
    channel: str
    at: datetime


class SpreadPage(Output):
    """A page of a campaign's spread."""

    items: list[EdgeOut]
    next: str | None


@post(
    "/campaigns",
    body=Draft,
    answer=CampaignOut,
    statuses={201: "Drafted"},
    problems=[CampaignExists, EndsTooEarly, UnknownPicture],
)
def add_campaign(body: Draft) -> CampaignOut:
    """Draft a campaign.

    Nobody sees it until it is published.
    """
    return _shown(actions.add_campaign(deployment(), body))


@get("/campaigns", query=Page, answer=CampaignList)
def list_campaigns(query: Page) -> CampaignList:
    """List campaigns."""
    with deployment().db.read() as tx:
        found = report.listed(tx, after=query.after_id, limit=query.size + 1)
    page = found[: query.size]
    following = str(page[-1].id) if len(found) > len(page) else None
    return CampaignList(items=[_shown(campaign) for campaign in page], next=following)


@get("/campaigns/<slug>", answer=CampaignOut, problems=[UnknownCampaign])
def get_campaign(slug: str) -> CampaignOut:
    """Get a campaign."""
    return _shown(_campaign(slug))


@post(
    "/campaigns/<slug>/publish",
    body=Nothing,
    answer=CampaignOut,
    statuses={200: "Published"},
    problems=[
        UnknownCampaign,
        AlreadyPublished,
        CampaignOver,
        NoRules,
        NothingToSell,
        PayoutOverBound,
    ],
)
def publish_campaign(slug: str, body: Nothing) -> CampaignOut:
    """Publish a campaign.

    Its budget is put up, and its terms are fixed from then on.
    """
    return _shown(actions.publish_campaign(deployment(), slug))


@get("/campaigns/<slug>/metrics", answer=MetricsOut, problems=[UnknownCampaign])
def get_metrics(slug: str) -> MetricsOut:
    """Get a campaign's figures."""
    with deployment().db.read() as tx:
        campaign = campaigns.campaign_by_slug(tx, slug)
        return MetricsOut(**report.as_numbers(report.metrics(tx, campaign)))


@get("/campaigns/<slug>/spread", query=Page, answer=SpreadPage, problems=[UnknownCampaign])
def get_spread(slug: str, query: Page) -> SpreadPage:
    """Get a campaign's spread.

    Who opened whose link first, the anonymous among them. The order says nothing.
    """
    with deployment().db.read() as tx:
        campaign = campaigns.campaign_by_slug(tx, slug)
        try:
            edges, following = report.spread(tx, campaign.id, after=query.after, limit=query.size)
        except ValueError:
            raise bad_cursor() from None
    return SpreadPage(items=[EdgeOut(**asdict(edge)) for edge in edges], next=following)


def _campaign(slug: str) -> Campaign:
    with deployment().db.read() as tx:
        return campaigns.campaign_by_slug(tx, slug)


def _shown(campaign: Campaign) -> CampaignOut:
    return CampaignOut(
        slug=campaign.slug,
        title=campaign.title,
        state=CampaignState(campaign.state),
        content={lang: Content.model_validate(text) for lang, text in campaign.content.items()},
        rules=campaign.checked_rules,
        budget=campaign.budget,
        gtins=campaign.gtins,
        picture=campaign.picture,
        buy_url=campaign.buy_url,
        organiser=campaign.organiser,
        starts_at=campaign.starts_at,
        ends_at=campaign.ends_at,
        hold_days=campaign.hold_days,
        window_days=campaign.window_days,
        created_at=campaign.created_at,
    )
