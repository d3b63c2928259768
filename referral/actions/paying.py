"""What a campaign pays for one proof of purchase: rules, limits and budget applied, in order."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy.orm import Session

from referral import claims, coupons, graph, people, rewards
from referral.actions import judging
from referral.actions.judging import Ruling
from referral.campaigns import Campaign
from referral.db.round_trips import Ask, in_one_trip
from referral.deployment import Deployment
from referral.rewards import (
    Grant,
    Lost,
    Proof,
    PurchaseFacts,
    Reward,
    Rule,
    Terms,
    Tiers,
    When,
    Why,
    Withheld,
    caps,
    draws,
)


@dataclass(frozen=True)
class Purchase:
    """A proof of purchase, as far as paying for it asks."""

    event: str
    proof: Proof
    customer_id: int
    campaign: Campaign
    """The campaign that pays."""
    is_first: bool
    referrer: int | None
    """Who brought the customer in, if the campaign pays for that."""
    amount: int = 0
    """Of an order, in minor units."""


@dataclass(frozen=True)
class Paid:
    """What was granted, and what was promised and was not."""

    rewards: list[Reward]
    withheld: list[Withheld]


def pay(
    tx: Session,
    deployment: Deployment,
    purchase: Purchase,
    now: datetime,
    before: Sequence[Ask] = (),
) -> Paid:
    """Grant what the campaign promises for a purchase, and keep why what is missing is.

    `before` is asked before anything else, together with something that is.
    """
    campaign = purchase.campaign
    rules = campaign.checked_rules
    roll = draws.roll_of(deployment.keys, campaign.draw_seed_encrypted)
    if _looks_up(rules):
        in_one_trip(tx, *before)
        before = ()
    proposed = rewards.evaluate(rules, _facts(tx, purchase, rules, now), roll)
    promised = [each for each in proposed if isinstance(each, Grant)]
    paid = {each.beneficiary for each in promised}
    # Before the counters of limits, which others hold for longer.
    locks = [] if campaign.hold or not paid else asking_owing(tx, paid)
    judged = judging.judge(tx, deployment, purchase, promised, now, (*before, *locks))
    ruling = judged.ruling
    today = deployment.local_now().date()
    grants, missing = _within_limits(tx, campaign, proposed, ruling, today)
    terms = Terms(
        event=purchase.event,
        campaign_id=campaign.id,
        currency=campaign.currency,
        hold=campaign.hold,
        lasts=campaign.lasts,
        is_cleared=ruling.is_cleared,
        owing=frozenset(row.owner for row in judged.answers[-1].rows) if locks else frozenset(),
    )
    held = coupons.set_aside(tx, grants, now + campaign.hold)
    payable = [each for each in grants if coupons.can_be_given(each, held)]
    granted, refused = rewards.grant(tx, payable, terms, now, judged.store)
    coupons.give(tx, held, granted, now)
    for each in [each for each in grants if each not in payable] + refused:
        caps.give_back(tx, campaign.id, each, today)
        missing.append((each, Why.budget_spent))
    withheld = [_withhold(tx, purchase, each, why, now) for each, why in missing]
    return Paid(granted, withheld)


def asking_owing(tx: Session, customers: Collection[int]) -> list[Ask]:
    """Locks customers, and answers last with the `owner` of each account on which they owe."""
    return [people.asking_locks(tx, customers), rewards.wallets.asking_owing(tx, customers)]


Missing = list[tuple[Grant | Lost, Why]]


def _within_limits(
    tx: Session,
    campaign: Campaign,
    proposed: Sequence[Grant | Lost],
    ruling: Ruling,
    today: date,
) -> tuple[list[Grant], Missing]:
    """What the verdict and the rules' limits allow, counted; and the rest, with why it is not."""
    grants: list[Grant] = []
    missing: Missing = []
    promised = [each for each in proposed if isinstance(each, Grant)]
    allowed = [each for each in promised if ruling.why_not(each) is None]
    caps.line_up(tx, campaign.id, allowed, today)
    for each in proposed:
        if isinstance(each, Lost):
            missing.append((each, Why.no_win))
        elif (why := ruling.why_not(each)) is not None:
            missing.append((each, why))
        elif not caps.take(tx, campaign.id, each, today):
            missing.append((each, Why.limit_reached))
        else:
            grants.append(each)
    return grants, missing


def _withhold(
    tx: Session, purchase: Purchase, each: Grant | Lost, why: Why, now: datetime
) -> Withheld:
    return rewards.withhold(
        tx,
        event=purchase.event,
        rule=each.rule.id,
        beneficiary=each.beneficiary,
        campaign_id=purchase.campaign.id,
        why=why,
        depth=each.depth,
        now=now,
    )


def _facts(tx: Session, purchase: Purchase, rules: Sequence[Rule], now: datetime) -> PurchaseFacts:
    """What the rules may know. What no rule asks for is not looked up."""
    referrer = purchase.referrer
    above, referrals, paid = None, 1, set[str]()
    if referrer is not None and any(rule.depth > 1 for rule in rules):
        above = graph.referrer_held(tx, referrer)
    if purchase.is_first and referrer is not None and any(_counts(rule) for rule in rules):
        # Two friends at once are the fourth and the fifth, not both the fourth.
        people.lock_customer(tx, referrer)
        referrals = graph.referral_count(tx, referrer)
        if any(rule.when is When.nth_referral and not rule.every for rule in rules):
            paid = rewards.paid_for_friends(tx, purchase.campaign.id, referrer)
    return PurchaseFacts(
        customer=purchase.customer_id,
        is_first=purchase.is_first,
        referrer=referrer,
        proof=purchase.proof,
        above=above,
        amount=purchase.amount,
        referrals=referrals,
        paid=paid,
        stamps=_stamps(tx, purchase, rules, now),
        event=purchase.event,
    )


def _looks_up(rules: Sequence[Rule]) -> bool:
    """Whether there is something to look up for the facts."""
    return any(rule.depth > 1 or _counts(rule) or rule.when is When.nth_claim for rule in rules)


def _counts(rule: Rule) -> bool:
    """Whether a rule asks how many customers the referrer brought in."""
    return rule.when is When.nth_referral or isinstance(rule.amount, Tiers)


def _stamps(
    tx: Session, purchase: Purchase, rules: Sequence[Rule], now: datetime
) -> dict[str, int]:
    """How many claims count towards each rule for an nth one: those since it last paid."""
    stamps = {}
    for rule in rules:
        if rule.when is not When.nth_claim or purchase.proof is not Proof.claim:
            continue
        events = rewards.last_events(tx, purchase.campaign.id, rule.id, purchase.customer_id)
        if events and not rule.every:
            continue
        since = now - timedelta(days=rule.within_days) if rule.within_days else None
        stamps[rule.id] = claims.count_of(
            tx,
            purchase.customer_id,
            purchase.campaign.id,
            after=max(map(claims.id_of, events), default=0),
            since=since,
        )
    return stamps
