"""What a customer has of taking part: friends, packages and rewards, and why what is missing is."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral import counters, rewards
from referral.batches import Batch
from referral.campaigns import Campaign
from referral.catalog import Product
from referral.claims import Claim
from referral.crypto import KeyRing
from referral.graph import Referral
from referral.people import Customer
from referral.rewards import PurchaseFacts, Reward, RewardState

LISTED_MAX = 50
"""How much of a list one answer holds, newest first."""


class NoPoints(StrEnum):
    """Why a claim brought a customer nothing, or less than was promised."""

    budget_spent = "budget_spent"
    """The campaign's budget was used up."""
    not_covered = "not_covered"
    """The campaign, that of the link for a friend's claim, did not run for the product then."""
    not_promised = "not_promised"
    """The campaign promises nothing for it."""


def rewards_of(
    tx: Session, customer_id: int, *, offset: int = 0, limit: int = LISTED_MAX
) -> list[Reward]:
    """The customer's rewards, newest first."""
    return list(
        tx.scalars(
            sa.select(Reward)
            .where(Reward.beneficiary_id == customer_id)
            .order_by(Reward.id.desc())
            .offset(offset)
            .limit(limit)
        )
    )


@dataclass(frozen=True)
class Waiting:
    """When what a customer has on hold can be spent: the first of it, and the last."""

    first: datetime
    last: datetime


def waiting_of(tx: Session, customer_id: int) -> Waiting | None:
    """None when nothing is on hold."""
    due = tx.execute(
        sa.select(sa.func.min(Reward.available_at), sa.func.max(Reward.available_at))
        .where(Reward.beneficiary_id == customer_id, Reward.state == RewardState.pending)
        .having(sa.func.count() > 0)
    ).one_or_none()
    return Waiting(*due) if due else None


@dataclass(frozen=True)
class Friend:
    """A customer whom this one brought in, and what came of that."""

    name: str | None
    at: datetime
    points: int
    """What the friend's first claim brought; what was taken back is not in it."""
    state: RewardState | None
    """Of the reward; None without one."""
    available_at: datetime | None
    why: NoPoints | None
    """Why there is no reward, as far as it can be told."""


def friend_count(tx: Session, customer_id: int) -> int:
    """How many customers this one brought in, from a counter."""
    return counters.counts_of(tx, counters.TREE, [customer_id])[customer_id].direct


def friends_of(
    tx: Session, keys: KeyRing, customer_id: int, *, offset: int = 0, limit: int = LISTED_MAX
) -> list[Friend]:
    """The customers this one brought in, newest first."""
    newest = (
        sa.select(Referral.customer_id)
        .where(Referral.referrer_id == customer_id)
        .order_by(Referral.at.desc(), Referral.customer_id.desc())
        .offset(offset)
        .limit(limit)
        .subquery()
    )
    rows = tx.execute(
        sa.select(Referral, Customer.name_encrypted)
        .join(newest, newest.c.customer_id == Referral.customer_id)
        .join(Customer, Customer.id == Referral.customer_id)
        .order_by(Referral.at.desc(), Referral.customer_id.desc())
    ).all()
    granted = _granted(tx, customer_id, [place.event for place, _ in rows])
    claims = _claims(tx, [place.event for place, _ in rows if place.event not in granted])
    friends = []
    for place, encrypted in rows:
        own = granted.get(place.event, [])
        kept = [each for each in own if each.state != RewardState.reversed]
        why = None if own else _why_none(tx, claims.get(place.event), place, customer_id)
        points = sum(each.amount for each in kept if each.unit == "points")
        shown = [*kept, *own][:1]
        state = RewardState(shown[0].state) if shown else None
        available_at = shown[0].available_at if shown else None
        name = keys.decrypt_if_any(encrypted)
        friends.append(Friend(name, place.at, points, state, available_at, why))
    return friends


@dataclass(frozen=True)
class Package:
    """What a customer claimed."""

    product_name: str
    claimed_at: datetime
    why: NoPoints | None
    """Why it brought no points, or fewer than were promised."""


def packages_of(
    tx: Session, customer_id: int, *, offset: int = 0, limit: int = LISTED_MAX
) -> list[Package]:
    """What a customer claimed, newest first."""
    rows = tx.execute(
        sa.select(Claim, Product.name)
        .join(Batch, Batch.id == Claim.batch_id)
        .join(Product, Product.id == Batch.product_id)
        .where(Claim.customer_id == customer_id)
        .order_by(Claim.at.desc(), Claim.id.desc())
        .offset(offset)
        .limit(limit)
    ).all()
    granted = _granted(tx, customer_id, [claim.event for claim, _ in rows])
    place = tx.get(Referral, customer_id)
    packages = []
    for claim, name in rows:
        facts = rewards.facts_of(claim.customer_id, claim.event, claim.campaign_id, place)
        had = len(granted.get(claim.event, []))
        packages.append(Package(name, claim.at, _why_less(tx, claim, facts, had)))
    return packages


def _why_less(tx: Session, claim: Claim, facts: PurchaseFacts, had: int) -> NoPoints | None:
    """Why the claimer had no more than so many rewards of a claim; None when all were kept."""
    if claim.campaign_id is None:
        return NoPoints.not_covered
    promised = _promised(tx, claim.campaign_id, facts, claim.customer_id)
    return NoPoints.budget_spent if had < promised else None


def _why_none(
    tx: Session, claim: Claim | None, place: Referral, beneficiary: int
) -> NoPoints | None:
    """Why who brought the claimer in had no reward of a first claim."""
    if claim is None:
        return None
    facts = rewards.facts_of(claim.customer_id, claim.event, claim.campaign_id, place)
    if claim.campaign_id is None or facts.referrer is None:
        return NoPoints.not_covered
    promised = _promised(tx, claim.campaign_id, facts, beneficiary)
    return NoPoints.budget_spent if promised else NoPoints.not_promised


def _promised(tx: Session, campaign_id: int, facts: PurchaseFacts, beneficiary: int) -> int:
    """How many rewards a campaign's rules promise somebody for a purchase."""
    campaign = tx.get(Campaign, campaign_id)
    if campaign is None:
        return 0
    grants = rewards.evaluate(campaign.checked_rules, facts)
    return sum(grant.beneficiary == beneficiary for grant in grants)


def _granted(
    tx: Session, customer_id: int, events: Collection[str]
) -> Mapping[str, Sequence[Reward]]:
    """The customer's rewards for these events."""
    granted: dict[str, list[Reward]] = defaultdict(list)
    if events:
        statement = sa.select(Reward).where(
            Reward.event.in_(events), Reward.beneficiary_id == customer_id
        )
        for reward in tx.scalars(statement.order_by(Reward.id)):
            granted[reward.event].append(reward)
    return dict(granted)


def _claims(tx: Session, events: Collection[str]) -> dict[str, Claim]:
    """The claims that these events are."""
    numbers = [int(event.removeprefix("claim:")) for event in events if event.startswith("claim:")]
    if not numbers:
        return {}
    found = tx.scalars(sa.select(Claim).where(Claim.id.in_(numbers)))
    return {claim.event: claim for claim in found}
