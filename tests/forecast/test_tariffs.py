"""What a forecast pays for each kind of purchase: what the rules pay, looked up."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from referral.forecast import tariffs
from referral.forecast.tariffs import DEPTHS, Kind, Tariff
from referral.rewards import Proof, Rule, When, evaluate
from tests.rules import rules

FIRST = Kind(is_first=True, is_referred=True, has_above=True)


def tariff(**said: Any) -> Tariff:
    said = {"when": "claim", "for": "person", "amount": 20, **said}
    return Tariff(Rule.model_validate(said), "CNY")


def paid(of: Tariff, kinds: Sequence[Kind], depth: int = 0) -> list[int]:
    amounts: list[int] = of.amounts(kinds)[depth].tolist()
    return amounts


kinds = st.builds(
    Kind,
    is_first=st.booleans(),
    is_referred=st.booleans(),
    has_above=st.booleans(),
    proof=st.sampled_from(Proof),
    amount=st.integers(0, 10**6),
    referrals=st.integers(1, 40),
    claims=st.integers(1, 40),
)


@given(rules(), st.lists(kinds, max_size=8))
def test_nobody_is_paid_who_is_not_there_and_nothing_that_did_not_happen(
    rule: Rule, asked: list[Kind]
) -> None:
    amounts = Tariff(rule, "CNY").amounts(asked)
    assert amounts.shape == (len(DEPTHS), len(asked))
    assert (amounts >= 0).all()
    for kind, (buyer, referrer, above) in zip(asked, amounts.T, strict=True):
        if not kind.is_referred:
            assert (referrer, above) == (0, 0)
            assert not (rule.when.of_referred and buyer)
        if not kind.has_above:
            assert above == 0
        if not kind.is_first and rule.when.of_first:
            assert not amounts.T[asked.index(kind)].any()
        is_answered = rule.when.of_claims if kind.proof is Proof.claim else rule.when.of_orders
        assert is_answered or not (buyer or referrer or above)
        if kind.proof is Proof.order and kind.amount < (rule.least or 0):
            assert (buyer, referrer, above) == (0, 0, 0)


@given(rules(), st.lists(kinds, min_size=1, max_size=6), st.randoms())
def test_the_answer_for_a_kind_does_not_depend_on_the_others(
    rule: Rule, asked: list[Kind], dice: Any
) -> None:
    alone = [Tariff(rule, "CNY").amounts([kind])[:, 0] for kind in asked]
    once = Tariff(rule, "CNY")
    dice.shuffle(order := list(range(len(asked))))
    once.amounts([asked[n] for n in order])
    assert np.array_equal(once.amounts(asked), np.stack(alone, axis=1))


def test_rules_are_asked_once_a_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def counted(*args: Any) -> Any:
        asked.append(args)
        return evaluate(*args)

    monkeypatch.setattr(tariffs, "evaluate", counted)
    of = tariff()
    assert paid(of, [FIRST, FIRST._replace(is_first=False)] * 500) == [20] * 1000
    assert of.amounts([]).shape == (3, 0)
    assert len(asked) == 2


def test_whom_a_rule_is_for_has_the_row_of_the_depth() -> None:
    both = tariff(when="referred_first_claim", **{"for": "both"})
    second = tariff(when="referred_first_claim", depth=2, **{"for": "referrer"})
    alone = FIRST._replace(has_above=False)
    assert both.amounts([FIRST, alone]).T.tolist() == [[20, 20, 0], [20, 20, 0]]
    assert second.amounts([FIRST, alone]).T.tolist() == [[0, 0, 20], [0, 0, 0]]


@given(st.integers(1, 12), st.integers(1, 60))
def test_a_stamp_card_pays_as_often_as_it_was_full(nth: int, claims: int) -> None:
    made = [Kind(is_first=n == 1, is_referred=False, claims=n) for n in range(1, claims + 1)]
    card = {"when": When.nth_claim, "nth": nth, "amount": 1}
    assert sum(paid(tariff(**card, every=True), made)) == claims // nth
    once = paid(tariff(**card), made)
    assert sum(once) == (claims >= nth)
    assert claims < nth or once[nth - 1] == 1


@given(st.integers(1, 12), st.integers(1, 60))
def test_an_nth_friend_is_paid_for_once_or_every_time(nth: int, friends: int) -> None:
    brought = [FIRST._replace(referrals=n) for n in range(1, friends + 1)]
    rule = {"when": When.nth_referral, "nth": nth, "for": "referrer", "amount": 1}
    assert sum(paid(tariff(**rule, every=True), brought, depth=1)) == friends // nth
    once = paid(tariff(**rule), brought, depth=1)
    assert [n + 1 for n, amount in enumerate(once) if amount] == ([nth] if friends >= nth else [])


def test_steps_and_percentages_are_of_this_purchase() -> None:
    steps = {"tiers": [{"from": 1, "amount": 10}, {"from": 5, "amount": 30}]}
    tiers = tariff(when="referred_first_claim", amount=steps, **{"for": "referrer"})
    friends = [FIRST._replace(referrals=n) for n in (1, 4, 5, 500)]
    assert paid(tiers, friends, depth=1) == [10, 10, 30, 30]
    share = tariff(when="order", amount={"basis_points": 500, "cap": 300}, least=100)
    orders = [FIRST._replace(proof=Proof.order, amount=n) for n in (99, 100, 1999, 6000, 10**6)]
    assert paid(share, orders) == [0, 5, 99, 300, 300]
    assert paid(share, [FIRST]) == [0], "a claim is no order"


def test_a_draw_is_made_and_its_rows_say_what_is_won() -> None:
    odds = [
        {"per_million": 1000, "amount": 500},
        {"per_million": 250_000, "what": "coupon", "of": "tea", "amount": 1},
    ]
    draw = tariff(amount={"odds": odds}, what="credit")
    assert draw.is_draw
    assert paid(draw, [FIRST]) == [1]
    assert draw.prizes == [("CNY", 500, 0.001), ("coupon:tea", 1, 0.25)]
    assert tariff().prizes == []
    assert (tariff().is_draw, tariff().unit) == (False, "points")
    assert tariff(what="item", of="mug", amount=1).unit == "item:mug"
