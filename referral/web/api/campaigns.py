"""Campaigns: drafted, published, and what came of them."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import datetime
from typing import Annotated, Any

from pydantic import AwareDatetime, Field

from referral import actions, campaigns
from referral.campaigns import (
    BUDGET_MAX,
    AlreadyPublished,
    Campaign,
    CampaignExists,
    CampaignState,
    CreditedTouch,
    Draft,
    EndsTooEarly,
    PunishedWording,
    ShopNotListed,
    Unit,
    UnknownCampaign,
    signoff,
)
from referral.campaigns.amendments import NotPublished, Terms, TermsMadeWorse
from referral.campaigns.content import MORE_PICTURES_MAX, CampaignContent, Content, Landing
from referral.campaigns.phrases import Kind
from referral.campaigns.publishing import CampaignOver, DepthTooGreat, DrawNeedsOrganiser, Refused
from referral.campaigns.signoff import NothingToSignOff
from referral.coupons import NoSuchPool, PoolCurrency, PoolOver
from referral.pictures import UnknownPicture
from referral.reports import campaigns as report
from referral.reports.campaigns import Metrics
from referral.rewards import RULES_MAX, Rule
from referral.rewards.draws import DrawChanged
from referral.rewards.paid_sharing import PaysForSharing, Rules
from referral.texts import Language
from referral.web.api import auth
from referral.web.api.endpoint import Output, get, patch, post
from referral.web.api.paging import Page, bad_cursor
from referral.web.api.reading import Input, Nothing, checked
from referral.web.context import deployment
from referral.web.problems import invalid_field


class ContentIn(Input):
    """What readers see of a campaign. What is left out stays as it is; null takes it away."""

    title: str | None = None
    """The campaign's own title; it cannot be taken away."""
    content: dict[Language, Content | None] | None = None
    """The texts by language; a language that is left out stays, null takes its texts away."""
    picture: str | None = None
    """The hash of an uploaded picture: on the page, the posters and the card beside a link."""
    more_pictures: list[str] | None = Field(default=None, max_length=MORE_PICTURES_MAX)
    """The hashes of further pictures on the page, in their order; all of them at once."""
    video_url: str | None = None
    """The page of a video, `https`."""
    buy_url: str | None = None
    """Where the landing page sends people to buy."""
    landing: Landing | None = None
    """Whether a share link shows the landing page or leads straight on to `buy_url`."""
    organiser: str | None = None
    """Who answers for it, on the page with the rules."""


REFUSALS = [each for each in Refused.every() if each is not Refused]
"""Everything that keeps terms from binding the brand."""
POOLS = [NoSuchPool, PoolOver, PoolCurrency]


class TermsIn(Input):
    """Better terms for a campaign that is published. What is left out stays as it is."""

    ends_at: AwareDatetime | None = None
    """Later, or as it is."""
    budget: int | None = Field(default=None, ge=0, le=BUDGET_MAX)
    """In points, in all: larger, or as it is."""
    budgets: dict[Unit, Annotated[int, Field(gt=0, le=BUDGET_MAX)]] | None = Field(
        default=None, max_length=RULES_MAX
    )
    """The other budgets, by unit; a unit that is left out stays as it is."""
    hold_days: int | None = Field(default=None, ge=0, le=90)
    """Shorter, or as it is."""
    window_days: int | None = Field(default=None, ge=1, le=365)
    """Longer, or as it is."""
    lasts_days: int | None = Field(default=None, ge=1, le=3650)
    """Longer, or as it is."""
    rules: Rules | None = Field(default=None, min_length=1, max_length=RULES_MAX)
    """All the rules, those that are to stay among them: with more in them, or more of them."""


class SignOffIn(Input):
    """Who signs the rules off. The name is kept in the audit log, beside the key's."""

    name: str = Field(min_length=2, max_length=80)
    """The name of the person who answers for it."""


class SignOffOut(Output):
    """That the rules, as they stand, may pay the second level."""

    signed_by: str
    signed_at: datetime
    sha256: str
    """Of the rules that were signed; others need another sign-off."""


class FindingOut(Output):
    """Words that chat platforms punish. A campaign with such words is not published."""

    field: str
    """The text they stand in, such as `content.en.body`."""
    words: str
    kind: Kind
    rule: str
    """The rule they break."""
    instead: str
    """What to write."""


class CampaignOut(Output):
    """A campaign."""

    slug: str
    title: str
    state: CampaignState
    """A published campaign's terms get no worse; it runs from `starts_at` up to `ends_at`."""
    content: dict[str, Content]
    rules: list[Rule]
    budget: int
    """In points."""
    budgets: dict[str, int]
    """Of what else its rules pay, by unit: minor units of a currency (`CNY`), or how many of
    `coupon:POOL` and `item:SLUG`."""
    currency: str | None
    """Of its store credit and its products' prices; null before it is published."""
    market: str
    """Where it runs."""
    permit: str
    """The number of the permit for its draws, where there is one."""
    gtins: list[str]
    """The products it is for; empty for all."""
    picture: str | None
    """The hash of its picture."""
    more_pictures: list[str]
    video_url: str | None
    buy_url: str | None
    landing: Landing
    """Where its share links lead."""
    organiser: str
    starts_at: datetime
    ends_at: datetime
    """Not included."""
    hold_days: int
    """How long a reward stays pending."""
    lasts_days: int | None
    """How long a reward can be spent once it is available; null for ever."""
    window_days: int
    """How long after a link was opened a claim still credits it."""
    touch: CreditedTouch
    """Which of the links that somebody opened within the window is credited."""
    audience: int | None
    """The number of the segment whose customers alone it pays; null for everybody."""
    keep_months: int | None
    """For how many months its visits are kept; null: as the operator has set it for all."""
    findings: list[FindingOut]
    """Words in its texts that chat platforms punish."""
    created_at: datetime


class CampaignList(Output):
    """A page of campaigns, oldest first."""

    items: list[CampaignOut]
    next: str | None


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
    problems=[CampaignExists, EndsTooEarly, UnknownPicture, ShopNotListed, PaysForSharing],
)
def add_campaign(body: Draft) -> CampaignOut:
    """Draft a campaign.

    Nobody sees it until it is published.
    """
    return _shown(actions.add_campaign(deployment(), body, by=auth.caller()))


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
        *REFUSALS,
        *POOLS,
        PunishedWording,
        ShopNotListed,
    ],
)
def publish_campaign(slug: str, body: Nothing) -> CampaignOut:
    """Publish a campaign.

    Its budgets are put up, and its terms get no worse from then on. A refusal says in `rules` which
    ones it is about, `why`, and what to `change`.
    """
    return _shown(actions.publish_campaign(deployment(), slug, by=auth.caller()))


@post(
    "/campaigns/<slug>/sign-off",
    body=SignOffIn,
    answer=SignOffOut,
    statuses={200: "Signed off"},
    problems=[UnknownCampaign, AlreadyPublished, NothingToSignOff, DepthTooGreat],
)
def sign_off_campaign(slug: str, body: SignOffIn) -> SignOffOut:
    """Sign a draft's rules off that pay the second level.

    By name, for the rules as they stand: a sign-off of other rules is void. Nothing beyond the
    second level is ever paid.
    """
    campaign = actions.sign_off(deployment(), slug, by=f"{body.name} ({auth.caller()})")
    with deployment().db.read() as tx:
        entry = signoff.signed_by(tx, campaign)
    if entry is None:  # somebody changed the rules in this moment
        raise NothingToSignOff()
    return SignOffOut(signed_by=entry.by, signed_at=entry.at, sha256=entry.details["sha256"])


@patch(
    "/campaigns/<slug>/terms",
    body=TermsIn,
    answer=CampaignOut,
    statuses={200: "Changed"},
    problems=[
        UnknownCampaign,
        NotPublished,
        CampaignOver,
        TermsMadeWorse,
        DrawChanged,
        PaysForSharing,
        *REFUSALS,
        *POOLS,
    ],
)
def amend_terms(slug: str, body: TermsIn) -> CampaignOut:
    """Make the terms of a published campaign better.

    A later end, a larger budget, a longer window, a shorter hold, longer lasting points, higher
    amounts, looser limits, more rules. Anything worse is refused, by name. A lucky draw stays as
    it was published.
    """
    by = auth.caller()
    return _shown(actions.amend(deployment(), slug, lambda was: _better(was, body), by=by))


def _better(was: Terms, body: TermsIn) -> Terms:
    said = {name: value for name, value in body if value is not None}
    if body.budgets is not None:
        said["budgets"] = {**was.budgets, **body.budgets}
    if len({rule.id for rule in body.rules or []}) < len(body.rules or []):
        raise invalid_field("rules", "Two rules promise the same; add their amounts up instead.")
    return replace(was, **said)


@post(
    "/campaigns/<slug>/content",
    body=ContentIn,
    answer=CampaignOut,
    statuses={200: "Changed"},
    problems=[
        UnknownCampaign,
        UnknownPicture,
        PunishedWording,
        ShopNotListed,
        DrawNeedsOrganiser,
    ],
)
def edit_content(slug: str, body: ContentIn) -> CampaignOut:
    """Change what readers see of a campaign.

    Published or not, at any time; its terms stay as they are.
    """
    changes = body.model_dump(mode="json", exclude_unset=True)
    return _shown(
        actions.edit_content(
            deployment(), slug, lambda campaign: _changed(campaign, changes), by=auth.caller()
        )
    )


def _changed(campaign: Campaign, changes: Mapping[str, Any]) -> CampaignContent:
    """A campaign's content with changes made to it. Raises `InvalidInput`."""
    content = {name: getattr(campaign, name) for name in CampaignContent.model_fields}
    texts = {**content["content"], **(changes.get("content") or {})}
    content |= changes
    if changes.get("content", texts) is not None:
        content["content"] = {lang: text for lang, text in texts.items() if text is not None}
    # What is taken away is as if it had never been said; a title has to be.
    told = {name: value for name, value in content.items() if value is not None}
    return checked(CampaignContent, told)


@get("/campaigns/<slug>/metrics", answer=Metrics, problems=[UnknownCampaign])
def get_metrics(slug: str) -> Metrics:
    """Get a campaign's figures."""
    with deployment().db.read() as tx:
        campaign = campaigns.campaign_by_slug(tx, slug)
        return report.metrics(tx, campaign)


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
        budgets=campaign.budgets,
        currency=campaign.currency,
        market=campaign.market,
        permit=campaign.permit,
        gtins=campaign.gtins,
        picture=campaign.picture,
        more_pictures=campaign.more_pictures,
        video_url=campaign.video_url,
        buy_url=campaign.buy_url,
        landing=Landing(campaign.landing),
        organiser=campaign.organiser,
        starts_at=campaign.starts_at,
        ends_at=campaign.ends_at,
        hold_days=campaign.hold_days,
        lasts_days=campaign.lasts_days,
        window_days=campaign.window_days,
        touch=CreditedTouch(campaign.touch),
        audience=(campaign.audience or {}).get("segment"),
        keep_months=campaign.keep_months,
        findings=[FindingOut(**finding.dump()) for finding in campaign.findings],
        created_at=campaign.created_at,
    )
