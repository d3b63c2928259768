"""The stream in Redis or Valkey that visits wait in until a worker has written them.

An entry holds the events that several requests handed in together. It leaves the stream when a
worker says that it is committed, and not before: a worker that dies leaves its entries to others.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from threading import Lock
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from referral.intake import heartbeats
from referral.intake.events import Event, encode
from referral.intake.heartbeats import Heart, Heartbeat, Told, Worked

KEY = "referral|visits"
GROUP = "workers"
FIELD = b"e"
TIMEOUT_SECONDS = 0.5
READER_TIMEOUT_SECONDS = 10.0
"""Of a worker, who waits for entries while there are none."""
REST_SECONDS = 1.0
"""How long the stream is left alone after it failed: visits go to the database meanwhile."""


class StreamAway(Exception):
    """Redis is not there, or takes nothing."""


@dataclass(frozen=True)
class Entry:
    """Events that were handed in together."""

    id: str
    data: bytes
    deliveries: int = 1
    """How often it was given to a worker."""


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

    @property
    def workers(self) -> int:
        """How many run."""
        return len(self.beats)


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
        self._redis = _connect(url, TIMEOUT_SECONDS)
        # Of its own, and spoken to without what the client does around every command: that takes
        # three times as long as the command.
        self._line: Any = self._redis.connection_pool.make_connection()
        self._turn = Lock()
        self._resting_until = 0.0

    def add(self, events: Sequence[Event], *, rested: bool = False) -> None:
        """Put events in, as one entry; `rested`: also though it failed a moment ago.

        Raises `StreamAway`; they may be in all the same then.
        """
        if not rested and time.monotonic() < self._resting_until:
            raise StreamAway
        try:
            with self._turn:
                self._put(encode(events))
        except redis.RedisError as error:
            self._resting_until = time.monotonic() + REST_SECONDS
            raise StreamAway from error

    def _put(self, data: bytes) -> None:
        try:
            command = self._line.pack_command("XADD", self.key, "*", FIELD, data)
            self._line.send_packed_command(command)
            self._line.read_response()
        except redis.ResponseError:
            raise
        except BaseException:  # what is answered later must not be taken for the next answer
            self._line.disconnect()
            raise

    def reader(self, name: str) -> "StreamReader":
        return StreamReader(self._url, self.key, name)

    def state(self) -> StreamState:
        """Raises `StreamAway`."""
        with _translated():
            return self._state()

    def _state(self) -> StreamState:
        entries = int(self._redis.xlen(self.key))
        first: Any = self._redis.xrange(self.key, count=1)
        seconds, micros = self._redis.time()
        now = seconds * 1000 + micros // 1000
        waited = now - _millis(first[0][0]) if first else 0
        return StreamState(
            entries=entries,
            pending=self._pending(),
            oldest=timedelta(milliseconds=max(waited, 0)),
            beats=heartbeats.alive(self._redis, self.key),
            worked=heartbeats.all_worked(self._redis, self.key),
        )

    def _pending(self) -> int:
        try:
            found: Any = self._redis.xpending(self.key, GROUP)
        except redis.ResponseError:  # no worker has ever been here
            return 0
        return int(found["pending"])

    def keeping(self) -> Keeping:
        """Raises `StreamAway`."""
        with _translated():
            kept = self._setting("appendonly")
            return Keeping(
                None if kept is None else kept == "yes", self._setting("maxmemory-policy")
            )

    def _setting(self, name: str) -> str | None:
        try:
            said: Any = self._redis.config_get(name)
        except redis.ResponseError:  # a rented Redis may forbid to ask
            return None
        value: str | None = said.get(name)
        return value

    def heart(self, name: str, look: Callable[[], Told]) -> Heart:
        """What tells how a worker is, as long as its block runs."""
        return Heart(self._redis, self.key, name, look)

    def close(self) -> None:
        self._line.disconnect()
        self._redis.close()


class StreamReader:
    """One worker's end of the stream. All methods raise `StreamAway`."""

    def __init__(self, url: str, key: str, name: str) -> None:
        self.name = name
        self._key = key
        self._redis = _connect(url, READER_TIMEOUT_SECONDS)

    def begin(self) -> None:
        """Make the group of workers where there is none yet."""
        with suppress(_GroupExistsError), _translated():
            self._redis.xgroup_create(self._key, GROUP, id="0", mkstream=True)

    def new(self, most: int, wait: timedelta) -> list[Entry]:
        """Entries that no worker has been given yet."""
        millis = max(1, int(wait.total_seconds() * 1000))
        try:
            with _translated():
                found: Any = self._redis.xreadgroup(
                    GROUP, self.name, {self._key: ">"}, count=most, block=millis
                )
        except _NoGroupError:
            self.begin()
            return []
        return [_entry(one) for _, entries in found or [] for one in entries]

    def abandoned(self, after: timedelta, most: int) -> list[Entry]:
        """Entries that were given to a worker so long ago and are not done, now this one's."""
        entries: list[Entry] = []
        cursor: Any = "0-0"
        millis = int(after.total_seconds() * 1000)
        try:
            with _translated():
                while len(entries) < most:
                    cursor, found, *_ = self._redis.xautoclaim(
                        self._key, GROUP, self.name, millis, start_id=cursor, count=most
                    )
                    entries += [_entry(one) for one in found if one[1]]
                    if cursor in ("0-0", b"0-0"):
                        break
                return self._with_deliveries(entries)
        except _NoGroupError:
            self.begin()
            return []

    def _with_deliveries(self, entries: list[Entry]) -> list[Entry]:
        if not entries:
            return []
        listed: Any = self._redis.xpending_range(
            self._key,
            GROUP,
            min=min(entries, key=_order).id,
            max=max(entries, key=_order).id,
            count=len(entries) + 10_000,
            consumername=self.name,
        )
        times = {_text(one["message_id"]): int(one["times_delivered"]) for one in listed}
        return [Entry(one.id, one.data, times.get(one.id, 1)) for one in entries]

    def done(self, entries: Iterable[Entry]) -> None:
        """These are committed: they leave the stream."""
        ids = [entry.id for entry in entries]
        if not ids:
            return
        with _translated():
            pipeline = self._redis.pipeline(transaction=True)
            pipeline.xack(self._key, GROUP, *ids)
            pipeline.xdel(self._key, *ids)
            pipeline.execute()

    def forget_the_dead(self, after: timedelta) -> None:
        """Drop the names of workers that have not asked for so long and hold nothing."""
        with suppress(_NoGroupError), _translated():
            consumers: Any = self._redis.xinfo_consumers(self._key, GROUP)
            for each in consumers:
                is_dead = each["idle"] >= after.total_seconds() * 1000
                if is_dead and not each["pending"] and _text(each["name"]) != self.name:
                    self._redis.xgroup_delconsumer(self._key, GROUP, each["name"])

    def close(self) -> None:
        self._redis.close()


class _NoGroupError(Exception):
    """There is no group of workers: Redis was emptied, or nobody has ever worked."""


class _GroupExistsError(Exception):
    pass


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except redis.RedisError as error:
        if str(error).startswith("NOGROUP"):
            raise _NoGroupError from None
        if str(error).startswith("BUSYGROUP"):
            raise _GroupExistsError from None
        raise StreamAway from error


def _connect(url: str, timeout: float) -> redis.Redis:
    return redis.Redis.from_url(
        url,
        socket_timeout=timeout,
        socket_connect_timeout=TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )


def _entry(one: Any) -> Entry:
    number, fields = one
    return Entry(_text(number), (fields or {}).get(FIELD, b""))


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _millis(number: str | bytes) -> int:
    return int(_text(number).partition("-")[0])


def _order(entry: Entry) -> tuple[int, int]:
    millis, _, number = entry.id.partition("-")
    return int(millis), int(number)
