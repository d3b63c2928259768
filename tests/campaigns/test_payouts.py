"""What one purchase pays out at most, held against what it really pays."""

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from referral.campaigns import payouts
from referral.campaigns.payouts import Payout
from referral.rewards import Grant, Odds, Proof, PurchaseFacts, Rule, When, evaluate
from referral.rewards.rules import MILLION
from tests.rules import rule_sets

PRICE = 2000
WORTH = {"coupon:tea": 500, "coupon:cup-2": 30, "item:mug": 1500}


def rules(*told: dict[str, Any]) -> list[Rule]:
    return [Rule.model_validate({"for": "person", **each}) for each in told]


PERCENT = {"basis_points": 500, "cap": 100}


@pytest.mark.parametrize(
    "told, amount, purchase",
    [
        ([{"when": "claim", "amount": 20}], 20, PRICE),
        ([{"when": "claim", "for": "both", "amount": 20}], 40, PRICE),
        ([{"when": "claim", "amount": 20}, {"when": "first_claim", "amount": 5}], 25, PRICE),
        ([{"when": "claim", "what": "credit", "amount": 20}], 20, PRICE),
        ([{"when": "claim", "what": "coupon", "of": "tea", "amount": 1}], 500, PRICE),
        ([{"when": "claim", "what": "item", "of": "mug", "amount": 2}], 3000, PRICE),
        # Spread over the purchases it takes, and rounded up.
        (
            [{"when": "nth_claim", "nth": 10, "what": "item", "of": "mug", "amount": 1}],
            150,
            PRICE,
        ),
        ([{"when": "nth_claim", "nth": 3, "amount": 100}], 34, PRICE),
        (
            [{"when": "referred_first_claim", "for": "referrer", "amount": {"tiers": [
                {"from": 1, "amount": 10}, {"from": 9, "amount": 90}]}}],
            90,
            PRICE,
        ),
        # A draw by what it pays on average.
        (
            [{"when": "claim", "amount": {"odds": [
                {"per_million": 1000, "amount": 50_000},
                {"per_million": 100_000, "amount": 100}]}}],
            60,
            PRICE,
        ),
        # An order: where it is largest in proportion.
        ([{"when": "order", "amount": PERCENT}], 100, 2000),
        ([{"when": "order", "amount": 30, "least": 100}], 30, 100),
        ([{"when": "order", "amount": PERCENT}, {"when": "order", "amount": 30, "least": 5000}],
         100, 2000),
        (
            [{"when": "order", "amount": PERCENT},
             {"when": "first_order", "amount": 90, "least": 500}],
            115,
            500,
        ),
    ],
)  # fmt: skip
def test_the_worst_purchase_is_found(
    told: list[dict[str, Any]], amount: int, purchase: int
) -> None:
    worst = payouts.worst(rules(*told), PRICE, WORTH)
    assert worst == Payout(amount, purchase * 20 // 100, purchase)


def test_a_package_that_is_ordered_and_claimed_pays_for_both() -> None:
    told = rules(
        {"when": "claim", "amount": 200},
        {"when": "order", "amount": {"basis_points": 1000, "cap": 10_000}},
    )
    assert not payouts.worst(told, PRICE, {}).is_over, "10 % and 10 %"
    more = rules({"when": "first_claim", "amount": 1})
    assert payouts.worst([*told, *more], PRICE, {}).is_over


def test_a_first_purchase_is_a_claim_or_an_order_and_not_both() -> None:
    told = rules(
        {"when": "first_claim", "amount": 400},
        {"when": "first_order", "least": PRICE, "amount": 400},
    )
    assert not payouts.worst(told, PRICE, {}).is_over


def test_a_package_that_one_campaign_pays_as_an_order_and_another_as_a_claim() -> None:
    claims = rules({"when": "claim", "amount": 250}, {"when": "first_claim", "amount": 50})
    orders = rules({"when": "order", "amount": 100, "least": PRICE})
    assert payouts.together(claims, orders, PRICE, {}) == Payout(400, 400, PRICE)
    first = rules({"when": "first_order", "amount": 51, "least": PRICE})
    assert payouts.together(claims, first, PRICE, {}) == Payout(301, 400, PRICE), "one is first"
    more = rules({"when": "order", "amount": 101, "least": PRICE})
    assert payouts.together(claims, more, PRICE, {}).is_over
    assert payouts.together(orders, claims, PRICE, {}).amount == 0


def test_where_two_campaigns_differ_about_a_worth_the_higher_counts() -> None:
    assert payouts.dearer({"a": 1, "b": 5}, {"b": 4, "c": 2}) == {"a": 1, "b": 5, "c": 2}


def test_the_worth_of_a_prize_has_to_be_known() -> None:
    told = rules({"when": "claim", "what": "item", "of": "mug", "amount": 1})
    with pytest.raises(KeyError):
        payouts.worst(told, PRICE, {})


def test_a_fixed_amount_for_any_order_needs_a_smallest_one() -> None:
    for told, needs in (
        ({"when": "order", "amount": 5}, True),
        ({"when": "order", "amount": 5, "least": 100}, False),
        ({"when": "order", "amount": PERCENT}, False),
        ({"when": "referred_first_purchase", "amount": 5}, True),
        ({"when": "referred_first_purchase", "amount": 5, "least": 100}, False),
        ({"when": "claim", "amount": 5}, False),
    ):
        assert [payouts.needs_least(rule) for rule in rules(told)] == [needs], told


def paid(told: list[Rule], facts: PurchaseFacts) -> Fraction:
    """What a purchase pays in money, on average of its draws, with what takes several spread."""
    total = Fraction()
    for rule in told:
        share = rule.nth or 1 if rule.when in {When.nth_claim, When.nth_referral} else 1
        for each in evaluate([rule], facts):
            if isinstance(rule.amount, Odds):
                total += (
                    sum(
                        Fraction(
                            row.per_million * row.amount * payouts.worth_of(*of, WORTH), MILLION
                        )
                        for row, of in zip(rule.amount.odds, rule.prizes, strict=True)
                    )
                    / share
                )
            elif isinstance(each, Grant):
                total += Fraction(each.amount * payouts.worth_of(each.what, each.of, WORTH), share)
    return total


@given(
    rule_sets(least=1),
    st.integers(1, 10**7),
    st.sampled_from(Proof),
    st.booleans(),
    st.integers(1, 1000),
    st.integers(1, 10**9),
)
def test_no_purchase_pays_a_larger_share_than_the_worst(
    told: list[Rule], price: int, proof: Proof, is_first: bool, count: int, amount: int
) -> None:
    """The share is compared: that is what is bounded. Fixed amounts without a smallest order count
    from the price on, and are refused elsewhere."""
    if proof is Proof.order and any(payouts.needs_least(rule) for rule in told):
        amount = max(amount, price)
    facts = PurchaseFacts(
        customer=1,
        is_first=is_first,
        referrer=2,
        above=3,
        proof=proof,
        amount=amount if proof is Proof.order else 0,
        referrals=count,
        stamps={rule.id: rule.nth or 1 for rule in told},
    )
    worst = payouts.worst(told, price, WORTH)
    base = amount if proof is Proof.order else price
    assert paid(told, facts) / base <= Fraction(worst.amount, worst.purchase)
