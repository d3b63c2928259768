"""The one clock. Actions take their time from here, so tests and the demo can hold it."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Protocol

ANCHOR_SECONDS_MAX = 30.0
"""How long a reading of the database's clock is carried forward before it is taken again."""


class Clock(Protocol):
    def now(self) -> datetime:
        """The time, aware, in UTC."""
        ...


class DatabaseClock:
    """The database's time, without a query per reading.

    Machines disagree about the time and have their clocks set; expiry is decided by one of them.
    The database is asked at most every `ANCHOR_SECONDS_MAX` seconds and the monotonic clock
    carries its answer forward. While the database is away the last answer goes on being carried.
    """

    def __init__(self, ask: Callable[[], datetime]) -> None:
        self._ask = ask
        self._lock = Lock()
        self._anchor: tuple[datetime, float] | None = None
        self._asked_at = float("-inf")

    def now(self) -> datetime:
        monotonic = time.monotonic()
        if monotonic - self._asked_at > ANCHOR_SECONDS_MAX and self._lock.acquire(blocking=False):
            try:
                self._asked_at = monotonic
                answer = self._ask()
                self._anchor = (answer, time.monotonic())
            except Exception:
                if self._anchor is None:
                    raise
            finally:
                self._lock.release()
        if self._anchor is None:
            return datetime.now(UTC)
        start, taken = self._anchor
        return start + timedelta(seconds=time.monotonic() - taken)


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
