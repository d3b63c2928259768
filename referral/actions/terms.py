"""What binds the brand: publishing a campaign, signing its rules off, and better terms later."""

from collections.abc import Callable, Iterable, Sequence

from sqlalchemy import event
from sqlalchemy.orm import Session

from referral import audit, campaigns, catalog, coupons, segments
from referral.campaigns import Campaign, amendments, publishing, signoff
from referral.campaigns.amendments import Terms
from referral.catalog import Product
from referral.db import lock, transaction
from referral.deployment import Deployment
from referral.redemption import items
from referral.rewards import Rule, What, draws


@transaction
def publish_campaign(
    tx: Session, deployment: Deployment, slug: str, *, by: str = audit.COMMAND
) -> Campaign:
    """Raises what `publishing.publish` refuses, `ShopNotListed`, `UnknownSegment`, and what
    `check_pools` does."""
    campaign = _locked(tx, deployment, slug)
    campaigns.check_shop(campaign, deployment.config.shops)
    products = catalog.products_in(tx, campaign.gtins)
    now = deployment.clock.now()
    coupons.check_pools(tx, campaign.checked_rules, _currency(products), now)
    publishing.publish(
        tx,
        campaign,
        products,
        worth=worth_of(tx, campaign.checked_rules, _currency(products)),
        is_signed_off=signoff.is_signed_off(tx, campaign),
        now=now,
    )
    publishing.check_beside(campaign, campaigns.beside(tx, campaign), products)
    _fix_audience(tx, campaign)
    _promise_seed(deployment, campaign)
    audit.note(
        tx,
        by=by,
        action="campaign published",
        subject=signoff.subject_of(campaign),
        details={"slug": campaign.slug, "sha256": signoff.fingerprint(campaign)},
        now=now,
    )
    return campaign


@transaction
def sign_off(tx: Session, deployment: Deployment, slug: str, *, by: str) -> Campaign:
    """Let a draft pay the second level, as its rules stand now; `by` is kept in the audit log.

    Raises `UnknownCampaign`, `AlreadyPublished`, `NothingToSignOff`, `DepthTooGreat`.
    """
    campaign = campaigns.campaign_by_slug(tx, slug, for_update=True)
    signoff.sign(tx, campaign, by=by, now=deployment.clock.now())
    return campaign


@transaction
def amend(
    tx: Session,
    deployment: Deployment,
    slug: str,
    change: Callable[[Terms], Terms],
    *,
    by: str,
) -> Campaign:
    """Make the terms of a published campaign better for its customers.

    `change` is given them as they stand. Raises `UnknownCampaign`, `NotPublished`,
    `CampaignOver`, `TermsMadeWorse`, `DrawChanged`, and what `publish_campaign` refuses of the new
    terms.
    """
    campaign = _locked(tx, deployment, slug)
    was = amendments.terms_of(campaign)
    changed = amendments.named(was, change(was))
    now = deployment.clock.now()
    # A product that was made later and is too cheap for what it pays is no reason to refuse.
    products = catalog.products_in(tx, campaign.gtins)
    products = [each for each in products if each.currency == campaign.currency]
    products = [product for product in products if campaign.pays_for(product)] or products
    amendments.amend(tx, campaign, was, changed, now)
    draws.check_unchanged(was.rules, changed.rules)
    worth = worth_of(tx, campaign.checked_rules, _currency(products))
    publishing.check(
        campaign,
        products,
        worth=worth,
        is_signed_off=publishing.deep(was.rules) == publishing.deep(changed.rules),
        may_last_forever=was.lasts_days is None,
    )
    coupons.check_pools(tx, campaign.checked_rules, _currency(products), now)
    campaign.worth = publishing.worth_of(campaign.checked_rules, worth)
    publishing.check_beside(campaign, campaigns.beside(tx, campaign), products)
    _promise_seed(deployment, campaign)
    if told := amendments.changes(was, changed):
        audit.note(
            tx,
            by=by,
            action="amend-terms",
            subject=signoff.subject_of(campaign),
            details=told,
            now=now,
        )
    return campaign


def worth_of(tx: Session, rules: Iterable[Rule], currency: str | None) -> dict[str, int]:
    """What one of each coupon and item that rules pay is worth, where there is one in the
    currency, by unit."""
    prizes = {prize for rule in rules for prize in rule.prizes}
    pools = coupons.pools_by_slug(tx, _named(prizes, What.coupon)).values()
    found = {f"coupon:{pool.slug}": pool.value for pool in pools}
    for slug, (value, of_currency) in items.values_of(tx, _named(prizes, What.item)).items():
        if of_currency == currency:
            found[f"item:{slug}"] = value
    return found


def _named(prizes: Iterable[tuple[What, str | None]], kind: What) -> list[str]:
    return sorted({of for what, of in prizes if what is kind and of is not None})


def _currency(products: Sequence[Product]) -> str | None:
    return products[0].currency if products else None


def _fix_audience(tx: Session, campaign: Campaign) -> None:
    """A segment that is changed later changes no campaign's terms."""
    if campaign.audience:
        segment = segments.segment_by_id(tx, campaign.audience["segment"])
        audience = segments.Audience(segment.id, segment.name, segment.checked)
        campaign.audience = audience.dump()


def _promise_seed(deployment: Deployment, campaign: Campaign) -> None:
    """A campaign with draws has a seed from before the first of them."""
    if campaign.has_draw and campaign.draw_seed_encrypted is None:
        campaign.draw_seed_encrypted, campaign.draw_commitment = draws.promised(deployment.keys)


def _locked(tx: Session, deployment: Deployment, slug: str) -> Campaign:
    # Two that are to run side by side, published at once, are held against one another.
    lock(tx, "terms of campaigns")
    event.listen(tx, "after_commit", lambda _: deployment.showcase.forget(), once=True)
    return campaigns.campaign_by_slug(tx, slug, for_update=True)
