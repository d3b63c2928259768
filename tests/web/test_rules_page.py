"""The rules of a campaign for consumers, made of the data that pays."""

import html
import re
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from referral import actions
from referral.campaigns import Campaign, Draft, wording
from referral.clock import HeldClock
from referral.config import LANGUAGES
from referral.deployment import Deployment
from referral.rewards import Rule
from referral.web import rules_page
from referral.web.language import speaking
from tests.readers import Reader
from tests.rules import rule_sets
from tests.web.conftest import Brand

PAGE_MOST = 30_000
SHARED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
RULES = [
    {"when": "claim", "for": "person", "amount": 20},
    {"when": "referred_first_purchase", "for": "both", "amount": 50, "least": 1000},
    {"when": "order", "for": "person", "amount": {"basis_points": 500, "cap": 100}},
    {"when": "nth_claim", "nth": 10, "for": "person", "what": "credit", "amount": 500},
    {
        "when": "first_claim",
        "for": "person",
        "amount": {"odds": [{"per_million": 1000, "amount": 500}]},
        "limits": {"total": 5000},
    },
]


def published(deployment: Deployment, **terms: Any) -> Campaign:
    told = {
        "slug": "rules",
        "title": "All of it",
        "budget": 9000,
        "budgets": {"CNY": 90_000},
        "organiser": "Tea Co Ltd",
        "market": "CN",
        "rules": RULES,
    }
    actions.add_campaign(deployment, Draft.model_validate({**told, **terms}))
    return actions.publish_campaign(deployment, "rules")


def text(reader: Reader) -> str:
    plain = re.sub(r"<(style|script).*?</\1>|<[^>]+>", " ", reader.page, flags=re.DOTALL)
    return " ".join(html.unescape(plain).split())


def test_every_rule_is_there_and_what_holds_besides(brand: Brand, alice: Reader) -> None:
    published(brand.deployment)
    assert alice.get("/rules/rules").status_code == 200
    page = text(alice)
    for says in (
        "Organiser Tea Co Ltd",
        "20 points for every package you claim",
        (
            "50 points to the friend who brought you, for your first purchase "
            "(an order has to be of CN¥10.00 or more)"
        ),
        "5% of the amount in points, at most 100 points for every order",
        "CN¥5.00 of store credit once you have claimed 10 packages",
        (
            "a draw for your first claim (for the first 5,000 in all): "
            "500 points (chance 1 in 1,000); most draws win nothing"
        ),
        # The cheapest product costs 20.00.
        (
            "Your first package, a friend's link having brought you here: "
            "70 points and a draw for you, 50 points for the friend."
        ),
        "Every further package: 20 points for you.",
        (
            "Your first order, of CN¥20.00, a friend's link having brought you here: "
            "150 points for you, 50 points for the friend."
        ),
        "Every further order of CN¥20.00: 100 points for you.",
        "Rewards can be spent after 7 days.",
        "What is not spent expires 365 days after it could be spent.",
        "The budget is 9,000 points, CN¥900.00 of store credit in all.",
        "Only the friend whose link was used is thanked, nobody further up.",
        "Chances, prizes, dates and organiser are told before and stay as told.",
        "Opening or forwarding a link earns nothing.",
    ):
        assert says in page, f"{says!r} not in {page}"
    assert len(alice.page.encode()) <= PAGE_MOST


def test_a_permit_is_told_where_there_is_one(brand: Brand, alice: Reader) -> None:
    published(brand.deployment, market="ID", permit="K / 7")
    alice.get("/rules/rules")
    assert "Permit for the draws: K / 7" in text(alice)


def test_without_a_draw_nothing_is_said_of_draws(brand: Brand, alice: Reader) -> None:
    alice.get("/rules/spring")
    assert "draw" not in text(alice).lower()


def test_two_levels_are_told(brand: Brand, alice: Reader) -> None:
    deep = {"when": "referred_first_claim", "for": "referrer", "amount": 5, "depth": 2}
    draft = {"slug": "deep", "title": "Deep", "budget": 900, "rules": [deep]}
    actions.add_campaign(brand.deployment, Draft.model_validate(draft))
    actions.sign_off(brand.deployment, "deep", by="olga@brand.example")
    actions.publish_campaign(brand.deployment, "deep")
    alice.get("/rules/deep")
    page = text(alice)
    assert "Up to two people are thanked" in page
    assert "nothing for you, 5 points for whoever brought that friend in" in page


def test_better_terms_are_on_the_page_at_once(
    brand: Brand, alice: Reader, clock: HeldClock
) -> None:
    alice.get("/rules/spring")
    assert "counts for 30 days" in text(alice)
    actions.amend(brand.deployment, "spring", lambda was: replace(was, window_days=60), by="tests")
    alice.get("/rules/spring")
    assert "counts for 60 days" in text(alice)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@settings(max_examples=100, suppress_health_check=SHARED)
@given(rule_sets(least=1), st.sampled_from(LANGUAGES), st.sampled_from(["default", "CN", "SG"]))
def test_any_rules_make_a_page_without_wording_that_is_punished(
    app: Flask, rules: list[Rule], lang: str, market: str
) -> None:
    campaign = Campaign(
        rules=[rule.dump() for rule in rules],
        budget=100,
        budgets={"CNY": 900},
        currency="CNY",
        market=market,
        permit="K / 7",
        hold_days=7,
        lasts_days=90,
        window_days=30,
        touch="last",
    )
    with app.test_request_context(), speaking(lang):
        made = rules_page.made(campaign, [])
    said = [*made.examples, *made.promises, *made.clauses, *made.draws, *made.notices]
    said.append(made.summary)
    assert len(made.promises) >= len(rules)
    assert not any("%(" in sentence or "None" in sentence for sentence in said)
    assert wording.check({sentence: sentence for sentence in said}) == []
