"""A database's clock that is set, and processes that read it."""

import time
from datetime import datetime, timedelta

import pytest
from sqlalchemy.orm import Session

from referral import clock, database_time, db
from referral.clock import ANCHOR_SECONDS_MAX, DatabaseClock
from referral.database_time import DatabaseTime
from referral.db import Database

AFTER = timedelta(seconds=ANCHOR_SECONDS_MAX + 1)
"""When it is asked again."""


class SetServer:
    """A database whose clock is held and can be set, as the steady one of its machine is held."""

    def __init__(self, database: Database, start: datetime, patch: pytest.MonkeyPatch) -> None:
        self.time = start
        self.database = database
        self.seconds = time.monotonic()
        self.answers_after = timedelta(0)
        """How long its answer takes after it has read the time."""
        self.waits = self.waited = timedelta(0)
        """How long somebody waits who writes, and has waited so far."""
        patch.setattr(db, "server_time", self._server_time)
        patch.setattr(db, "lock", self._lock)
        patch.setattr(clock, "time", self)
        patch.setattr(database_time, "time", self)

    def _server_time(self, _tx: Session) -> datetime:
        told = self.time
        self.advance(self.answers_after)
        return told

    def _lock(self, _tx: Session, _name: str) -> None:
        self.waited += self.waits
        self.advance(self.waits)

    def monotonic(self) -> float:
        return self.seconds

    def advance(self, passed: timedelta) -> None:
        self.time += passed
        self.seconds += passed.total_seconds()

    def set(self, by: timedelta) -> None:
        self.time += by

    def process(self) -> DatabaseClock:
        """The clock of another process, which has just begun."""
        return DatabaseClock(DatabaseTime(self.database))

    def processes(self, many: int) -> list[DatabaseClock]:
        """The clocks of processes that have been running for a moment."""
        made = [self.process() for _ in range(many)]
        for _ in range(2):
            for each in made:
                each.now()
            self.advance(AFTER)
        return made
