"""What staff set up: products, stores, batches and their ranges, campaigns, who may come in."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import event
from sqlalchemy.orm import Session

from referral import (
    audit,
    batches,
    campaigns,
    catalog,
    packages,
    pictures,
    product_links,
    ranges,
    segments,
    staff,
    stores,
)
from referral.batches import Batch, Scheme
from referral.campaigns import Campaign, CampaignState, publishing, signoff
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
    by: str = audit.COMMAND,
) -> Product:
    """Raises `BadGTIN`, `ProductExists`."""
    now = deployment.clock.now()
    product = catalog.add_product(
        tx, gtin=gtin, name=name, price=price, currency=currency, labels=labels, now=now
    )
    _note(tx, deployment, by, "product added", f"product:{product.gtin}", {"price": price})
    return product


@transaction
def set_labels(
    tx: Session, deployment: Deployment, gtin: str, labels: Labels, *, by: str = audit.COMMAND
) -> None:
    """What a product's packages carry from the next batch on. Raises `UnknownProduct`."""
    product = catalog.product_by_gtin(tx, gtin)
    product.labels = labels
    _note(tx, deployment, by, "product changed", f"product:{product.gtin}", {"labels": labels})


@transaction
def set_product_links(
    tx: Session,
    deployment: Deployment,
    gtin: str,
    links: Sequence[Target],
    *,
    by: str = audit.COMMAND,
) -> None:
    """Where the resolver leads whoever asks for a product, as a whole.

    Raises `BadGTIN`, `UnknownProduct`, `BadLinks`.
    """
    product = catalog.product_by_gtin(tx, gtin)
    product_links.set_links(tx, product, links, deployment.address("/01/"))
    _note(tx, deployment, by, "product changed", f"product:{product.gtin}", {"links": len(links)})


@transaction
def add_store(
    tx: Session,
    deployment: Deployment,
    *,
    slug: str,
    name: str,
    kind: StoreKind,
    region: str | None,
    by: str = audit.COMMAND,
) -> Store:
    """Raises `StoreExists`, `BadRegion`."""
    now = deployment.clock.now()
    store = stores.add_store(tx, slug=slug, name=name, kind=kind, region=region, now=now)
    _note(tx, deployment, by, "store added", f"store:{slug}", {"kind": kind})
    return store


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
    told = {"product": product.gtin, "count": count}
    _note(tx, deployment, by, "batch issued", f"batch:{batch.id}", told)
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
    told = {"state": state, "start": start, "end": end, "reason": reason}
    _note(tx, deployment, by, "codes changed", f"batch:{batch_id}", told)
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
    told = {"terms": sorted(changes), "start": start, "end": end, "reason": reason}
    _note(tx, deployment, by, "codes changed", f"batch:{batch_id}", told)
    return ranges.assign(tx, batch_id, changes, start=start, end=end, reason=reason, by=by, now=now)


@transaction
def add_picture(tx: Session, deployment: Deployment, ready: Ready) -> Picture:
    """Keep a picture that is ready, once."""
    return pictures.add_picture(tx, ready, deployment.clock.now())


@transaction
def add_campaign(
    tx: Session, deployment: Deployment, draft: campaigns.Draft, *, by: str = audit.COMMAND
) -> Campaign:
    """Store a draft.

    Raises `CampaignExists`, `EndsTooEarly`, `UnknownPicture`, `ShopNotListed`, `UnknownSegment`.
    """
    _check_content(tx, deployment, draft)
    _check_audience(tx, draft)
    campaign = campaigns.add_campaign(tx, draft, deployment.clock.now())
    _note_campaign(tx, deployment, by, "campaign added", campaign)
    return campaign


@transaction
def revise_campaign(
    tx: Session,
    deployment: Deployment,
    slug: str,
    draft: campaigns.Draft,
    *,
    by: str = audit.COMMAND,
) -> Campaign:
    """Change a draft.

    Raises `UnknownCampaign`, `AlreadyPublished`, `EndsTooEarly`, `UnknownPicture`, `ShopNotListed`,
    `UnknownSegment`.
    """
    _check_content(tx, deployment, draft)
    _check_audience(tx, draft)
    event.listen(tx, "after_commit", lambda _: deployment.showcase.forget(), once=True)
    campaign = campaigns.campaign_by_slug(tx, slug, for_update=True)
    revised = campaigns.revise(campaign, draft, deployment.clock.now())
    _note_campaign(tx, deployment, by, "campaign revised", revised)
    return revised


@transaction
def edit_content(
    tx: Session,
    deployment: Deployment,
    slug: str,
    change: Callable[[Campaign], CampaignContent],
    *,
    by: str = audit.COMMAND,
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
    _note_campaign(tx, deployment, by, "content edited", campaign)
    return campaign


def _note_campaign(
    tx: Session, deployment: Deployment, by: str, action: str, campaign: Campaign
) -> None:
    tx.flush()
    _note(tx, deployment, by, action, signoff.subject_of(campaign), {"slug": campaign.slug})


def _note(
    tx: Session,
    deployment: Deployment,
    by: str,
    action: str,
    subject: str,
    details: Mapping[str, Any],
) -> None:
    now = deployment.clock.now()
    audit.note(tx, by=by, action=action, subject=subject, details=dict(details), now=now)


def _check_content(tx: Session, deployment: Deployment, content: CampaignContent) -> None:
    pictures.check_known(tx, content.pictures())
    campaigns.check_shop(content, deployment.config.shops)


def _check_audience(tx: Session, draft: campaigns.Draft) -> None:
    if draft.audience is not None:
        segments.segment_by_id(tx, draft.audience)


@transaction
def add_api_key(tx: Session, deployment: Deployment, name: str, *, by: str = audit.COMMAND) -> str:
    """A new key; it is shown once and only its hash is kept."""
    _note(tx, deployment, by, "api key added", "api-keys", {"name": name})
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
