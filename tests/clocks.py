"""A database's clock that is set, and processes that read it."""

import time
from datetime import datetime, timedelta

import pytest

from referral import clock, db
from referral.clock import DatabaseClock, DatabaseTime
from referral.db import Database


class SetServer:
    """A database whose clock is held and can be set, as the steady one of its machine is held."""

    def __init__(self, database: Database, start: datetime, patch: pytest.MonkeyPatch) -> None:
        self.time = start
        self.database = database
        self.seconds = time.monotonic()
        patch.setattr(db, "server_time", lambda _tx: self.time)
        patch.setattr(clock, "time", self)

    def monotonic(self) -> float:
        return self.seconds

    def advance(self, passed: timedelta) -> None:
        self.time += passed
        self.seconds += passed.total_seconds()

    def set(self, by: timedelta) -> None:
        self.time += by

    def process(self) -> DatabaseClock:
        """The clock of another process."""
        return DatabaseClock(DatabaseTime(self.database))
