"""What the rules of a campaign grant for one purchase. Pure: facts and rules in, grants out.

So a rule set can be tried out on purchases that were made, before it is published.
"""

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from enum import StrEnum

from referral.rewards.rules import (
    BASIS_POINTS,
    Chance,
    ForWhom,
    Odds,
    Percent,
    Rule,
    Tiers,
    What,
    When,
)

POINT_VALUE = 1
"""What a point is worth to a customer, in minor units of the price's currency."""


class Proof(StrEnum):
    """What proves a purchase."""

    claim = "claim"
    order = "order"


def no_luck(ticket: str) -> int:
    """Every draw is lost."""
    return 999_999


@dataclass(frozen=True)
class PurchaseFacts:
    """What the rules may know about one proof of purchase."""

    customer: int
    is_first: bool
    referrer: int | None
    """Who brought the customer in; None for nobody."""
    proof: Proof = Proof.claim
    above: int | None = None
    """Who brought the referrer in."""
    amount: int = 0
    """Of an order, in minor units."""
    referrals: int = 1
    """How many customers the referrer has brought in, this one included."""
    paid: Set[str] = frozenset()
    """The ids of the rules for an nth referral that have paid for this referrer's friends."""
    stamps: Mapping[str, int] = field(default_factory=dict)
    """By the id of a rule for an nth claim: how many claims count towards it, this one included."""
    event: str = ""
    """The proof of purchase, e.g. ``claim:17``: what draws go by."""


@dataclass(frozen=True)
class Grant:
    """A proposed reward. `depth` is 0 for the person, 1 for the referrer, 2 for the one above."""

    rule: Rule
    beneficiary: int
    depth: int
    what: What
    of: str | None
    amount: int

    def unit(self, currency: str | None) -> str:
        """The ledger's unit: `points`, a currency, or a coupon or an item of a kind."""
        return unit_of(self.what, self.of, currency)


NO_CURRENCY = "XXX"
"""What store credit is reckoned in where nobody knows its currency yet, as in a draft before the
first product: the code that ISO 4217 has for it. Nothing is ever granted in it."""


def unit_of(what: What, of: str | None, currency: str | None) -> str:
    """The ledger's unit of what a rule pays. Raises `ValueError` for store credit of no currency:
    whoever only estimates says `NO_CURRENCY`."""
    if what is What.credit:
        if currency is None:
            raise ValueError("store credit needs the campaign's currency")
        return currency
    return f"{what}:{of}" if what.is_counted_out else what.value


@dataclass(frozen=True)
class Lost:
    """A draw that was lost."""

    rule: Rule
    beneficiary: int
    depth: int


Roll = Callable[[str], int]
"""From a draw's ticket to a number below a million; see `draws.Draws`."""


def evaluate(
    rules: Sequence[Rule], facts: PurchaseFacts, roll: Roll = no_luck
) -> list[Grant | Lost]:
    """What these rules grant for this purchase, and which draws it lost."""
    found: list[Grant | Lost] = []
    for rule in rules:
        if not happens(rule, facts):
            continue
        for beneficiary, depth in _beneficiaries(rule, facts):
            found += _granted(rule, facts, beneficiary, depth, roll)
    return found


def happens(rule: Rule, facts: PurchaseFacts) -> bool:
    """Whether a purchase is the event that a rule answers to."""
    is_kind = rule.when.of_claims if facts.proof is Proof.claim else rule.when.of_orders
    if not is_kind or (rule.when.of_first and not facts.is_first):
        return False
    if rule.when.of_referred and facts.referrer is None:
        return False
    if facts.proof is Proof.order and facts.amount < (rule.least or 0):
        return False
    if rule.when is When.nth_referral:
        nth = rule.nth or 1
        if rule.every:
            return facts.referrals % nth == 0
        # The nth one may have brought nothing, such as an order that was too small.
        return facts.referrals >= nth and rule.id not in facts.paid
    if rule.when is When.nth_claim:
        return facts.stamps.get(rule.id, 0) >= (rule.nth or 1)
    return True


def _beneficiaries(rule: Rule, facts: PurchaseFacts) -> list[tuple[int, int]]:
    found = []
    if rule.for_whom is not ForWhom.referrer:
        found.append((facts.customer, 0))
    if rule.for_whom is not ForWhom.person and facts.referrer is not None:
        up = {1: facts.referrer, 2: facts.above}.get(rule.depth)
        if up is not None and up != facts.customer:
            found.append((up, rule.depth))
    return found


def _granted(
    rule: Rule, facts: PurchaseFacts, beneficiary: int, depth: int, roll: Roll
) -> list[Grant | Lost]:
    if isinstance(rule.amount, Odds):
        chance = drawn(rule.amount, roll(ticket(facts.event, rule, depth)))
        if chance is None:
            return [Lost(rule, beneficiary, depth)]
        what, of = (chance.what, chance.of) if chance.what else (rule.what, rule.of)
        return [Grant(rule, beneficiary, depth, what, of, chance.amount)]
    amount = _amount(rule, facts)
    return [Grant(rule, beneficiary, depth, rule.what, rule.of, amount)] if amount else []


def _amount(rule: Rule, facts: PurchaseFacts) -> int:
    if isinstance(rule.amount, Percent):
        share = facts.amount * rule.amount.basis_points // BASIS_POINTS
        if rule.what is What.points:
            share //= POINT_VALUE
        return min(share, rule.amount.cap)
    if isinstance(rule.amount, Tiers):
        reached = [tier for tier in rule.amount.tiers if tier.since <= facts.referrals]
        return reached[-1].amount if reached else 0
    assert isinstance(rule.amount, int)
    return rule.amount


def ticket(event: str, rule: Rule, depth: int) -> str:
    """What a draw goes by: the event, the rule, and whether for the buyer or a referrer."""
    return f"{event}|{rule.id}|{depth}"


def drawn(odds: Odds, number: int) -> Chance | None:
    """The row that a number below a million wins; None for none."""
    for chance in odds.odds:
        if number < chance.per_million:
            return chance
        number -= chance.per_million
    return None
