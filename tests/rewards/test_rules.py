"""Rules: what can be promised, what cannot be said, and that a rule survives being stored."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from referral.rewards import ForWhom, Rule, When

AMOUNTS = st.integers(1, 1_000_000)
TIERS = st.lists(st.integers(1, 1000), min_size=1, max_size=5, unique=True).map(
    lambda starts: {"tiers": [{"from": each, "amount": each} for each in sorted(starts)]}
)
PERCENT = st.builds(
    lambda share, cap: {"basis_points": share, "cap": cap}, st.integers(1, 10_000), AMOUNTS
)
ODDS = st.lists(st.integers(1, 100_000), min_size=1, max_size=5).map(
    lambda chances: {"odds": [{"per_million": each, "amount": each} for each in chances]}
)
OF_ORDERS = [When.order, When.first_order, When.referred_first_order]


@st.composite
def rules(draw: st.DrawFn) -> Rule:
    """Any rule that can be written down."""
    when = draw(st.sampled_from(When))
    for_whom = draw(st.sampled_from(ForWhom))
    written: dict[str, Any] = {"when": when, "for": for_whom}
    amounts = [AMOUNTS, ODDS]
    if when in OF_ORDERS:
        amounts.append(PERCENT)
        written["least"] = draw(st.none() | st.integers(1, 10**9))
    if for_whom is ForWhom.referrer:
        written["depth"] = draw(st.integers(1, 2))
        if when.of_referred:
            amounts.append(TIERS)
    if when in {When.nth_claim, When.nth_referral}:
        written |= {"nth": draw(st.integers(1, 1000)), "every": draw(st.booleans())}
    if when is When.nth_claim:
        written["within_days"] = draw(st.none() | st.integers(1, 3650))
        written["for"] = ForWhom.person
        written.pop("depth", None)
        amounts = [AMOUNTS, ODDS]
    written["what"] = draw(st.sampled_from(["points", "credit"]))
    written["amount"] = draw(st.one_of(amounts))
    return Rule.model_validate(written)


RULES = st.lists(rules(), unique_by=lambda rule: rule.id, max_size=9)


@given(RULES)
def test_a_rule_survives_being_stored(written: list[Rule]) -> None:
    assert [Rule.model_validate(each.dump()) for each in written] == written
    assert all(len(each.id) <= 160 for each in written)


def test_a_rule_is_stored_as_short_as_it_was_said() -> None:
    said = {"when": "claim", "for": "person", "what": "points", "amount": 20}
    assert Rule.model_validate(said).dump() == said


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"when": "share"}, "when"),
        ({"when": "open"}, "when"),
        ({"when": "sign_up"}, "when"),
        ({"for": "everybody"}, "for"),
        ({"amount": 0}, "amount"),
        ({"amount": -5}, "amount"),
        ({"amount": 1_000_001}, "amount"),
        ({"amount": True}, "amount"),
        ({"amount": "20"}, "amount"),
        ({"amount": 20.0}, "amount"),
        ({"amount": {"basis_points": 500, "cap": 100}}, "percentage is paid of an order"),
        ({"when": "order", "amount": {"basis_points": 500}}, "cap"),
        ({"when": "order", "amount": {"basis_points": 10_001, "cap": 1}}, "basis_points"),
        (
            {"when": "order", "what": "item", "of": "cup", "amount": {"basis_points": 1, "cap": 1}},
            "",
        ),
        ({"amount": {"tiers": [{"from": 1, "amount": 5}]}}, "referrals of a referrer"),
        ({"amount": {"odds": []}}, "odds"),
        ({"amount": {"odds": [{"per_million": 600_000}, {"per_million": 400_001}]}}, "million"),
        ({"amount": {"odds": [{"per_million": 1, "what": "item"}]}}, "names the pool"),
        ({"what": "coupon", "amount": 1}, "names the pool"),
        ({"what": "item", "amount": 1}, "names the pool"),
        ({"of": "cup"}, "names the pool"),
        ({"what": "item", "of": "No Slug"}, "of"),
        ({"nth": 5}, "nth"),
        ({"when": "nth_claim"}, "nth"),
        ({"when": "nth_claim", "nth": 0}, "nth"),
        ({"when": "nth_claim", "nth": 5, "for": "both"}, "who claimed"),
        ({"every": True}, "every"),
        ({"within_days": 30}, "within_days"),
        ({"least": 100}, "least"),
        ({"depth": 2}, "depth"),
        ({"for": "referrer", "depth": 0}, "depth"),
        ({"limits": {"per_person": 0}}, "per_person"),
        ({"limits": {"per_week": 1}}, "per_week"),
        ({"promise": 1}, "promise"),
    ],
)
def test_what_makes_no_sense_is_refused_by_its_name(changes: dict[str, Any], words: str) -> None:
    written = {"when": "claim", "for": "person", "amount": 20, **changes}
    with pytest.raises(ValidationError) as refused:
        Rule.model_validate(written)
    assert words in str(refused.value)


def test_tiers_have_to_rise() -> None:
    rows = [{"from": 5, "amount": 1}, {"from": 5, "amount": 2}]
    written = {"when": "nth_referral", "nth": 1, "for": "referrer", "amount": {"tiers": rows}}
    with pytest.raises(ValidationError, match="above the one before"):
        Rule.model_validate(written)


def test_rules_that_differ_in_anything_but_the_amount_have_names_of_their_own() -> None:
    written = [
        {"when": "claim", "for": "person"},
        {"when": "claim", "for": "referrer"},
        {"when": "claim", "for": "referrer", "depth": 2},
        {"when": "claim", "for": "person", "what": "credit"},
        {"when": "claim", "for": "person", "what": "item", "of": "cup"},
        {"when": "claim", "for": "person", "what": "coupon", "of": "cup"},
        {"when": "order", "for": "person"},
        {"when": "order", "for": "person", "least": 100},
        {"when": "nth_claim", "for": "person", "nth": 5},
        {"when": "nth_claim", "for": "person", "nth": 5, "every": True},
        {"when": "nth_claim", "for": "person", "nth": 5, "within_days": 30},
        {"when": "claim", "for": "person", "amount": {"odds": [{"per_million": 1}]}},
    ]
    names = [Rule.model_validate({"amount": 1, **each}).id for each in written]
    assert len(set(names)) == len(written)
    assert names[0] == "claim:person:points", "as rewards of the first version have it"


def test_a_rule_keeps_the_name_it_was_published_under() -> None:
    told = {"when": "order", "for": "person", "amount": 5, "least": 1500}
    key = "order:person:points:least-2000"
    kept = Rule.model_validate({**told, "key": key})
    assert (kept.id, kept.said) == (key, Rule.model_validate(told).id)
    assert Rule.model_validate(kept.dump()) == kept
    for bad in ("", "Order", "order person", "x" * 161):
        with pytest.raises(ValidationError):
            Rule.model_validate({**told, "key": bad})
