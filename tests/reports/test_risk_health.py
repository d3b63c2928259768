"""The heartbeat of the risk rules goes red when they have gone silent."""

from typing import Any

import pytest
import sqlalchemy as sa

from referral import actions, risk
from referral.clock import HeldClock
from referral.deployment import Deployment
from referral.reports import evidence, risk_health
from referral.reports.risk_health import Health
from referral.risk import Mode, VerdictRow
from tests.actions.test_judging import suspicious
from tests.cast import Brand, cast_of, open_brand


def health(deployment: Deployment) -> Health:
    with deployment.db.read() as tx:
        return risk_health.health(tx, deployment.keys)


def test_it_is_well_before_anything_was_bought(deployment: Deployment) -> None:
    found = health(deployment)
    assert (found.ok, found.last_verdict) == (True, None)
    assert found.words == "last verdict none yet"


def test_it_says_when_the_last_verdict_was(deployment: Deployment, clock: HeldClock) -> None:
    alice, bob, _ = cast_of(open_brand(deployment))
    alice.claim(0)
    bob.open(alice.link())
    bob.claim(1)
    found = health(deployment)
    assert (found.ok, found.last_verdict) == (True, clock.now())
    assert found.words == "last verdict 2026-03-02T09:30:00Z"


def test_rules_that_do_not_count_are_named(deployment: Deployment) -> None:
    actions.set_risk_rule(deployment, "far_places", Mode.shadow, by="tests")
    assert health(deployment).words.endswith("not counted: far_places")
    assert health(deployment).ok


def test_a_canary_that_is_paid_is_red(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(risk, "canary", lambda: ["a machine: pay instead of hold"])
    assert not health(deployment).ok
    assert "a machine" in health(deployment).words


def test_facts_that_are_not_found_are_red(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, *_ = cast_of(open_brand(deployment))
    alice.claim(0)
    found = evidence.gather

    def nothing(tx: Any, keys: Any, known: evidence.Event, moment: Any) -> Any:
        facts, settings = found(tx, keys, known, moment)
        return risk.Facts(facts.moment, facts.customer), settings

    monkeypatch.setattr(evidence, "gather", nothing)
    assert health(deployment).findings == ["the facts of the last purchase cannot be gathered"]


def test_a_reward_without_a_verdict_is_red(deployment: Deployment) -> None:
    """The database refuses one; so its guard is taken away for this."""
    if not deployment.db.is_sqlite:
        pytest.skip("the guard cannot be taken away for a moment")
    alice, *_ = cast_of(open_brand(deployment))
    alice.claim(0)
    with deployment.db.engine.connect() as connection:
        connection.exec_driver_sql("COMMIT")
        connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
        connection.execute(sa.delete(VerdictRow))
        connection.commit()
        connection.exec_driver_sql("COMMIT") if connection.in_transaction() else None
    deployment.db.engine.dispose()
    assert health(deployment).findings == ["1 of the latest rewards have no verdict"]


def test_verdicts_are_counted_by_decision(deployment: Deployment, clock: HeldClock) -> None:
    brand: Brand = open_brand(deployment)
    alice, *_ = cast_of(brand)
    alice.claim(400)
    clock.advance(days=2)
    suspicious(brand)
    with deployment.db.read() as tx:
        assert risk_health.decisions(tx, clock.now()) == {"pay": 0, "review": 1, "hold": 0}
