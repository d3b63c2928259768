"""Operations: health, readiness, metrics, and what the log says and does not say."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import redis
from flask.testing import FlaskClient

from referral import create_app, intake, risk
from referral.clock import HeldClock
from referral.config import Config
from referral.db import upgrade
from referral.deployment import Deployment, open_deployment
from referral.intake import Intake, health, parked
from referral.intake.heartbeats import Told, Worked
from referral.intake.stream import ShardFault, ShardState, StreamState, VisitStream
from referral.intake.waiting import WaitingTable
from referral.intake.working import Worker
from referral.reports import alarms
from referral.web import intake_figures, ops
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


@pytest.fixture
def streamed(
    deployment: Deployment, valkey: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Deployment]:
    """A deployment whose visits wait in a stream, and are looked for every time."""
    monkeypatch.setattr(intake_figures, "SECONDS", 0)
    with redis.Redis.from_url(valkey) as connection:
        connection.flushdb()
    stream = VisitStream(valkey)
    yield replace(deployment, stream=stream, intake=Intake(deployment.db, stream))
    stream.close()


def served(deployment: Deployment) -> Reader:
    return Reader(create_app(deployment=deployment))


def hand_in(deployment: Deployment) -> None:
    intake.note_ran(deployment, 1, deployment.clock.now())


def test_readiness_says_that_visits_go_straight_into_the_database(client: FlaskClient) -> None:
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json["intake"]) == (200, "direct")


def test_visits_that_wait_in_the_database_are_told(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake_figures, "SECONDS", 0)
    table = WaitingTable(deployment.db, deployment.clock)
    tabled = replace(deployment, waiting=table, intake=Intake(deployment.db, None, table))
    reader = served(tabled)
    assert reader.get("/readyz").json["intake"] == "ok"
    hand_in(tabled)
    answer = reader.get("/readyz")
    assert (answer.status_code, answer.json["status"]) == (503, "not ready")
    assert answer.json["intake"] == "1 entry waits, for 0 s; no worker runs"
    assert figure(reader, "referral_intake_table_entries") == 1
    assert figure(reader, "referral_intake_table_workers") == 0
    assert figure(reader, "referral_intake_table_oldest_seconds") == 0
    at_work = table.reader("one")
    at_work.new(1, timedelta(0))
    assert reader.get("/readyz").status_code == 200
    assert figure(reader, "referral_intake_table_workers") == 1
    at_work.close()
    table.close()


def test_it_is_not_ready_while_visits_wait_and_no_worker_runs(streamed: Deployment) -> None:
    reader = served(streamed)
    assert reader.get("/readyz").json["intake"] == "ok"
    hand_in(streamed)
    answer = reader.get("/readyz")
    assert (answer.status_code, answer.json["status"]) == (503, "not ready")
    assert answer.json["intake"].startswith("1 entry waits, for ")
    assert answer.json["intake"].endswith("; no worker runs")
    assert streamed.stream is not None
    with streamed.stream.heart("a", lambda: Told(Worked(), 0.0, None)):
        assert reader.get("/readyz").status_code == 200
    Worker(streamed.db, streamed.clock, streamed.stream).drain()
    assert reader.get("/readyz").status_code == 200


def test_it_is_not_ready_while_a_visit_waits_for_long(
    streamed: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert streamed.stream is not None
    hand_in(streamed)
    with streamed.stream.heart("a", lambda: Told(Worked(), 0.0, None)):
        reader = served(streamed)
        assert reader.get("/readyz").status_code == 200
        monkeypatch.setattr(health, "LATE", timedelta(0))
        answer = reader.get("/readyz")
    assert (answer.status_code, answer.json["status"]) == (503, "not ready")
    assert answer.json["intake"].startswith("1 entry waits, for ")


def test_a_redis_that_is_away_is_told_and_fails_nothing(
    streamed: Deployment,
) -> None:
    nowhere = VisitStream("redis://127.0.0.1:1")
    reader = served(replace(streamed, stream=nowhere))
    answer = reader.get("/readyz")
    assert answer.status_code == 200
    assert "Redis is away; visits go straight" in answer.json["intake"]
    said = reader.get("/metrics").text
    assert "referral_intake_stream_up 0.0" in said
    assert "referral_intake_waiting_entries" not in said


def test_metrics_tell_how_visits_get_in(streamed: Deployment) -> None:
    reader = served(streamed)
    for _ in range(3):
        hand_in(streamed)
    assert figure(reader, "referral_intake_waiting_entries") == 3
    assert figure(reader, "referral_intake_pending_entries") == 0
    assert figure(reader, "referral_intake_workers") == 0
    assert 0 <= figure(reader, "referral_intake_oldest_seconds") < 60
    assert figure(reader, "referral_intake_stream_up") == 1
    assert streamed.stream is not None
    Worker(streamed.db, streamed.clock, streamed.stream).drain()
    streamed.db.transact(lambda tx: parked.park_body(tx, b"x", "odd", streamed.clock.now()))
    assert figure(reader, "referral_intake_waiting_entries") == 0
    assert figure(reader, "referral_intake_oldest_seconds") == 0
    assert figure(reader, "referral_intake_stored_events_total") == 3
    assert figure(reader, "referral_intake_commits_total") == 1
    assert figure(reader, "referral_intake_commit_seconds_total") > 0
    assert figure(reader, "referral_intake_parked_events") == 1


def test_metrics_tell_of_each_shard_of_a_cluster(
    streamed: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards = (
        ShardState(0, "n1:6379", 3, 0, timedelta(seconds=5)),
        ShardState(1, "n2:6379", fault=ShardFault.away),
    )
    state = StreamState(3, 0, timedelta(seconds=5), (), Worked(), shards, is_heard=False)
    assert streamed.stream is not None
    monkeypatch.setattr(streamed.stream, "state", lambda: state)
    said = served(streamed).get("/metrics").text
    assert "referral_intake_waiting_entries 3.0" in said
    assert "referral_intake_shards_away 1.0" in said
    assert 'referral_intake_shard_waiting_entries{shard="0"} 3.0' in said
    assert 'referral_intake_shard_oldest_seconds{shard="0"} 5.0' in said
    assert '{shard="1"}' not in said, "what is away is not empty"
    assert "referral_intake_workers" not in said, "nobody knows"


def test_the_stream_is_asked_every_few_seconds_only(
    streamed: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake_figures, "SECONDS", 2.0)
    monkeypatch.setattr(intake_figures.time, "monotonic", lambda: moment)
    moment = 1_000.0
    reader = served(streamed)
    assert figure(reader, "referral_intake_waiting_entries") == 0
    hand_in(streamed)
    moment += 1.9
    assert figure(reader, "referral_intake_waiting_entries") == 0
    moment += 0.1
    assert figure(reader, "referral_intake_waiting_entries") == 1


def test_without_a_stream_metrics_tell_of_parked_events_only(client: FlaskClient) -> None:
    said = client.get("/metrics").text
    assert "referral_intake_parked_events 0.0" in said
    assert "referral_intake_stream_up" not in said
