"""Cases over the API: listed, looked at, decided."""

from typing import Any

import pytest

from referral import risk
from referral.actions import Claimed
from referral.deployment import Deployment
from tests.actions.test_judging import suspicious
from tests.cast import Brand, cast_of, open_brand
from tests.web.api.conftest import Api, problem


@pytest.fixture
def shop(deployment: Deployment) -> Brand:
    return open_brand(deployment, hold_days=7)


@pytest.fixture
def claimed(shop: Brand) -> Claimed:
    alice, *_ = cast_of(shop)
    alice.claim(400)
    return suspicious(shop)


@pytest.fixture
def case_id(shop: Brand, claimed: Claimed) -> int:
    with shop.deployment.db.read() as tx:
        found = risk.verdict_of(tx, claimed.claim.event)
    assert found is not None
    return found.id


def got(api: Api, path: str) -> Any:
    return api.get(path).json


def test_cases_are_listed_and_found(api: Api, claimed: Claimed, case_id: int) -> None:
    (item,) = got(api, "/cases?state=open")["items"]
    assert item["id"] == case_id
    assert (item["event"], item["decision"], item["score"]) == (claimed.claim.event, "review", 50)
    assert {each["rule"]: each["evidence"] for each in item["findings"]} == {
        "shared_browsers": {"accounts": 3},
        "misses_first": {"misses": 12},
    }
    assert item["amounts"] == {"points": 20}
    assert api.get(f"/cases/{case_id}").json == item
    assert api.get("/cases?state=held").json == {"items": [], "next": None}
    assert problem(api.get("/cases?state=nonsense")) == (422, "invalid-input")
    assert problem(api.get("/cases/999")) == (404, "unknown-case")


def test_a_case_is_decided_once(api: Api, case_id: int) -> None:
    path = f"/cases/{case_id}/decision"
    said = api.made(path, {"decision": "hold", "reason": "asking"})
    assert (said["state"], said["reason"]) == ("held", "asking")
    assert said["decided_by"].startswith("api key ")
    assert api.made(path, {"decision": "hold", "reason": "again"}) == said
    assert api.made(path, {"decision": "reverse", "reason": "abuse"})["amounts"] == {"points": 0}
    refused = api.post(path, {"decision": "accept", "reason": "no"})
    assert problem(refused) == (409, "case-closed")


def test_somebody_is_blocked(api: Api, claimed: Claimed, case_id: int) -> None:
    path = f"/cases/{case_id}/decision"
    customer = claimed.rewards[0].beneficiary_id
    said = api.made(path, {"decision": "block", "reason": "sells codes"})
    assert (said["blocked"], said["state"]) == ([customer], "open")
    named = {"decision": "unblock", "reason": "cleared", "customer": customer}
    assert api.made(path, named)["blocked"] == []
    other = {**named, "customer": customer + 50}
    assert problem(api.post(path, other)) == (422, "invalid-input")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"decision": "accept"},
        {"decision": "accept", "reason": " "},
        {"decision": "accept", "reason": "x" * 301},
        {"decision": "dance", "reason": "why"},
        {"decision": "accept", "reason": "why", "customer": 1},
        {"decision": "block", "reason": "why", "customer": 0},
    ],
)
def test_what_is_wrong_is_refused(api: Api, case_id: int, body: dict[str, object]) -> None:
    assert problem(api.post(f"/cases/{case_id}/decision", body)) == (422, "invalid-input")
    assert got(api, f"/cases/{case_id}")["state"] == "open"


def test_an_unknown_case_cannot_be_decided(api: Api, deployment: Deployment) -> None:
    for decision in ("accept", "block"):
        sent = {"decision": decision, "reason": "why"}
        assert problem(api.post("/cases/999/decision", sent)) == (404, "unknown-case")
