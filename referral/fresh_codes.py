"""Codes that nobody has scanned or claimed before: found in one look, as most scans are of one.

Who scans next is told that he is not the first, so the first scan of a code is noted right after
its page is sent; all else that is known of scans is stored later, from the visits.
"""

import threading
from collections.abc import Sequence
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any

from referral.codes import Code
from referral.db import Database
from referral.db.shortcut import Shortcut, moment
from referral.first_scans import FirstScans
from referral.ranges import Span, span_of
from referral.visits import Visit

SPANS_KEPT = 4096

_LOOK = (
    'SELECT r.start, r."end", r.state, r.lot, r.made_on, r.expires_on, r.market, r.store_id, '
    "r.sale_from, r.sale_until, "
    'EXISTS (SELECT 1 FROM claims AS c WHERE c.batch_id = ? AND c."index" = ?), '
    "EXISTS (SELECT 1 FROM seen_codes AS s "
    'WHERE s.batch_id = ? AND s."index" = ? AND s.label = ?) '
    "FROM code_ranges AS r WHERE r.batch_id = ? AND r.start <= ? ORDER BY r.start DESC LIMIT 1"
)


class FreshCodes:
    """What is known of fresh codes, asked anew for each of them."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._lines = _LineOfThread(db)
        self._first_scans = FirstScans(db)

    def span(self, code: Code) -> Span | None:
        """The range of a fresh code; None for one that was scanned or claimed before, or that is
        in no range. Raises `Unavailable`."""
        batch, index, label = code.batch_id, code.index, code.label.value
        if (batch, index, label) in self._first_scans:
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
        self._first_scans.add(code, (*code, at, scan.region, scan.visitor))

    def settle(self) -> None:
        """Note now what waits to be noted by this process."""
        self._first_scans.write()

    def close(self) -> None:
        """Note what waits, and close the connection of this thread."""
        self._first_scans.close()
        self._lines.line.close()


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
