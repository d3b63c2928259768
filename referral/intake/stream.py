"""The stream in Redis or Valkey that visits wait in until a worker has written them.

An entry leaves the stream when a worker says that it is committed, and not before: a worker that
dies leaves its entries to others.

On one server the stream is one key, and each thread has a connection of its own to it. In a
Cluster it is `shards.SHARDS` of them, threads take turns with what several requests handed in
together, and an event goes to its visitor's shard; it counts as handed in when a replica of its
node has it as well, so that it outlives the node.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from threading import Lock
from typing import Any

import redis
from redis.cluster import RedisCluster

from referral.intake import heartbeats
from referral.intake.events import Event, encode
from referral.intake.heartbeats import Heart, Heartbeat, Told, Worked
from referral.intake.nodes import ONLY, Answers, Command, Nodes
from referral.intake.reading import FIELD, GROUP, Entry, StreamAway, StreamReader
from referral.intake.shards import shards_of
from referral.redis_server import ERRORS, Client, RedisServer

__all__ = ["FIELD", "GROUP", "KEY", "Entry", "StreamAway", "StreamReader", "VisitStream"]

KEY = "referral|visits"
TIMEOUT_SECONDS = 0.5
REST_SECONDS = 1.0
"""How long the stream, or a shard of it, is left alone after it failed: visits go to the database
meanwhile."""
COPY_MILLIS = 200
"""How long to wait in a Cluster until a replica has what was handed in."""
ALONE_SECONDS = 5.0
"""How long a node is left alone that had no replica to tell: to try costs all that time."""


class ShardFault(StrEnum):
    """Why visits of a shard go straight into the database."""

    away = "away"
    alone = "alone"
    """Its node has no replica."""


@dataclass(frozen=True)
class ShardState:
    """What waits in one shard of a Cluster."""

    number: int
    node: str
    """The host and port of the node that has it; empty while that is not known."""
    entries: int = 0
    pending: int = 0
    oldest: timedelta = timedelta(0)
    fault: ShardFault | None = None


@dataclass(frozen=True)
class StreamState:
    """What waits in the stream."""

    entries: int
    pending: int
    """How many of them a worker has been given."""
    oldest: timedelta
    """For how long the first of them has been waiting."""
    beats: tuple[Heartbeat, ...]
    """What the workers that run told last."""
    worked: Worked
    """What all workers have done since Redis was last empty."""
    shards: tuple[ShardState, ...] = ()
    """Of a Cluster. What is away is in no sum."""
    is_heard: bool = True
    """Whether what workers tell is known: it is in one shard, which may be away."""

    @property
    def workers(self) -> int:
        """How many run."""
        return len(self.beats)

    @property
    def faulty(self) -> tuple[ShardState, ...]:
        """Shards whose visits go straight into the database."""
        return tuple(each for each in self.shards if each.fault)

    @property
    def last(self) -> ShardState | None:
        """The shard whose first entry has been waiting longest."""
        late = [each for each in self.shards if each.entries]
        return max(late, key=lambda each: each.oldest, default=None)


@dataclass(frozen=True)
class Keeping:
    """How Redis keeps what it is told; None where it does not say."""

    appendonly: bool | None
    """Whether it writes it to its disk."""
    eviction: str | None
    """What it drops when its memory is full."""


class VisitStream:
    """The stream of one brand: `key` tells it from what else is in the same Redis."""

    def __init__(self, url: str, key: str = KEY) -> None:
        self.key = key
        self._url = url
        self._server = RedisServer(url, timeout=TIMEOUT_SECONDS, connect_timeout=TIMEOUT_SECONDS)
        self.is_cluster = self._server.is_cluster
        self._shards = shards_of(self._server, key)
        self._of_thread = _NodesOfThread(self._server)
        self._nodes = Nodes(self._server)
        self._turn = Lock()
        self._resting: dict[str, float] = {}
        """By node, until when it is left alone."""
        self._lookers = Nodes(self._server)
        self._look = Lock()

    def add(self, events: Sequence[Event], *, rested: bool = False) -> None:
        """Put events in, as one entry of each shard; `rested`: also where it failed a moment ago.

        Raises `StreamAway`, which says which of them are not known to be safe; they may be in all
        the same then.
        """
        if not self.is_cluster:
            self.begin(events, rested=rested)
            self.finish()
            return
        with self._turn:
            self._add_parted(events, rested)

    def begin(self, events: Sequence[Event], *, rested: bool = False) -> None:
        """As `add` on one server, without waiting until they are in: that is what `finish` does,
        on the same thread. Raises `StreamAway`."""
        if not rested and time.monotonic() < self._resting.get(ONLY, 0):
            raise StreamAway
        try:
            self._of_thread.nodes.begin("XADD", self.key, "*", FIELD, encode(events))
        except ERRORS as error:
            raise self._away() from error

    def finish(self) -> None:
        """Wait until what this thread has begun is in. Raises `StreamAway`."""
        try:
            self._of_thread.nodes.finish()
        except ERRORS as error:
            raise self._away() from error

    def _away(self) -> StreamAway:
        self._resting[ONLY] = time.monotonic() + REST_SECONDS
        return StreamAway()

    def _add_parted(self, events: Sequence[Event], rested: bool) -> None:
        parts = self._shards.parted(events)
        commands: dict[str, list[Command]] = {}
        for key, positions in parts.items():
            if rested or not self._rests(key):
                some = [events[position] for position in positions]
                commands[key] = [("XADD", key, "*", FIELD, encode(some))]
        answers = self._nodes.ask(commands, last=("WAIT", 1, COPY_MILLIS)) if commands else {}
        bad = [key for key in parts if not _is_safe(answers.get(key))]
        for key in bad:
            if key in answers:
                seconds = ALONE_SECONDS if _is_in(answers[key]) else REST_SECONDS
                self._resting[self._nodes.where(key)] = time.monotonic() + seconds
        if bad:
            raise StreamAway(sorted(position for key in bad for position in parts[key]))

    def _rests(self, key: str) -> bool:
        return time.monotonic() < self._resting.get(self._nodes.where(key), 0)

    def reader(self, name: str) -> StreamReader:
        return StreamReader(self._url, self.key, name)

    def state(self) -> StreamState:
        """What is known of the shards that are there. Raises `StreamAway` when none is."""
        with self._look:
            shards = self._look_at_shards()
            if any(each.fault is ShardFault.away for each in shards):
                # It may only have been started anew since it was asked last.
                shards = self._look_at_shards()
        if all(each.fault is ShardFault.away for each in shards):
            raise StreamAway
        said = self._heard({each.node for each in shards if each.fault is ShardFault.away})
        if said is None and not self.is_cluster:
            raise StreamAway
        beats, worked = said or ((), Worked())
        return StreamState(
            entries=sum(each.entries for each in shards),
            pending=sum(each.pending for each in shards),
            oldest=max(each.oldest for each in shards),
            beats=beats,
            worked=worked,
            shards=shards if self.is_cluster else (),
            is_heard=said is not None,
        )

    def _heard(self, away: set[str]) -> tuple[tuple[Heartbeat, ...], Worked] | None:
        """What workers tell; None while the node that keeps it is away."""
        base = self._shards.base
        if self._lookers.where(base) in away:
            return None
        try:
            return heartbeats.alive(self._redis, base), heartbeats.all_worked(self._redis, base)
        except ERRORS:
            return None

    def _look_at_shards(self) -> tuple[ShardState, ...]:
        commands: dict[str, list[Command]] = {
            key: [
                ("XLEN", key),
                ("XRANGE", key, "-", "+", "COUNT", 1),
                ("XPENDING", key, GROUP),
                ("TIME",),
            ]
            for key in self._shards.keys
        }
        copies = ("INFO", "replication") if self.is_cluster else None
        answers = self._lookers.ask(commands, last=copies)
        return tuple(
            self._shard(number, answers[key]) for number, key in enumerate(self._shards.keys)
        )

    def _shard(self, number: int, answers: Answers) -> ShardState:
        node = self._lookers.where(self._shards.keys[number])
        if isinstance(answers, Exception) or isinstance(answers[0], Exception):
            return ShardState(number, node, fault=ShardFault.away)
        entries, first, pending, (seconds, micros), *copies = answers
        waited = int(seconds) * 1000 + int(micros) // 1000 - _millis(first[0][0]) if first else 0
        return ShardState(
            number,
            node,
            entries,
            # An error: no worker has ever been here.
            0 if isinstance(pending, Exception) else int(pending[0]),
            timedelta(milliseconds=max(waited, 0)),
            ShardFault.alone if any(_is_alone(said) for said in copies) else None,
        )

    def keeping(self) -> Keeping:
        """Of the nodes of a Cluster what is worst. Raises `StreamAway`."""
        try:
            every = [self._keeping_of(node) for node in self._every_node()]
        except ERRORS as error:
            raise StreamAway from error
        is_kept = [each.appendonly for each in every if each.appendonly is not None]
        drops = {each.eviction for each in every if each.eviction is not None}
        return Keeping(
            all(is_kept) if is_kept else None,
            next((each for each in sorted(drops) if each != "noeviction"), "noeviction")
            if drops
            else None,
        )

    def _every_node(self) -> Sequence[redis.Redis]:
        client = self._redis
        if isinstance(client, RedisCluster):
            nodes = client.get_nodes()  # type: ignore[no-untyped-call]
            return [node.redis_connection for node in nodes]
        return [client]

    def _keeping_of(self, node: redis.Redis) -> Keeping:
        kept = self._setting(node, "appendonly")
        return Keeping(
            None if kept is None else kept == "yes", self._setting(node, "maxmemory-policy")
        )

    def _setting(self, node: redis.Redis, name: str) -> str | None:
        try:
            said: Any = node.config_get(name)
        except redis.ResponseError:  # a rented Redis may forbid to ask
            return None
        except redis.ConnectionError:
            if self.is_cluster:  # a node that is away
                return None
            raise
        value: str | None = said.get(name)
        return value

    def heart(self, name: str, look: Callable[[], Told]) -> Heart:
        """What tells how a worker is, as long as its block runs."""
        return Heart(lambda: self._redis, self._shards.base, name, look)

    @property
    def _redis(self) -> Client:
        return self._server.client

    def close(self) -> None:
        """Close all connections but those of other threads, which end with these."""
        self._of_thread.nodes.close()
        self._nodes.close()
        self._lookers.close()
        self._server.close()


class _NodesOfThread(threading.local):
    """A thread does not wait until another one's events are handed in."""

    def __init__(self, server: RedisServer) -> None:
        self.nodes = Nodes(server)


def _is_in(answers: Answers | None) -> bool:
    """Whether an entry is in the stream."""
    return isinstance(answers, list) and not any(isinstance(each, Exception) for each in answers)


def _is_safe(answers: Answers | None) -> bool:
    """Whether a replica has it as well, so that it outlives its node."""
    return isinstance(answers, list) and _is_in(answers) and bool(answers[-1] >= 1)


def _is_alone(said: Any) -> bool:
    return isinstance(said, bytes | str) and "connected_slaves:0" in _text(said)


def _text(said: bytes | str) -> str:
    return said.decode() if isinstance(said, bytes) else said


def _millis(number: bytes | str) -> int:
    return int(_text(number).partition("-")[0])
