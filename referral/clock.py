"""The one clock. Actions take their time from here, so tests and the demo can hold it.

It is the database's, and goes on when that is set forward or back: who came from whom is read off
the order of what they did, and processes that disagree about the time would turn it round.
"""

import time
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import NamedTuple, Protocol

ANCHOR_SECONDS_MAX = 10.0
"""How long a reading of the database's clock is carried forward before it is taken again."""
CARRIED_MAX = timedelta(hours=1)
"""What was carried forward for longer gives way: the machine may have slept."""
STEP = timedelta(seconds=1)
"""By more than this a clock is set; a smaller difference is followed at once."""
STEP_MAX = timedelta(minutes=15)
"""A clock set by more was wrong altogether, and is followed at once."""
HELD = timedelta(seconds=ANCHOR_SECONDS_MAX)
"""How long after that the service's time goes on unchanged: until then there may be processes that
have not asked since."""
SLEW = 0.05
"""How much slower or faster than the database's it goes from then on until they agree."""


class Clock(Protocol):
    def now(self) -> datetime:
        """The time, aware, in UTC."""
        ...


class Reading(NamedTuple):
    """The service's time at a moment, and how far it is ahead of the database's, or behind."""

    time: datetime
    ahead: timedelta = timedelta(0)
    settled_at: datetime | None = None
    """When a process last settled how far that is, by the database's clock; which tells one time
    from another."""
    lead: timedelta = timedelta(0)
    """How far it was then."""

    def after(self, passed: timedelta) -> "Reading":
        """That of so much later."""
        if self.settled_at is None:
            return self._replace(time=self.time + passed)
        at = self.time - self.ahead + passed
        ahead = left(self.lead, at - self.settled_at)
        return self._replace(time=at + ahead, ahead=ahead)


def is_step(off: timedelta) -> bool:
    """Whether a clock was set by so much, and was not altogether wrong. What is left of an earlier
    step has grown less since, and is not counted."""
    return STEP < abs(off) <= STEP_MAX * (1 + SLEW)


def left(ahead: timedelta, passed: timedelta) -> timedelta:
    """What is left of a lead, or of being behind, so long after it was settled."""
    if ahead < timedelta(0):
        return -left(-ahead, passed)
    return max(ahead - SLEW * max(passed - HELD, timedelta(0)), timedelta(0))


class TimeSource(Protocol):
    """What all processes have in common. Both methods raise `Unavailable`."""

    def read(self) -> Reading: ...

    def go_on_from(self, expected: Reading) -> Reading:
        """Let the time be what a process expects it to be now. Returns what it was then.

        Where it is later by what others have settled meanwhile, they have it: it is this process
        that was paused.
        """
        ...


class DatabaseClock:
    """The service's time, without a query per reading.

    Machines disagree about the time and have their clocks set; expiry is decided by one of them.
    The database is asked at most every `ANCHOR_SECONDS_MAX` seconds and the monotonic clock
    carries its answer forward. While the database is away the last answer goes on being carried.

    Where its clock is set, all processes go on from where they are, 5 % slower or faster until
    they agree with it.
    """

    def __init__(self, source: TimeSource) -> None:
        self._source = source
        self._lock = Lock()
        self._anchor: tuple[Reading, float] | None = None
        self._answers = 0
        self._asked_at = float("-inf")

    def now(self) -> datetime:
        monotonic = time.monotonic()
        if monotonic - self._asked_at > ANCHOR_SECONDS_MAX and self._lock.acquire(blocking=False):
            try:
                self._asked_at = monotonic
                self._anchor = self._ask(monotonic)
                self._answers += 1
            except Exception:
                if self._anchor is None:
                    raise
            finally:
                self._lock.release()
        if self._anchor is None:
            return datetime.now(UTC)
        reading, taken = self._anchor
        passed = timedelta(seconds=time.monotonic() - taken)
        if not reading.ahead:  # asked several times for every page
            return reading.time + passed
        return reading.after(passed).time

    def _ask(self, begun: float) -> tuple[Reading, float]:
        told, taken = self._source.read(), time.monotonic()
        # Who was told once may have been told just when the clock had been set, and not known it.
        if self._anchor is None or self._answers < 2:
            return told, taken
        reading, since = self._anchor
        carried = timedelta(seconds=taken - since)
        expected = reading.after(carried)
        off = abs(expected.time - told.time)
        if not is_step(off) or carried > CARRIED_MAX:
            return told, taken
        if timedelta(seconds=taken - begun) >= off:  # it may all be the time the answer took
            return self._anchor
        return self._source.go_on_from(expected), taken


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
