"""What a rule set would have paid for purchases that were made, beside what was paid for them.

The rules and their limits are applied as they are to a purchase that happens now, in order of time,
with what was known then. The budget is whole at the beginning, and so are limits and stamp cards.
What the risk rules refused stays refused.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict
from sqlalchemy.orm import Session

from referral import catalog
from referral.campaigns import Campaign, CampaignState, payouts
from referral.crypto import KeyRing
from referral.reports import audiences, purchases
from referral.reports.purchases import Made, Scope
from referral.rewards import (
    NO_CURRENCY,
    Grant,
    Limits,
    Lost,
    Proof,
    PurchaseFacts,
    Reward,
    Roll,
    Rule,
    When,
    Why,
    Withheld,
    caps,
    draws,
    evaluate,
    no_luck,
)

DAYS_DEFAULT = 30
DAYS_MAX = 3650
NO_BOUND = 2**62
DRAFT_SEED = b"a draft has no seed of its own"
TOP = 10
"""Of how many who get most the share is told."""
REFUSALS = (Why.self_referral, Why.too_many, Why.blocked)
"""What the risk rules say of an event, whatever the rules promise for it."""


@dataclass(frozen=True)
class Promise:
    """A rule set with its budget."""

    rules: Sequence[Rule]
    budgets: Mapping[str, int] = field(default_factory=dict)
    """By unit; nothing is paid of a unit that is not there."""
    currency: str = NO_CURRENCY
    """Of store credit."""
    roll: Roll = no_luck
    """The numbers of its draws."""


@dataclass(frozen=True)
class Line:
    """What one rule pays in one unit to one side: the buyer at depth 0, whoever is above from 1."""

    rule: str
    depth: int
    unit: str
    times: int
    amount: int


@dataclass(frozen=True)
class Totals:
    """What was paid in one unit."""

    amount: int
    to_buyers: int
    to_referrers: int
    beneficiaries: int
    top_share: float
    """The part of it that goes to the `TOP` beneficiaries who get most."""


@dataclass(frozen=True)
class Paid:
    """What purchases were paid."""

    by_unit: dict[str, Totals]
    by_rule: list[Line]


class DryRun(BaseModel):
    """What rules would have paid, beside what was paid for the same purchases."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    since: datetime
    until: datetime
    purchases: int
    orders: int
    """How many of them are orders of the shop."""
    first: int
    """How many are the first ones of a customer."""
    brought_in: int
    """How many of those are of customers whom somebody brought in."""
    would: Paid
    really: Paid
    """What was granted, whatever was taken back since."""
    most: dict[str, int]
    """The most that one purchase would have been paid, by unit."""
    withheld: dict[str, int]
    """How many rewards are promised and not paid, by why."""

    def per_purchase(self, unit: str) -> float:
        """What a purchase would have been paid on average."""
        totals = self.would.by_unit.get(unit)
        return totals.amount / self.purchases if totals and self.purchases else 0.0


def dry_run(tx: Session, scope: Scope, promise: Promise, zone: ZoneInfo) -> DryRun:
    """What the promise would have come to. `zone` is the brand's, whose calendar limits go by."""
    trial = _Trial(promise, zone, _refused(tx, scope))
    for made in purchases.made(tx, scope):
        trial.see(made)
    return DryRun(
        since=scope.since,
        until=scope.until,
        purchases=trial.purchases,
        orders=trial.orders,
        first=trial.first,
        brought_in=trial.brought_in,
        would=trial.tally.paid(),
        really=_really(tx, scope, trial.seen),
        most=trial.most,
        withheld=dict(trial.withheld),
    )


def of_campaign(
    tx: Session,
    keys: KeyRing,
    zone: ZoneInfo,
    campaign: Campaign,
    now: datetime,
    *,
    days: int | None = None,
    rules: Sequence[Rule] | None = None,
) -> DryRun:
    """What a campaign's rules, or others in their place, would have paid in the last `days`.

    Of a published campaign: for the purchases it pays for, by default all of them. Of a draft: for
    those of its products by whom it is for, whichever campaign paid for them. Raises `LostKey`,
    `UnknownSegment`.
    """
    if campaign.state == CampaignState.published:
        since = campaign.starts_at if days is None else now - timedelta(days=days)
        scope = Scope(since, _after(now), campaign.id)
    else:
        since = now - timedelta(days=days or DAYS_DEFAULT)
        whose = audiences.conditions_of(tx, campaign)
        scope = Scope(since, _after(now), None, campaign.gtins, _currency(tx, campaign), whose)
    return dry_run(tx, scope, promise_of(tx, keys, campaign, rules), zone)


def promise_of(
    tx: Session, keys: KeyRing, campaign: Campaign, rules: Sequence[Rule] | None = None
) -> Promise:
    """What a campaign promises, with other rules where they are given. What no budget is set for
    is not paid once it is published, and has no bound before."""
    promised = campaign.checked_rules if rules is None else rules
    currency = _currency(tx, campaign)
    budgets = dict(campaign.all_budgets)
    if campaign.state == CampaignState.draft or rules is not None:
        budgets = dict.fromkeys(payouts.units_of(promised, currency), NO_BOUND) | budgets
    own = campaign.draw_seed_encrypted
    roll = draws.roll_of(keys, own) if own else draws.roller(DRAFT_SEED)
    return Promise(promised, budgets, currency or NO_CURRENCY, roll)


def _after(now: datetime) -> datetime:
    return now + timedelta(microseconds=1)


def _currency(tx: Session, campaign: Campaign) -> str | None:
    if campaign.currency:
        return campaign.currency
    products = catalog.products_in(tx, campaign.gtins)
    return products[0].currency if products else None


@dataclass
class _Tally:
    lines: dict[tuple[str, int, str], list[int]] = field(default_factory=dict)
    people: dict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))

    def add(self, rule: str, depth: int, unit: str, person: int, amount: int) -> None:
        line = self.lines.setdefault((rule, depth, unit), [0, 0])
        line[0] += 1
        line[1] += amount
        self.people[unit][person] += amount

    def paid(self) -> Paid:
        lines = [Line(*key, times, amount) for key, (times, amount) in sorted(self.lines.items())]
        return Paid({unit: self._totals(unit, lines) for unit in sorted(self.people)}, lines)

    def _totals(self, unit: str, lines: Sequence[Line]) -> Totals:
        people = self.people[unit]
        amount = people.total()
        buyers = sum(line.amount for line in lines if line.unit == unit and line.depth == 0)
        top = sum(most for _, most in people.most_common(TOP))
        return Totals(amount, buyers, amount - buyers, len(people), top / amount if amount else 0.0)


@dataclass
class _Trial:
    """A rule set being tried, purchase by purchase."""

    promise: Promise
    zone: ZoneInfo
    refused: Mapping[str, Mapping[Why, set[int]]]
    purchases: int = 0
    orders: int = 0
    first: int = 0
    brought_in: int = 0
    seen: set[str] = field(default_factory=set)
    tally: _Tally = field(default_factory=_Tally)
    most: dict[str, int] = field(default_factory=dict)
    withheld: Counter[str] = field(default_factory=Counter)
    _left: dict[str, int] = field(default_factory=dict)
    _used: Counter[tuple[str, str]] = field(default_factory=Counter)
    _stamps: dict[tuple[str, int], list[datetime]] = field(default_factory=dict)
    _full: set[tuple[str, int]] = field(default_factory=set)
    """Cards that pay once, and have."""
    _reached: dict[int | None, set[str]] = field(default_factory=dict)
    """By referrer, the rules that paid for an nth referral."""

    def __post_init__(self) -> None:
        self._left = dict(self.promise.budgets)
        rules = self.promise.rules
        self._cards = [rule for rule in rules if rule.when is When.nth_claim]
        # Each is asked for with every reward, and put together anew each time.
        self._names = {id(rule): rule.id for rule in rules}
        self._limited = {id(rule) for rule in rules if rule.limits != Limits()}

    def see(self, made: Made) -> None:
        self.purchases += 1
        self.orders += made.proof is Proof.order
        self.first += made.is_first
        self.brought_in += made.is_first and made.referrer is not None
        event = made.event
        self.seen.add(event)
        facts = PurchaseFacts(
            customer=made.customer,
            is_first=made.is_first,
            referrer=made.referrer,
            proof=made.proof,
            above=made.above,
            amount=made.amount,
            referrals=made.referrals,
            paid=self._reached.get(made.referrer, frozenset()),
            stamps=self._stamps_of(made) if self._cards else {},
            event=event,
        )
        day = made.at.astimezone(self.zone).date() if self._limited else made.at.date()
        paid: dict[str, int] = {}
        for each in evaluate(self.promise.rules, facts, self.promise.roll):
            why = self._why_not(event, each) or self._take(each, day)
            if why is None:
                assert isinstance(each, Grant)
                unit = each.unit(self.promise.currency)
                name = self._names[id(each.rule)]
                self.tally.add(name, each.depth, unit, each.beneficiary, each.amount)
                paid[unit] = paid.get(unit, 0) + each.amount
            else:
                self.withheld[why] += 1
            if each.rule.when is When.nth_referral and why in {None, Why.no_win}:
                reached = self._reached.setdefault(made.referrer, set())
                reached.add(self._names[id(each.rule)])
            if each.depth == 0 and why in {None, Why.no_win}:
                self._begin_card(each.rule, made.customer)
        for unit, amount in paid.items():
            self.most[unit] = max(amount, self.most.get(unit, 0))

    def _begin_card(self, rule: Rule, customer: int) -> None:
        if rule.when is When.nth_claim:
            name = self._names[id(rule)]
            self._stamps[name, customer] = []
            if not rule.every:
                self._full.add((name, customer))

    def _stamps_of(self, made: Made) -> dict[str, int]:
        """How many claims count towards each rule for an nth one: those since it last paid."""
        stamps: dict[str, int] = {}
        if made.proof is not Proof.claim:
            return stamps
        for rule in self._cards:
            name = self._names[id(rule)]
            if (name, made.customer) in self._full:
                continue
            claims = self._stamps.setdefault((name, made.customer), [])
            claims.append(made.at)
            if rule.within_days:
                since = made.at - timedelta(days=rule.within_days)
                claims[:] = [at for at in claims if at > since]
            stamps[name] = len(claims)
        return stamps

    def _why_not(self, event: str, each: Grant | Lost) -> Why | None:
        """What the risk rules said, as they say it of every rule set."""
        if isinstance(each, Lost):
            return Why.no_win
        said = self.refused.get(event)
        if said is None:
            return None
        if each.beneficiary in said.get(Why.blocked, ()):
            return Why.blocked
        if Why.self_referral in said and (each.depth > 0 or each.rule.when.of_referred):
            return Why.self_referral
        return Why.too_many if Why.too_many in said and each.depth > 0 else None

    def _take(self, each: Grant | Lost, day: date) -> Why | None:
        """Count a grant against its limits and the budget; or why it is not paid."""
        assert isinstance(each, Grant)
        is_limited = id(each.rule) in self._limited
        name = self._names[id(each.rule)]
        scopes = list(caps.scopes(each, day)) if is_limited else []
        if any(self._used[name, scope] + more > most for scope, more, most in scopes):
            return Why.limit_reached
        unit = each.unit(self.promise.currency)
        if self._left.get(unit, 0) < each.amount:
            return Why.budget_spent
        self._left[unit] -= each.amount
        for scope, more, _ in scopes:
            self._used[name, scope] += more
        return None


def _refused(tx: Session, scope: Scope) -> dict[str, dict[Why, set[int]]]:
    """By event, what the risk rules refused to pay, and to whom."""
    found: dict[str, dict[Why, set[int]]] = {}
    rows = tx.execute(
        sa.select(Withheld.event, Withheld.why, Withheld.beneficiary_id).where(
            Withheld.why.in_(REFUSALS), Withheld.at >= scope.since, Withheld.at < scope.until
        )
    )
    for event, why, person in rows:
        found.setdefault(event, {}).setdefault(Why(why), set()).add(person)
    return found


def _really(tx: Session, scope: Scope, seen: set[str]) -> Paid:
    """What was granted for these purchases, whatever was taken back since."""
    statement = sa.select(
        Reward.event, Reward.rule, Reward.depth, Reward.unit, Reward.beneficiary_id, Reward.amount
    ).where(Reward.granted_at >= scope.since, Reward.granted_at < scope.until)
    if scope.campaign_id is not None:
        statement = statement.where(Reward.campaign_id == scope.campaign_id)
    tally = _Tally()
    rows = tx.execute(statement, execution_options={"yield_per": purchases.AT_ONCE})
    for event, rule, depth, unit, person, amount in rows:
        if event in seen:
            tally.add(rule, depth, unit, person, amount)
    return tally.paid()
