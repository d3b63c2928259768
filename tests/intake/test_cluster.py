"""The stream, the counters and the workers' words on a real Valkey Cluster of six nodes."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
import redis

from referral.intake import stream as streams
from referral.intake.events import Event, Ran, Visited, decode, visitor_of
from referral.intake.heartbeats import Told, Worked
from referral.intake.reading import StreamReader
from referral.intake.shards import SHARDS
from referral.intake.stream import FIELD, Keeping, ShardFault, StreamAway, VisitStream
from referral.limits import RedisCounters
from referral.visits import Kind, Visit, new_event_id
from tests import waits
from tests.clusters import ValkeyCluster

AT = datetime(2026, 3, 2, tzinfo=UTC)
NOW = timedelta(0)
MOST = 1_000
KEYS = tuple(f"referral|visits|{{{number}}}" for number in range(SHARDS))


@pytest.fixture(scope="module")
def running() -> Iterator[ValkeyCluster]:
    with ValkeyCluster() as cluster:
        yield cluster


@pytest.fixture
def cluster(running: ValkeyCluster) -> ValkeyCluster:
    """Whole, and with nothing in it."""
    for node in running.nodes:
        node.start()
    running.wait_until(running.is_whole)
    for node in running.masters():
        with redis.Redis.from_url(node.url) as client:
            client.flushall()
    return running


@pytest.fixture
def stream(cluster: ValkeyCluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[VisitStream]:
    # A machine under load may be slow; what is away says so at once here.
    monkeypatch.setattr(streams, "TIMEOUT_SECONDS", 5.0)
    monkeypatch.setattr(streams, "COPY_MILLIS", 3_000)
    opened = VisitStream(cluster.url)
    yield opened
    opened.close()


@pytest.fixture
def reader(stream: VisitStream) -> Iterator[StreamReader]:
    opened = stream.reader("one")
    opened.begin()
    yield opened
    opened.close()


def ran(visitors: range) -> list[Event]:
    return [Ran(visitor, AT) for visitor in visitors]


def read_all(reader: StreamReader, most: int = MOST) -> list[int]:
    """The visitors of all that waits, which is done then."""
    found: list[int] = []
    while entries := reader.new(most, NOW):
        assert len(entries) <= most
        found += [visitor_of(event) for entry in entries for event in decode(entry.data)]
        reader.done(entries)
    return found


wait_until = partial(waits.wait_until, seconds=60)


def took_all(stream: VisitStream, reader: StreamReader) -> bool:
    """Read on; whether nothing is left."""
    with suppress(StreamAway):  # it finds out now where the shards are
        read_all(reader)
    return stream.state().entries == 0


def takes_all(stream: VisitStream) -> bool:
    """Whether events of every shard are safe in it now."""
    try:
        stream.add(ran(range(SHARDS)), rested=True)
    except StreamAway:
        return False
    return True


def test_each_visitor_has_a_shard_and_every_entry_is_given_out_once(
    stream: VisitStream, reader: StreamReader
) -> None:
    fetch = Visited(Visit(Kind.fetch, AT, new_event_id(), campaign=1))
    stream.add([*ran(range(100)), fetch])
    stream.add(ran(range(50)))
    state = stream.state()
    assert {each.entries for each in state.shards} == {2}
    assert len({each.node for each in state.shards}) == 3
    assert (state.entries, state.pending, state.faulty) == (2 * SHARDS, 0, ())
    other = stream.reader("two")
    mine, others = reader.new(SHARDS, NOW), other.new(MOST, NOW)
    assert (len(mine), len(others)) == (SHARDS, SHARDS)
    assert stream.state().pending == 2 * SHARDS
    by_shard: dict[str, set[int]] = {}
    for entry in (*mine, *others):
        visitors = {visitor_of(event) for event in decode(entry.data)} - {0}
        by_shard.setdefault(entry.id.partition("/")[0], set()).update(visitors)
    assert by_shard == {str(n): set(range(n, 100, SHARDS)) - {0} for n in range(SHARDS)}
    assert len({entry.id for entry in (*mine, *others)}) == 2 * SHARDS
    reader.done([*mine, *others])
    assert (stream.state().entries, stream.state().pending) == (0, 0)
    other.close()


@pytest.mark.parametrize("most", [3, 20, MOST])
def test_a_full_shard_is_not_held_up_by_empty_ones(
    stream: VisitStream, reader: StreamReader, most: int
) -> None:
    for _ in range(60):
        stream.add([Ran(5, AT)])
    stream.add(ran(range(SHARDS)))
    assert sorted(read_all(reader, most)) == sorted([*range(SHARDS), *[5] * 60])
    assert stream.state().entries == 0


def test_what_a_dead_worker_had_is_taken_from_every_shard(
    stream: VisitStream, reader: StreamReader
) -> None:
    for _ in range(3):
        stream.add(ran(range(SHARDS)))
    dead = stream.reader("dead")
    assert len(dead.new(MOST, NOW)) == 3 * SHARDS
    assert reader.abandoned(timedelta(hours=1), MOST) == []
    taken = reader.abandoned(NOW, MOST)
    assert len({entry.id for entry in taken}) == 3 * SHARDS
    assert {entry.deliveries for entry in taken} == {2}
    reader.forget_the_dead(NOW)
    reader.done(taken)
    assert (stream.state().entries, stream.state().pending) == (0, 0)
    with redis.RedisCluster.from_url(stream._server.address.url) as client:
        names: Any = [client.xinfo_consumers(key, "workers") for key in KEYS]
    assert {each["name"] for some in names for each in some} == {b"one"}
    dead.close()


def test_only_the_events_of_a_shard_that_is_away_go_elsewhere(
    cluster: ValkeyCluster, stream: VisitStream, reader: StreamReader
) -> None:
    stream.add(ran(range(SHARDS)))
    assert len(read_all(reader)) == SHARDS
    killed = cluster.master_of(KEYS[3])
    its = {n.number for n in stream.state().shards if n.node.endswith(f":{killed.port}")}
    assert 3 in its
    assert len(its) < SHARDS
    killed.kill()
    with pytest.raises(StreamAway) as away:
        stream.add(ran(range(2 * SHARDS)))
    assert {position % SHARDS for position in away.value.left(99)} == its
    assert len(away.value.left(99)) == 2 * len(its)
    state = stream.state()
    assert {each.number for each in state.faulty if each.fault is ShardFault.away} == its
    assert state.entries == SHARDS - len(its)
    with pytest.raises(StreamAway):  # others' entries are given out, and then it says so
        read_all(reader)
    assert stream.state().entries == 0
    # A replica takes over. It has no replica itself yet: what it is told is not safe.
    wait_until(
        lambda: not any(s.fault is ShardFault.away for s in stream.state().shards), "it stays"
    )
    assert {each.number for each in stream.state().faulty} == its
    with pytest.raises(StreamAway) as alone:
        stream.add(ran(range(SHARDS)), rested=True)
    assert set(alone.value.left(99)) <= its
    killed.start()
    cluster.wait_until(cluster.is_whole)
    wait_until(lambda: takes_all(stream), "it is not used again")
    assert stream.state().faulty == ()
    wait_until(lambda: took_all(stream, reader), "it is not read again")


def test_what_no_replica_has_is_not_taken_for_safe(
    cluster: ValkeyCluster, stream: VisitStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "COPY_MILLIS", 300)
    monkeypatch.setattr(streams, "ALONE_SECONDS", 60.0)
    master = cluster.master_of(KEYS[3])
    replica = cluster.replica_of(master)
    os.kill(replica.pid, signal.SIGSTOP)
    try:
        with pytest.raises(StreamAway) as away:
            stream.add([Ran(3, AT)])
        assert list(away.value.left(1)) == [0]
        with redis.Redis.from_url(master.url) as client:
            assert client.xlen(KEYS[3]) == 1, "the master has it, and may die with it"
        with pytest.raises(StreamAway):
            stream.add([Ran(3, AT)])
        with redis.Redis.from_url(master.url) as client:
            assert client.xlen(KEYS[3]) == 1, "it is left alone for a while"
    finally:
        os.kill(replica.pid, signal.SIGCONT)


def test_what_could_not_be_said_to_be_done_is_given_out_again_when_its_shard_is_back(
    cluster: ValkeyCluster, stream: VisitStream, reader: StreamReader
) -> None:
    stream.add(ran(range(SHARDS)))
    entries = reader.new(MOST, NOW)
    killed = cluster.master_of(KEYS[3])
    killed.kill()
    with pytest.raises(StreamAway):
        reader.done(entries)
    killed.start()
    cluster.wait_until(cluster.is_whole)
    assert stream.state().entries > 0
    wait_until(lambda: took_all(stream, reader), "it is given out to nobody")


def test_an_emptied_cluster_is_made_use_of_again(
    cluster: ValkeyCluster, stream: VisitStream, reader: StreamReader
) -> None:
    stream.add(ran(range(SHARDS)))
    for node in cluster.masters():
        with redis.Redis.from_url(node.url) as client:
            client.flushall()
    stream.add(ran(range(SHARDS)))
    assert sorted([*read_all(reader), *read_all(reader)]) == list(range(SHARDS))


def test_what_workers_tell_is_kept_together(stream: VisitStream) -> None:
    with stream.heart("a", lambda: Told(Worked(7, 2, 0.5), 3.0, None)):
        assert [each.name for each in stream.state().beats] == ["a"]
        assert stream.state().workers == 1
    assert (stream.state().workers, stream.state().is_heard) == (0, True)


def test_the_worst_of_the_nodes_settings_counts(
    cluster: ValkeyCluster, stream: VisitStream
) -> None:
    assert stream.keeping() == Keeping(appendonly=True, eviction="noeviction")
    with redis.Redis.from_url(cluster.nodes[4].url) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        try:
            assert stream.keeping() == Keeping(appendonly=True, eviction="allkeys-lru")
        finally:
            client.config_set("maxmemory-policy", "noeviction")


def test_limits_are_counted_in_every_slot(
    cluster: ValkeyCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("referral.limits.REDIS_TIMEOUT_SECONDS", 5.0)
    counters = RedisCounters(cluster.url)
    assert counters.answers()
    keys = {f"a-limit|{number}": 60 for number in range(20)}
    assert counters.add(keys) == [1] * 20
    assert counters.add(keys) == [2] * 20
    assert counters.add({"a-limit|3": 60}, by=-1) == [1]


def test_an_address_that_does_not_say_what_it_is_is_told(
    cluster: ValkeyCluster, valkey: str
) -> None:
    of_a_node, of_one = cluster.nodes[0].url, f"{valkey.rpartition('/')[0]}/?cluster=yes"
    assert "node of a Cluster; name several" in (RedisCounters(of_a_node).mistake() or "")
    assert "one server and no Cluster" in (RedisCounters(of_one).mistake() or "")
    for well in (cluster.url, f"{of_a_node}?cluster=yes", valkey, "redis://127.0.0.1:1"):
        assert RedisCounters(well).mistake() is None
    assert RedisCounters(None).mistake() is None
    with pytest.raises(StreamAway):
        VisitStream(of_a_node).state()


def test_what_is_no_event_is_given_out_as_it_is(
    cluster: ValkeyCluster, stream: VisitStream, reader: StreamReader
) -> None:
    with redis.Redis.from_url(cluster.master_of(KEYS[0]).url) as client:
        client.xadd(KEYS[0], {FIELD: b"\x00nonsense"})
        client.xadd(KEYS[0], {"other": b"field"})
    assert [entry.data for entry in reader.new(MOST, NOW)] == [b"\x00nonsense", b""]


def test_a_cluster_that_is_away_takes_nothing() -> None:
    nowhere = VisitStream("redis://127.0.0.1:1,127.0.0.1:2")
    for _ in range(2):
        with pytest.raises(StreamAway) as away:
            nowhere.add(ran(range(3)), rested=True)
        assert list(away.value.left(3)) == [0, 1, 2]
    for call in (nowhere.state, nowhere.keeping, nowhere.reader("a").begin):
        with pytest.raises(StreamAway):
            call()
    nowhere.close()
