"""The stream and the workers on it: what was handed in is stored once, whoever dies."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, NoReturn

import pytest
import redis
import sqlalchemy as sa

from referral import actions, intake, rollups
from referral.deployment import Deployment
from referral.errors import Unavailable
from referral.intake import Intake, parked, working
from referral.intake.events import Event
from referral.intake.parked import StillFails, UnknownParked
from referral.intake.stream import FIELD, GROUP, StreamAway, VisitStream
from referral.intake.waiting import WaitingTable
from referral.intake.working import TRIES_MAX, Worker
from referral.people import Visitor
from referral.spread import SpreadNode
from referral.visits import Kind, Visit, VisitRow, new_event_id
from tests.cast import add_product, publish

NOW = timedelta(0)
TABLES = (VisitRow, Visitor, SpreadNode, rollups.VisitCount)


@pytest.fixture
def stream(valkey: str) -> Iterator[VisitStream]:
    with redis.Redis.from_url(valkey) as connection:
        connection.flushdb()
    found = VisitStream(valkey)
    yield found
    found.close()


@pytest.fixture
def streamed(deployment: Deployment, stream: VisitStream) -> Deployment:
    """A deployment whose visits wait for a worker."""
    add_product(deployment)
    publish(deployment)
    return replace(deployment, stream=stream, intake=Intake(deployment.db, stream))


def worker(d: Deployment, name: str = "one", after: timedelta = NOW) -> Worker:
    assert d.stream is not None
    made = Worker(d.db, d.clock, d.stream, name=name, abandoned_after=after)
    made._sources[0].reader.begin()
    return made


def opening(d: Deployment, reader: int, sharer: int = 1, **more: Any) -> Visit:
    its = {"campaign": 1, "visitor": reader, "parent": sharer, "hop": 1, **more}
    return Visit(Kind.open, d.clock.now(), new_event_id(), **its)


def stored(d: Deployment) -> list[int]:
    with d.db.read() as tx:
        return [tx.scalar(sa.select(sa.func.count()).select_from(table)) or 0 for table in TABLES]


def waiting(d: Deployment) -> tuple[int, int]:
    assert d.stream is not None
    state = d.stream.state()
    return state.entries, state.pending


def test_counters_are_brought_up_to_date_now_and_then_while_there_is_more(
    streamed: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With an empty table beside the stream, as a service has it."""
    monkeypatch.setattr(working, "ENTRIES_AT_ONCE", 4)
    monkeypatch.setattr(working, "FOLD_AFTER", 8)
    table = WaitingTable(streamed.db, streamed.clock)
    one = Worker(streamed.db, streamed.clock, streamed.stream, table, abandoned_after=NOW)
    stored_at: list[int] = []
    real = one._fold
    monkeypatch.setattr(one, "_fold", lambda: (stored_at.append(one.worked.events), real()))
    one.step(NOW)
    for reader in range(2, 20):
        intake.hand_in(streamed, opening(streamed, reader))
    while one.step(NOW):
        pass
    assert stored_at == [8, 16, 18]
    one.close()
    table.close()


def test_visits_wait_until_a_worker_stores_them(streamed: Deployment) -> None:
    for reader in (2, 3, 4):
        assert intake.hand_in(streamed, opening(streamed, reader))
    intake.note_ran(streamed, 3, streamed.clock.now())
    assert (stored(streamed), waiting(streamed)) == ([0, 0, 0, 0], (4, 0))
    worker(streamed).drain()
    assert (stored(streamed), waiting(streamed)) == ([3, 3, 4, 1], (0, 0))
    with streamed.db.read() as tx:
        everybody = tx.scalars(sa.select(Visitor).order_by(Visitor.id))
        assert [each.ran_at is not None for each in everybody] == [False, True, False]
        assert list(rollups.differences(tx)) == []


def test_what_is_on_its_way_is_in_when_it_was_waited_for(streamed: Deployment) -> None:
    finish = intake.begin(streamed, opening(streamed, 2))
    assert finish()
    assert waiting(streamed) == (1, 0)


def test_nobody_takes_the_answer_to_what_was_not_waited_for(streamed: Deployment) -> None:
    for reader in (2, 3, 4):
        intake.begin(streamed, opening(streamed, reader))
    assert intake.hand_in(streamed, opening(streamed, 5))
    assert 1 <= waiting(streamed)[0] <= 4
    worker(streamed).drain()
    with streamed.db.read() as tx:
        assert tx.get(Visitor, 5) is not None


def test_what_was_on_its_way_when_redis_went_away_goes_into_the_database(
    streamed: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert streamed.stream is not None
    finish = intake.begin(streamed, opening(streamed, 2))

    def gone(_line: object) -> NoReturn:
        raise redis.ConnectionError

    monkeypatch.setattr(redis.Connection, "read_response", gone)
    assert finish()
    monkeypatch.undo()
    assert stored(streamed)[0] == 1
    worker(streamed).drain()
    assert stored(streamed)[0] == 1, "it was in the stream as well"


def test_what_is_stored_by_way_of_the_stream_is_what_is_stored_directly(
    streamed: Deployment, deployment: Deployment
) -> None:
    handed = [opening(streamed, reader, sharer) for reader, sharer in ((2, 1), (3, 2), (5, 9))]
    for visit in handed:
        intake.hand_in(streamed, visit)
    worker(streamed).drain()
    before = stored(streamed)
    for visit in handed:
        assert not intake.hand_in(deployment, visit), "known by its number"
    assert stored(streamed) == before


def test_a_worker_that_dies_after_the_commit_leaves_nothing_twice(
    streamed: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    intake.hand_in(streamed, opening(streamed, 2))
    dying = worker(streamed, "dying")

    def die(_entries: object) -> None:
        raise StreamAway

    monkeypatch.setattr(dying._sources[0].reader, "done", die)
    with pytest.raises(StreamAway):
        dying.step(NOW)
    assert (stored(streamed), waiting(streamed)) == ([1, 1, 2, 1], (1, 1))
    worker(streamed, "other").drain()
    assert (stored(streamed), waiting(streamed)) == ([1, 1, 2, 1], (0, 0))


def test_entries_are_left_to_a_worker_who_may_still_be_at_them(streamed: Deployment) -> None:
    intake.hand_in(streamed, opening(streamed, 2))
    assert streamed.stream is not None
    slow = streamed.stream.reader("slow")
    slow.begin()
    assert len(slow.new(10, NOW)) == 1
    worker(streamed, "other", timedelta(minutes=1)).drain()
    assert (stored(streamed), waiting(streamed)) == ([0, 0, 0, 0], (1, 1))
    worker(streamed, "patient").drain()
    assert (stored(streamed), waiting(streamed)) == ([1, 1, 2, 1], (0, 0))


def fail_for(monkeypatch: pytest.MonkeyPatch, reader: int) -> None:
    """Let nothing of one reader be stored."""
    real = working.store

    def failing(tx: Any, events: Sequence[Event], **how: Any) -> list[bool]:
        if any(reader == getattr(getattr(each, "visit", None), "visitor", 0) for each in events):
            raise RuntimeError("poison")
        return real(tx, events, **how)

    monkeypatch.setattr(working, "store", failing)


def test_one_event_that_cannot_be_stored_holds_up_nobody_and_is_parked(
    streamed: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        fail_for(patched, 3)
        for reader in (2, 3, 4):
            intake.hand_in(streamed, opening(streamed, reader))
        at_work = worker(streamed)
        at_work.step(NOW)
        assert (stored(streamed), waiting(streamed)) == ([2, 2, 3, 1], (1, 1))
        for _ in range(TRIES_MAX):
            at_work._sources[0].looked_at = float("-inf")
            at_work.step(NOW)
        assert waiting(streamed) == (0, 0)
    with streamed.db.read() as tx:
        (found,) = parked.waiting(tx, limit=10)
    assert found.reason == f"given out {TRIES_MAX + 1} times, never stored"
    assert at_work.worked.parked == 1
    assert actions.replay_parked(streamed, found.id, by="olga")
    assert not actions.replay_parked(streamed, found.id, by="olga")
    assert stored(streamed) == [3, 3, 4, 1]
    with streamed.db.read() as tx:
        assert parked.waiting(tx, limit=10) == []


def test_one_event_that_cannot_be_stored_is_found_by_halves(
    streamed: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    for reader in range(2, 66):
        intake.hand_in(streamed, opening(streamed, reader))
    at_work, tried = worker(streamed), list[int]()
    real = at_work._store
    at_work._store = lambda events: (tried.append(len(events)), real(events))[1]  # type: ignore[method-assign, func-returns-value, assignment, return-value]
    with monkeypatch.context() as patched:
        fail_for(patched, 40)
        at_work.step(NOW)
    assert (stored(streamed)[0], waiting(streamed)) == (63, (1, 1))
    assert (len(tried), sum(tried)) == (14, 64 + 64 + 32 + 16 + 8 + 4 + 2 + 1)


def test_what_is_no_event_is_parked_at_once_and_says_so(streamed: Deployment) -> None:
    assert streamed.stream is not None
    streamed.stream._redis.xadd(streamed.stream.key, {FIELD: b"\x00nonsense"})
    intake.hand_in(streamed, opening(streamed, 2))
    worker(streamed).drain()
    assert (stored(streamed), waiting(streamed)) == ([1, 1, 2, 1], (0, 0))
    with streamed.db.read() as tx:
        (found,) = parked.waiting(tx, limit=10)
    with pytest.raises(StillFails):
        actions.replay_parked(streamed, found.id, by="olga")
    with pytest.raises(UnknownParked):
        actions.replay_parked(streamed, found.id + 1, by="olga")


def test_without_redis_visits_go_straight_into_the_database(streamed: Deployment) -> None:
    nowhere = VisitStream("redis://127.0.0.1:1")
    away = replace(streamed, stream=nowhere, intake=Intake(streamed.db, nowhere))
    assert intake.hand_in(away, opening(away, 2))
    assert stored(away) == [1, 1, 2, 1]


def test_a_redis_that_was_emptied_is_used_again(streamed: Deployment) -> None:
    assert streamed.stream is not None
    at_work = worker(streamed)
    streamed.stream._redis.flushall()
    intake.hand_in(streamed, opening(streamed, 2))
    while waiting(streamed) != (0, 0):
        at_work.step(NOW)
    assert stored(streamed) == [1, 1, 2, 1]


def test_names_of_workers_that_are_gone_are_dropped(streamed: Deployment) -> None:
    assert streamed.stream is not None
    for name in ("gone", "here"):
        reader = streamed.stream.reader(name)
        reader.begin()
        reader.new(1, NOW)
    reader.forget_the_dead(NOW)
    consumers: Any = streamed.stream._redis.xinfo_consumers(streamed.stream.key, GROUP)
    assert [each["name"] for each in consumers] == [b"here"]


def test_the_state_says_how_much_waits_and_for_how_long(streamed: Deployment) -> None:
    assert streamed.stream is not None
    assert streamed.stream.state().oldest == NOW
    intake.hand_in(streamed, opening(streamed, 2))
    state = streamed.stream.state()
    assert (state.entries, state.pending, state.workers) == (1, 0, 0)
    assert NOW <= state.oldest < timedelta(seconds=30)
    at_work = worker(streamed)
    with at_work._heart():
        at_work._sources[0].reader.new(1, NOW)
        state = streamed.stream.state()
        assert (state.pending, state.workers) == (1, 1)
    assert streamed.stream.state().workers == 0, "it said that it ended"


def test_what_was_put_aside_by_a_worker_that_died_is_not_put_aside_twice(
    streamed: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    intake.hand_in(streamed, opening(streamed, 2))
    intake.note_ran(streamed, 2, streamed.clock.now())
    assert streamed.stream is not None
    streamed.stream._redis.xadd(streamed.stream.key, {FIELD: b"nonsense"})
    monkeypatch.setattr(working, "TRIES_MAX", 0)

    def die(_entries: object) -> None:
        raise StreamAway

    for name in ("one", "two"):
        dying = worker(streamed, name)
        monkeypatch.setattr(dying._sources[0].reader, "done", die)
        with pytest.raises(StreamAway):
            dying.step(NOW)
    worker(streamed, "three").drain()
    assert waiting(streamed) == (0, 0)
    with streamed.db.read() as tx:
        assert parked.count_waiting(tx) == 3


def test_a_worker_outlives_a_database_that_goes_away_while_it_puts_aside(
    streamed: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    intake.hand_in(streamed, opening(streamed, 2))
    at_work = worker(streamed)
    asked = []

    def away(*_arguments: object) -> None:
        asked.append(1)
        if len(asked) == 2:
            at_work.stop()
        raise Unavailable()

    monkeypatch.setattr(working, "TRIES_MAX", 0)
    monkeypatch.setattr(working, "REST_SECONDS", 0.01)
    monkeypatch.setattr(working, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(working, "park", away)
    at_work.run()
    assert len(asked) == 2
    assert waiting(streamed) == (1, 1)


def test_when_the_database_is_away_the_stream_is_tried_though_it_failed_a_moment_ago(
    streamed: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = streamed.stream
    assert stream is not None
    stream._resting_until = float("inf")
    with monkeypatch.context() as patched:
        patched.setattr(streamed.db, "transact", away)
        assert intake.hand_in(streamed, opening(streamed, 2))
        nowhere = replace(streamed, intake=Intake(streamed.db, VisitStream("redis://127.0.0.1:1")))
        with pytest.raises(Unavailable):
            intake.hand_in(nowhere, opening(streamed, 3))
    assert (stored(streamed), waiting(streamed)) == ([0, 0, 0, 0], (1, 0))


def away(_work: object) -> NoReturn:
    raise Unavailable()
