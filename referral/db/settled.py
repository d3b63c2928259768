"""Rows that are settled: below which no other one can come any more.

Numbers are taken before a transaction commits, so a lower one may become visible later. Whoever
chains rows in their order waits for that; nobody who writes waits for whoever chains.
"""

import time

import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral.db.database import Base, Database, is_sqlite

WRITERS_SECONDS = 40.0
"""How long whoever is writing is waited for: longer than a transaction may be idle."""
POLL_SECONDS = 0.02

_WRITERS = sa.text(
    "SELECT DISTINCT virtualtransaction FROM pg_locks WHERE locktype = 'relation' AND granted"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    " AND relation = CAST(:table AS regclass) AND mode = 'RowExclusiveLock'"
)


def newest(tx: Session, model: type[Base]) -> int:
    """The id of the newest row that is committed; 0 for none."""
    (key,) = model.__table__.primary_key
    return tx.scalar(sa.select(sa.func.max(key))) or 0


def writers(tx: Session, model: type[Base]) -> set[str]:
    """The transactions that are writing to a table at this moment.

    When all of them are over, no row can come any more whose id is below the newest one's that was
    seen before: an id is taken under the table's lock that is looked for here. SQLite has one
    writer at a time, so ids come in order.
    """
    if is_sqlite(tx):
        return set()
    return set(tx.scalars(_WRITERS, {"table": model.__tablename__}))


def settled(db: Database, model: type[Base], wait: float = WRITERS_SECONDS) -> int | None:
    """The id up to which a table's rows are all there or never will be.

    None when somebody has been writing for longer than `wait` seconds.
    """
    with db.read() as tx:
        upto = newest(tx, model)
    # Only now: whoever begins to write after the newest was seen takes a higher id.
    with db.read() as tx:
        running = writers(tx, model)
    deadline = time.monotonic() + wait
    while running:
        if time.monotonic() > deadline:
            return None
        time.sleep(POLL_SECONDS)
        with db.read() as tx:
            running &= writers(tx, model)
    return upto
