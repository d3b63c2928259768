"""The table that visits wait in until a worker has stored them, for who has no Redis, and for the
time it is away.

A row holds the events that several requests handed in together, as an entry of the stream does.
It is written by one INSERT, which is all that a page waits for, and goes when it is stored.
"""

import fcntl
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from io import FileIO
from operator import itemgetter
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from referral.clock import Clock
from referral.db import Base, Database, RowId
from referral.db.shortcut import Shortcut, moment
from referral.errors import Unavailable
from referral.intake.events import Event, Ran, encode
from referral.intake.stream import Entry

LOOK_SECONDS = 0.1
"""How often a worker looks whether something has come."""
LOCK = (1_380_271_698, 18)
"""What the one worker at the table holds on PostgreSQL, for as long as its session lives."""

_ADD = "INSERT INTO waiting_events (body, at) VALUES (?, ?)"
_ARE_ANY = "SELECT 1 FROM waiting_events WHERE tries = 0 LIMIT 1"
_NEW = "SELECT id FROM waiting_events WHERE tries = 0 ORDER BY id LIMIT ?"
_UNDONE = (
    "SELECT id FROM waiting_events WHERE tries > 0 AND tried_at <= ? ORDER BY tried_at, id LIMIT ?"
)
# Counted before anything is done with them: a process may not survive it.
_GIVE = (
    "UPDATE waiting_events SET tries = tries + 1, tried_at = ? WHERE id IN ({}) "
    "RETURNING id, body, tries"
)
# SQLite may give the number of the last row again once that is gone, so it is not enough alone.
_DONE = "DELETE FROM waiting_events WHERE id = ? AND body = ?"
_TRY_LOCK = "SELECT pg_try_advisory_lock(?, ?)"
_HELD = (
    "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database "
    "WHERE locktype = 'advisory' AND granted AND datname = current_database() "
    "AND classid = :one AND objid = :two AND objsubid = 2"
)


class WaitingEvents(Base):
    """What was handed in at one moment and is not stored yet."""

    __tablename__ = "waiting_events"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    body: Mapped[bytes] = mapped_column(sa.LargeBinary)
    """As an entry of the stream, see `events.encode`."""
    at: Mapped[datetime]
    tries: Mapped[int] = mapped_column(sa.SmallInteger, server_default="0")
    """How often it was given to a worker."""
    tried_at: Mapped[datetime | None]

    __table_args__ = (
        sa.Index(
            "ix_waiting_events_failed",
            "tried_at",
            sqlite_where=sa.text("tries > 0"),
            postgresql_where=sa.text("tries > 0"),
        ),
    )


@dataclass(frozen=True)
class WaitingState:
    """What waits in the table."""

    entries: int
    oldest: timedelta
    """For how long the first of them has been waiting."""
    workers: int
    """1 while a worker is at the table. Others stand by, and are not seen."""


class WaitingTable:
    """The table of one database, to add to. Threads take turns."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self._line = Shortcut(db)
        self._place = _Place(db)

    def add(self, events: Sequence[Event]) -> None:
        """Put events in, as one row, which is committed then.

        Raises `Unavailable`; they may be in all the same.
        """
        first = events[0]
        at = first.at if isinstance(first, Ran) else first.visit.at
        self._line.write(_ADD, (encode(events), moment(self._db, at)))

    def reader(self, name: str) -> "WaitingReader":
        return WaitingReader(self._db, self._clock, name)

    def state(self) -> WaitingState:
        """Raises `Unavailable`."""
        with self._db.read() as tx:
            entries = tx.scalar(sa.select(sa.func.count()).select_from(WaitingEvents)) or 0
            first = tx.scalar(sa.select(WaitingEvents.at).order_by(WaitingEvents.id).limit(1))
            held = self._place.is_taken(tx)
        waited = self._clock.now() - first if first else timedelta(0)
        return WaitingState(entries, max(waited, timedelta(0)), int(held))

    def close(self) -> None:
        self._line.close()


class WaitingReader:
    """One worker's end of the table, as `StreamReader`. All methods raise `Unavailable`."""

    def __init__(self, db: Database, clock: Clock, name: str) -> None:
        self.name = name
        self._db = db
        self._clock = clock
        # What is lost of its writing is done again, and what is stored twice is there once.
        self._line = Shortcut(db, waits_for_disk=False)
        self._place = _Place(db)
        self._is_first = True
        """Nobody else is at the table: what is given out and there is of one who died."""

    def begin(self) -> None:
        """The table is there from the migration on."""

    def new(self, most: int, wait: timedelta) -> list[Entry]:
        """Entries that nobody was given, none while another worker is at the table."""
        until = time.monotonic() + wait.total_seconds()
        while True:
            if self._place.take(self._line) and self._line.read(_ARE_ANY):
                return self._give(_NEW, most)
            left = until - time.monotonic()
            if left <= 0:
                return []
            time.sleep(min(LOOK_SECONDS, left))

    def abandoned(self, after: timedelta, most: int) -> list[Entry]:
        """Entries that were given out so long ago and are not done; at first all of them."""
        if not self._place.take(self._line):
            return []
        before = self._clock.now() - (timedelta(0) if self._is_first else after)
        entries = self._give(_UNDONE, moment(self._db, before), most)
        self._is_first = self._is_first and len(entries) == most
        return entries

    def _give(self, which: str, *values: Any) -> list[Entry]:
        now = moment(self._db, self._clock.now())
        rows = self._line.change(_GIVE.format(which), (now, *values))
        ordered = sorted(rows, key=itemgetter(0))
        return [Entry(str(number), bytes(body), tries) for number, body, tries in ordered]

    def done(self, entries: Iterable[Entry]) -> None:
        """These are committed: they leave the table."""
        self._line.write_each(_DONE, [(int(each.id), each.data) for each in entries])

    def forget_the_dead(self, after: timedelta) -> None:
        """Nobody is remembered here."""

    def close(self) -> None:
        self._place.leave(self._line)
        self._line.close()


class _Place:
    """The place at the table, for one worker at a time; it is free as soon as a worker dies.

    Two at once would do no harm, only the work twice. On SQLite it is a lock on a file beside the
    database, on PostgreSQL one of the session.
    """

    def __init__(self, db: Database) -> None:
        self._is_sqlite = db.is_sqlite
        self._path = Path(f"{db.engine.url.database}-worker")
        self._file: FileIO | None = None

    def take(self, line: Shortcut) -> bool:
        """Whether it is this worker's. Raises `Unavailable`."""
        if self._is_sqlite:
            return self._file is not None or self._take_file()
        # A session that has it gets it again; one that was lost has lost it.
        return bool(line.read(_TRY_LOCK, LOCK)[0][0])

    def _take_file(self) -> bool:
        try:
            file = FileIO(self._path, "a")
        except OSError:  # where no file can be made, SQLite says so
            return True
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return False
        self._file = file
        return True

    def is_taken(self, tx: Any) -> bool:
        """Whether a worker has it."""
        if not self._is_sqlite:
            one, two = LOCK
            return bool(tx.execute(sa.text(_HELD), {"one": one, "two": two}).scalar_one())
        with suppress(FileNotFoundError), FileIO(self._path) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def leave(self, line: Shortcut) -> None:
        if not self._is_sqlite:
            with suppress(Unavailable):  # then the session has ended, and the lock with it
                line.read("SELECT pg_advisory_unlock_all()")
        if self._file is not None:
            self._file.close()
            self._file = None


def state_of(table: WaitingTable | None) -> WaitingState | None:
    """What waits in the table; None without one, and while the database is away."""
    try:
        return None if table is None else table.state()
    except Unavailable:
        return None
