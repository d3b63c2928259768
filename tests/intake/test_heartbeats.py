"""What workers tell of themselves, in a real Valkey."""

from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from referral.intake import heartbeats
from referral.intake.heartbeats import Heart, Told, Worked
from tests import waits

KEY = "brand|visits"


@pytest.fixture
def connection(valkey: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(valkey) as opened:
        opened.flushdb()
        yield opened


wait_until = partial(waits.wait_until, seconds=10)


def told(events: int = 0, last_commit: float | None = None) -> Told:
    return Told(Worked(events, commits=events, commit_seconds=events / 4), 60.0, last_commit)


def test_a_worker_is_seen_with_what_it_has_done(connection: redis.Redis) -> None:
    heartbeats.tell(connection, KEY, "b", told(), Worked())
    heartbeats.tell(connection, KEY, "a", told(8, last_commit=5.0), Worked(8, 8, 2.0))
    first, second = heartbeats.alive(connection, KEY)
    assert (first.name, first.worked) == ("a", Worked(8, 8, 2.0))
    assert (second.name, second.worked, second.last_commit_at) == ("b", Worked(), None)
    assert first.last_commit_at is not None
    assert first.told_at - first.last_commit_at == timedelta(seconds=5)
    assert first.told_at - first.started_at == timedelta(minutes=1)


def test_what_all_have_done_outlives_each_of_them(connection: redis.Redis) -> None:
    assert heartbeats.all_worked(connection, KEY) == Worked()
    heartbeats.tell(connection, KEY, "a", told(8), Worked(8, 8, 2.0))
    heartbeats.tell(connection, KEY, "b", told(3), Worked(3, 1, 0.25, parked=1))
    for name in ("a", "b"):
        heartbeats.forget(connection, KEY, name)
    assert heartbeats.alive(connection, KEY) == ()
    assert heartbeats.all_worked(connection, KEY) == Worked(11, 9, 2.25, 1)


def test_a_worker_that_tells_nothing_is_gone_and_dropped(
    connection: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    heartbeats.tell(connection, KEY, "killed", told(), Worked())
    assert len(heartbeats.alive(connection, KEY)) == 1
    monkeypatch.setattr(heartbeats, "ALIVE_FOR", timedelta(milliseconds=50))
    wait_until(lambda: not heartbeats.alive(connection, KEY), "the worker is still there")
    heartbeats.tell(connection, KEY, "other", told(), Worked())
    names: Any = connection.hkeys(f"{KEY}|workers")
    assert names == [b"other"]
    assert 0 < int(str(connection.ttl(f"{KEY}|workers"))) <= heartbeats.KEPT_FOR.total_seconds()


def test_another_versions_words_are_left_alone(connection: redis.Redis) -> None:
    for name, written in (("new", '{"rate": 3}'), ("odd", "nonsense"), ("list", "[]")):
        connection.hset(f"{KEY}|workers", name, written)
    assert heartbeats.alive(connection, KEY) == ()


def test_a_heart_beats_and_says_goodbye(
    connection: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeats, "BEAT_SECONDS", 0.01)
    now = Worked()

    def look() -> Told:
        return Told(Worked(now.events), 0.0, None)

    with Heart(lambda: connection, KEY, "a", look):
        assert [each.name for each in heartbeats.alive(connection, KEY)] == ["a"]
        now.events = 5
        wait_until(
            lambda: heartbeats.all_worked(connection, KEY).events == 5, "nothing more was told"
        )
        now.events = 7
    assert heartbeats.alive(connection, KEY) == ()
    assert heartbeats.all_worked(connection, KEY).events == 7


def test_nothing_fails_where_nothing_can_be_told() -> None:
    nowhere = redis.Redis(port=1, retry=Retry(NoBackoff(), 0))
    with Heart(lambda: nowhere, KEY, "a", lambda: told(3)):
        pass
