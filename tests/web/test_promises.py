"""What rules promise in sentences: for every kind of rule, in every language, and no more than is
paid."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from referral.campaigns import wording
from referral.config import LANGUAGES
from referral.rewards import ForWhom, Rule, When
from referral.web import promises, reward_words
from referral.web.language import speaking
from tests.rules import rule_sets, rules

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
SHARED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@contextmanager
def page_in(app: Flask, lang: str = "en") -> Iterator[None]:
    with app.test_request_context(), speaking(lang):
        yield


def rule(**told: Any) -> Rule:
    return Rule.model_validate({"when": "claim", "for": "person", **told})


ODDS = {"odds": [{"per_million": 1000, "amount": 500}, {"per_million": 33_333, "amount": 5}]}


@pytest.mark.parametrize(
    "told, said",
    [
        ({"amount": 20}, ["20 points for every package you claim"]),
        ({"amount": 1}, ["1 point for every package you claim"]),
        (
            {"amount": 1500, "for": "both"},
            [
                "1,500 points for every package you claim",
                "1,500 points to the friend who brought you, for every package you claim",
            ],
        ),
        (
            {"amount": 550, "what": "credit", "when": "first_order", "least": 5000},
            ["CN¥5.50 of store credit for your first order (orders of CN¥50.00 or more)"],
        ),
        (
            {"when": "order", "amount": {"basis_points": 250, "cap": 100}},
            ["2.5% of the amount in points, at most 100 points for every order"],
        ),
        (
            {
                "when": "referred_first_purchase",
                "for": "referrer",
                "amount": {"tiers": [{"from": 1, "amount": 10}, {"from": 5, "amount": 50}]},
            },
            [
                (
                    "a reward in steps to the friend who brought you, for your first purchase: "
                    "10 points from customer no. 1 on; 50 points from customer no. 5 on"
                )
            ],
        ),
        (
            {"amount": ODDS},
            [
                (
                    "a draw for every package you claim: 500 points (chance 1 in 1,000), "
                    "5 points (chance 3.3333%); most draws win nothing"
                )
            ],
        ),
        (
            {"when": "nth_claim", "nth": 10, "every": True, "within_days": 90, "amount": 200},
            ["200 points for every 10 packages you claim (within 90 days)"],
        ),
        (
            {"when": "referred_first_claim", "for": "referrer", "depth": 2, "amount": 5},
            [
                "5 points to whoever brought in the friend who brought you, for your first claim",
            ],
        ),
        (
            {"amount": 20, "limits": {"per_person": 1, "per_day": 100, "total": 5000}},
            [
                (
                    "20 points for every package you claim (at most 1 time a person, "
                    "for the first 100 a day, for the first 5,000 in all)"
                )
            ],
        ),
        (
            {"amount": 20, "limits": {"per_person_per_day": 3, "budget": 900}},
            [
                (
                    "20 points for every package you claim (at most 3 times a person and day, "
                    "900 points in all at most)"
                )
            ],
        ),
    ],
)
def test_a_rule_says_what_it_pays(app: Flask, told: dict[str, Any], said: list[str]) -> None:
    with page_in(app):
        assert promises.promise([rule(**told)], "CNY") == said


@settings(max_examples=150, suppress_health_check=SHARED)
@given(rules(), st.sampled_from(LANGUAGES), st.sampled_from([None, "CNY", "VND"]))
def test_every_rule_makes_sentences_in_every_language(
    app: Flask, any_rule: Rule, lang: str, currency: str | None
) -> None:
    with page_in(app, lang):
        said = promises.sentences(any_rule, currency)
    assert len(said) == (2 if any_rule.for_whom is ForWhom.both else 1)
    assert all(said)
    assert not any("%(" in sentence or "None" in sentence for sentence in said)
    assert wording.check({sentence: sentence for sentence in said}) == []


@settings(suppress_health_check=SHARED)
@given(rule_sets(), st.sampled_from(LANGUAGES))
def test_what_is_sent_along_is_never_punished(app: Flask, any_rules: list[Rule], lang: str) -> None:
    with page_in(app, lang):
        said = [promises.suggestion("Tea", any_rules), promises.disclosure(any_rules)]
    assert wording.check({sentence: sentence for sentence in said}) == []


CLAIM = {"amount": 5}
FRIENDS = {"when": "referred_first_claim", "for": "referrer", "amount": 5}


@pytest.mark.parametrize(
    "told, says",
    [
        ([CLAIM], "If you buy and claim one, you get points."),
        ([FRIENDS], "If you buy and claim one, I get points."),
        ([CLAIM, FRIENDS], "If you buy and claim one, we both get points."),
        ([{**CLAIM, "for": "both"}], "If you buy and claim one, we both get points."),
        (
            [{**CLAIM, "what": "item", "of": "mug"}, FRIENDS],
            "If you buy and claim one, we both get a reward.",
        ),
        ([{"amount": ODDS}], "If you buy and claim one, you can get a reward."),
        (
            [CLAIM, {**FRIENDS, "amount": ODDS}],
            "If you buy and claim one, we both can get a reward.",
        ),
        ([{**CLAIM, "limits": {"total": 9}}], "If you buy and claim one, you can get a reward."),
        (
            [{"when": "nth_claim", "nth": 10, "amount": 5}],
            "If you buy and claim one, you can get a reward.",
        ),
        (
            [{"when": "nth_referral", "for": "referrer", "nth": 3, "amount": 5}],
            "If you buy, I can get a reward.",
        ),
        ([{**FRIENDS, "depth": 2}], "If you buy and claim one, I can get a reward."),
        (
            [{"when": "order", "amount": {"basis_points": 500, "cap": 100}}],
            "If you order, you get points.",
        ),
        ([{"when": "order", "least": 50, "amount": 5}], "If you order, you can get a reward."),
        (
            [CLAIM, {"when": "order", "amount": {"basis_points": 500, "cap": 100}}],
            "If you buy, you can get a reward.",
        ),
        ([{**FRIENDS, "when": "referred_first_purchase"}], "If you buy, I get points."),
    ],
)
def test_a_friend_is_told_who_gets_something_and_whether_that_is_certain(
    app: Flask, told: list[dict[str, Any]], says: str
) -> None:
    given_rules = [rule(**each) for each in told]
    with page_in(app):
        assert promises.disclosure(given_rules) == says
        suggested = promises.suggestion("Tea", given_rules)
    assert suggested == f"“Tea”: {says[0].lower()}{says[1:]}"


def test_without_rules_nothing_is_promised(app: Flask) -> None:
    with page_in(app):
        assert promises.promise([]) == []
        assert promises.suggestion("Tea", []) == "“Tea”"
        assert promises.disclosure([]) == ""


@settings(suppress_health_check=SHARED)
@given(rule_sets(least=1), st.sampled_from(LANGUAGES))
def test_that_the_sharer_benefits_is_always_said(
    app: Flask, any_rules: list[Rule], lang: str
) -> None:
    pays_sharer = any(each.for_whom is not ForWhom.person for each in any_rules)
    with page_in(app, lang):
        said = promises.disclosure(any_rules)
    if lang == "en":
        assert (" I " in said or "we both" in said) == pays_sharer


@pytest.mark.parametrize(
    "per_million, says",
    [
        (1_000_000, "always"),
        (500_000, "chance 1 in 2"),
        (1, "chance 1 in 1,000,000"),
        (333_333, "chance 33.3333%"),
        (3, "chance 0.0003%"),
    ],
)
def test_a_chance_is_told_exactly(app: Flask, per_million: int, says: str) -> None:
    with page_in(app):
        assert promises.chance_in_words(per_million) == says


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_reward_says_what_it_was_for(app: Flask, lang: str) -> None:
    with page_in(app, lang):
        said = {
            (when, depth): reward_words.reward_text(f"{when}:person:points", depth)
            for when in When
            for depth in (0, 1, 2)
        }
        assert all(said.values())
        assert reward_words.reward_text("something older:person", 0) not in said.values()
    if lang == "en":
        assert said[When.claim, 1] == "A friend you brought in claimed a package"
        assert said[When.order, 1] == "A friend you brought in ordered something"
        assert said[When.order, 0] == "Your order"
