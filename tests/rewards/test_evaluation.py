"""What rules grant for a purchase: whom they name, for what they name, and no more."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from referral.rewards import (
    Grant,
    Lost,
    Odds,
    Proof,
    PurchaseFacts,
    Rule,
    What,
    drawn,
    evaluate,
    unit_of,
)
from tests.rewards.test_rules import RULES

FACTS = st.builds(
    PurchaseFacts,
    customer=st.just(1),
    is_first=st.booleans(),
    referrer=st.sampled_from([None, 2]),
    proof=st.sampled_from(Proof),
    above=st.sampled_from([None, 3]),
    amount=st.integers(0, 10**9),
    referrals=st.integers(1, 2000),
    event=st.just("claim:1"),
)


def rule(when: str, for_whom: str, amount: Any = 10, **more: Any) -> Rule:
    return Rule.model_validate({"when": when, "for": for_whom, "amount": amount, **more})


def grants(rules: list[Rule], facts: PurchaseFacts, number: int = 999_999) -> list[Grant]:
    found = evaluate(rules, facts, lambda ticket: number)
    return [each for each in found if isinstance(each, Grant)]


ALONE, BROUGHT_IN = PurchaseFacts(1, True, None), PurchaseFacts(1, True, 2)
AGAIN, AGAIN_BROUGHT_IN = PurchaseFacts(1, False, None), PurchaseFacts(1, False, 2)
"""Claims: the first one or not, of somebody whom 2 brought in or of somebody nobody did."""


def order(facts: PurchaseFacts, amount: int = 10_000) -> PurchaseFacts:
    return replace(facts, proof=Proof.order, amount=amount, event="order:1")


@pytest.mark.parametrize(
    "when, for_whom, facts, paid",
    [
        ("claim", "person", ALONE, [1]),
        ("claim", "person", AGAIN, [1]),
        ("claim", "person", BROUGHT_IN, [1]),
        ("claim", "person", order(ALONE), []),
        ("claim", "referrer", ALONE, []),
        ("claim", "referrer", BROUGHT_IN, [2]),
        ("claim", "referrer", AGAIN_BROUGHT_IN, [2]),
        ("claim", "both", AGAIN_BROUGHT_IN, [1, 2]),
        ("claim", "both", ALONE, [1]),
        ("first_claim", "person", ALONE, [1]),
        ("first_claim", "person", AGAIN, []),
        ("first_claim", "person", order(ALONE), []),
        ("first_claim", "both", BROUGHT_IN, [1, 2]),
        ("first_claim", "both", AGAIN_BROUGHT_IN, []),
        ("referred_first_claim", "person", ALONE, []),
        ("referred_first_claim", "person", BROUGHT_IN, [1]),
        ("referred_first_claim", "referrer", BROUGHT_IN, [2]),
        ("referred_first_claim", "both", BROUGHT_IN, [1, 2]),
        ("referred_first_claim", "both", AGAIN_BROUGHT_IN, []),
        ("referred_first_claim", "both", order(BROUGHT_IN), []),
        ("order", "person", ALONE, []),
        ("order", "both", order(AGAIN_BROUGHT_IN), [1, 2]),
        ("first_order", "person", order(ALONE), [1]),
        ("first_order", "person", order(AGAIN), []),
        ("first_order", "person", BROUGHT_IN, []),
        ("referred_first_order", "both", order(BROUGHT_IN), [1, 2]),
        ("referred_first_order", "both", order(ALONE), []),
        ("referred_first_order", "both", BROUGHT_IN, []),
        ("referred_first_purchase", "both", BROUGHT_IN, [1, 2]),
        ("referred_first_purchase", "both", order(BROUGHT_IN), [1, 2]),
        ("referred_first_purchase", "both", order(AGAIN_BROUGHT_IN), []),
        ("referred_first_purchase", "both", ALONE, []),
    ],
)
def test_a_rule_pays_whom_it_names_for_what_it_names(
    when: str, for_whom: str, facts: PurchaseFacts, paid: list[int]
) -> None:
    granted = grants([rule(when, for_whom)], facts)
    assert [grant.beneficiary for grant in granted] == paid
    assert [grant.depth for grant in granted] == [each - 1 for each in paid]
    assert all(grant.amount == 10 and grant.what is What.points for grant in granted)


@pytest.mark.parametrize(
    "every, paid", [(False, [5]), (True, [5, 10, 15])], ids=["once", "every time"]
)
def test_the_nth_referral_is_counted_by_the_referrer_s_friends(
    every: bool, paid: list[int]
) -> None:
    nth = rule("nth_referral", "referrer", nth=5, every=every)
    found: list[int] = []
    for n in range(1, 17):
        told = frozenset({nth.id} if found else ())
        if grants([nth], replace(BROUGHT_IN, referrals=n, paid=told)):
            found.append(n)
    assert found == paid
    assert not grants([nth], replace(AGAIN_BROUGHT_IN, referrals=5)), "of first purchases only"


def test_an_nth_referral_that_brought_nothing_is_made_up_for_by_the_next() -> None:
    nth = rule("nth_referral", "referrer", nth=2, least=100)
    small = replace(order(BROUGHT_IN), amount=99, referrals=2)
    assert not grants([nth], small)
    assert grants([nth], replace(small, amount=100, referrals=3))
    other = replace(small, amount=100, referrals=3, paid=frozenset({"another rule"}))
    assert grants([nth], other)
    assert not grants([nth], replace(other, paid=frozenset({nth.id})))


def test_the_nth_claim_is_due_when_enough_are_counted() -> None:
    card = rule("nth_claim", "person", nth=5, every=True)
    counts = [bool(grants([card], replace(AGAIN, stamps={card.id: n}))) for n in range(7)]
    assert counts == [False] * 5 + [True] * 2
    assert not grants([card], replace(order(AGAIN), stamps={card.id: 9}))


@pytest.mark.parametrize(
    "amount, paid",
    [
        (0, 0),
        (19, 0),
        (20, 1),
        (39, 1),
        (10_000, 500),
        (40_000, 2000),
        (40_020, 2000),
        (10**9, 2000),
    ],
)
def test_a_percentage_is_rounded_down_and_capped(amount: int, paid: int) -> None:
    share = rule("order", "person", {"basis_points": 500, "cap": 2000})
    assert sum(grant.amount for grant in grants([share], order(ALONE, amount))) == paid


def test_the_smallest_order_is_one_of_that_amount() -> None:
    from_100 = rule("order", "person", least=100)
    paid = [bool(grants([from_100], order(ALONE, amount))) for amount in (99, 100, 101)]
    assert paid == [False, True, True]


@pytest.mark.parametrize("referrals, paid", [(1, 0), (2, 50), (4, 50), (5, 80), (99, 80)])
def test_tiers_go_by_the_friends_brought_in(referrals: int, paid: int) -> None:
    tiers = {"tiers": [{"from": 2, "amount": 50}, {"from": 5, "amount": 80}]}
    friend = rule("referred_first_purchase", "referrer", tiers)
    granted = grants([friend], replace(BROUGHT_IN, referrals=referrals))
    assert sum(grant.amount for grant in granted) == paid


def test_depth_two_is_who_brought_the_referrer_in() -> None:
    deep = rule("claim", "referrer", depth=2)
    [grant] = grants([deep], replace(BROUGHT_IN, above=3))
    assert (grant.beneficiary, grant.depth) == (3, 2)
    assert grants([deep], BROUGHT_IN) == []
    assert grants([deep], replace(ALONE, above=3)) == [], "nobody brought the buyer in"


ODDS = {
    "odds": [
        {"per_million": 10, "what": "item", "of": "teapot"},
        {"per_million": 1000, "amount": 888},
    ]
}


@pytest.mark.parametrize(
    "number, unit, amount",
    [(0, "item:teapot", 1), (9, "item:teapot", 1), (10, "points", 888), (1009, "points", 888)],
)
def test_a_draw_wins_the_row_that_its_number_lies_in(number: int, unit: str, amount: int) -> None:
    [grant] = grants([rule("claim", "person", ODDS)], ALONE, number)
    assert (grant.unit("CNY"), grant.amount) == (unit, amount)


def test_a_draw_that_is_lost_is_told() -> None:
    draw = rule("claim", "both", ODDS)
    found = evaluate([draw], BROUGHT_IN, lambda ticket: 1010)
    assert found == [Lost(draw, 1, 0), Lost(draw, 2, 1)]
    assert drawn(Odds.model_validate(ODDS), 999_999) is None


def test_every_draw_has_a_ticket_of_its_own() -> None:
    tickets: list[str] = []
    rules = [rule("claim", "both", ODDS), rule("first_claim", "person", ODDS)]
    for event in ("claim:1", "claim:2"):
        evaluate(rules, replace(BROUGHT_IN, event=event), lambda t: tickets.append(t) or 0)
    assert len(tickets) == len(set(tickets)) == 6


def test_units_are_those_of_the_ledger() -> None:
    assert unit_of(What.points, None, None) == "points"
    assert unit_of(What.credit, None, "CNY") == "CNY"
    assert unit_of(What.coupon, "spring", "CNY") == "coupon:spring"
    with pytest.raises(ValueError, match="currency"):
        unit_of(What.credit, None, None)


@given(RULES, FACTS, st.integers(0, 999_999))
def test_every_rule_pays_each_side_at_most_once(
    rules: list[Rule], facts: PurchaseFacts, number: int
) -> None:
    facts = replace(facts, stamps={each.id: each.nth or 0 for each in rules})
    found = evaluate(rules, facts, lambda ticket: number)
    assert {each.beneficiary for each in found} <= {facts.customer, facts.referrer, facts.above}
    assert all(each.depth in (0, 1, 2) for each in found)
    assert len({(each.rule.id, each.beneficiary) for each in found}) == len(found)
    assert all(each.amount > 0 for each in found if isinstance(each, Grant))
    if facts.referrer is None:
        assert all(each.depth == 0 for each in found)


@given(RULES, FACTS)
def test_evaluating_is_the_same_every_time(rules: list[Rule], facts: PurchaseFacts) -> None:
    assert evaluate(rules, facts) == evaluate(rules, facts)
