"""Rules, refusals, sign-offs and better terms over the API."""

from typing import Any

import pytest

from referral.audit import of_subject
from referral.campaigns import signoff
from referral.deployment import Deployment
from tests.web.api.conftest import PRODUCT, Api, problem

RULE = {"when": "claim", "for": "person", "amount": 20}
DEEP = {"when": "referred_first_claim", "for": "referrer", "amount": 10, "depth": 2}
SPRING: dict[str, Any] = {"slug": "spring", "title": "Spring", "budget": 1000, "rules": [RULE]}
TERMS = "/campaigns/spring/terms"


@pytest.fixture
def spring(api: Api) -> Api:
    """An API with a campaign that runs."""
    api.made("/products", PRODUCT)
    api.made("/campaigns", SPRING)
    api.made("/campaigns/spring/publish")
    return api


def test_every_term_is_told(spring: Api) -> None:
    told = spring.get("/campaigns/spring").json
    expected = {"market": "default", "permit": "", "lasts_days": 365, "budgets": {}}
    assert expected.items() <= told.items()
    assert told["currency"] == PRODUCT["currency"]


@pytest.mark.parametrize("when", ["share", "open", "sign_up", "Invite"])
def test_paying_for_what_is_no_purchase_is_a_problem_of_its_own(api: Api, when: str) -> None:
    answer = api.post("/campaigns", {**SPRING, "rules": [RULE, {**RULE, "when": when}]})
    assert problem(answer) == (422, "pays-for-sharing")
    told = answer.json
    assert (told["rule"], told["when"]) == (1, when)
    assert "purchase" in told["why"]
    assert "first purchase" in told["change"]
    other = api.post("/campaigns", {**SPRING, "rules": [{**RULE, "when": "birthday"}]})
    assert problem(other) == (422, "invalid-input")


def test_a_refusal_says_which_rules_why_and_what_to_change(api: Api) -> None:
    api.made("/products", PRODUCT)
    api.made("/campaigns", {**SPRING, "rules": [RULE, DEEP]})
    answer = api.post("/campaigns/spring/publish")
    assert problem(answer) == (422, "depth-not-signed-off")
    assert answer.json["rules"] == ["referred_first_claim:referrer:points:depth-2"]
    assert answer.json["why"] == answer.json["title"]
    assert "owner" in answer.json["change"]


def test_the_second_level_is_signed_off_by_name(api: Api, deployment: Deployment) -> None:
    api.made("/products", PRODUCT)
    api.made("/campaigns", {**SPRING, "rules": [RULE, DEEP]})
    assert problem(api.post("/campaigns/spring/sign-off", {})) == (422, "invalid-input")
    signed = api.made("/campaigns/spring/sign-off", {"name": "Olga Owner"})
    assert signed["signed_by"].startswith("Olga Owner (api key ")
    assert api.made("/campaigns/spring/publish")["state"] == "published"
    with deployment.db.read() as tx:
        noted = {each.action: each for each in of_subject(tx, "campaign:1")}
    entry = noted[signoff.ACTION]
    assert entry.by == signed["signed_by"]
    again = api.post("/campaigns/spring/sign-off", {"name": "Olga Owner"})
    assert problem(again) == (409, "already-published")


def test_there_may_be_nothing_to_sign_off(api: Api) -> None:
    api.made("/campaigns", SPRING)
    answer = api.post("/campaigns/spring/sign-off", {"name": "Olga Owner"})
    assert problem(answer) == (422, "nothing-to-sign-off")


def test_better_terms_are_taken_and_the_rest_stays(spring: Api) -> None:
    before = spring.get("/campaigns/spring").json
    more = [{**RULE, "amount": 25}, {**RULE, "when": "first_claim"}]
    answer = spring.patch(TERMS, {"budget": 2000, "rules": more, "lasts_days": 400})
    assert answer.status_code == 200, answer.text
    changed = {"budget": 2000, "lasts_days": 400}
    assert {**before, **changed, "rules": answer.json["rules"]} == answer.json
    assert [rule["amount"] for rule in answer.json["rules"]] == [25, 20]
    assert spring.get("/campaigns/spring").json == answer.json
    assert spring.get("/campaigns/spring/metrics").json["budget_left"] == 2000


def test_worse_terms_are_refused_by_name(spring: Api) -> None:
    before = spring.get("/campaigns/spring").json
    worse = {"budget": 1, "hold_days": 90, "rules": [{**RULE, "amount": 19}]}
    answer = spring.patch(TERMS, worse)
    assert problem(answer) == (409, "terms-made-worse")
    assert [each["term"] for each in answer.json["worsenings"]] == [
        "budget",
        "hold_days",
        "claim:person:points.amount",
    ]
    assert answer.json["worsenings"][0] == {
        "term": "budget",
        "was": 1000,
        "now": 1,
        "why": "Less would be put up for it.",
    }
    assert spring.get("/campaigns/spring").json == before


@pytest.mark.parametrize(
    "body, word",
    [
        ({"touch": "first"}, "invalid-input"),
        ({"rules": []}, "invalid-input"),
        ({"rules": [RULE, RULE]}, "invalid-input"),
        ({"ends_at": "2027-01-01"}, "invalid-input"),
        ({"budgets": {"points": 5}}, "invalid-input"),
        ({"rules": [RULE, {**RULE, "when": "share"}]}, "pays-for-sharing"),
        ({"rules": [RULE, DEEP]}, "depth-not-signed-off"),
        ({"rules": [{**RULE, "amount": 100_000}]}, "payout-over-bound"),
        ({"rules": [RULE, {**RULE, "what": "credit"}]}, "budget-missing"),
    ],
)
def test_terms_that_make_no_sense_are_refused(spring: Api, body: dict[str, Any], word: str) -> None:
    before = spring.get("/campaigns/spring").json
    assert problem(spring.patch(TERMS, body)) == (422, word)
    assert spring.get("/campaigns/spring").json == before


def test_only_what_is_published_is_amended(api: Api) -> None:
    api.made("/campaigns", SPRING)
    assert problem(api.patch(TERMS, {"budget": 2000})) == (409, "not-published")
    assert problem(api.patch("/campaigns/autumn/terms", {})) == (404, "unknown-campaign")
