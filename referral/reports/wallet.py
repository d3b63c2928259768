"""What a customer has of taking part: friends, packages and rewards, and why what is missing is."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral import people
from referral.batches import Batch
from referral.catalog import Product
from referral.claims import Claim
from referral.crypto import KeyRing
from referral.graph import Referral
from referral.people import Customer
from referral.ratings import Rating
from referral.rewards import Reward, RewardState, Why, Withheld
from referral.spread import counters

LISTED_MAX = 50
"""How much of a list one answer holds, newest first."""


class NoPoints(StrEnum):
    """Why a purchase brought a customer nothing without anything having been withheld."""

    not_covered = "not_covered"
    """The campaign, that of the link for a friend's claim, did not run for the product then."""
    not_promised = "not_promised"
    """The campaign promises nothing for it."""


Missing = Why | NoPoints
"""Why a purchase brought a customer nothing, or less than was promised."""


def rewards_of(
    tx: Session, customer_id: int, *, offset: int = 0, limit: int = LISTED_MAX
) -> list[Reward]:
    """The customer's rewards, newest first."""
    return list(
        tx.scalars(
            sa.select(Reward)
            .where(Reward.holder_id == customer_id)
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
    """None when nothing is on hold, but for what somebody is looking at."""
    due = tx.execute(
        sa.select(sa.func.min(Reward.available_at), sa.func.max(Reward.available_at))
        .where(Reward.holder_id == customer_id, Reward.state == RewardState.pending)
        .where(Reward.is_cleared)
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
    why: Missing | None
    """Why there is no reward."""
    is_looked_at: bool = False
    """Whether the reward waits until somebody has looked at it."""


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
    events = [place.event for place, _ in rows]
    granted = _granted(tx, customer_id, events)
    withheld = _withheld(tx, customer_id, events)
    friends = []
    for place, encrypted in rows:
        own = granted.get(place.event, [])
        kept = [each for each in own if each.state != RewardState.reversed]
        why = None if own else withheld.get(place.event) or _why_none(place)
        points = sum(each.amount - each.taken_back for each in kept if each.unit == "points")
        shown = [*kept, *own][:1]
        state = RewardState(shown[0].state) if shown else None
        available_at = shown[0].available_at if shown else None
        name = keys.decrypt_if_any(encrypted)
        is_looked_at = any(each.is_looked_at for each in shown)
        friends.append(Friend(name, place.at, points, state, available_at, why, is_looked_at))
    return friends


def _why_none(place: Referral) -> NoPoints:
    """Why nothing was even proposed to who brought a customer in."""
    led_here = place.link_campaign_id in {None, place.campaign_id}
    is_covered = place.campaign_id is not None and led_here
    return NoPoints.not_promised if is_covered else NoPoints.not_covered


@dataclass(frozen=True)
class Package:
    """What a customer claimed."""

    product_name: str
    claimed_at: datetime
    why: Missing | None
    """Why it brought no points, or fewer than were promised."""
    claim_id: int = 0
    score: int | None = None
    """What the customer said of it, see `ratings`."""


def packages_of(
    tx: Session, customer_id: int, *, offset: int = 0, limit: int = LISTED_MAX
) -> list[Package]:
    """What a customer claimed, newest first."""
    rows = tx.execute(
        sa.select(Claim, Product.name, Rating.score)
        .join(Batch, Batch.id == Claim.batch_id)
        .join(Product, Product.id == Batch.product_id)
        .outerjoin(Rating, Rating.claim_id == Claim.id)
        .where(Claim.customer_id == customer_id)
        .order_by(Claim.at.desc(), Claim.id.desc())
        .offset(offset)
        .limit(limit)
    ).all()
    withheld = _withheld(tx, customer_id, [claim.event for claim, _name, _score in rows])
    return [
        Package(
            name,
            claim.at,
            NoPoints.not_covered if claim.campaign_id is None else withheld.get(claim.event),
            claim.id,
            score,
        )
        for claim, name, score in rows
    ]


def _granted(
    tx: Session, customer_id: int, events: Collection[str]
) -> Mapping[str, Sequence[Reward]]:
    """The customer's rewards for these events."""
    granted: dict[str, list[Reward]] = defaultdict(list)
    if events:
        statement = sa.select(Reward).where(
            Reward.event.in_(events), Reward.holder_id == customer_id
        )
        for reward in tx.scalars(statement.order_by(Reward.id)):
            granted[reward.event].append(reward)
    return dict(granted)


def _withheld(tx: Session, customer_id: int, events: Collection[str]) -> Mapping[str, Why]:
    """Why the customer did not get something that was promised for these events: the first."""
    if not events:
        return {}
    statement = sa.select(Withheld.event, Withheld.why).where(
        Withheld.event.in_(events),
        Withheld.beneficiary_id.in_(people.numbers_of(tx, customer_id)),
    )
    rows = tx.execute(statement.order_by(Withheld.id.desc()))
    return {event: Why(why) for event, why in rows}
