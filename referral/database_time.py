"""The time of the database, and how far the service's is ahead of it since its clock was set."""

import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral import db
from referral.clock import STEP_MAX, Reading, is_step, left
from referral.db import Base, Database

_ONLY = 1
_MILLISECOND = timedelta(milliseconds=1)


class ClockLead(Base):
    """By how much the service's time was ahead of the database's when that had been set."""

    __tablename__ = "clock_leads"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    """There is one at most."""
    ahead_ms: Mapped[int]
    """Negative where it was behind."""
    at: Mapped[datetime]
    """When that was, by the database's clock."""


class DatabaseTime:
    """A `TimeSource`."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def read(self) -> Reading:
        try:
            with self._db.read() as tx:
                return _read(tx)
        except DBAPIError:  # before the database is brought up to date
            with self._db.read() as tx:
                return Reading(db.server_time(tx))

    def go_on_from(self, expected: Reading) -> Reading:
        """In a transaction nothing is written, which would be lost with it: who asks next outside
        of one sees to it."""
        if self._db.joined is not None:
            return expected
        begun = time.monotonic()

        def go_on(tx: Session) -> Reading:
            db.lock(tx, "clock")
            told = _read(tx)
            waited = timedelta(seconds=time.monotonic() - begun)  # for others who write
            off = told.time - waited - expected.time
            is_overruled = off > timedelta(0) and told.settled_at != expected.settled_at
            if not is_step(off) or is_overruled:
                return told._replace(time=told.time - waited)
            at = told.time - told.ahead
            ahead = expected.time + waited - at
            row = {"id": _ONLY, "ahead_ms": ahead // _MILLISECOND, "at": at}
            db.run(tx, db.upsert(tx, ClockLead, _newest), **row)
            return Reading(expected.time, ahead, at, ahead)

        return self._db.transact(go_on)


def _read(tx: Session) -> Reading:
    # Not by the session, which would first send what somebody else's transaction holds back.
    connection = db.connection_of(tx)
    lead = connection.execute(sa.select(ClockLead.ahead_ms, ClockLead.at)).one_or_none()
    at = db.server_time(tx)
    if lead is None:
        return Reading(at)
    if lead.at - at > STEP_MAX:  # settled by a clock that was altogether wrong
        return Reading(at, settled_at=lead.at)
    settled = lead.ahead_ms * _MILLISECOND
    ahead = left(settled, at - lead.at)
    return Reading(at + ahead, ahead, lead.at, settled)


def _newest(_old: Any, new: Any) -> Mapping[str, Any]:
    return {"ahead_ms": new.ahead_ms, "at": new.at}
