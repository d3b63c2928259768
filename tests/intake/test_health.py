"""Whether visits get in, from what the stream says of itself."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest
import redis

from referral.cli.intake_checks import _getting_in
from referral.intake.events import Ran
from referral.intake.health import LATE, Fault, Health, health
from referral.intake.heartbeats import Heartbeat, Told, Worked
from referral.intake.stream import Keeping, ShardFault, ShardState, StreamState, VisitStream
from tests.servers import ValkeyServer

NOW = timedelta(0)
AT = datetime(2026, 3, 2, tzinfo=UTC)
ALIVE = Heartbeat("a", Worked(), AT, None, AT)


def state(entries: int, oldest: timedelta = timedelta(0), workers: int = 1) -> StreamState:
    return StreamState(entries, 0, oldest, (ALIVE,) * workers, Worked())


@pytest.mark.parametrize(
    ("found", "faults", "words"),
    [
        (Health(False, None), (), "direct"),
        (Health(True, None), (), "Redis is away; visits go straight into the database"),
        (Health(True, state(0)), (), "ok"),
        (Health(True, state(0, workers=0)), (), "ok"),
        (Health(True, state(9, LATE)), (), "ok"),
        (
            Health(True, state(1_200, LATE + timedelta(seconds=1))),
            (Fault.late,),
            "1,200 entries wait, the oldest for 61 s",
        ),
        (
            Health(True, state(2, workers=0)),
            (Fault.idle,),
            "2 entries wait, the oldest for 0 s; no worker runs",
        ),
        (
            Health(True, state(1, 2 * LATE, workers=0)),
            (Fault.late, Fault.idle),
            "1 entry waits, for 120 s; no worker runs",
        ),
    ],
)
def test_what_is_wrong(found: Health, faults: tuple[Fault, ...], words: str) -> None:
    assert (found.faults, found.words) == (faults, words)


@pytest.fixture
def stream(valkey: str) -> Iterator[VisitStream]:
    with redis.Redis.from_url(valkey) as connection:
        connection.flushdb()
    opened = VisitStream(valkey)
    yield opened
    opened.close()


def test_a_real_stream_is_asked(stream: VisitStream) -> None:
    assert health(stream).words == "ok"
    stream.add([Ran(1, AT)])
    assert health(stream).faults == (Fault.idle,)
    with stream.heart("a", lambda: Told(Worked(), 0.0, None)):
        assert health(stream).words == "ok"


def test_a_redis_that_is_away_is_no_fault() -> None:
    found = health(VisitStream("redis://127.0.0.1:1"))
    assert (found.is_away, found.faults) == (True, ())
    assert not health(None).is_away


def test_redis_says_how_it_keeps_what_it_is_told(stream: VisitStream) -> None:
    assert stream.keeping() == Keeping(appendonly=False, eviction="noeviction")
    try:
        for name, value in (("appendonly", "yes"), ("maxmemory-policy", "allkeys-lru")):
            stream._redis.config_set(name, value)
        assert stream.keeping() == Keeping(appendonly=True, eviction="allkeys-lru")
    finally:
        for name, value in (("appendonly", "no"), ("maxmemory-policy", "noeviction")):
            stream._redis.config_set(name, value)


def test_a_redis_that_may_not_be_asked_says_nothing(stream: VisitStream, valkey: str) -> None:
    connection = stream._redis
    connection.execute_command(
        "ACL", "SETUSER", "tenant", "on", ">secret-of-tenant", "~*", "&*", "+@all", "-config"
    )
    try:
        password = urlsplit(valkey).password or ""
        theirs = valkey.replace(f":{password}@", "tenant:secret-of-tenant@")
        rented = VisitStream(theirs)
        assert rented.keeping() == Keeping(appendonly=None, eviction=None)
        assert rented.state().entries == 0
        rented.close()
    finally:
        connection.execute_command("ACL", "DELUSER", "tenant")


NODES = ("n1:6379", "n2:6379", "n3:6379")


def in_shards(entries: int, *faulty: tuple[int, ShardFault], heard: bool = True) -> StreamState:
    """Of six shards at three nodes, where only the fourth has entries."""
    faults = dict(faulty)
    old = {3: (entries, LATE * 2)} if entries else {}
    shards = tuple(
        ShardState(
            number, NODES[number % 3], *_counts(old.get(number, (0, NOW))), faults.get(number)
        )
        for number in range(6)
    )
    beats = (ALIVE,) if heard else ()
    return StreamState(entries, 0, LATE * 2 if entries else NOW, beats, Worked(), shards, heard)


def _counts(of: tuple[int, timedelta]) -> tuple[int, int, timedelta]:
    return of[0], 0, of[1]


@pytest.mark.parametrize(
    ("state", "faults", "words"),
    [
        (in_shards(0), (), "ok"),
        (
            in_shards(7),
            (Fault.late,),
            "7 entries wait, the oldest for 120 s in shard 3 at n1:6379",
        ),
        (in_shards(1), (Fault.late,), "1 entry waits, for 120 s in shard 3 at n1:6379"),
        (
            in_shards(0, (1, ShardFault.away), (4, ShardFault.away), (2, ShardFault.alone)),
            (),
            (
                "ok; the node n2:6379 of shards 1, 4 is away; the node n3:6379 of shard 2 has no "
                "replica: their visits go straight into the database"
            ),
        ),
        # Whether a worker runs is not known then.
        (
            in_shards(1, (0, ShardFault.away), heard=False),
            (Fault.late,),
            (
                "1 entry waits, for 120 s in shard 3 at n1:6379; the node n1:6379 of shard 0 is "
                "away: their visits go straight into the database"
            ),
        ),
    ],
)
def test_what_is_wrong_in_a_cluster(
    state: StreamState, faults: tuple[Fault, ...], words: str
) -> None:
    found = Health(True, state)
    assert (found.faults, found.words) == (faults, words)


def test_the_doctor_says_which_shard_is_late_or_away() -> None:
    late = _getting_in(Health(True, in_shards(7)))
    assert (late.ok, "in shard 3 at n1:6379; 1 worker runs" in late.words) == (False, True)
    away = _getting_in(Health(True, in_shards(0, (1, ShardFault.away))))
    assert (away.ok, away.alarm) == (True, True)
    assert "; 1 worker runs; the node n2:6379 of shard 1 is away" in away.words
    unheard = _getting_in(Health(True, in_shards(0, (1, ShardFault.away), heard=False)))
    assert (unheard.ok, unheard.alarm) == (True, True)
    assert "the node that knows of the workers is away" in unheard.words


def test_a_redis_that_was_started_anew_is_asked_again() -> None:
    with ValkeyServer() as server:
        stream = VisitStream(server.url)
        assert stream.state().entries == 0
        server.restart()
        assert not health(stream).is_away
        stream.close()
