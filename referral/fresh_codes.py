"""Codes that nobody has scanned or claimed before: found in one look, as most scans are of one.

Who scans next is told that he is not the first, so the first scan of a code is noted right after
its page is sent; all else that is known of scans is stored later, from the visits.
"""

import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, date, datetime
from functools import lru_cache
from threading import Lock, Thread, main_thread
from time import sleep
from typing import Any

from referral.codes import Code
from referral.db import Database
from referral.db.shortcut import Shortcut, moment
from referral.gathering import WORST
from referral.ranges import Span, span_of
from referral.visits import Visit

SPANS_KEPT = 4096
NOTE_SECONDS = 0.01
"""How long first scans wait for others to be noted with."""
IDLE_ROUNDS = 100
"""After so many without any first scan their thread ends."""
NOTES_MAX = 20_000
"""How many first scans wait at most; further ones are noted when the visit is stored."""

_LOOK = (
    'SELECT r.start, r."end", r.state, r.lot, r.made_on, r.expires_on, r.market, r.store_id, '
    "r.sale_from, r.sale_until, "
    'EXISTS (SELECT 1 FROM claims AS c WHERE c.batch_id = ? AND c."index" = ?), '
    "EXISTS (SELECT 1 FROM seen_codes AS s "
    'WHERE s.batch_id = ? AND s."index" = ? AND s.label = ?) '
    "FROM code_ranges AS r WHERE r.batch_id = ? AND r.start <= ? ORDER BY r.start DESC LIMIT 1"
)
_NOTE = (
    "INSERT INTO seen_codes "
    '(batch_id, "index", label, first_at, region, first_visitor_id, devices) '
    "VALUES (?, ?, ?, ?, ?, ?, 0) ON CONFLICT DO NOTHING"
)


class FreshCodes:
    """What is known of fresh codes, asked anew for each of them."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._lines = _LineOfThread(db)
        self._notes = _Notes(db)

    def span(self, code: Code) -> Span | None:
        """The range of a fresh code; None for one that was scanned or claimed before, or that is
        in no range. Raises `Unavailable`."""
        batch, index, label = code.batch_id, code.index, code.label.value
        if (batch, index, label) in self._notes:
            return None
        values = (batch, index, batch, index, label, batch, index)
        rows = self._lines.line.read(_LOOK, values)
        if not rows or any(rows[0][10:]):
            return None
        return _span(*rows[0][:10])

    def note(self, scan: Visit) -> None:
        """Note a person's first scan of a fresh code, which has been handed in: in a moment.

        Where that cannot be done, it is done when the visit is stored.
        """
        assert scan.label is not None, "a scan is of a label"
        code = (scan.batch, scan.code_index, scan.label.value)
        at = moment(self._db, scan.at)
        self._notes.add(code, (*code, at, scan.region, scan.visitor))

    def settle(self) -> None:
        """Note now what waits to be noted by this process."""
        self._notes.write()

    def close(self) -> None:
        """Note what waits, and close the connection of this thread."""
        self._notes.close()
        self._lines.line.close()


_Key = tuple[int | None, int | None, str]
"""A code by batch, index and label."""


class _Notes:
    """First scans on their way into the database: several at once, by a thread that runs as long
    as there are any. A transaction for each would take longer than its page."""

    def __init__(self, db: Database) -> None:
        # A note that is lost is made when the visit is stored.
        self._line = Shortcut(db, waits_for_disk=False)
        self._is_closed = False
        db.before_close(self.close)
        self._lock, self._writing = Lock(), Lock()
        self._waiting: dict[_Key, Sequence[Any]] = {}
        self._writer: int | None = None
        """The process that has the thread: a child of it has none."""

    def __contains__(self, code: _Key) -> bool:
        return code in self._waiting

    def add(self, code: _Key, values: Sequence[Any]) -> None:
        with self._lock:
            self._is_closed = False
            if len(self._waiting) < NOTES_MAX:
                self._waiting.setdefault(code, values)
            starts, self._writer = self._writer != os.getpid(), os.getpid()
        if starts:
            Thread(target=self._write_on, name="first scans").start()

    def write(self) -> None:
        if not self._waiting:
            return
        with self._writing:
            with self._lock:
                taken = dict(self._waiting)
            with suppress(*WORST):
                # In one order, so that no two processes wait for each other in a circle.
                self._line.write_each(_NOTE, [taken[code] for code in sorted(taken)])
            with self._lock:  # not sooner: meanwhile they are known from here
                for code in taken:
                    del self._waiting[code]

    def close(self) -> None:
        self._is_closed = True
        self.write()
        self._line.close()

    def _write_on(self) -> None:
        rounds = 0
        while True:
            sleep(NOTE_SECONDS)
            rounds = 0 if self._waiting else rounds + 1
            self.write()
            with self._lock:
                is_over = self._is_closed or not main_thread().is_alive()
                if (is_over or rounds >= IDLE_ROUNDS) and not self._waiting:
                    self._writer = None
                    return


class _LineOfThread(threading.local):
    """A thread does not wait for what another one asks."""

    def __init__(self, db: Database) -> None:
        self.line = Shortcut(db)


@lru_cache(SPANS_KEPT)
def _span(*row: Any) -> Span:
    return span_of(_typed(row))


def _typed(row: Sequence[Any]) -> Sequence[Any]:
    """With dates as dates, which SQLite keeps as text."""
    start, end, state, lot, made_on, expires_on, market, store_id, sale_from, sale_until = row
    days = [
        date.fromisoformat(day) if isinstance(day, str) else day for day in (made_on, expires_on)
    ]
    moments = [_moment(moment) for moment in (sale_from, sale_until)]
    return start, end, state, lot, *days, market, store_id, *moments


def _moment(kept: str | datetime | None) -> datetime | None:
    if kept is None:
        return None
    moment = datetime.fromisoformat(kept) if isinstance(kept, str) else kept
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
