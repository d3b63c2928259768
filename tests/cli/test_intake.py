"""The worker, parked events and the recount from the command line, and what the doctor says."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import redis
import sqlalchemy as sa

from referral import intake, rollups
from referral.audit import AuditEntry
from referral.config import Config
from referral.deployment import Deployment
from referral.intake import health, parked
from referral.intake.events import Ran, Visited, encode
from referral.intake.heartbeats import Told, Worked
from referral.rollups import VisitCount
from referral.visits import Kind, Visit, VisitRow, new_event_id
from tests.cli.conftest import Referral, check_failed, told
from tests.cli.test_care import compiled  # noqa: F401 - a fixture

DIRECT = {"REFERRAL_INTAKE": "direct"}


@pytest.fixture
def config(config: Config, valkey: str) -> Iterator[Config]:
    """Visits wait in a stream, whatever the database is."""
    with redis.Redis.from_url(valkey) as connection:
        connection.flushdb()
        yield replace(config, redis_url=valkey, intake="stream")


def opening(d: Deployment, visitor: int = 2) -> Visit:
    return Visit(Kind.open, d.clock.now(), new_event_id(), visitor=visitor)


def hand_in(d: Deployment, count: int = 1) -> None:
    for visitor in range(2, 2 + count):
        intake.hand_in(d, opening(d, visitor))


def put_aside(d: Deployment, *bodies: bytes) -> None:
    def work(tx: sa.orm.Session) -> None:
        for body in bodies:
            parked.park_body(tx, body, "given out 6 times, never stored", d.clock.now())

    d.db.transact(work)


def good(d: Deployment) -> bytes:
    return encode([Visited(opening(d))])


def visits_stored(d: Deployment) -> int:
    with d.db.read() as tx:
        return tx.scalar(sa.select(sa.func.count()).select_from(VisitRow)) or 0


def test_a_worker_stores_what_waits_and_ends(referral: Referral, deployment: Deployment) -> None:
    hand_in(deployment, 3)
    assert visits_stored(deployment) == 0
    result = referral("worker", "--once")
    assert (result.exit_code, result.stdout) == (0, "Stored 3 events, parked 0.\n")
    assert visits_stored(deployment) == 3
    assert referral("worker", "--once").stdout == "Stored 0 events, parked 0.\n"


def test_a_worker_without_a_stream_says_what_to_set(
    referral: Referral, deployment: Deployment
) -> None:
    for settings in (DIRECT, {"REFERRAL_REDIS_URL": "", **DIRECT}):
        check_failed(referral("worker", **settings), "Visits go straight into the database.")


def test_a_worker_without_its_redis_says_so(referral: Referral, deployment: Deployment) -> None:
    away = {"REFERRAL_REDIS_URL": "redis://127.0.0.1:9/0"}
    check_failed(referral("worker", "--once", **away), "Redis is away; check REFERRAL_REDIS_URL.")


def test_a_stream_without_a_redis_is_a_wrong_setting(
    referral: Referral, deployment: Deployment
) -> None:
    check_failed(referral("worker", "--once", REFERRAL_REDIS_URL=""), "set REFERRAL_REDIS_URL")
    check_failed(referral("worker", REFERRAL_INTAKE="queue"), "'queue' is none of stream,")


TABLE = {"REFERRAL_INTAKE": "table", "REFERRAL_REDIS_URL": ""}


def test_a_worker_stores_what_waits_in_the_database(
    referral: Referral, deployment: Deployment
) -> None:
    assert deployment.waiting is not None
    deployment.waiting.add([Visited(opening(deployment, reader)) for reader in (2, 3)])
    assert referral("worker", "--once", **TABLE).stdout == "Stored 2 events, parked 0.\n"
    assert visits_stored(deployment) == 2
    deployment.waiting.add([Visited(opening(deployment, 4))])
    assert referral("worker", "--once").stdout == "Stored 1 events, parked 0.\n"


@pytest.mark.usefixtures("compiled")
def test_the_doctor_says_what_waits_in_the_database(
    referral: Referral, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert deployment.waiting is not None
    (none,) = doctor(referral, **TABLE)
    assert none.startswith("LOOK  visits       none wait, in the database; no worker runs: start")
    deployment.waiting.add([Ran(2, datetime.now(UTC))])
    first, *_ = doctor(referral, **TABLE)
    assert first.startswith("FAIL  visits       1 entry waits, for ")
    assert "in the database; no worker runs: start `referral worker`" in first
    _, second, *_ = doctor(referral)
    assert second.startswith("FAIL  visits       1 entry waits, for "), "beside the stream"
    reader = deployment.waiting.reader("one")
    assert len(reader.new(9, timedelta(0))) == 1
    try:
        first, *_ = doctor(referral, **TABLE)
        assert first.startswith("ok    visits       1 entry waits, for ")
        assert first.endswith("in the database; a worker runs")
        monkeypatch.setattr("referral.cli.intake_checks.LATE", -health.LATE)
        first, *_ = doctor(referral, **TABLE)
        assert first.startswith("FAIL  visits")
        assert first.endswith("look at its log")
    finally:
        reader.close()


def test_hourly_figures_are_compared_and_mended(referral: Referral, deployment: Deployment) -> None:
    hand_in(deployment, 2)
    referral("worker", "--once")
    assert told(referral("recount", "--check", "--json")) == {"ok": True, "differences": []}
    assert "are what the visits say" in referral("recount", "--check").stdout
    deployment.db.transact(lambda tx: tx.execute(sa.update(VisitCount).values(count=7)))
    wrong = referral("recount", "--check")
    assert wrong.exit_code == 1
    assert "`referral recount` mends them" in wrong.stderr
    assert len(wrong.stdout.splitlines()) == 1
    assert told(referral("recount", "--json"))["mended"] >= 1
    assert referral("recount", "--check").exit_code == 0
    assert told(referral("recount", "--json")) == {"mended": 0, "values": 0}
    with deployment.db.read() as tx:
        assert list(rollups.differences(tx)) == []


def test_parked_events_are_listed(referral: Referral, deployment: Deployment) -> None:
    assert referral("parked", "list").stdout == "No events are parked.\n"
    assert told(referral("parked", "list", "--json")) == {"total": 0, "items": []}
    put_aside(deployment, good(deployment), b"nonsense")
    listed = told(referral("parked", "list", "--json"))
    assert listed["total"] == 2
    assert listed["items"][0]["reason"] == "given out 6 times, never stored"
    assert len(referral("parked", "list").stdout.splitlines()) == 2


def test_parked_events_are_stored_after_all(referral: Referral, deployment: Deployment) -> None:
    put_aside(deployment, good(deployment), b"nonsense", good(deployment))
    result = referral("parked", "replay")
    assert result.exit_code == 1
    assert result.stdout.splitlines()[0] == "Stored 2 events."
    assert "This event cannot be stored yet." in result.stdout
    assert "Events that cannot be stored yet: 1." in result.stderr
    assert visits_stored(deployment) == 2
    assert told(referral("parked", "list", "--json"))["total"] == 1
    with deployment.db.read() as tx:
        assert [entry.by for entry in tx.scalars(sa.select(AuditEntry))] == ["command line"] * 2


def test_one_parked_event_is_stored_by_its_number_once(
    referral: Referral, deployment: Deployment
) -> None:
    put_aside(deployment, good(deployment), good(deployment))
    [_, second] = told(referral("parked", "list", "--json"))["items"]
    number = second["id"]
    assert told(referral("parked", "replay", number, "--json")) == {"stored": 1, "failed": {}}
    assert told(referral("parked", "replay", number, "--json")) == {"stored": 0, "failed": {}}
    assert visits_stored(deployment) == 1
    unknown = referral("parked", "replay", number + 1)
    assert unknown.exit_code == 1
    assert "There is no such parked event." in unknown.stdout


def test_only_what_nobody_can_read_is_given_up(referral: Referral, deployment: Deployment) -> None:
    put_aside(deployment, good(deployment), b"nonsense")
    readable, nonsense = (
        each["id"] for each in told(referral("parked", "list", "--json"))["items"]
    )
    assert referral("parked", "discard").exit_code == 2
    result = referral("parked", "discard", readable, nonsense)
    assert (result.exit_code, result.stdout.splitlines()[0]) == (1, "Gave up 1 events.")
    assert "This event can be read." in result.stdout
    assert told(referral("parked", "discard", nonsense, "--json"))["discarded"] == 0
    assert told(referral("parked", "list", "--json"))["total"] == 1
    with deployment.db.read() as tx:
        assert [entry.action for entry in tx.scalars(sa.select(AuditEntry))] == ["parked-discard"]


def test_many_that_fail_do_not_hide_one_that_can_be_stored(
    referral: Referral, deployment: Deployment
) -> None:
    put_aside(deployment, *(b"nonsense %d" % n for n in range(100)), good(deployment))
    assert referral("parked", "list").stdout.splitlines()[-1] == "... and 1 more."
    referral("parked", "replay")
    assert visits_stored(deployment) == 1


def doctor(referral: Referral, **settings: str) -> list[str]:
    """Its lines about visits."""
    lines = referral("doctor", **settings).stdout.splitlines()
    return [line for line in lines if line[6:].startswith("visits")]


@pytest.mark.usefixtures("compiled")
def test_the_doctor_says_how_visits_get_in(referral: Referral, deployment: Deployment) -> None:
    assert doctor(referral, **DIRECT) == ["ok    visits       go straight into the database"]
    away = doctor(referral, REFERRAL_REDIS_URL="redis://127.0.0.1:9/0")
    assert [line.partition(":")[0] for line in away] == ["LOOK  visits       Redis is away"]


@pytest.mark.usefixtures("compiled")
def test_the_doctor_says_what_to_start(referral: Referral, deployment: Deployment) -> None:
    first, *_ = doctor(referral)
    assert first.startswith("LOOK  visits       none wait; no worker runs: start `referral worker`")
    hand_in(deployment, 2)
    result = referral("doctor")
    assert result.exit_code == 1
    assert "FAIL  visits       2 entries wait, the oldest for " in result.stdout
    assert "no worker runs: start `referral worker`" in result.stdout
    assert "Something is wrong with: visits" in result.stderr


@pytest.mark.usefixtures("compiled")
def test_the_doctor_says_that_workers_do_not_keep_up(
    referral: Referral, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand_in(deployment)
    assert deployment.stream is not None
    with deployment.stream.heart("a", lambda: Told(Worked(), 0.0, None)):
        first, *_ = doctor(referral)
        assert first.startswith("ok    visits       1 entry waits, for ")
        assert first.endswith("; 1 worker runs")
        monkeypatch.setattr(health, "LATE", -health.LATE)
        first, *_ = doctor(referral)
    assert first.startswith("FAIL  visits")
    assert first.endswith("start more, and look at the log of those that run")


@pytest.mark.usefixtures("compiled")
def test_the_doctor_says_which_settings_of_redis_lose_visits(
    referral: Referral, deployment: Deployment, valkey: str
) -> None:
    _, kept, *more = doctor(referral)
    assert not more
    assert kept.startswith("LOOK  visits       Redis does not write to its disk (appendonly no)")
    with redis.Redis.from_url(valkey) as connection:
        try:
            connection.config_set("appendonly", "yes")
            connection.config_set("maxmemory-policy", "allkeys-lru")
            _, evicts, *more = doctor(referral)
        finally:
            connection.config_set("appendonly", "no")
            connection.config_set("maxmemory-policy", "noeviction")
    assert not more
    assert "Redis drops visits that wait" in evicts
    assert "(maxmemory-policy allkeys-lru)" in evicts


@pytest.mark.usefixtures("compiled")
def test_the_doctor_tells_of_parked_events_and_is_well(
    referral: Referral, deployment: Deployment
) -> None:
    put_aside(deployment, b"nonsense")
    _, last = doctor(referral, **DIRECT)
    assert last == (
        "LOOK  visits       1 event could not be stored; see `referral parked list`, or "
        "/staff/intake"
    )
