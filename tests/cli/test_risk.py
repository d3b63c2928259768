"""The command `referral risk`: rules, what they would find, and the second look."""

from datetime import UTC, datetime

import pytest

from referral import actions, risk
from referral.clock import HeldClock
from referral.deployment import Deployment
from referral.risk import RULES, Mode, Setting
from tests.actions.test_judging import friend, suspicious
from tests.cast import PER_CLAIM, Brand, cast_of, open_brand
from tests.cli.conftest import Referral, check_failed, told


@pytest.fixture
def brand(deployment: Deployment, clock: HeldClock) -> Brand:
    clock.set(datetime.now(UTC))  # the command has the real one
    return open_brand(deployment, hold_days=7)


def test_rules_are_listed_with_how_they_are_set(referral: Referral, deployment: Deployment) -> None:
    actions.set_risk_rule(deployment, "far_places", Mode.off, points=5, by="tests")
    rules = {each["rule"]: each for each in told(referral("risk", "rules", "--json"))["rules"]}
    assert set(rules) == {rule.id for rule in RULES}
    assert (rules["far_places"]["mode"], rules["far_places"]["points"]) == ("off", 5)
    assert rules["far_places"]["points_default"] == 25
    assert rules["too_many_in_a_day"]["thresholds"] == {"most": 5}
    assert rules["quiet_star"]["found"] == "later"
    assert "far_places" in referral("risk", "rules").stdout


def test_a_rule_is_set(referral: Referral, deployment: Deployment) -> None:
    said = told(referral("risk", "set", "far_places", "shadow", "--weight", 40, "--json"))
    assert said == {"rule": "far_places", "mode": "shadow", "points": 40}
    with deployment.db.read() as tx:
        assert risk.settings_of(tx)["far_places"] == Setting(Mode.shadow, 40)
    assert referral("risk", "set", "far_places", "on").stdout == (
        "far_places is on, with 40 points.\n"
    )


def test_bad_words_are_refused(referral: Referral, deployment: Deployment) -> None:
    check_failed(referral("risk", "set", "no-such", "on"), "no such risk rule")
    check_failed(referral("risk", "replay", "no-such"), "no such risk rule")
    assert referral("risk", "set", "far_places", "loud").exit_code == 2
    assert referral("risk", "set", "far_places", "on", "--weight", 101).exit_code == 2
    assert referral("risk", "replay", "far_places", "--days", 0).exit_code == 2


def test_a_rule_is_tried_on_history(referral: Referral, brand: Brand) -> None:
    alice, *_ = cast_of(brand)
    alice.claim(400)
    actions.set_risk_rule(brand.deployment, "shared_browsers", Mode.off, by="tests")
    claimed = suspicious(brand)
    (found,) = told(referral("risk", "replay", "shared_browsers", "--json"))["results"]
    assert (found["purchases"], found["found"]) == (2, 1)
    assert found["changed"] == {"pay -> review": 1}
    assert found["amounts"] == {"points": PER_CLAIM}
    (event,) = found["events"]
    assert (event["event"], event["evidence"]) == (claimed.claim.event, {"accounts": 3})
    words = referral("risk", "replay", "shared_browsers").stdout
    assert words == (
        "shared_browsers: 1 of 2 purchases; they were granted 20 points; "
        "would change: 1 pay -> review.\n"
    )


def test_a_refusal_is_tried_on_history(referral: Referral, brand: Brand) -> None:
    actions.set_risk_rule(brand.deployment, "self_same_device", Mode.off, by="tests")
    alice, bob, _ = cast_of(brand)
    alice.claim(0)
    bob.cookie = alice.cookie
    bob.sign_in()
    bob.open(alice.link())
    assert len(bob.claim(1).rewards) == 3
    (found,) = told(referral("risk", "replay", "self_same_device", "--json"))["results"]
    assert found["changed"] == {"refused": 1}


def test_what_happened_later_is_not_in_a_replay(
    referral: Referral, brand: Brand, clock: HeldClock
) -> None:
    alice, bob, _ = cast_of(brand)
    alice.claim(0)
    bob.open(alice.link())
    bob.claim(1)
    clock.advance(minutes=1)
    for number in range(4):  # Bob's phone goes round, after his purchase
        other = friend(brand, number)
        other.cookie = bob.cookie
        other.sign_in()
    (found,) = told(referral("risk", "replay", "shared_browsers", "--json"))["results"]
    assert found["found"] == 0


def test_all_rules_are_tried_one_by_one(referral: Referral, brand: Brand) -> None:
    suspicious(brand)
    results = told(referral("risk", "replay", "all", "--json"))["results"]
    found = {each["rule"]: each["found"] for each in results}
    assert set(found) == {rule.id for rule in RULES}
    assert {rule for rule, count in found.items() if count} == {"shared_browsers", "misses_first"}


def test_the_second_look(referral: Referral, brand: Brand) -> None:
    alice, *_ = cast_of(brand)
    alice.claim(0)
    assert told(referral("risk", "look", "--json")) == {"looked": 1, "review": 0, "hold": 0}
    assert referral("risk", "look").stdout.startswith("Looked at 0 purchases")


def test_the_doctor_looks_at_the_rules(
    referral: Referral, brand: Brand, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks = {each["name"]: each for each in told(referral("doctor", "--json"))["checks"]}
    assert checks["risk rules"]["ok"]
    monkeypatch.setattr(risk, "canary", lambda: ["a machine: pay instead of hold"])
    result = referral("doctor")
    assert result.exit_code == 1
    assert "risk rules" in result.stderr
