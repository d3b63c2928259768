"""The table that visits wait in without Redis: one row for what came at one moment, stored once."""

import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NoReturn

import psutil
import pytest
import redis
import sqlalchemy as sa

from referral import actions, intake, rollups
from referral.clock import HeldClock
from referral.config import Config
from referral.db import Database, upgrade
from referral.deployment import Deployment, open_deployment
from referral.errors import Unavailable
from referral.intake import Intake, parked, waiting, working
from referral.intake.events import Event, Ran, Visited, decode
from referral.intake.health import LATE, Fault, health
from referral.intake.storing import store
from referral.intake.stream import VisitStream
from referral.intake.waiting import WaitingEvents, WaitingTable
from referral.intake.working import TRIES_MAX, Worker
from referral.links import Channel, Link
from referral.people import Visitor, new_visitor_id
from referral.spread import SpreadNode
from referral.visits import Kind, Visit, VisitRow, new_event_id
from tests import waits
from tests.cast import add_product, open_brand, publish
from tests.conftest import START, settings_of
from tests.readers import PHONE
from tests.servers import ROOT, ServiceProcess

NOW = timedelta(0)
TABLES = (VisitRow, Visitor, SpreadNode, rollups.VisitCount)


@pytest.fixture
def config(config: Config) -> Config:
    return replace(config, redis_url=None, intake="table")


@pytest.fixture
def d(deployment: Deployment) -> Iterator[Deployment]:
    """A brand without Redis, whose visits wait in its database."""
    add_product(deployment)
    publish(deployment)
    assert deployment.waiting is not None
    with closing(deployment.waiting):
        yield deployment


@contextmanager
def worker(d: Deployment, **more: Any) -> Iterator[Worker]:
    made = Worker(d.db, d.clock, d.stream, d.waiting, **more)
    try:
        yield made
    finally:
        made.close()


def work_off(d: Deployment) -> None:
    with worker(d) as at_work:
        at_work.drain()


def opening(d: Deployment, reader: int, sharer: int = 1) -> Visit:
    its = {"campaign": 1, "visitor": reader, "parent": sharer, "hop": 1}
    return Visit(Kind.open, d.clock.now(), new_event_id(), **its)  # type: ignore[arg-type]


def stored(d: Deployment) -> list[int]:
    with d.db.read() as tx:
        return [tx.scalar(sa.select(sa.func.count()).select_from(table)) or 0 for table in TABLES]


def rows(d: Deployment) -> list[WaitingEvents]:
    with d.db.read() as tx:
        return list(tx.scalars(sa.select(WaitingEvents).order_by(WaitingEvents.id)))


def test_visits_wait_in_the_database_until_a_worker_stores_them(d: Deployment) -> None:
    for reader in (2, 3, 4):
        assert intake.hand_in(d, opening(d, reader))
    intake.note_ran(d, 3, d.clock.now())
    assert (stored(d), len(rows(d))) == ([0, 0, 0, 0], 4)
    work_off(d)
    assert (stored(d), rows(d)) == ([3, 3, 4, 1], [])
    with d.db.read() as tx:
        everybody = tx.scalars(sa.select(Visitor).order_by(Visitor.id))
        assert [each.ran_at is not None for each in everybody] == [False, True, False]
        assert list(rollups.differences(tx)) == []


def test_a_row_has_the_events_of_one_moment_as_the_stream_has_them(d: Deployment) -> None:
    assert d.waiting is not None
    events: list[Event] = [Visited(opening(d, 2), 5), Ran(2, d.clock.now())]
    d.waiting.add(events)
    (row,) = rows(d)
    assert decode(row.body) == events
    assert (row.at, row.tries, row.tried_at) == (d.clock.now(), 0, None)


def test_what_is_handed_in_within_a_transaction_is_stored_in_it(d: Deployment) -> None:
    d.db.transact(lambda _tx: intake.hand_in(d, opening(d, 2)))
    assert (stored(d), rows(d)) == ([1, 1, 2, 1], [])


def test_an_event_that_comes_again_counts_once(d: Deployment) -> None:
    visit = opening(d, 2)
    for _ in range(3):
        intake.hand_in(d, visit)
    work_off(d)
    intake.hand_in(d, visit)
    work_off(d)
    assert stored(d) == [1, 1, 2, 1]


def test_a_worker_that_dies_after_the_commit_leaves_nothing_twice(
    d: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    intake.hand_in(d, opening(d, 2))

    def die(_entries: object) -> NoReturn:
        raise Unavailable()

    with worker(d) as dying, monkeypatch.context() as patched:
        patched.setattr(dying._sources[0].reader, "done", die)
        with pytest.raises(Unavailable):
            dying.step(NOW)
    assert (stored(d), len(rows(d))) == ([1, 1, 2, 1], 1)
    work_off(d)
    assert (stored(d), rows(d)) == ([1, 1, 2, 1], [])


def test_one_worker_is_at_the_table_and_another_takes_over_when_it_ends(d: Deployment) -> None:
    assert d.waiting is not None
    intake.hand_in(d, opening(d, 2))
    one, two = d.waiting.reader("one"), d.waiting.reader("two")
    (entry,) = one.new(10, NOW)
    assert two.new(10, NOW) == two.abandoned(NOW, 10) == []
    assert d.waiting.state().workers == 1
    one.close()
    later = timedelta(seconds=30)
    assert two.new(10, NOW) == []
    assert two.abandoned(later, 10) == [replace(entry, deliveries=2)], "at once"
    assert two.abandoned(later, 10) == [], "for it is this one's now"
    two.close()
    assert d.waiting.state().workers == 0


def fail_for(patched: pytest.MonkeyPatch, reader: int) -> None:
    """Let nothing of one reader be stored."""

    def failing(tx: Any, events: Sequence[Event], **how: Any) -> list[bool]:
        if any(reader == getattr(getattr(each, "visit", None), "visitor", 0) for each in events):
            raise RuntimeError("poison")
        return store(tx, events, **how)

    patched.setattr(working, "store", failing)


def test_one_event_that_cannot_be_stored_holds_up_nobody_and_is_parked(
    d: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = timedelta(seconds=30)
    with monkeypatch.context() as patched, worker(d, abandoned_after=later) as at_work:
        patched.setattr(working, "LOOK_SECONDS", 0.0)
        fail_for(patched, 3)
        for reader in (2, 3, 4):
            intake.hand_in(d, opening(d, reader))
        at_work.step(NOW)
        assert stored(d) == [2, 2, 3, 1]
        assert [(row.tries, row.tried_at) for row in rows(d)] == [(1, d.clock.now())]
        for tried in range(1, TRIES_MAX):
            assert at_work.step(NOW) == 0, "not at once"
            d.clock.advance(seconds=30)  # type: ignore[attr-defined]
            assert at_work.step(NOW) == 1
            assert [row.tries for row in rows(d)] == [tried + 1]
        d.clock.advance(seconds=30)  # type: ignore[attr-defined]
        at_work.step(NOW)
        assert rows(d) == []
    with d.db.read() as tx:
        (found,) = parked.waiting(tx, limit=10)
    assert found.reason == f"given out {TRIES_MAX + 1} times, never stored"
    assert actions.replay_parked(d, found.id, by="olga")
    assert stored(d) == [3, 3, 4, 1]


def test_what_a_worker_dies_of_is_parked_and_holds_up_nobody_else(
    d: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that is gone in the middle of storing, as by kill -9, leaves no word behind."""

    class Gone(BaseException):
        pass

    def dying(tx: Any, events: Sequence[Event], **how: Any) -> list[bool]:
        if any(getattr(getattr(each, "visit", None), "visitor", 0) == 4 for each in events):
            raise Gone()
        return store(tx, events, **how)

    readers = range(2, 8)
    for reader in readers:
        intake.hand_in(d, opening(d, reader))
    deaths = 0
    with monkeypatch.context() as patched:
        patched.setattr(working, "store", dying)
        while rows(d):
            try:
                work_off(d)
            except Gone:
                deaths += 1
            assert deaths <= TRIES_MAX
    assert deaths == TRIES_MAX
    assert stored(d)[0] == len(readers) - 1
    with d.db.read() as tx:
        (found,) = parked.waiting(tx, limit=10)
    assert found.reason == f"given out {TRIES_MAX + 1} times, never stored"


def test_what_cannot_be_read_is_parked_at_once(d: Deployment) -> None:
    d.db.transact(lambda tx: tx.add(WaitingEvents(body=b"\x00nonsense", at=d.clock.now())))
    intake.hand_in(d, opening(d, 2))
    work_off(d)
    assert (stored(d), rows(d)) == ([1, 1, 2, 1], [])
    with d.db.read() as tx:
        assert parked.count_waiting(tx) == 1


def test_a_number_that_is_given_again_does_not_take_the_new_row_along(d: Deployment) -> None:
    assert d.waiting is not None
    reader = d.waiting.reader("slow")
    intake.hand_in(d, opening(d, 2))
    (entry,) = reader.new(10, NOW)
    d.db.transact(lambda tx: tx.execute(sa.delete(WaitingEvents)))
    d.db.transact(lambda tx: tx.add(WaitingEvents(id=int(entry.id), body=b"[]", at=d.clock.now())))
    reader.done([entry])
    reader.close()
    assert [(row.body, row.tries) for row in rows(d)] == [(b"[]", 0)]


def test_while_redis_is_away_events_go_to_the_table_and_one_worker_drains_both(
    d: Deployment, valkey: str
) -> None:
    with redis.Redis.from_url(valkey) as connection:
        connection.flushdb()
    stream = VisitStream(valkey)
    streamed = replace(d, stream=stream, intake=Intake(d.db, stream, d.waiting))
    intake.hand_in(streamed, opening(d, 2))
    stream._resting_until = float("inf")
    nowhere = VisitStream("redis://127.0.0.1:1")
    away = replace(d, stream=nowhere, intake=Intake(d.db, nowhere, d.waiting))
    intake.hand_in(away, opening(d, 3))
    assert (stored(d)[0], len(rows(d)), stream.state().entries) == (0, 1, 1)
    work_off(streamed)
    assert (stored(d)[0], rows(d), stream.state().entries) == (2, [], 0)
    stream.close()


def test_a_worker_whose_redis_is_away_works_off_the_table(
    d: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    intake.hand_in(d, opening(d, 2))
    nowhere = VisitStream("redis://127.0.0.1:1")
    monkeypatch.setattr(working, "WAIT", timedelta(seconds=0.1))
    with worker(replace(d, stream=nowhere)) as at_work:
        real = at_work._store

        def store_and_stop(events: Sequence[Event]) -> None:
            real(events)
            at_work.stop()

        monkeypatch.setattr(at_work, "_store", store_and_stop)
        at_work.run()
    assert (stored(d), rows(d)) == ([1, 1, 2, 1], [])


def test_it_is_seen_how_much_waits_and_for_how_long(d: Deployment) -> None:
    assert d.waiting is not None
    found = health(None, d.waiting)
    assert (found.words, found.faults) == ("ok", ())
    intake.hand_in(d, opening(d, 2))
    d.clock.advance(seconds=5)  # type: ignore[attr-defined]
    found = health(None, d.waiting)
    assert found.words == "1 entry waits, for 5 s; no worker runs"
    assert found.faults == (Fault.idle,)
    reader = d.waiting.reader("one")
    reader.new(1, NOW)
    assert health(None, d.waiting).words == "ok"
    d.clock.advance(seconds=LATE.total_seconds())  # type: ignore[attr-defined]
    found = health(None, d.waiting)
    assert found.faults == (Fault.late,)
    assert found.words == "1 entry waits, for 65 s"
    reader.close()


def test_what_waits_in_the_database_is_told_also_while_redis_is_away(d: Deployment) -> None:
    intake.hand_in(d, opening(d, 2))
    found = health(VisitStream("redis://127.0.0.1:1"), d.waiting)
    assert found.is_away
    assert found.faults == (Fault.idle,)
    assert found.words.endswith("1 entry waits, for 0 s; no worker runs")


def test_a_database_that_is_away_says_so_and_is_used_again(tmp_path: Path, d: Deployment) -> None:
    nowhere = Database(f"sqlite:///{tmp_path / 'none' / 'x.db'}")
    table = WaitingTable(nowhere, d.clock)
    with pytest.raises(Unavailable):
        table.add([Ran(1, d.clock.now())])
    with pytest.raises(Unavailable):
        table.reader("one").new(1, NOW)
    assert waiting.state_of(table) is None


def test_a_connection_that_was_ended_meanwhile_is_not_noticed(d: Deployment) -> None:
    intake.hand_in(d, opening(d, 2))
    if not d.db.is_sqlite:
        ended = (
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        d.db.transact(lambda tx: tx.execute(sa.text(ended)))
    intake.hand_in(d, opening(d, 3))
    assert len(rows(d)) == 2


def test_a_table_that_is_not_there_is_an_error_of_its_own(
    tmp_path: Path,
) -> None:
    with closing(Database(f"sqlite:///{tmp_path / 'bare.db'}")) as bare:
        table = WaitingTable(bare, HeldClock(START))
        with pytest.raises(sa.exc.OperationalError, match="no such table"):
            table.add([Ran(1, START)])
        table.close()


# Real processes


class Web(ServiceProcess):
    def _command(self) -> Sequence[str | Path]:
        return [*super()._command(), "--no-worker"]


wait_until = partial(waits.wait_until, seconds=60)


def opens_of(d: Deployment) -> int:
    with d.db.read() as tx:
        opens = sa.select(sa.func.count()).select_from(VisitRow).where(VisitRow.kind == "open")
        return tx.scalar(opens) or 0


def test_nothing_that_was_answered_is_lost_when_the_service_is_killed(config: Config) -> None:
    service = Web(settings_of(config))
    d = open_deployment(replace(config, base_url=service.url))
    link = Link(open_brand(d).campaign.id, new_visitor_id(), channel=Channel.copy)
    path = f"/s/{d.links.token(link)}"
    answered = 0
    try:
        for _ in range(2):
            service.start()
            answered += sum(open_once(service, path) for _ in range(10))
            children = psutil.Process(service.pid).children(recursive=True)
            for each in children:
                each.kill()
            service.kill()
        assert (opens_of(d), len(rows(d)), answered) == (0, 20, 20)
        with worker_process(service) as beside:
            wait_until(lambda: not rows(d))
            beside.send_signal(signal.SIGTERM)
            assert beside.wait(30) == 0
        assert opens_of(d) == answered
    finally:
        service.kill()
        service.discard()
        d.db.close()


def open_once(service: ServiceProcess, path: str) -> bool:
    with closing(HTTPConnection("127.0.0.1", service.port, timeout=10)) as connection:
        connection.request("GET", path, headers={"User-Agent": PHONE})
        return connection.getresponse().status == 200


@contextmanager
def worker_process(service: ServiceProcess) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "referral", "worker"]
    process = subprocess.Popen(command, cwd=ROOT, env=service.environment)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_worker_that_begins_while_the_database_is_away_waits_for_it(
    config: Config, tmp_path: Path
) -> None:
    """On SQLite, where it can be away without anybody else's noticing."""
    if not config.database_url.startswith("sqlite"):
        pytest.skip("the server is everybody's")
    away = tmp_path / "later" / "referral.db"
    service = Web({**settings_of(config), "REFERRAL_DATABASE_URL": f"sqlite:///{away}"})
    try:
        with worker_process(service) as beside:
            with pytest.raises(subprocess.TimeoutExpired):
                beside.wait(3)
            # All at once: SQLite would make an empty database where there is only a folder.
            ready = tmp_path / "ready"
            ready.mkdir()
            upgrade(f"sqlite:///{ready / away.name}")
            ready.rename(away.parent)
            with closing(Database(f"sqlite:///{away}")) as db:
                table = WaitingTable(db, HeldClock(START))
                table.add([Ran(1, START)])
                wait_until(lambda: table.state().entries == 0)
                table.close()
            beside.send_signal(signal.SIGTERM)
            assert beside.wait(30) == 0
    finally:
        service.discard()
