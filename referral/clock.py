"""The one clock. Actions take their time from here, so tests and the demo can hold it.

It is the database's, and goes on when that is set forward or back: who came from whom is read off
the order of what they did, and processes that disagree about the time would turn it round.
"""

import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Any, NamedTuple, Protocol

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral import db
from referral.db import Base, Database

ANCHOR_SECONDS_MAX = 10.0
"""How long a reading of the database's clock is carried forward before it is taken again."""
CARRIED_MAX = timedelta(minutes=10)
"""What was carried forward for longer is less exact than the database's clock."""
STEP = timedelta(seconds=1)
"""By so much a clock is set at least; a smaller difference is followed at once, and so is one that
may be in the time which the answer took."""
STEP_MAX = timedelta(minutes=15)
"""A clock set by more was wrong altogether, and is followed at once."""
SLEW = 0.05
"""How much slower or faster than the database's the service's time goes until they agree."""
SETTLED = timedelta(minutes=1)
"""So long after it was settled what the time is nobody has it go back."""
_ONLY = 1
_MILLISECOND = timedelta(milliseconds=1)


class Clock(Protocol):
    def now(self) -> datetime:
        """The time, aware, in UTC."""
        ...


class ClockLead(Base):
    """By how much the service's time was ahead of the database's when that had been set."""

    __tablename__ = "clock_leads"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    """There is one at most."""
    ahead_ms: Mapped[int]
    """Negative where it was behind."""
    at: Mapped[datetime]
    """When that was, by the database's clock."""


class Reading(NamedTuple):
    """The service's time at a moment, and how far it is ahead of the database's, or behind."""

    time: datetime
    ahead: timedelta = timedelta(0)

    def after(self, passed: timedelta) -> "Reading":
        """That of so much later."""
        if not self.ahead:
            return Reading(self.time + passed)
        left = _left(self.ahead, passed)
        return Reading(self.time + passed - (self.ahead - left), left)


class DatabaseTime:
    """The service's time, which all processes have in common. Both methods raise `Unavailable`."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def read(self) -> Reading:
        with self._db.read() as tx:
            return _read(tx)[0]

    def go_on_from(self, moment: datetime) -> Reading:
        """Let it be this moment now, unless others have just settled that it is later: then this
        process was paused.

        In a transaction nothing is written, which would be lost with it: who asks next sees to it.
        """
        if self._db.joined is not None:
            return Reading(moment)

        def go_on(tx: Session) -> Reading:
            db.lock(tx, "clock")
            told, lead = _read(tx)
            at = told.time - told.ahead
            is_settled = lead is not None and at - lead.at < SETTLED
            if abs(told.time - moment) <= STEP or (is_settled and told.time > moment):
                return told
            ahead = moment - at
            row = {"id": _ONLY, "ahead_ms": ahead // _MILLISECOND, "at": at}
            db.run(tx, db.upsert(tx, ClockLead, _newest), **row)
            return Reading(moment, ahead)

        return self._db.transact(go_on)


def _read(tx: Session) -> tuple[Reading, Any]:
    """What the time is, and what was settled of it last."""
    lead = tx.execute(sa.select(ClockLead.ahead_ms, ClockLead.at)).one_or_none()
    at = db.server_time(tx)
    if lead is None:
        return Reading(at), None
    passed = max(at - lead.at, timedelta(0))  # it may have been set back once more
    left = _left(lead.ahead_ms * _MILLISECOND, passed)
    return Reading(at + left, left), lead


def _left(ahead: timedelta, passed: timedelta) -> timedelta:
    if ahead < timedelta(0):
        return -_left(-ahead, passed)
    return max(ahead - SLEW * passed, timedelta(0))


def _newest(_old: Any, new: Any) -> Mapping[str, Any]:
    return {"ahead_ms": new.ahead_ms, "at": new.at}


class TimeSource(Protocol):
    """As `DatabaseTime`."""

    def read(self) -> Reading: ...

    def go_on_from(self, moment: datetime) -> Reading: ...


class DatabaseClock:
    """The service's time, without a query per reading.

    Machines disagree about the time and have their clocks set; expiry is decided by one of them.
    The database is asked at most every `ANCHOR_SECONDS_MAX` seconds and the monotonic clock
    carries its answer forward. While the database is away the last answer goes on being carried.

    Where that is set, all processes go on from where they are, slower or faster until they agree
    with it: an hour of the service takes three minutes less or more then.
    """

    def __init__(self, source: TimeSource) -> None:
        self._source = source
        self._lock = Lock()
        self._anchor: tuple[Reading, float] | None = None
        self._asked_at = float("-inf")

    def now(self) -> datetime:
        monotonic = time.monotonic()
        if monotonic - self._asked_at > ANCHOR_SECONDS_MAX and self._lock.acquire(blocking=False):
            try:
                self._asked_at = monotonic
                self._anchor = self._ask(monotonic)
            except Exception:
                if self._anchor is None:
                    raise
            finally:
                self._lock.release()
        if self._anchor is None:
            return datetime.now(UTC)
        return _carried(self._anchor, time.monotonic())

    def _ask(self, begun: float) -> tuple[Reading, float]:
        told, taken = self._source.read(), time.monotonic()
        if self._anchor is None:
            return told, taken
        expected, carried = _carried(self._anchor, taken), taken - self._anchor[1]
        off = abs(expected - told.time)
        if not STEP < off <= STEP_MAX or timedelta(seconds=carried) > CARRIED_MAX:
            return told, taken
        if timedelta(seconds=taken - begun) >= off:
            return self._anchor
        return self._source.go_on_from(expected), taken


def _carried(anchor: tuple[Reading, float], monotonic: float) -> datetime:
    reading, taken = anchor
    return reading.after(timedelta(seconds=monotonic - taken)).time


class HeldClock:
    """A clock that stands still until it is moved."""

    def __init__(self, start: datetime) -> None:
        self._now = start.astimezone(UTC)

    def now(self) -> datetime:
        return self._now

    def set(self, moment: datetime) -> None:
        self._now = moment.astimezone(UTC)

    def advance(self, *, seconds: float = 0, minutes: float = 0, days: float = 0) -> None:
        self._now += timedelta(seconds=seconds, minutes=minutes, days=days)
