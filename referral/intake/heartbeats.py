"""What each worker tells of itself while it runs, and what all of them have done so far.

Kept in Redis beside the stream: a worker that dies is forgotten within seconds. For looking at
only; nothing that is stored depends on it.
"""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from threading import Event, Thread
from types import TracebackType
from typing import Any

from referral.redis_server import ERRORS, Client, time_at

BEAT_SECONDS = 2.0
ALIVE_FOR = timedelta(seconds=10)
"""A worker that has told nothing for so long is gone."""
KEPT_FOR = timedelta(days=1)
"""How long Redis keeps the names of workers while none of them tells anything."""


@dataclass
class Worked:
    """What a worker, or all of them, has done so far."""

    events: int = 0
    commits: int = 0
    commit_seconds: float = 0.0
    parked: int = 0

    def since(self, before: "Worked") -> "Worked":
        mine, its = asdict(self), asdict(before)
        return Worked(**{name: mine[name] - its[name] for name in mine})


@dataclass(frozen=True)
class Heartbeat:
    """What one worker told last. Times are by the clock of Redis."""

    name: str
    worked: Worked
    started_at: datetime
    last_commit_at: datetime | None
    told_at: datetime


@dataclass(frozen=True)
class Told:
    """A worker's own view, without a clock that others share."""

    worked: Worked
    runs_for: float
    """Seconds."""
    last_commit: float | None
    """How many seconds ago."""


def tell(connection: Client, key: str, name: str, told: Told, new: Worked) -> None:
    """Keep what a worker tells, add what is `new` to what all have done, drop who is gone.

    Raises one of `ERRORS`; what is new may have been added all the same.
    """
    now = time_at(connection, key)
    pipeline = connection.pipeline(transaction=False)
    pipeline.hset(f"{key}|workers", name, _written(told, now))
    pipeline.expire(f"{key}|workers", KEPT_FOR)
    for each, amount in asdict(new).items():
        if amount:
            pipeline.hincrbyfloat(f"{key}|worked", each, amount)
    pipeline.execute()
    everybody = _everybody(connection, key)
    gone = [each.name for each in everybody if now - each.told_at > ALIVE_FOR]
    if gone:
        connection.hdel(f"{key}|workers", *gone)


def forget(connection: Client, key: str, name: str) -> None:
    """This worker has ended by itself. Raises one of `ERRORS`."""
    connection.hdel(f"{key}|workers", name)


def alive(connection: Client, key: str) -> tuple[Heartbeat, ...]:
    """The workers that run, by name. Raises one of `ERRORS`."""
    now = time_at(connection, key)
    everybody = _everybody(connection, key)
    here = [each for each in everybody if now - each.told_at <= ALIVE_FOR]
    return tuple(sorted(here, key=lambda each: each.name))


def all_worked(connection: Client, key: str) -> Worked:
    """What all workers have done since Redis was last empty. Raises one of `ERRORS`."""
    found: Any = connection.hgetall(f"{key}|worked")
    kept = {name.decode(): float(amount) for name, amount in found.items()}
    return Worked(
        int(kept.get("events", 0)),
        int(kept.get("commits", 0)),
        kept.get("commit_seconds", 0.0),
        int(kept.get("parked", 0)),
    )


class Heart:
    """Tells how a worker is, in a thread, as long as the block runs: also while it waits for a
    database that is away."""

    def __init__(
        self, connection: Callable[[], Client], key: str, name: str, look: Callable[[], Told]
    ) -> None:
        """`connection` may raise one of `ERRORS`: a Cluster may not be there yet."""
        self._connection = connection
        self._key = key
        self._name = name
        self._look = look
        self._added = look().worked  # what was done before is not this heart's
        self._stop = Event()
        self._thread = Thread(target=self._beat, name="heart", daemon=True)

    def __enter__(self) -> "Heart":
        self._tell()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._stop.wait(BEAT_SECONDS):
            self._tell()
        self._tell()
        with suppress(*ERRORS):
            forget(self._connection(), self._key, self._name)

    def _tell(self) -> None:
        told = self._look()
        with suppress(*ERRORS):
            new = told.worked.since(self._added)
            tell(self._connection(), self._key, self._name, told, new)
            self._added = told.worked


def _written(told: Told, now: datetime) -> str:
    ago = told.last_commit
    at = {
        "started_at": now - timedelta(seconds=told.runs_for),
        "last_commit_at": None if ago is None else now - timedelta(seconds=ago),
        "told_at": now,
    }
    written = {name: moment and moment.isoformat() for name, moment in at.items()}
    return json.dumps({**asdict(told.worked), **written})


def _everybody(connection: Client, key: str) -> list[Heartbeat]:
    found: Any = connection.hgetall(f"{key}|workers")
    beats: list[Heartbeat] = []
    for name, written in found.items():
        # A worker of another version may write other figures.
        with suppress(ValueError, KeyError, TypeError):
            beats.append(_read(name.decode(), json.loads(written)))
    return beats


def _read(name: str, kept: dict[str, Any]) -> Heartbeat:
    last = kept["last_commit_at"]
    return Heartbeat(
        name,
        Worked(kept["events"], kept["commits"], kept["commit_seconds"], kept["parked"]),
        datetime.fromisoformat(kept["started_at"]),
        datetime.fromisoformat(last) if last else None,
        datetime.fromisoformat(kept["told_at"]),
    )
