"""Forecasts: what is paid is what the rules say, and the rest follows from the process."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from referral.forecast import Forecast, Terms, forecast, order_amounts
from referral.forecast.assumptions import RUN_NODES_MAX, Assumptions
from referral.rewards import Rule

FAST: dict[str, Any] = {
    "wait_days": 0.001,
    "wait_spread": 0.0,
    "buying_days": 0.001,
    "buying_spread": 0.0,
}


def rules(*listed: dict[str, Any]) -> list[Rule]:
    return [Rule.model_validate(rule) for rule in listed]


def told(
    listed: Sequence[Rule] = (), *, runs: int = 200, seed: int = 1, **changes: Any
) -> Forecast:
    of_terms = {
        name: changes.pop(name)
        for name in ("budgets", "currency", "worth", "is_for_some")
        if name in changes
    }
    terms = Terms(list(listed), **of_terms)
    return forecast(np.random.default_rng(seed), Assumptions(**changes), terms, runs)


def test_only_purchases_without_a_link_are_counted_where_nobody_shares() -> None:
    found = told(seeds=0, claims=500, new_share=0.4, runs=2_000)
    assert found.reach.high == found.brought_in.high == found.hops.high == 0
    assert found.purchases.mean == pytest.approx(500, rel=0.01)
    assert found.new_customers.mean == pytest.approx(200, rel=0.01)
    # As many as a Poisson number: 90 % within 1.645 standard deviations.
    assert found.purchases.high - found.purchases.low == pytest.approx(3.29 * 500**0.5, rel=0.1)
    assert found.per_brought_in is None
    assert found.paid == {}
    assert found.cost.high == 0


def test_reach_and_customers_are_those_of_the_closed_form() -> None:
    found = told(seeds=300, reproduction=0.4, conversion=0.25, claims=0, runs=2_000, **FAST)
    expected = 300 * 0.4 / 0.6
    assert found.reach.mean == pytest.approx(expected, rel=0.02)
    assert found.new_customers.mean == pytest.approx(expected / 4, rel=0.03)
    assert found.brought_in == found.new_customers
    begun = told(seeds=300, per_seed=2.0, reproduction=0.4, claims=0, runs=2_000, **FAST)
    assert begun.reach.mean == pytest.approx(300 * 2.0 / 0.6, rel=0.02)


def test_both_sides_are_paid_what_the_rules_say() -> None:
    promised = rules(
        {"when": "claim", "for": "person", "amount": 20},
        {"when": "referred_first_claim", "for": "both", "amount": 50},
    )
    found = told(promised, seeds=200, claims=300)
    expected = 20 * found.purchases.mean + 100 * found.brought_in.mean
    assert found.paid["points"].mean == pytest.approx(expected)
    assert found.cost == found.paid["points"] == found.wanted["points"]
    assert found.ends_early == 0
    assert found.last_day is None


def test_a_campaign_for_a_segment_pays_nobody_who_is_new() -> None:
    promised = rules({"when": "claim", "for": "person", "amount": 20})
    people = {"seeds": 200, "claims": 300, "new_share": 0.4, "repeat": 1.0}
    for_all, for_some = (told(promised, **people, is_for_some=each) for each in (False, True))
    assert for_some.purchases == for_all.purchases
    assert for_all.paid["points"].mean == pytest.approx(20 * for_all.purchases.mean)
    assert for_some.paid["points"].mean == pytest.approx(20 * 300 * 0.6, rel=0.02)
    nobody = told(promised, seeds=200, claims=300, new_share=1.0, is_for_some=True)
    assert nobody.cost.high == 0


def test_a_budget_is_never_overspent_and_the_day_it_runs_out_is_told() -> None:
    promised = rules({"when": "claim", "for": "person", "amount": 20})
    found = told(promised, seeds=0, claims=600, days=60, budgets={"points": 6_000})
    assert found.paid["points"].high == 6_000
    assert found.wanted["points"].mean == pytest.approx(12_000, rel=0.02)
    assert found.ends_early == 1
    assert found.last_day is not None
    assert found.last_day.middle == pytest.approx(30, abs=3)
    assert found.by_day[-1].cost.high == 6_000
    assert Terms(promised, {"points": 6_000}).budget_in_money == 6_000
    assert Terms(promised).budget_in_money is None


def test_limits_of_a_rule_hold() -> None:
    def paid(**limits: int) -> float:
        rule = {"when": "claim", "for": "person", "amount": 10, "limits": limits}
        return told(rules(rule), seeds=0, claims=6_000, days=30).paid["points"].high

    assert paid() > 55_000
    assert paid(total=100) == pytest.approx(1_000)
    assert paid(per_day=7) == pytest.approx(30 * 70)
    assert paid(budget=432) == pytest.approx(432)


def test_limits_of_a_person_hold() -> None:
    lively: dict[str, Any] = {
        "seeds": 50,
        "reproduction": 0.6,
        "dispersion": 0.05,
        "per_seed": 6.0,
        "claims": 0,
    }
    plain = {"when": "referred_first_claim", "for": "referrer", "amount": 1}
    once = told(rules({**plain, "limits": {"per_person": 1}}), conversion=0.5, **lively)
    daily = told(rules({**plain, "limits": {"per_person_per_day": 1}}), conversion=0.5, **lively)
    always = told(rules(plain), conversion=0.5, **lively)
    assert always.paid["points"].mean == pytest.approx(always.brought_in.mean)
    assert once.paid["points"].mean < daily.paid["points"].mean < always.paid["points"].mean
    # What people do does not depend on what they are paid.
    assert once.reach == daily.reach == always.reach


def test_tiers_and_every_nth_referral_go_by_what_each_referrer_brought_in() -> None:
    tiers = {"tiers": [{"from": 1, "amount": 10}, {"from": 3, "amount": 40}]}
    promised = rules(
        {"when": "referred_first_claim", "for": "referrer", "amount": tiers},
        {"when": "nth_referral", "for": "referrer", "amount": 30, "nth": 3, "what": "credit"},
    )
    # One seed and nobody forwards: n friends bring 10 + 10 + 40 * (n - 2), and 30 once.
    alone: dict[str, Any] = {
        "seeds": 1,
        "reproduction": 0.0,
        "dispersion": 100.0,
        "claims": 0,
        "conversion": 1.0,
    }
    found = told(promised, per_seed=40.0, runs=300, currency="CNY", **alone, **FAST)
    brought_in = found.brought_in.mean
    assert brought_in == pytest.approx(40, rel=0.05)
    assert found.paid["points"].mean == pytest.approx(20 + 40 * (brought_in - 2))
    assert found.paid["CNY"].mean == 30


def test_a_stamp_card_is_filled_by_every_nth_claim() -> None:
    card = {"when": "nth_claim", "for": "person", "amount": 1, "nth": 5, "every": True}
    tea = rules({**card, "what": "item", "of": "tea"})
    found = told(tea, seeds=0, claims=5_000, worth={"item:tea": 300})
    assert found.paid["item:tea"].mean == pytest.approx(1_000, rel=0.02)
    assert found.cost.mean == pytest.approx(300 * found.paid["item:tea"].mean)
    # Of those who were brought in each claim counts by itself: four of them fill none.
    once = told(tea, seeds=500, claims=0, conversion=1.0)
    assert once.brought_in.mean > 100
    assert once.paid["item:tea"].high == 0


def test_a_draw_pays_its_odds() -> None:
    odds = {
        "odds": [
            {"per_million": 200_000, "amount": 5},
            {"per_million": 50_000, "what": "coupon", "of": "tea"},
        ]
    }
    promised = rules({"when": "claim", "for": "person", "amount": odds})
    found = told(promised, seeds=400, claims=2_000, conversion=0.5)
    assert found.paid["points"].mean == pytest.approx(found.purchases.mean, rel=0.03)
    assert found.paid["coupon:tea"].mean == pytest.approx(0.05 * found.purchases.mean, rel=0.05)


def test_a_percentage_of_orders_is_capped() -> None:
    promised = rules({"when": "order", "for": "person", "amount": {"basis_points": 500, "cap": 90}})
    orders: dict[str, Any] = {"seeds": 0, "claims": 1_000, "orders": 1.0, "order_amount": 1_000}
    found = told(promised, order_spread=0.0, **orders)
    assert found.paid["points"].mean == pytest.approx(50 * found.purchases.mean)
    wide = told(promised, order_spread=1.0, **orders)
    assert wide.paid["points"].mean < found.paid["points"].mean
    assert np.mean(order_amounts(1_000, 1.0)) == pytest.approx(1_000, rel=0.001)


def test_an_audience_is_asked_for_where_the_spread_would_not_end() -> None:
    with pytest.raises(ValidationError, match="audience"):
        Assumptions(reproduction=1.0)
    found = told(reproduction=2.5, audience=3_000, seeds=40, claims=0, runs=100)
    assert 1_500 < found.reach.middle <= 3_000


@pytest.mark.parametrize(
    "most",
    [
        {"reproduction": 20.0, "audience": 50_000, "seeds": 50_000, "per_seed": 100.0},
        {"reproduction": 0.99, "seeds": 5_000, "days": 366, "dispersion": 0.01},
    ],
)
def test_it_ends_however_lively_the_spread_is(most: dict[str, Any]) -> None:
    terms = Terms(rules({"when": "referred_first_claim", "for": "both", "amount": 50}))
    found = forecast(np.random.default_rng(1), Assumptions(**most), terms, 1_000, most=200_000)
    # So many people and not many more, whatever is asked for.
    assert 1 <= found.runs < 50
    assert found.asked == 1_000
    assert 0 < found.reach.high <= most.get("audience", RUN_NODES_MAX)


@settings(max_examples=15)
@given(
    r=st.floats(0.0, 0.7), more=st.floats(0.1, 0.25), k=st.floats(0.2, 3.0), seed=st.integers(0, 99)
)
def test_a_larger_r_reaches_more_with_the_same_seed(
    r: float, more: float, k: float, seed: int
) -> None:
    def reach(mean: float) -> float:
        of: dict[str, Any] = {"seeds": 300, "reproduction": mean, "dispersion": k, "claims": 0}
        return told(runs=40, seed=seed, **of).reach.mean

    assert reach(r + more) >= reach(r)


def test_the_same_seed_gives_the_same_figures_and_days_add_up() -> None:
    promised = rules({"when": "claim", "for": "person", "amount": 20})
    first, again = told(promised), told(promised)
    assert first == again
    assert first != told(promised, seed=2)
    assert [day.day for day in first.by_day] == list(range(1, 61))
    last = first.by_day[-1]
    assert (last.people, last.customers, last.cost) == (
        first.reach,
        first.new_customers,
        first.cost,
    )
    for day, then in zip(first.by_day, first.by_day[1:], strict=False):
        assert day.people.low <= day.people.middle <= day.people.high
        assert day.cost.middle <= then.cost.middle
