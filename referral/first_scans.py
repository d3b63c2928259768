"""First scans of codes on their way into the database: several at once, some milliseconds after
their pages were sent. A transaction for each would take longer than its page.

One that is lost on the way is noted when its visit is stored.
"""

import os
from collections.abc import Sequence
from threading import Lock, Thread, main_thread
from time import sleep
from typing import Any

from referral.db import Database
from referral.db.bulk import array
from referral.db.shortcut import Shortcut
from referral.gathering import WORST

NOTE_SECONDS = 0.01
"""How long first scans wait for others to be noted with."""
IDLE_ROUNDS = 100
"""After so many without any first scan their thread ends."""
NOTES_MAX = 20_000
"""How many first scans wait at most; further ones are noted when the visit is stored."""

_NOTE = (
    "INSERT INTO seen_codes "
    '(batch_id, "index", label, first_at, region, first_visitor_id, devices) '
    "VALUES (?, ?, ?, ?, ?, ?, 0) ON CONFLICT DO NOTHING"
)
_NOTE_ALL = (
    "INSERT INTO seen_codes "
    '(batch_id, "index", label, first_at, region, first_visitor_id, devices) SELECT *, 0 FROM '
    "unnest(?::bigint[], ?::bigint[], ?::text[], ?::timestamptz[], ?::text[], ?::bigint[]) "
    "ON CONFLICT DO NOTHING"
)
"""The same for PostgreSQL, which takes each column of many rows as one array."""

Key = tuple[int | None, int | None, str]
"""A code by batch, index and label."""


class FirstScans:
    """Those of this process. Their thread runs as long as there are any."""

    def __init__(self, db: Database) -> None:
        self._is_sqlite = db.is_sqlite
        # A note that is lost is made when the visit is stored.
        self._line = Shortcut(db, waits_for_disk=False)
        self._is_closed = False
        db.before_close(self.close)
        self._lock, self._writing = Lock(), Lock()
        self._waiting: dict[Key, Sequence[Any]] = {}
        self._writer: int | None = None
        """The process that has the thread: a child of it has none."""

    def __contains__(self, code: Key) -> bool:
        return code in self._waiting

    def add(self, code: Key, values: Sequence[Any]) -> None:
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
            try:
                # In one order, so that no two processes wait for each other in a circle.
                self._note([taken[code] for code in sorted(taken)])
            except WORST:
                pass
            finally:  # not sooner: meanwhile they are known from here
                with self._lock:
                    for code in taken:
                        del self._waiting[code]

    def _note(self, rows: Sequence[Sequence[Any]]) -> None:
        if self._is_sqlite:
            self._line.write_each(_NOTE, rows)
        else:
            self._line.write(_NOTE_ALL, [array(column) for column in zip(*rows, strict=True)])

    def close(self) -> None:
        self._is_closed = True
        self.write()
        self._line.close()

    def _write_on(self) -> None:
        try:
            rounds = 0
            while not self._is_over(rounds):
                sleep(NOTE_SECONDS)
                rounds = 0 if self._waiting else rounds + 1
                self.write()
        except BaseException:
            self._writer = None
            raise

    def _is_over(self, rounds: int) -> bool:
        """Whether the thread ends; who comes from then on has another one begin."""
        with self._lock:
            ends = rounds >= IDLE_ROUNDS or self._is_closed or not main_thread().is_alive()
            if not ends or self._waiting:
                return False
            self._writer = None
            return True
