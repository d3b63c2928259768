"""For how long a campaign's visits are kept, over the API."""

import pytest

from referral import actions
from referral.audit import of_subject
from referral.clock import HeldClock
from referral.deployment import Deployment
from tests.web.api.conftest import PRODUCT, Api, problem

KEEPING = "/campaigns/spring/keeping"


@pytest.fixture
def spring(api: Api) -> Api:
    api.made("/products", PRODUCT)
    api.made("/campaigns", {"slug": "spring", "title": "Spring", "budget": 1000, "keep_months": 13})
    return api


def test_a_campaign_says_it_when_it_is_drafted_and_later(
    spring: Api, deployment: Deployment
) -> None:
    assert spring.get("/campaigns/spring").json["keep_months"] == 13
    assert spring.get(KEEPING).json == {"keep_months": 13, "in_force": 13, "since": None}
    answer = spring.patch(KEEPING, {"keep_months": None})
    assert (answer.status_code, answer.json["keep_months"]) == (200, None)
    assert answer.json == spring.get(KEEPING).json
    assert spring.patch(KEEPING, {"keep_months": 120}).json["in_force"] == 120
    with deployment.db.read() as tx:
        _added, *noted = of_subject(tx, "campaign:1")
    assert [each.details for each in noted] == [{"was": 13, "now": None}, {"was": None, "now": 120}]
    assert all(each.by.startswith("api key") for each in noted)


def test_it_says_since_when(spring: Api, deployment: Deployment, clock: HeldClock) -> None:
    spring.patch(KEEPING, {"keep_months": 1})
    clock.advance(days=60)
    actions.drop_visits(deployment)
    assert spring.get(KEEPING).json["since"] == "2026-04-01T00:00:00Z"


@pytest.mark.parametrize(
    "body",
    [{}, {"keep_months": 0}, {"keep_months": 121}, {"keep_months": "12"}, {"keep_months": 1.5}],
)
def test_what_makes_no_sense_is_refused_by_its_field(spring: Api, body: dict[str, object]) -> None:
    answer = spring.patch(KEEPING, body)
    assert problem(answer) == (422, "invalid-input")
    assert [error["field"] for error in answer.json["errors"]] == ["keep_months"]
    assert spring.get(KEEPING).json["keep_months"] == 13


def test_a_draft_that_makes_no_sense_is_refused_by_its_field(api: Api) -> None:
    answer = api.post("/campaigns", {"slug": "x", "title": "X", "keep_months": 0})
    assert [error["field"] for error in answer.json["errors"]] == ["keep_months"]


def test_it_is_the_campaigns_alone(spring: Api) -> None:
    assert problem(spring.get("/campaigns/autumn/keeping")) == (404, "unknown-campaign")
    answer = spring.patch("/campaigns/autumn/keeping", {"keep_months": 1})
    assert problem(answer) == (404, "unknown-campaign")
    more = spring.patch(KEEPING, {"keep_months": 1, "budget": 9})
    assert problem(more) == (422, "invalid-input")
