"""The proof of purchase: a claim, and the credit for whoever brought the customer in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from referral import campaigns, claims, counters, graph, people, ranges, rewards
from referral.actions import crediting
from referral.batches import Entry
from referral.campaigns import Campaign
from referral.claims import Claim
from referral.codes import Code, Label
from referral.db import transaction
from referral.deployment import Deployment
from referral.errors import Problem
from referral.flags import Flag, raise_flags
from referral.graph import Referral
from referral.links import Touch
from referral.placing import latest_of
from referral.rewards import PurchaseFacts, Reward


@dataclass(frozen=True)
class Claimed:
    """A claim and what it brought. `already` when the customer had made it before."""

    claim: Claim
    already: bool
    rewards: list[Reward]
    referrer: int | None
    budget_spent: bool = False
    """Whether a promise could not be kept because the campaign's budget is used up."""


@transaction
def claim(
    tx: Session,
    deployment: Deployment,
    code: Code,
    customer_id: int,
    *,
    visitor: int | None = None,
    touches: Sequence[Touch] = (),
) -> Claimed:
    """A customer takes a code; whoever brought the customer in is credited.

    `visitor` and `touches` are what the browser's cookie (or an API call's `via`) knows, and may
    be ahead of the database. Claiming one's own code again returns the first answer. Raises
    `OuterCode`, `AlreadyClaimed`, `NotActivated`, `Expired`, `Voided`, `Recalled`,
    `UnknownCustomer`.
    """
    if code.label is not Label.inner:
        raise claims.OuterCode()
    now = deployment.clock.now()
    people.lock_customer(tx, customer_id)
    taken = claims.claim_of(tx, code)
    if taken is not None:
        return _claimed_before(tx, taken, customer_id)

    others = _keep_touches(tx, customer_id, visitor, touches, now)
    credit = crediting.credit(tx, customer_id, others, now)
    campaign = _campaign_for(tx, deployment.directory.batch(code.batch_id), credit.campaign_id, now)
    campaign_id = campaign.id if campaign else None

    made = claims.add_claim(tx, code, customer_id, campaign_id, now)
    if made is None:
        return _claimed_before(tx, claims.claim_of(tx, code), customer_id)
    # Not sooner: the row that was just inserted holds the batch, whose ranges cannot change any
    # more before this is committed.
    _check_claimable(tx, code, deployment.local_now())
    is_first = not graph.is_settled(tx, customer_id)
    if is_first:
        referrer = graph.nearest(tx, customer_id, credit.candidates)
        graph.settle(
            tx,
            customer_id,
            referrer,
            event=made.event,
            campaign_id=campaign_id,
            why=credit.why(referrer),
            now=now,
        )
        counters.fold_now_and_then(tx, customer_id)
    else:
        referrer = graph.referrer_of(tx, customer_id)
    # A first claim is paid for by the campaign whose link led to it, or without a referrer.
    is_paid_for = not is_first or credit.campaign_id == campaign_id
    facts = PurchaseFacts(customer_id, is_first, referrer if is_paid_for else None)
    granted, budget_spent = _grant(tx, campaign, facts, made.event, now)
    return Claimed(made, False, granted, referrer, budget_spent)


def _claimed_before(tx: Session, taken: Claim | None, customer_id: int) -> Claimed:
    """The answer that the claim got when it was made. Raises `AlreadyClaimed`."""
    if taken is None or taken.customer_id != customer_id:
        raise claims.AlreadyClaimed()
    place = tx.get(Referral, customer_id)
    facts = rewards.facts_of(customer_id, taken.event, taken.campaign_id, place)
    campaign = campaigns.campaign_by_id(tx, taken.campaign_id) if taken.campaign_id else None
    # The terms of a campaign that pays do not change, so they still say what was promised.
    promised = rewards.evaluate(campaign.checked_rules, facts) if campaign else []
    granted = rewards.of_event(tx, taken.event)
    referrer = place.referrer_id if place else None
    return Claimed(taken, True, granted, referrer, len(granted) < len(promised))


_REFUSED: Mapping[str, type[Problem]] = {
    "not_activated": claims.NotActivated,
    "expired": claims.Expired,
    "voided": claims.Voided,
    "recalled": claims.Recalled,
}


def _check_claimable(tx: Session, code: Code, now: datetime) -> None:
    refused = _REFUSED.get(ranges.span_at(tx, code.batch_id, code.index).availability(now))
    if refused is not None:
        raise refused()


def _keep_touches(
    tx: Session, customer_id: int, visitor: int | None, touches: Sequence[Touch], now: datetime
) -> list[Touch]:
    """Bring the spread up to what the cookie knows, in case the openings are still on their way.

    Returns the touches that are somebody else's: one's own link brings nobody in.
    """
    others = [
        touch
        for touch in touches
        # The keys may be older than the database: a link may name what was never in this one.
        if touch.link.customer != customer_id
        and campaigns.campaign_by_id(tx, touch.link.campaign) is not None
        and (touch.link.customer is None or people.is_customer(tx, touch.link.customer))
    ]
    if not others:
        return []
    if visitor is None or not people.fold_visitor(tx, visitor, customer_id, now):
        visitor = people.own_visitor(tx, customer_id, people.new_visitor_id(), now)
    others = [touch for touch in others if touch.link.visitor != visitor]
    for touch in others:
        graph.attach(tx, visitor, touch.link, latest_of(touch.at))
    return others


def _campaign_for(tx: Session, item: Entry, credited: int | None, now: datetime) -> Campaign | None:
    """The campaign that pays: the `credited` one if it runs for this product, else the newest."""
    running = campaigns.running(tx, now, item)
    for campaign in running:
        if campaign.id == credited:
            return campaign
    return running[0] if running else None


def _grant(
    tx: Session, campaign: Campaign | None, facts: PurchaseFacts, event: str, now: datetime
) -> tuple[list[Reward], bool]:
    """Keep the campaign's promises for one purchase; and whether its budget ran out doing so."""
    if campaign is None:
        return [], False
    granted: list[Reward] = []
    proposed = rewards.evaluate(campaign.checked_rules, facts)
    for each in proposed:
        reward = rewards.grant(
            tx, each, event=event, campaign_id=campaign.id, hold=campaign.hold, now=now
        )
        if reward is not None:
            granted.append(reward)
    return granted, len(granted) < len(proposed)


@transaction
def compare_labels(
    tx: Session, deployment: Deployment, outer: Code, inner: Code, *, region: str | None
) -> bool:
    """Whether two codes are the labels of one package; both are flagged if they are not."""
    if (outer.label, inner.label) == (Label.outer, Label.inner):
        if (outer.batch_id, outer.index) == (inner.batch_id, inner.index):
            return True
        for code in (outer, inner):
            now = deployment.clock.now()
            raise_flags(tx, code.batch_id, code.index, [Flag.labels_differ], region, now)
    return False
