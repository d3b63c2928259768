"""A campaign as it is stored: its terms and texts, when it runs, and what it pays for."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral.campaigns import markets, payouts, wording
from referral.campaigns.content import URL_LENGTH_MAX, CampaignContent, Content, Landing, texts_of
from referral.campaigns.draft import PERMIT_LENGTH_MAX, SLUG, CreditedTouch, Draft
from referral.campaigns.wording import Finding
from referral.db import Base, RowId, insert_new
from referral.errors import N_, Conflict, InvalidInput, NotFound
from referral.pictures import SHA256_LENGTH
from referral.rewards import Odds, Rule, When
from referral.shops import is_listed

ID_MAX = 65_535
"""A share link has two bytes for the campaign."""
RUN_DAYS_DEFAULT = 90


class TradeItem(Protocol):
    """A product, as far as a campaign asks."""

    @property
    def gtin(self) -> str: ...
    @property
    def price(self) -> int: ...
    @property
    def currency(self) -> str: ...


class CampaignState(StrEnum):
    draft = "draft"
    published = "published"


class Campaign(Base):
    """A campaign. Its title is the brand's; `content` holds the texts by language."""

    __tablename__ = "campaigns"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    slug: Mapped[str] = mapped_column(sa.String(60), unique=True)
    title: Mapped[str] = mapped_column(sa.String(80))
    content: Mapped[dict[str, Any]]
    rules: Mapped[list[Any]]
    budget: Mapped[int] = mapped_column(sa.BigInteger)
    """In points."""
    budgets: Mapped[dict[str, Any]]
    """Of what else its rules pay, by unit."""
    currency: Mapped[str | None] = mapped_column(sa.String(3))
    """Of its products' prices and its store credit, from when it is published."""
    gtins: Mapped[list[Any]]
    """The products it is for; empty for all."""
    picture: Mapped[str | None] = mapped_column(
        sa.String(SHA256_LENGTH), sa.ForeignKey("pictures.sha256")
    )
    """The hash of the picture on its page, cards and posters."""
    more_pictures: Mapped[list[Any]]
    """The hashes of further pictures on its page."""
    video_url: Mapped[str | None] = mapped_column(sa.String(URL_LENGTH_MAX))
    buy_url: Mapped[str | None] = mapped_column(sa.String(URL_LENGTH_MAX))
    landing: Mapped[str] = mapped_column(sa.String(8))
    """Where its share links lead: see `Landing`."""
    organiser: Mapped[str] = mapped_column(sa.String(120))
    state: Mapped[str] = mapped_column(sa.String(12))
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    hold_days: Mapped[int] = mapped_column(sa.Integer)
    lasts_days: Mapped[int | None] = mapped_column(sa.Integer)
    """How long a reward can be spent once it is available; None for ever."""
    window_days: Mapped[int] = mapped_column(sa.Integer)
    """How long after a link was opened a claim still credits it."""
    touch: Mapped[str] = mapped_column(sa.String(5), default=CreditedTouch.first)
    """Whether the first or the last link that was opened is credited: see `CreditedTouch`."""
    draw_seed_encrypted: Mapped[str | None] = mapped_column(sa.Text)
    """What the numbers of its lucky draws follow from; told once it is over."""
    draw_commitment: Mapped[str | None] = mapped_column(sa.String(64))
    """The SHA-256 of that seed, public from when it is published."""
    market: Mapped[str] = mapped_column(sa.String(8), default=markets.DEFAULT)
    """Where it runs: a code of `markets`."""
    permit: Mapped[str] = mapped_column(sa.String(PERMIT_LENGTH_MAX), default="")
    """The number of the permit for its draws, where the market asks for one."""
    keep_months: Mapped[int | None] = mapped_column(sa.Integer)
    """For how many months its visits are kept, see `visits.keeping`; None for the brand's rule."""
    advertising_cost: Mapped[int | None] = mapped_column(sa.BigInteger)
    """What one new customer costs the brand in advertising, in minor units; None where nobody said
    it. Only figures are held against it."""
    worth: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """What one of each coupon and item it pays is worth, in minor units, when it was published."""
    audience: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """The segment it is for, and from when it is published who that is: see `Audience`. Empty for
    everybody."""
    store_id: Mapped[int | None] = mapped_column(sa.BigInteger, index=True)
    """The store it is of, and for whose packages alone; None for one of the brand."""
    created_at: Mapped[datetime]

    __table_args__ = (
        sa.CheckConstraint("ends_at > starts_at", name="ends_after_start"),
        sa.CheckConstraint("budget >= 0", name="budget_not_negative"),
        sa.CheckConstraint(
            "landing = 'page' OR (landing = 'redirect' AND buy_url IS NOT NULL)",
            name="redirect_has_address",
        ),
        sa.CheckConstraint(f"id <= {ID_MAX}", name="id_fits_a_link"),
    )

    def runs_at(self, moment: datetime) -> bool:
        return self.state == CampaignState.published and self.starts_at <= moment < self.ends_at

    def covers(self, item: TradeItem) -> bool:
        """Whether this item is among its products, and priced in its currency where it has one."""
        is_named = not self.gtins or item.gtin in self.gtins
        return is_named and self.currency in {None, item.currency}

    def pays_for(self, item: TradeItem) -> bool:
        """Whether a claim of this item is covered, within the bound of what it may pay out."""
        if not self.covers(item):
            return False
        return not payouts.worst(self.checked_rules, item.price, self.worth or {}).is_over

    @property
    def checked_rules(self) -> list[Rule]:
        checked = self.__dict__.get("_checked")  # once for a list, which is replaced as a whole
        if checked is None or checked[0] is not self.rules:
            checked = (self.rules, [Rule.model_validate(rule) for rule in self.rules])
            self.__dict__["_checked"] = checked
        return list(checked[1])

    @property
    def pays_for_claims(self) -> bool:
        return any(When(rule["when"]).of_claims for rule in self.rules)

    @property
    def pays_for_orders(self) -> bool:
        return any(When(rule["when"]).of_orders for rule in self.rules)

    @property
    def has_draw(self) -> bool:
        """Whether a rule of it is a lucky draw."""
        return any(isinstance(rule.amount, Odds) for rule in self.checked_rules)

    @property
    def all_budgets(self) -> dict[str, int]:
        """What it may pay in all, by unit."""
        points = {"points": self.budget} if self.budget else {}
        return {**points, **self.budgets}

    @property
    def hold(self) -> timedelta:
        return timedelta(days=self.hold_days)

    @property
    def lasts(self) -> timedelta | None:
        return timedelta(days=self.lasts_days) if self.lasts_days else None

    @property
    def window(self) -> timedelta:
        return timedelta(days=self.window_days)

    @property
    def redirects(self) -> bool:
        """Whether its share links lead straight on to the shop."""
        return self.landing == Landing.redirect

    @property
    def findings(self) -> list[Finding]:
        """Words in its texts that chat platforms punish."""
        return wording.check(texts_of(self.title, self.organiser, self.content))

    def content_in(self, lang: str) -> Content:
        """The texts in a language, or in the nearest one there is."""
        written = self.content.get(self.language_in(lang))
        return Content.model_validate(written) if written else Content(title=self.title)

    def language_in(self, lang: str) -> str:
        """The language of what readers of `lang` get; that one where there are no texts at all."""
        near = (lang, "zh-Hans" if lang == "zh-Hant" else "en", "zh-Hans", "en", "zh-Hant")
        return next((tag for tag in near if tag in self.content), lang)


class UnknownCampaign(NotFound):
    slug = "unknown-campaign"
    title = N_("There is no such campaign.")
    advice = N_("It may have ended. Your codes and points are not affected.")


class CampaignExists(Conflict):
    slug = "campaign-exists"
    title = N_("There is a campaign with this short name already.")


class AlreadyPublished(Conflict):
    slug = "already-published"
    title = N_("This campaign is published already.")
    advice = N_("Its terms stay as they are. Make a new campaign for new terms.")


class EndsTooEarly(InvalidInput):
    slug = "ends-too-early"
    title = N_("The end must lie after the start.")
    advice = N_("Without a start, a campaign starts at once.")


class PunishedWording(InvalidInput):
    """`details` have the findings: the field, its words, the rule and what to write instead."""

    slug = "punished-wording"
    title = N_("Chat platforms punish some of these words.")
    advice = N_(
        "They can ban the brand's address for it. Change these words: a friend's purchase may be "
        "paid for, sharing never."
    )

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.findings = findings
        words = ", ".join(f"“{finding.words}”" for finding in findings)
        super().__init__(
            f"These words are punished: {words}.",
            findings=[finding.dump() for finding in findings],
        )


class ShopNotListed(InvalidInput):
    slug = "shop-not-listed"
    title = N_("Links may not lead straight to this shop.")
    advice = N_(
        "Its address needs https and a host on the operator's list, the setting REFERRAL_SHOPS. "
        "Until then choose the landing page, which has a button to the shop."
    )


def add_campaign(tx: Session, draft: Draft, now: datetime) -> Campaign:
    """Store a draft. Raises `CampaignExists`, `EndsTooEarly`."""
    row = {"slug": draft.slug, "state": CampaignState.draft, "created_at": now}
    # PostgreSQL spends a number on a row it refuses, and a share link has room for few.
    if tx.scalar(sa.select(sa.exists().where(Campaign.slug == draft.slug))):
        raise CampaignExists(campaign=draft.slug)
    if not insert_new(tx, Campaign, {**row, **_columns(draft, now)}):
        raise CampaignExists(campaign=draft.slug)
    return campaign_by_slug(tx, draft.slug)


def revise(campaign: Campaign, draft: Draft, now: datetime) -> Campaign:
    """Change a locked draft; its slug stays. Raises `AlreadyPublished`, `EndsTooEarly`."""
    if campaign.state == CampaignState.published:
        raise AlreadyPublished()
    for name, value in _columns(draft, now).items():
        setattr(campaign, name, value)
    return campaign


def _columns(draft: Draft, now: datetime) -> dict[str, Any]:
    """What a draft says, as it is stored."""
    starts_at = draft.starts_at or now
    ends_at = draft.ends_at or starts_at + timedelta(days=RUN_DAYS_DEFAULT)
    if ends_at <= starts_at:
        raise EndsTooEarly()
    return {
        **draft.columns(),
        "rules": [rule.dump() for rule in draft.rules],
        "budget": draft.budget,
        "budgets": draft.budgets,
        "gtins": draft.gtins,
        "starts_at": starts_at,
        "ends_at": ends_at,
        "hold_days": draft.hold_days,
        "lasts_days": draft.lasts_days,
        "window_days": draft.window_days,
        "touch": draft.touch,
        "market": draft.market,
        "permit": draft.permit,
        "keep_months": draft.keep_months,
        "audience": {"segment": draft.audience} if draft.audience else {},
    }


def edit_content(campaign: Campaign, content: CampaignContent) -> Campaign:
    """Change what readers see of a locked campaign; its terms stay.

    Raises `PunishedWording` for one that is published.
    """
    for name, value in content.columns().items():
        setattr(campaign, name, value)
    if campaign.state == CampaignState.published:
        check_wording(campaign)
    return campaign


def check_shop(content: CampaignContent | Campaign, shops: Sequence[str]) -> None:
    """Raises `ShopNotListed` where links lead straight to an address that is not on the list."""
    url = str(content.buy_url) if content.buy_url else None
    if content.landing == Landing.redirect and not is_listed(url, shops):
        raise ShopNotListed()


def check_wording(campaign: Campaign) -> None:
    """Raises `PunishedWording`."""
    if found := campaign.findings:
        raise PunishedWording(found)


def campaign_by_slug(tx: Session, slug: str, *, for_update: bool = False) -> Campaign:
    """Raises `UnknownCampaign`."""
    if not SLUG.fullmatch(slug):  # PostgreSQL refuses some texts, such as one with a NUL
        raise UnknownCampaign()
    statement = sa.select(Campaign).where(Campaign.slug == slug)
    campaign = tx.scalar(statement.with_for_update(key_share=True) if for_update else statement)
    if campaign is None:
        raise UnknownCampaign()
    return campaign


def campaign_by_id(tx: Session, campaign_id: int) -> Campaign | None:
    return tx.get(Campaign, campaign_id)


def newest(tx: Session, limit: int) -> list[Campaign]:
    """The brand's newest campaigns, drafts among them."""
    of_brand = sa.select(Campaign).where(Campaign.store_id.is_(None))
    return list(tx.scalars(of_brand.order_by(Campaign.id.desc()).limit(limit)))


def pictures_in_use(tx: Session) -> set[str]:
    """The hashes of the pictures that campaigns show, drafts and those that are over among them."""
    rows = tx.execute(sa.select(Campaign.picture, Campaign.more_pictures))
    return {sha256 for first, more in rows for sha256 in (first, *more) if sha256}


def keep_months(tx: Session) -> dict[int, int | None]:
    """For how many months the visits of each campaign are kept, as far as it says so."""
    rows = tx.execute(sa.select(Campaign.id, Campaign.keep_months))
    return {row.id: row.keep_months for row in rows}


_RUNNING = (
    sa.select(Campaign)
    .where(Campaign.state == CampaignState.published)
    .where(Campaign.starts_at <= sa.bindparam("now"), Campaign.ends_at > sa.bindparam("now"))
    .order_by(Campaign.starts_at.desc(), Campaign.id.desc())
)


def running(tx: Session, now: datetime, item: TradeItem | None = None) -> list[Campaign]:
    """The campaigns that run now, newest first: those that pay for an item when one is named.

    A product made after the campaign may be too cheap for what the campaign pays; its bound holds
    all the same, so the campaign does not pay for that one.
    """
    found = tx.scalars(_RUNNING, {"now": now})
    return [campaign for campaign in found if item is None or campaign.pays_for(item)]


def beside(tx: Session, campaign: Campaign) -> list[Campaign]:
    """The other published campaigns of its currency that run while it does, oldest first."""
    return list(
        tx.scalars(
            sa.select(Campaign)
            .where(Campaign.state == CampaignState.published, Campaign.id != campaign.id)
            .where(Campaign.currency == campaign.currency)
            .where(Campaign.starts_at < campaign.ends_at, Campaign.ends_at > campaign.starts_at)
            .order_by(Campaign.id)
        )
    )
