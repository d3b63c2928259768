"""Operations: health, readiness, metrics, and what the log says and does not say."""

import json
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from referral import create_app, risk
from referral.clock import HeldClock
from referral.config import Config
from referral.db import upgrade
from referral.deployment import open_deployment
from referral.reports import alarms
from referral.web import ops
from tests.conftest import SECRET_KEYS, START
from tests.readers import Reader
from tests.web.conftest import Brand


def test_the_log_names_the_request_and_nobody(
    capsys: pytest.CaptureFixture[str], brand: Brand
) -> None:
    alice = Reader(create_app(deployment=brand.deployment))  # logs to what is captured now
    alice.sign_in("13800138000")
    alice.claim(brand.path(1))
    answer = alice.get(alice.own_link)
    lines = capsys.readouterr().err.splitlines()
    logged = [json.loads(line) for line in lines if line.startswith("{")]
    assert logged[-1]["endpoint"] == "share_links.landing"
    assert logged[-1]["request_id"] == answer.headers["X-Request-ID"]
    assert len({line["request_id"] for line in logged}) == len(logged)
    secrets = ("13800138000", brand.path(1).rpartition("/")[2], alice.own_link.rpartition("/")[2])
    assert not [secret for secret in secrets if secret in json.dumps(logged)]


def test_metrics_count_requests_by_known_methods_only(brand: Brand, alice: Reader) -> None:
    alice.get(brand.path(1))
    assert alice.get("/metrics").status_code == 200
    said = alice.get("/metrics").text
    assert 'endpoint="codes.scan",method="GET",status="200"' in said
    assert brand.path(1).rpartition("/")[2] not in said


def figure(reader: Reader, name: str) -> float:
    """What `/metrics` says of one figure."""
    lines = reader.get("/metrics").text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))


def test_metrics_count_unknown_codes_and_name_none(brand: Brand, alice: Reader) -> None:
    before = figure(alice, "referral_unknown_codes_total")
    alice.get(f"/01/{brand.product.gtin}/21/0123456789ABCDEF")
    alice.get("/c?code=0123456789ABCDEF")
    alice.get("/c?code=mistyped")
    alice.get(brand.path(1))
    assert figure(alice, "referral_unknown_codes_total") == before + 2
    assert "0123456789ABCDEF" not in alice.get("/metrics").text


def test_metrics_tell_how_many_alarms_there_are_and_look_once_a_minute(
    brand: Brand, alice: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ops.time, "monotonic", lambda: moment)
    moment = 1_000.0
    assert figure(alice, "referral_alarms") == 0
    for _ in range(alarms.MISSES_LEAST):
        brand.deployment.misses.count(brand.product.gtin, brand.batch.id)
    brand.deployment.misses.flush()
    moment += ops.ALARM_SECONDS - 1
    assert figure(alice, "referral_alarms") == 0
    moment += 1
    assert figure(alice, "referral_alarms") == 1


def test_metrics_are_told_while_the_database_is_away(tmp_path: Path) -> None:
    nowhere = Config(f"postgresql+psycopg://nobody@/x?host={tmp_path}", tmp_path, SECRET_KEYS)
    opened = open_deployment(nowhere, clock=HeldClock(START))
    assert Reader(create_app(deployment=opened)).get("/metrics").status_code == 200


def test_it_is_ready_once_the_database_is_migrated(bare_database_url: str, tmp_path: Path) -> None:
    opened = open_deployment(Config(bare_database_url, tmp_path, SECRET_KEYS))
    reader = Reader(create_app(deployment=opened))
    assert reader.get("/healthz").status_code == 200
    answer = reader.get("/readyz")
    assert (answer.status_code, answer.json["database"]) == (503, "not migrated")
    upgrade(bare_database_url)
    answer = reader.get("/readyz")
    assert (answer.status_code, answer.json["database"]) == (200, "ok")
    opened.db.close()


def test_readiness_has_the_heartbeat_of_the_risk_rules(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ops, "RISK_SECONDS", 0)
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json["risk_rules"]) == (200, "ok")
    assert answer.json["last_verdict"] == "none yet"
    monkeypatch.setattr(risk, "canary", lambda: ["a machine: pay instead of hold"])
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json["status"]) == (503, "not ready")
    assert "a machine" in answer.json["risk_rules"]


def test_figures_of_verdicts_and_cases(client: FlaskClient) -> None:
    said = client.get("/metrics").text
    assert 'referral_verdicts{decision="hold"} 0.0' in said
    assert 'referral_cases{state="open"} 0.0' in said
    assert "referral_risk_rules_well 1.0" in said
