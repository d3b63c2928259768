"""The months of the visits: on PostgreSQL each is a table of its own, on SQLite all are in one.

What belongs to a month for which there is no table yet, or none any more, lies in `visits_rest`,
and is moved when the table is made.

Making and dropping a table takes the visits for itself, for as long as that takes: so nobody is
half through writing to a table that is another month's by then. Who has to wait for that lock
for long gives way to those who read and write.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral.db import is_sqlite, lock, no_hurry
from referral.visits.rows import VisitRow
from referral.visits.visit import first_id

AHEAD = 2
"""For how many months to come there are tables: whoever makes them may be late."""
PATIENCE = "2s"
"""For how long a change of the tables waits for those who use them, who wait behind it meanwhile:
less than their own patience."""
REST = "visits_rest"
_LOCK = "months of visits"
_NAME = re.compile(r"^visits_(\d{4})_(\d{2})$")
_TABLES = sa.text(
    "SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid "
    "WHERE inhparent = 'visits'::regclass"
)
_NEXT_IN_REST = sa.text(
    f"SELECT event_id FROM {REST} WHERE event_id >= :since AND event_id < :until "  # noqa: S608
    "ORDER BY event_id LIMIT 1"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TIME_SHIFT = 80


def month_of(moment: datetime, later: int = 0) -> datetime:
    """When the month of a moment began, in UTC, or one so many months later."""
    moment = moment.astimezone(UTC)
    months = moment.year * 12 + moment.month - 1 + later
    return datetime(months // 12, months % 12 + 1, 1, tzinfo=UTC)


def moment_of(number: UUID) -> datetime:
    """The moment that a visit's number begins with, to the millisecond."""
    return _EPOCH + timedelta(milliseconds=number.int >> _TIME_SHIFT)


def missing(tx: Session, now: datetime) -> list[datetime]:
    """The months that should have a table and have none: this one, those to come, and those of
    visits that have none."""
    if is_sqlite(tx):
        return []
    wanted = {month_of(now, later) for later in range(AHEAD + 1)}
    return sorted((wanted | set(_of_rest(tx, now))) - set(_months(tx)))


def make(tx: Session, month: datetime) -> bool:
    """Make the table of a month, with the visits of it that there are. False if it has one.

    Raises `Unavailable` when the visits are in use for too long.
    """
    if is_sqlite(tx):
        return False
    _take(tx)
    if month in _months(tx):
        return False
    _make(tx, month)
    return True


def before(tx: Session, month: datetime) -> list[datetime]:
    """The months before one that have a table."""
    return [] if is_sqlite(tx) else sorted(each for each in _months(tx) if each < month)


def drop(tx: Session, month: datetime) -> bool:
    """Drop the table of a month, with all visits in it. False if it has none.

    Raises `Unavailable` when the visits are in use for too long.
    """
    if is_sqlite(tx):
        return False
    _take(tx)
    if month not in _months(tx):
        return False
    tx.execute(sa.text(f"DROP TABLE {_table(month)}"))
    return True


def drop_empty(tx: Session, month: datetime) -> bool:
    """`drop` the table of a month if no visits are in it."""
    if is_sqlite(tx) or not _is_empty(tx, month):
        return False
    _take(tx)
    return _is_empty(tx, month) and drop(tx, month)


def hold(tx: Session) -> None:
    """Let no month be dropped before this transaction ends; it must not have read anything.

    Whoever reads as of one moment would otherwise miss the visits of a table that went after it.
    """
    if not is_sqlite(tx):
        tx.execute(sa.text("LOCK TABLE visits IN ACCESS SHARE MODE"))


def _take(tx: Session) -> None:
    lock(tx, _LOCK)
    tx.execute(sa.text(f"SET LOCAL lock_timeout = '{PATIENCE}'"))
    tx.execute(sa.text("LOCK TABLE ONLY visits IN ACCESS EXCLUSIVE MODE"))


def _months(tx: Session) -> Iterator[datetime]:
    for name in tx.scalars(_TABLES):
        found = _NAME.match(name)
        if found:
            yield datetime(int(found[1]), int(found[2]), 1, tzinfo=UTC)


def _of_rest(tx: Session, now: datetime) -> Iterator[datetime]:
    """The months of the visits that have no table, but for what says it is still to come."""
    since, until = UUID(int=0), first_id(month_of(now, 1))
    while found := tx.scalar(_NEXT_IN_REST, {"since": since, "until": until}):
        month = month_of(moment_of(found))
        yield month
        since = first_id(month_of(month, 1))


def _is_empty(tx: Session, month: datetime) -> bool:
    of_month = (
        VisitRow.event_id >= first_id(month),
        VisitRow.event_id < first_id(month_of(month, 1)),
    )
    return tx.scalar(sa.select(VisitRow.event_id).where(*of_month).limit(1)) is None


def _table(month: datetime) -> str:
    return f"visits_{month:%Y_%m}"


def _make(tx: Session, month: datetime) -> None:
    no_hurry(tx)
    table = _table(month)
    bounds = {"first": str(first_id(month)), "end": str(first_id(month_of(month, 1)))}
    tx.execute(sa.text(f"CREATE TABLE {table} (LIKE visits INCLUDING ALL)"))
    moved = f"""
        WITH moved AS (
            DELETE FROM {REST} WHERE event_id >= :first AND event_id < :end RETURNING *
        )
        INSERT INTO {table} SELECT * FROM moved
    """  # noqa: S608 - the name is made of a date
    tx.execute(sa.text(moved), bounds)
    tx.execute(
        sa.text(
            f"ALTER TABLE visits ATTACH PARTITION {table} "
            f"FOR VALUES FROM ('{bounds['first']}') TO ('{bounds['end']}')"
        )
    )
