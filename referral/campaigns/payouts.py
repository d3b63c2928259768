"""The most that one purchase can pay out under a campaign's rules, against what it may. Pure.

Counted is everybody who is paid for it, in minor units of money: points at `POINT_VALUE`, store
credit as it is, coupons and items at what one of them is worth. What is paid for every so many
purchases is spread over them, a draw counts with what it pays on average, tiers with their highest.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

from referral.rewards import (
    NO_CURRENCY,
    POINT_VALUE,
    ForWhom,
    Odds,
    Percent,
    Rule,
    Tiers,
    What,
    When,
    unit_of,
)
from referral.rewards.rules import BASIS_POINTS, MILLION

BOUND_PERCENT = 20
"""What one purchase may pay out, as a share of its price."""

Worth = Mapping[str, int]
"""What one of a coupon's pool or of an item is worth, in minor units of money, by its unit."""


@dataclass(frozen=True)
class Payout:
    """What a purchase pays out at most, all beneficiaries together, in minor units."""

    amount: int
    bound: int
    """The most it may be."""
    purchase: int
    """The price at which it is largest in proportion."""

    @property
    def is_over(self) -> bool:
        return self.amount > self.bound


def bound_of(price: int) -> int:
    """The most that a purchase at this price may pay out."""
    return price * BOUND_PERCENT // 100


def worst(rules: Sequence[Rule], price: int, worth: Worth) -> Payout:
    """The purchase that pays out most in proportion, where the cheapest product costs `price`.

    A package may be ordered and claimed: both count. Raises `KeyError` for a coupon or an item
    whose worth is not told.
    """
    return together(rules, rules, price, worth)


def together(
    of_claims: Sequence[Rule], of_orders: Sequence[Rule], price: int, worth: Worth
) -> Payout:
    """The same where a claim is paid by these rules, and an order by those."""
    first, later = (_of_claim(of_claims, worth, is_first) for is_first in (True, False))
    found = [(price, first)]
    for amount in _turning_points(of_orders, price):
        packages = Fraction(amount, price)
        ordered = _of_order(of_orders, worth, amount, price, is_first=True) + later * packages
        claimed = _of_order(of_orders, worth, amount, price, is_first=False) + first * packages
        found.append((amount, max(ordered, claimed)))
    purchase, paid = max(found, key=lambda each: (each[1] / each[0], each[0] == price))
    return Payout(ceil(paid), bound_of(purchase), purchase)


def dearer(one: Worth, other: Worth) -> dict[str, int]:
    """What each thing is worth, the higher where two campaigns say differently."""
    units = one.keys() | other.keys()
    return {unit: max(each[unit] for each in (one, other) if unit in each) for unit in units}


def of_order(rules: Sequence[Rule], amount: int, worth: Worth) -> Payout:
    """What an order of this amount pays out at most, where it is a customer's first."""
    paid = _of_order(rules, worth, amount, amount, is_first=True)
    return Payout(ceil(paid), bound_of(amount), amount)


def needs_least(rule: Rule) -> bool:
    """Whether it could pay for an order of next to nothing."""
    return rule.when.of_orders and rule.least is None and not isinstance(rule.amount, Percent)


def units_of(rules: Iterable[Rule], currency: str | None) -> set[str]:
    """What the rules can pay, by the ledger's units; store credit in `NO_CURRENCY` without one."""
    return {
        unit_of(what, of, currency or NO_CURRENCY) for rule in rules for what, of in rule.prizes
    }


def worth_of(what: What, of: str | None, worth: Worth) -> int:
    """What one of it is worth, in minor units. Raises `KeyError`."""
    if what is What.points:
        return POINT_VALUE
    return 1 if what is What.credit else worth[unit_of(what, of, None)]


def _turning_points(rules: Sequence[Rule], price: int) -> set[int]:
    """The amounts of orders at which what is paid can be largest in proportion: in between, it
    only falls, since amounts are fixed and percentages capped."""
    of_orders = [rule for rule in rules if rule.when.of_orders]
    points = {rule.least for rule in of_orders if rule.least is not None}
    points |= {price for rule in of_orders if needs_least(rule)}
    open_percents = [
        rule.amount for rule in of_orders if isinstance(rule.amount, Percent) and rule.least is None
    ]
    if open_percents:  # up to here none of them has reached its cap
        points.add(min(max(1, p.cap * BASIS_POINTS // p.basis_points) for p in open_percents))
    return points


def _of_claim(rules: Iterable[Rule], worth: Worth, is_first: bool) -> Fraction:
    paid = (rule for rule in rules if rule.when.of_claims and (is_first or not rule.when.of_first))
    return sum((_paid(rule, worth, 0) for rule in paid), Fraction())


def _of_order(
    rules: Iterable[Rule], worth: Worth, amount: int, price: int, *, is_first: bool
) -> Fraction:
    total = Fraction()
    for rule in rules:
        if not rule.when.of_orders or (rule.when.of_first and not is_first):
            continue
        least = price if needs_least(rule) else rule.least or 0
        if amount >= least:
            total += _paid(rule, worth, amount)
    return total


def _paid(rule: Rule, worth: Worth, amount: int) -> Fraction:
    """What a rule pays on average, all its beneficiaries together."""
    each = _most(rule, worth, amount)
    if rule.when in {When.nth_referral, When.nth_claim}:
        each /= rule.nth or 1
    return each * (2 if rule.for_whom is ForWhom.both else 1)


def _most(rule: Rule, worth: Worth, amount: int) -> Fraction:
    if isinstance(rule.amount, Odds):
        pairs = zip(rule.amount.odds, rule.prizes, strict=True)
        return sum(
            (
                Fraction(chance.per_million * chance.amount * worth_of(*prize, worth), MILLION)
                for chance, prize in pairs
            ),
            Fraction(),
        )
    one = worth_of(rule.what, rule.of, worth)
    if isinstance(rule.amount, Percent):
        share = Fraction(amount * rule.amount.basis_points, BASIS_POINTS)
        return min(share, Fraction(rule.amount.cap * one))
    if isinstance(rule.amount, Tiers):
        return Fraction(max(tier.amount for tier in rule.amount.tiers) * one)
    return Fraction(rule.amount * one)
