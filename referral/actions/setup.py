"""What staff set up: products, stores, batches and their ranges, campaigns, who may come in."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import event
from sqlalchemy.orm import Session

from referral import (
    batches,
    campaigns,
    catalog,
    packages,
    pictures,
    product_links,
    ranges,
    staff,
    stores,
)
from referral.batches import Batch, Scheme
from referral.campaigns import Campaign, CampaignState, publishing
from referral.campaigns.content import CampaignContent
from referral.catalog import Product
from referral.codes import Labels
from referral.db import transaction
from referral.deployment import Deployment
from referral.gs1.target import Target
from referral.packages import PrintPackage
from referral.packages.order import Manifest
from referral.pictures import Picture, Ready
from referral.ranges import RangeState, Terms
from referral.stores import Store, StoreKind


@transaction
def add_product(
    tx: Session,
    deployment: Deployment,
    *,
    gtin: str,
    name: str,
    price: int,
    currency: str,
    labels: Labels = Labels.single,
) -> Product:
    """Raises `BadGTIN`, `ProductExists`."""
    now = deployment.clock.now()
    return catalog.add_product(
        tx, gtin=gtin, name=name, price=price, currency=currency, labels=labels, now=now
    )


@transaction
def set_labels(tx: Session, deployment: Deployment, gtin: str, labels: Labels) -> None:
    """What a product's packages carry from the next batch on. Raises `UnknownProduct`."""
    catalog.product_by_gtin(tx, gtin).labels = labels


@transaction
def set_product_links(
    tx: Session, deployment: Deployment, gtin: str, links: Sequence[Target]
) -> None:
    """Where the resolver leads whoever asks for a product, as a whole.

    Raises `BadGTIN`, `UnknownProduct`, `BadLinks`.
    """
    product = catalog.product_by_gtin(tx, gtin)
    product_links.set_links(tx, product, links, deployment.address("/01/"))


@transaction
def add_store(
    tx: Session,
    deployment: Deployment,
    *,
    slug: str,
    name: str,
    kind: StoreKind,
    region: str | None,
) -> Store:
    """Raises `StoreExists`, `BadRegion`."""
    now = deployment.clock.now()
    return stores.add_store(tx, slug=slug, name=name, kind=kind, region=region, now=now)


@transaction
def issue_batch(
    tx: Session,
    deployment: Deployment,
    *,
    gtin: str,
    count: int,
    name: str,
    scheme: Scheme = Scheme.small,
    terms: Terms | None = None,
    by: str,
) -> Batch:
    """Issue a batch of `count` codes, with the terms that hold for all of them.

    Raises `UnknownProduct`, `CodesExhausted`, `BadTerms`, `BadRegion`.
    """
    now = deployment.clock.now()
    product = catalog.product_by_gtin(tx, gtin)
    batch = batches.add_batch(
        tx,
        product=product,
        name=name,
        size=count,
        scheme=scheme,
        key_id=deployment.keys.newest,
        by=by,
        now=now,
    )
    ranges.open_ranges(tx, batch, terms or Terms(), by=by, now=now)
    # Not sooner: a thread that looks before the commit would go on without the batch for a while.
    event.listen(tx, "after_commit", lambda _: deployment.directory.forget(), once=True)
    return batch


@transaction
def set_range(
    tx: Session,
    deployment: Deployment,
    batch_id: int,
    state: RangeState,
    *,
    start: int | None = None,
    end: int | None = None,
    reinstate: bool = False,
    reason: str = "",
    by: str,
) -> Batch:
    """Put a range of codes into a state; withdrawn ones only if they are to be reinstated.

    Raises `UnknownBatch`, `BadRange`, `CodesWithdrawn`.
    """
    return ranges.set_state(
        tx,
        batch_id,
        state,
        start=start,
        end=end,
        reinstate=reinstate,
        reason=reason,
        by=by,
        now=deployment.clock.now(),
    )


@transaction
def assign_range(
    tx: Session,
    deployment: Deployment,
    batch_id: int,
    changes: Mapping[str, Any],
    *,
    start: int | None = None,
    end: int | None = None,
    reason: str = "",
    by: str,
) -> Batch:
    """Say of a range where and when it is sold; `changes` are fields of `ranges.Terms`.

    Raises `UnknownBatch`, `BadRange`, `BadTerms`, `BadRegion`.
    """
    now = deployment.clock.now()
    return ranges.assign(tx, batch_id, changes, start=start, end=end, reason=reason, by=by, now=now)


@transaction
def add_picture(tx: Session, deployment: Deployment, ready: Ready) -> Picture:
    """Keep a picture that is ready, once."""
    return pictures.add_picture(tx, ready, deployment.clock.now())


@transaction
def add_campaign(tx: Session, deployment: Deployment, draft: campaigns.Draft) -> Campaign:
    """Store a draft. Raises `CampaignExists`, `EndsTooEarly`, `UnknownPicture`, `ShopNotListed`."""
    _check_content(tx, deployment, draft)
    return campaigns.add_campaign(tx, draft, deployment.clock.now())


@transaction
def revise_campaign(
    tx: Session, deployment: Deployment, slug: str, draft: campaigns.Draft
) -> Campaign:
    """Change a draft.

    Raises `UnknownCampaign`, `AlreadyPublished`, `EndsTooEarly`, `UnknownPicture`, `ShopNotListed`.
    """
    _check_content(tx, deployment, draft)
    event.listen(tx, "after_commit", lambda _: deployment.showcase.forget(), once=True)
    campaign = campaigns.campaign_by_slug(tx, slug, for_update=True)
    return campaigns.revise(campaign, draft, deployment.clock.now())


@transaction
def edit_content(
    tx: Session,
    deployment: Deployment,
    slug: str,
    change: Callable[[Campaign], CampaignContent],
) -> Campaign:
    """Change what readers see of a campaign, published or not; its terms stay.

    `change` is given the campaign as it stands. Raises `UnknownCampaign`, `UnknownPicture`,
    `ShopNotListed`, and for one that is published `PunishedWording` and `DrawNeedsOrganiser`.
    """
    event.listen(tx, "after_commit", lambda _: deployment.showcase.forget(), once=True)
    campaign = campaigns.campaign_by_slug(tx, slug, for_update=True)
    content = change(campaign)
    _check_content(tx, deployment, content)
    campaigns.edit_content(campaign, content)
    if campaign.state == CampaignState.published:
        publishing.check_organiser(campaign)
    return campaign


def _check_content(tx: Session, deployment: Deployment, content: CampaignContent) -> None:
    pictures.check_known(tx, content.pictures())
    campaigns.check_shop(content, deployment.config.shops)


@transaction
def add_staff(
    tx: Session, deployment: Deployment, *, email: str, password: str, role: staff.Role
) -> None:
    """Raises `BadContact`, `WeakPassword`, `StaffExists`."""
    now = deployment.clock.now()
    staff.add_staff(tx, email=email, password=password, role=role, now=now)


@transaction
def add_api_key(tx: Session, deployment: Deployment, name: str) -> str:
    """A new key; it is shown once and only its hash is kept."""
    key = staff.new_api_key()
    staff.add_api_key(tx, name=name, key=key, now=deployment.clock.now())
    return key


@transaction
def record_package(
    tx: Session,
    deployment: Deployment,
    manifest: Manifest,
    *,
    again: bool = False,
    mark_printed: bool = False,
    by: str,
) -> None:
    """Keep a print package, and with `mark_printed` that its range is printed; once.

    `again` lets a range go to another supplier. Raises `GivenToAnother`, and what `set_range` does.
    """
    package = PrintPackage(
        id=manifest.id,
        batch_id=manifest.batch,
        label=manifest.label,
        start=manifest.start,
        end=manifest.end,
        count=manifest.count,
        supplier=manifest.supplier,
        sha256=manifest.sha256,
        by=by,
        at=deployment.clock.now(),
    )
    if packages.add_package(tx, package, again=again) and mark_printed:
        set_range(
            deployment,
            manifest.batch,
            RangeState.printed,
            start=manifest.start,
            end=manifest.end,
            reason=f"package {manifest.id}",
            by=by,
        )
