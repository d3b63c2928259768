"""The page about how visits get in: what waits, who stores it, what could not be stored."""

from dataclasses import replace
from datetime import timedelta

import pytest
import redis
import sqlalchemy as sa

from referral import intake
from referral.audit import AuditEntry
from referral.config import Config
from referral.deployment import Deployment
from referral.intake import parked
from referral.intake.events import Ran, Visited, encode
from referral.intake.heartbeats import Worked
from referral.intake.stream import ShardFault, ShardState, StreamState, VisitStream
from referral.intake.working import Worker
from referral.visits import Kind, Visit, VisitRow, new_event_id
from referral.web import intake_figures
from tests.readers import Reader
from tests.web.staff.conftest import text

OF_PARKED = sa.select(AuditEntry).where(AuditEntry.action.startswith("parked"))


@pytest.fixture(autouse=True)
def _looked_for_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake_figures, "SECONDS", 0)


@pytest.fixture
def config(config: Config, valkey: str) -> Config:
    """Visits wait in a stream, whatever the database is."""
    with redis.Redis.from_url(valkey) as connection:
        connection.flushdb()
    return replace(config, redis_url=valkey, intake="stream")


def opening(d: Deployment) -> Visit:
    return Visit(Kind.open, d.clock.now(), new_event_id(), visitor=2)


def hand_in(d: Deployment) -> None:
    intake.hand_in(d, opening(d))


def worker(d: Deployment) -> Worker:
    assert d.stream is not None
    return Worker(d.db, d.clock, d.stream, name="shop-7")


def put_aside(d: Deployment, body: bytes, reason: str = "given out 6 times, never stored") -> int:
    d.db.transact(lambda tx: parked.park_body(tx, body, reason, d.clock.now()))
    with d.db.read() as tx:
        return parked.waiting(tx, limit=100)[-1].id


def test_it_says_that_nothing_waits(owner: Reader) -> None:
    assert owner.get("/staff/intake").status_code == 200
    said = text(owner)
    assert "Waiting 0 " in said
    assert "No worker runs." in said
    assert "Every event could be stored." in said
    assert owner.page.count('role="status"') == 0, "no worker is needed yet"


def test_it_says_that_visits_wait_for_a_worker(deployment: Deployment, owner: Reader) -> None:
    hand_in(deployment)
    hand_in(deployment)
    for path in ("/staff/intake", "/staff/"):
        owner.get(path)
        assert "Visits wait, and no worker runs." in text(owner), path
    owner.get("/staff/intake")
    assert "Waiting 2 " in text(owner)


def test_it_shows_what_waits_in_the_database(deployment: Deployment, owner: Reader) -> None:
    assert deployment.waiting is not None
    owner.get("/staff/intake")
    assert "In the database" not in text(owner)
    deployment.waiting.add([Visited(opening(deployment))])
    owner.get("/staff/intake")
    assert "In the database Waiting 1 " in text(owner)
    assert "Visits wait, and no worker runs." in text(owner)


def test_it_shows_the_workers_and_what_they_did(deployment: Deployment, owner: Reader) -> None:
    hand_in(deployment)
    at_work = worker(deployment)
    at_work.drain()
    with at_work._heart():
        owner.get("/staff/intake")
    said = text(owner)
    assert "shop-7" in said
    assert "in 1 commit " in said
    assert "Stored events 1 " in said
    assert " ms" in said
    assert "Visits wait, and no worker runs." not in said


def test_it_says_that_redis_is_away(
    deployment: Deployment, owner: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = VisitStream("redis://127.0.0.1:1")
    assert deployment.stream is not None
    monkeypatch.setattr(deployment.stream, "state", nowhere.state)
    for path in ("/staff/intake", "/staff/"):
        assert owner.get(path).status_code == 200
        assert "Redis is away. Visits go straight into the database" in text(owner)


def test_it_says_which_part_of_a_cluster_is_late_or_away(
    deployment: Deployment, owner: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards = (
        ShardState(0, "n1:6379", 3, 0, timedelta(minutes=5)),
        ShardState(1, "n2:6379", fault=ShardFault.away),
        ShardState(2, "n3:6379", fault=ShardFault.alone),
    )
    state = StreamState(3, 0, timedelta(minutes=5), (), Worked(), shards, is_heard=False)
    assert deployment.stream is not None
    monkeypatch.setattr(deployment.stream, "state", lambda: state)
    assert owner.get("/staff/intake").status_code == 200
    said = text(owner)
    assert "Oldest 5 minutes has been waiting, in part 0" in said
    assert "2 parts of the stream take no visits: their nodes are away or have no replica." in said
    assert "1 (n2:6379), 2 (n3:6379)" in said
    assert "The part of Redis that knows of the workers is away." in said
    assert "no worker runs" not in said


def test_a_parked_event_is_stored_after_all_and_who_did_is_kept(
    deployment: Deployment, owner: Reader
) -> None:
    number = put_aside(deployment, encode([Visited(opening(deployment))]))
    owner.get("/staff/")
    assert "1 visit could not be stored yet." in text(owner)
    owner.get("/staff/intake")
    assert f"An open #{number}" in text(owner)
    assert "given out 6 times, never stored" in text(owner)
    assert owner.send(f"/staff/intake/parked/{number}").status_code == 303
    owner.get("/staff/intake")
    assert "The event is stored." in text(owner)
    assert "Every event could be stored." in text(owner)
    with deployment.db.read() as tx:
        assert tx.scalar(sa.select(sa.func.count()).select_from(VisitRow)) == 1
        entry = tx.scalars(OF_PARKED).one()
    told = (entry.by, entry.action, entry.subject)
    assert told == ("olga@brand.example", "parked-replay", f"parked:{number}")


def test_what_nobody_can_read_is_given_up_and_what_can_be_read_is_not(
    deployment: Deployment, owner: Reader
) -> None:
    readable = put_aside(deployment, encode([Visited(opening(deployment))]))
    nonsense = put_aside(deployment, b"nonsense")
    owner.get("/staff/intake")
    assert owner.page.count("Give it up") == owner.page.count("Store it</button>") == 1
    assert owner.send(f"/staff/intake/parked/{nonsense}/discard").status_code == 303
    owner.get("/staff/intake")
    assert "The event is given up." in text(owner)
    assert f"#{nonsense}" not in text(owner)
    assert owner.send(f"/staff/intake/parked/{readable}/discard").status_code == 409
    assert "This event can be read." in text(owner)


def test_a_second_press_stores_nothing_twice(deployment: Deployment, owner: Reader) -> None:
    number = put_aside(deployment, encode([Ran(7, deployment.clock.now())]))
    owner.get("/staff/intake")
    assert "A page that ran" in text(owner)
    for said in ("The event is stored.", "That event was stored before."):
        owner.send(f"/staff/intake/parked/{number}")
        owner.get("/staff/intake")
        assert said in text(owner)
    with deployment.db.read() as tx:
        assert len(tx.scalars(OF_PARKED).all()) == 1


def test_what_still_fails_is_told_kindly(deployment: Deployment, owner: Reader) -> None:
    number = put_aside(deployment, b"\x00nonsense", "JSONDecodeError: Expecting value")
    owner.get("/staff/intake")
    assert f"Not readable #{number}" in text(owner)
    assert owner.send(f"/staff/intake/parked/{number}").status_code == 409
    assert "This event cannot be stored yet." in text(owner)
    assert f"#{number}" in text(owner), "it is still there"
    assert owner.send("/staff/intake/parked/999").status_code == 404
    assert "There is no such parked event." in text(owner)
    with deployment.db.read() as tx:
        assert tx.scalars(OF_PARKED).all() == []


def test_only_whoever_may_change_things_stores_one(deployment: Deployment, analyst: Reader) -> None:
    number = put_aside(deployment, encode([Visited(opening(deployment))]))
    analyst.get("/staff/intake")
    assert f"#{number}" in text(analyst)
    assert "Store it" not in text(analyst)
    assert analyst.send(f"/staff/intake/parked/{number}").status_code == 403


def test_a_request_without_its_token_stores_nothing(deployment: Deployment, owner: Reader) -> None:
    number = put_aside(deployment, encode([Visited(opening(deployment))]))
    assert owner.post(f"/staff/intake/parked/{number}").status_code == 400
    with deployment.db.read() as tx:
        assert parked.count_waiting(tx) == 1


def test_of_many_parked_events_the_oldest_are_shown(deployment: Deployment, owner: Reader) -> None:
    for number in range(51):
        put_aside(deployment, b"nonsense %d" % number)
    owner.get("/staff/intake")
    assert owner.page.count("Not readable") == 50
    assert "These are the oldest of 51." in text(owner)
