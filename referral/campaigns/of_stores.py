"""What the brand lets a store run by itself, and the campaigns a store runs.

A store's campaign is a copy of one of the brand's, for the packages that went to the store alone,
with a budget and dates of its own within the store's limits.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral.campaigns.campaign import Campaign, CampaignState, campaign_by_slug
from referral.db import Base, insert_new
from referral.errors import N_, InvalidInput
from referral.rewards import Rule, What

BUDGET_MAX = 10**9
DAYS_MAX = 366
RUNNING_MAX = 20
TITLE_LENGTH_MAX = 80
_SLUG_LENGTH_MAX = 60


class StoreLimits(Base):
    """What a store may run. Without a row it may run nothing."""

    __tablename__ = "store_limits"

    store_id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    templates: Mapped[list[Any]]
    """The short names of the campaigns that it may copy."""
    budget_max: Mapped[int] = mapped_column(sa.BigInteger)
    """Of one campaign, in points."""
    days_max: Mapped[int]
    """How long one may run."""
    running_max: Mapped[int]
    """How many may run at once, or be about to."""


class NotATemplate(InvalidInput):
    slug = "not-a-template"
    title = N_("A store cannot run a campaign like this one.")
    advice = N_(
        "Choose campaigns of the brand that pay points for claims alone, to everybody, and whose "
        "budget is in points."
    )


class TemplateNotOffered(InvalidInput):
    slug = "template-not-offered"
    title = N_("This campaign is not offered to the store.")
    advice = N_("Choose one of those that are.")


class OverStoreLimit(InvalidInput):
    slug = "over-store-limit"
    title = N_("This is more than the brand lets the store do.")
    advice = N_("Choose a smaller budget or fewer days, or ask the brand for more.")


def is_template(campaign: Campaign) -> bool:
    """Whether a store may run a copy: it pays points, for claims, to anybody."""
    rules = campaign.checked_rules
    pays_points = all(
        rule.what is What.points and rule.when.of_claims and not rule.when.of_orders
        for rule in rules
    )
    is_brands = campaign.store_id is None and not campaign.audience
    return bool(rules) and pays_points and is_brands and not campaign.budgets


def limits_of(tx: Session, store_id: int) -> StoreLimits | None:
    return tx.get(StoreLimits, store_id)


def set_limits(
    tx: Session,
    store_id: int,
    *,
    templates: Sequence[str],
    budget_max: int,
    days_max: int,
    running_max: int,
) -> None:
    """Say what a store may run from now on; what it runs already goes on.

    Raises `NotATemplate`, `UnknownCampaign`, `OverStoreLimit`.
    """
    within = 0 < budget_max <= BUDGET_MAX and 0 < days_max <= DAYS_MAX
    if not within or not 0 < running_max <= RUNNING_MAX:
        raise OverStoreLimit()
    if not all(is_template(campaign_by_slug(tx, slug)) for slug in templates):
        raise NotATemplate()
    limits = tx.get(StoreLimits, store_id) or StoreLimits(store_id=store_id)
    limits.templates = list(templates)
    limits.budget_max, limits.days_max, limits.running_max = budget_max, days_max, running_max
    tx.add(limits)


def campaigns_of(tx: Session, store_id: int, limit: int) -> Sequence[Campaign]:
    """A store's campaigns, the newest first."""
    of_store = sa.select(Campaign).where(Campaign.store_id == store_id)
    return tx.scalars(of_store.order_by(Campaign.id.desc()).limit(limit)).all()


def copy_for(
    tx: Session,
    store_id: int,
    store_slug: str,
    template: str,
    *,
    title: str,
    budget: int,
    starts_at: datetime,
    ends_at: datetime,
    now: datetime,
) -> Campaign:
    """A draft of a store's own. The store's limits are locked, so that two at once are counted.

    Raises `TemplateNotOffered`, `OverStoreLimit`, `NotATemplate`, `UnknownCampaign`.
    """
    of_store = sa.select(StoreLimits).where(StoreLimits.store_id == store_id)
    limits = tx.scalar(of_store.with_for_update())
    if limits is None or template not in limits.templates:
        raise TemplateNotOffered()
    found = campaign_by_slug(tx, template)
    if not is_template(found):
        raise NotATemplate()
    days = ends_at - starts_at
    is_over = not 0 < budget <= limits.budget_max or not days <= timedelta(days=limits.days_max)
    if is_over or ends_at <= max(starts_at, now) or _ahead(tx, store_id, now) >= limits.running_max:
        raise OverStoreLimit()
    slug = _free_slug(tx, f"{store_slug}-{template}")
    row = _copied(found) | {
        "slug": slug,
        "title": title,
        "rules": [_anew(rule) for rule in found.checked_rules],
        "budget": budget,
        "starts_at": starts_at,
        "ends_at": ends_at,
        "state": CampaignState.draft,
        "store_id": store_id,
        "created_at": now,
    }
    insert_new(tx, Campaign, row)
    return campaign_by_slug(tx, slug, for_update=True)


_OWN = {"id", "currency", "worth", "draw_seed_encrypted", "draw_commitment"}
"""What belongs to a campaign from when it is published."""


def _copied(template: Campaign) -> dict[str, Any]:
    return {
        column.name: getattr(template, column.name)
        for column in Campaign.__table__.columns
        if column.name not in _OWN
    }


def _anew(rule: Rule) -> dict[str, Any]:
    """A rule that has paid nothing yet."""
    return rule.model_copy(update={"key": None}).dump()


def _ahead(tx: Session, store_id: int, now: datetime) -> int:
    """How many of a store's campaigns run or are about to."""
    count = sa.select(sa.func.count()).select_from(Campaign)
    return tx.scalar(count.where(Campaign.store_id == store_id, Campaign.ends_at > now)) or 0


def _free_slug(tx: Session, wanted: str) -> str:
    """A short name that no campaign has, as near as may be to the wanted one."""
    taken = set(tx.scalars(sa.select(Campaign.slug).where(Campaign.slug.startswith(wanted[:40]))))
    name, number = wanted[:_SLUG_LENGTH_MAX].rstrip("-"), 1
    while name in taken:
        number += 1
        tail = f"-{number}"
        name = wanted[: _SLUG_LENGTH_MAX - len(tail)].rstrip("-") + tail
    return name


def for_package(
    running: Iterable[Campaign], store_of_package: Callable[[], int | None]
) -> list[Campaign]:
    """Those of some campaigns that are for a package: the brand's, and those of the store that it
    went to, which is asked for only where it matters."""
    found = list(running)
    if all(campaign.store_id is None for campaign in found):
        return found
    store = store_of_package()
    return [campaign for campaign in found if campaign.store_id in {None, store}]
