"""Two customers who are one person become one: from then on all that is one's is the other's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import Any

from sqlalchemy.orm import Session

from referral import (
    audit,
    campaigns,
    claims,
    complaints,
    graph,
    hand_credits,
    orders,
    people,
    rewards,
    risk,
)
from referral.db import transaction
from referral.deployment import Deployment
from referral.people import Contact, Pair
from referral.redemption import vouchers
from referral.rewards import Reason, Reward
from referral.rollups import moments, tallies, values
from referral.spread import counters

BY_HERSELF = "the customer"
HER_REASON = "has shown that both are hers"


@dataclass(frozen=True)
class Merged:
    """Who is kept. `gone` is who went into that one now; None when they had been one before."""

    kept: int
    gone: int | None


@transaction
def merge_customers(
    tx: Session,
    deployment: Deployment,
    one: int,
    other: int,
    *,
    by: str,
    reason: str,
    keep: int | None = None,
) -> Merged:
    """Make one customer of two who are the same person; for good.

    Kept is the one with the number `keep`, or else the older one; the other's number stands for it
    from then on. Again is no harm, and neither are several at once. What one of them was paid for
    bringing in the other is taken back. Raises `UnknownCustomer`.
    """
    now = deployment.clock.now()
    pair = people.hold_pair(tx, one, other, keep)
    if pair is None:
        return Merged(people.customer_by_id(tx, one).id, None)
    kept, gone = pair.kept.id, pair.gone.id
    own = _Purchases.of(tx, pair)
    key = f"merge|{gone}"
    details: dict[str, Any] = {
        **people.hand_over(tx, gone, kept),
        "held": rewards.hand_over(tx, gone, kept, key=key, now=now),
        "claims": claims.hand_over(tx, gone, kept),
        "complaints": complaints.hand_over(tx, gone, kept),
        "orders": orders.hand_over(tx, gone, kept),
        "vouchers": vouchers.hand_over(tx, gone, kept),
        "credits": hand_credits.hand_over(tx, gone, kept),
        "places": graph.merge(tx, gone, kept),
    }
    tallies.follow_merge(tx, details["places"], kept)
    values.forget(tx, gone)
    moments.follow_merge(tx, gone, kept)
    risk.hand_over(tx, gone, kept)
    taken = _take_back_own(tx, kept, own, key, now)
    details["taken_back"] = {str(reward.id): reward.amount for reward in taken}
    people.keep_merge(tx, pair, by=by, reason=reason, details=details, now=now)
    audit.note(
        tx,
        by=by,
        action="customers merged",
        subject=f"customer:{kept}",
        details={"gone": gone, "reason": reason},
        now=now,
    )
    counters.fold_now_and_then(tx, kept)
    return Merged(kept, gone)


@transaction
def join_pages(
    tx: Session, deployment: Deployment, customer_id: int, contact: Contact
) -> Merged | None:
    """Put a customer's page together with the one that a contact leads to, both shown to be hers.

    None when the contact leads nowhere by now. Raises `UnknownCustomer`.
    """
    owner = people.find_customer(tx, deployment.keys, contact)
    if owner is None:
        return None
    return merge_customers(deployment, customer_id, owner, by=BY_HERSELF, reason=HER_REASON)


@dataclass(frozen=True)
class _Purchases:
    """The proofs of purchase of two customers, and which of them the other one had brought in."""

    events: Mapping[int, Sequence[str]]
    brought_in: int | None

    @classmethod
    def of(cls, tx: Session, pair: Pair) -> "_Purchases":
        both = (pair.kept.id, pair.gone.id)
        above = {each: graph.referrer_of(tx, each) for each in both}
        return cls(
            {each: [*claims.events_of(tx, each), *orders.events_of(tx, each)] for each in both},
            next((each for each in both if above[each] in both), None),
        )


def _take_back_own(
    tx: Session, kept: int, own: _Purchases, key: str, now: datetime
) -> list[Reward]:
    """Take back what somebody was paid for a friend who is she herself, and as that friend."""
    events = {event for each in own.events.values() for event in each}
    welcomed = set(own.events.get(own.brought_in or 0, ()))
    wrong: dict[str, set[int]] = {}
    for reward in rewards.of_events(tx, events):
        if reward.holder_id == kept and (
            reward.depth or (reward.event in welcomed and _is_for_referred(tx, reward))
        ):
            wrong.setdefault(reward.event, set()).add(reward.id)
    return [
        reward
        for event, numbers in sorted(wrong.items())
        for reward in rewards.take_back(
            tx, event, Fraction(1), Reason.same_person, key=key, now=now, only=numbers
        )
    ]


def _is_for_referred(tx: Session, reward: Reward) -> bool:
    """Whether the rule that paid this asks for somebody who brought the buyer in."""
    campaign = campaigns.campaign_by_id(tx, reward.campaign_id)
    rules = campaign.checked_rules if campaign else []
    return any(rule.id == reward.rule and rule.when.of_referred for rule in rules)
