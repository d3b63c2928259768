"""Forecasts and dry runs over the API: they compute, and change nothing."""

from typing import Any

import pytest
import sqlalchemy as sa

from referral import actions, ledger
from referral.deployment import Deployment
from tests.cast import RULES, cast_of, draft, open_brand
from tests.web.api.conftest import Api, problem

FORECAST = "/campaigns/spring/forecast"
DRY_RUN = "/campaigns/spring/dry-run"
SMALL = {"runs": 50, "rates": "field", "claims": 400, "days": 20}


@pytest.fixture
def busy(api: Api, deployment: Deployment) -> Api:
    brand = open_brand(deployment)
    alice, bob, _ = cast_of(brand)
    alice.claim(0)
    bob.open(alice.link())
    bob.claim(1)
    return api


def postings(deployment: Deployment) -> int:
    with deployment.db.read() as tx:
        return tx.scalar(sa.select(sa.func.count()).select_from(ledger.Posting)) or 0


def test_a_forecast_tells_its_assumptions_and_intervals(busy: Api, deployment: Deployment) -> None:
    before = postings(deployment)
    found = busy.made(FORECAST, SMALL)
    assert (found["runs"], found["seed"], found["measured"], found["currency"]) == (
        50,
        1,
        [],
        "CNY",
    )
    assert found["assumptions"]["claims"] == 400
    assert found["assumptions"]["reproduction"] == 0.35
    assert found["reach"]["low"] < found["reach"]["middle"] < found["reach"]["high"]
    assert [day["day"] for day in found["by_day"]] == list(range(1, 21))
    assert busy.made(FORECAST, SMALL) == found
    assert busy.made(FORECAST, {**SMALL, "seed": 7}) != found
    assert busy.made(FORECAST)["runs"] == 1_000
    assert postings(deployment) == before


def test_store_credit_of_a_draft_before_the_first_product_has_no_currency(
    api: Api, deployment: Deployment
) -> None:
    credit = {"when": "claim", "for": "person", "what": "credit", "amount": 300}
    actions.add_campaign(deployment, draft(rules=[credit]))
    found = api.made(FORECAST, SMALL)
    assert found["currency"] is None
    assert found["paid"]["XXX"] == found["cost"], "in minor units of whatever it will be"
    assert found["cost"]["low"] > 0
    assert api.made(DRY_RUN)["purchases"] == 0


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"reproduction": -1}, "reproduction"),
        ({"conversion": 1.5}, "conversion"),
        ({"days": 0}, "days"),
        ({"days": 10**9}, "days"),
        ({"runs": 1_001}, "runs"),
        ({"seed": -1}, "seed"),
        ({"rates": "mine"}, "rates"),
        ({"reproduction": 1.2}, ""),
        ({"audiense": 5}, "audiense"),
    ],
)
def test_what_cannot_be_assumed_is_named(busy: Api, body: dict[str, Any], field: str) -> None:
    response = busy.post(FORECAST, {**SMALL, **body})
    assert problem(response) == (422, "invalid-input")
    assert [error["field"] for error in response.get_json()["errors"]] == [field]


def test_rates_are_told_with_what_could_not_be_measured(busy: Api) -> None:
    found = busy.get("/campaigns/spring/rates").get_json()
    assert (found["people"], found["reproduction"], found["wait_days"]) == (0, None, None)
    assert busy.get("/campaigns/spring/rates?of=all&days=7").status_code == 200
    assert problem(busy.get("/campaigns/spring/rates?of=field")) == (422, "invalid-input")
    assert problem(busy.get("/campaigns/winter/rates")) == (404, "unknown-campaign")


def test_a_dry_run_is_what_was_paid_and_other_rules_are_tried(
    busy: Api, deployment: Deployment
) -> None:
    before = postings(deployment)
    own = busy.made(DRY_RUN)
    assert own["would"] == own["really"]
    assert own["would"]["by_unit"]["points"]["amount"] == 140
    assert own["would"]["by_unit"]["points"]["to_referrers"] == 50
    other = busy.made(DRY_RUN + "?days=3", {"rules": [*RULES[:1]]})
    assert other["would"]["by_unit"]["points"]["amount"] == 40
    assert other["really"] == own["really"]
    assert busy.made(DRY_RUN, {"rules": []})["would"] == {"by_unit": {}, "by_rule": []}
    assert postings(deployment) == before


def test_a_dry_run_of_nonsense_is_refused(busy: Api) -> None:
    assert problem(busy.post(DRY_RUN + "?days=0")) == (422, "invalid-input")
    assert problem(busy.post(DRY_RUN, {"rules": [RULES[0]] * 2})) == (422, "invalid-input")
    assert problem(busy.post(DRY_RUN, {"rules": [{"when": "share"}]})) == (422, "invalid-input")
    assert problem(busy.post("/campaigns/winter/dry-run")) == (404, "unknown-campaign")
