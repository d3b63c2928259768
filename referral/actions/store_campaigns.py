"""Campaigns that a store runs by itself, within what the brand lets it."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from referral import audit, stores
from referral.actions.terms import publish_campaign
from referral.campaigns import Campaign, of_stores
from referral.db import transaction
from referral.deployment import Deployment


@transaction
def set_store_limits(
    tx: Session,
    deployment: Deployment,
    slug: str,
    *,
    templates: Sequence[str],
    budget_max: int,
    days_max: int,
    running_max: int,
    by: str,
) -> None:
    """Say what a store may run. Raises `UnknownStore` and what `of_stores.set_limits` does."""
    store = stores.store_by_slug(tx, slug)
    said = {"budget_max": budget_max, "days_max": days_max, "running_max": running_max}
    of_stores.set_limits(tx, store.id, templates=templates, **said)
    audit.note(
        tx,
        by=by,
        action="store limits set",
        subject=f"store:{store.id}",
        details={"templates": list(templates), **said},
        now=deployment.clock.now(),
    )


@transaction
def run_store_campaign(
    tx: Session,
    deployment: Deployment,
    slug: str,
    template: str,
    *,
    title: str,
    budget: int,
    starts_at: datetime,
    ends_at: datetime,
    by: str,
) -> Campaign:
    """Publish a campaign of a store's own, a copy of the brand's `template`.

    Raises `UnknownStore`, what `of_stores.copy_for` does, and what publishing any campaign does.
    """
    store = stores.store_by_slug(tx, slug)
    campaign = of_stores.copy_for(
        tx,
        store.id,
        store.slug,
        template,
        title=title,
        budget=budget,
        starts_at=starts_at,
        ends_at=ends_at,
        now=deployment.clock.now(),
    )
    return publish_campaign(deployment, campaign.slug, by=by)
