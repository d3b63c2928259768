"""Counts gathered in memory and written by a thread of their own, a few rows every few seconds.

For what anybody can cause as often as he likes, so that it costs no query: a `Gatherer` counts how
often each of its things happened. What a process has gathered and not yet written is lost when it
is killed.
"""

import functools
import os
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from multiprocessing.util import Finalize
from threading import Lock, Thread
from time import sleep
from typing import Any, Generic, TypeVar
from weakref import WeakSet, ref

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from referral.db import Database
from referral.errors import Problem

WRITE_SECONDS = 5.0
"""How long counts are gathered before they are written."""
PLACES_MAX = 20_000
"""How many different things are gathered; further ones are counted in coarser ones."""
ROWS_A_STATEMENT = 500
WORST = (Problem, SQLAlchemyError)
"""What writing may fail with: the counts are kept, and written the next time."""

T = TypeVar("T")
Thing = TypeVar("Thing", bound=Hashable)


class Gatherer(ABC, Generic[Thing]):
    """The counts of this process. Every thread may count."""

    name = "gatherer"
    """The thread's."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._begin_anew()
        _ALL.add(self)

    def _begin_anew(self) -> None:
        self._lock, self._writing = Lock(), Lock()
        self._gathered: Counter[Thing] = Counter()
        self._has_writer = False

    @abstractmethod
    def _write(self, tx: Session, gathered: Counter[Thing]) -> None:
        """Add what was gathered to the rows that are there."""

    @abstractmethod
    def _coarser(self, thing: Thing) -> Thing:
        """What a thing is counted as when there are too many; few different ones."""

    def _count(self, thing: Thing) -> None:
        with self._lock:
            self._add(thing, 1)
            starts, self._has_writer = not self._has_writer, True
        if starts:
            # Here and not at the start: only now it is known which process counts.
            weak = ref(self)
            Thread(target=_write_now_and_then, args=(weak,), name=self.name, daemon=True).start()
            # Processes of `multiprocessing`, as a server's workers are, know no atexit.
            Finalize(None, _write_at_exit, args=(weak,), exitpriority=1)

    def flush(self) -> int:
        """Write what has been counted; returns how much. Raises what the database raises, and
        keeps the counts then."""
        with self._writing:
            with self._lock:
                gathered, self._gathered = self._gathered, Counter()
            try:
                if gathered:
                    self._db.transact(lambda tx: self._write(tx, gathered))
            except BaseException:
                with self._lock:
                    for thing, count in gathered.items():
                        self._add(thing, count)
                raise
        return gathered.total()

    def _add(self, thing: Thing, count: int) -> None:
        if len(self._gathered) >= PLACES_MAX and thing not in self._gathered:
            thing = self._coarser(thing)
        self._gathered[thing] += count


_ALL: WeakSet[Gatherer[Any]] = WeakSet()


def _after_fork() -> None:
    """A forked process has no writer, and what was gathered before is its parent's to write."""
    for each in _ALL:
        each._begin_anew()


os.register_at_fork(after_in_child=_after_fork)


def _write_now_and_then(gatherer: "ref[Gatherer[Any]]") -> None:
    """Until nobody uses it any more, which is why only a weak reference is held meanwhile."""
    while True:
        sleep(WRITE_SECONDS)
        found = gatherer()
        if found is None:
            return
        with suppress(*WORST):
            found.flush()
        del found


def _write_at_exit(gatherer: "ref[Gatherer[Any]]") -> None:
    found = gatherer()
    if found is not None:
        with suppress(*WORST):
            found.flush()


def hour_of(moment: datetime) -> datetime:
    since = moment - _EPOCH
    return _hour(since.days, since.seconds // 3_600)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@functools.lru_cache(maxsize=1_024)
def _hour(days: int, hours: int) -> datetime:
    """The hour of very many moments is the same."""
    return _EPOCH + timedelta(days, hours=hours)


def pieces(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """In as many as one statement takes."""
    for start in range(0, len(items), ROWS_A_STATEMENT):
        yield items[start : start + ROWS_A_STATEMENT]


def add_up(old: Any, new: Any) -> dict[str, Any]:
    """What becomes of a row that is there, see `db.upsert`."""
    return {"count": old["count"] + new["count"]}
