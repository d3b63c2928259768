"""The seed of a campaign's draws: promised first, told afterwards."""

from datetime import timedelta

from referral.clock import HeldClock
from referral.deployment import Deployment
from referral.rewards import draws
from tests.cast import add_product, publish
from tests.web.api.conftest import Api, problem

RULE = {
    "when": "claim",
    "for": "person",
    "amount": {"odds": [{"per_million": 500_000, "amount": 50}]},
}


def test_the_seed_is_told_when_the_campaign_is_over(
    api: Api, deployment: Deployment, clock: HeldClock
) -> None:
    add_product(deployment)
    ends = clock.now() + timedelta(days=10)
    publish(deployment, rules=[RULE], organiser="Tea Brand Ltd", ends_at=ends)
    before = api.get("/campaigns/spring/draw").json
    assert (before["seed"], before["ends_at"]) == (None, "2026-03-12T09:30:00Z")
    clock.advance(days=10)
    after = api.get("/campaigns/spring/draw").json
    assert after["commitment"] == before["commitment"]
    assert draws.commitment(bytes.fromhex(after["seed"])) == before["commitment"]


def test_a_campaign_without_a_draw_has_none(api: Api, deployment: Deployment) -> None:
    add_product(deployment)
    publish(deployment)
    assert problem(api.get("/campaigns/spring/draw")) == (422, "no-draw")
    assert problem(api.get("/campaigns/autumn/draw")) == (404, "unknown-campaign")
