"""First scans of codes on their way into the database: several at once, some milliseconds after
their pages were sent. A transaction for each would take longer than its page.

One that is lost on the way is noted when its visit is stored.
"""

from collections.abc import Sequence
from threading import Lock
from typing import Any

from referral.db import Database
from referral.db.bulk import array
from referral.db.shortcut import Shortcut
from referral.gathering import WORST
from referral.soon import Soon

NOTE_SECONDS = 0.01
"""How long first scans wait for others to be noted with."""
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
    """Those of this process."""

    def __init__(self, db: Database) -> None:
        self._is_sqlite = db.is_sqlite
        # A note that is lost is made when the visit is stored.
        self._line = Shortcut(db, waits_for_disk=False)
        db.before_close(self.close)
        self._lock, self._writing = Lock(), Lock()
        self._waiting: dict[Key, Sequence[Any]] = {}
        self._soon = Soon(self.write, seconds=NOTE_SECONDS, name="first scans")

    def __contains__(self, code: Key) -> bool:
        return code in self._waiting

    def add(self, code: Key, values: Sequence[Any]) -> None:
        with self._lock:
            if len(self._waiting) < NOTES_MAX:
                self._waiting.setdefault(code, values)
        self._soon.ask()

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
        self._soon.close()
        self.write()
        self._line.close()
