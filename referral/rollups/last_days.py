"""The last day on which each browser scanned a code or pressed a share button.

It is taken from the visits once their day (of UTC) is over for a while, as scans are tallied:
whoever scans writes nothing for it. What the visits say is only ever added to, as they are not kept
for ever.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral.db import Base, lock, no_hurry
from referral.db.bulk import upsert_many
from referral.rollups import tallies
from referral.rollups.sums import day_of
from referral.rollups.tallies import LATE, SCANS, Tallied, What
from referral.visits import Kind, VisitRow, first_id, months

LAST_DAYS = What.last_days
ROWS_AT_ONCE = 2_000
_EVER = datetime(1970, 1, 1, tzinfo=UTC)
_LOCK = "last days"


class LastDay(Base):
    """When a visitor was last active. A trigger notes it for the tree where she is a customer."""

    __tablename__ = "last_days"

    visitor_id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    day: Mapped[datetime]


def tally(tx: Session, now: datetime) -> bool:
    """Take in the days that are over and were not yet. Whether there were any."""
    no_hurry(tx)
    lock(tx, _LOCK)
    since, end = tallies.until(tx, LAST_DAYS), day_of(now - LATE[SCANS])
    if end <= since:
        return False
    _keep(tx, _found(tx, since, end))
    tx.merge(Tallied(what=LAST_DAYS, until=end))
    tx.flush()
    return True


def _found(tx: Session, since: datetime, end: datetime) -> list[tuple[int, datetime]]:
    """The last of these days on which each visitor was active."""
    months.hold(tx)
    last = sa.func.max(VisitRow.at)
    rows = tx.execute(
        sa.select(VisitRow.visitor_id, sa.type_coerce(last, VisitRow.at.type))
        .where(VisitRow.kind.in_((Kind.scan, Kind.share)), VisitRow.visitor_id.is_not(None))
        .where(VisitRow.event_id >= first_id(since), VisitRow.event_id < first_id(end))
        .group_by(VisitRow.visitor_id)
        .order_by(VisitRow.visitor_id)
    )
    return [(visitor, day_of(at)) for visitor, at in rows]


def _keep(tx: Session, found: list[tuple[int, datetime]]) -> None:
    rows = [{"visitor_id": visitor, "day": day} for visitor, day in found]
    for start in range(0, len(rows), ROWS_AT_ONCE):
        upsert_many(tx, LastDay, rows[start : start + ROWS_AT_ONCE], _later)


def _later(old: Any, new: Any) -> dict[str, Any]:
    return {"day": sa.case((new["day"] > old["day"], new["day"]), else_=old["day"])}


def recount(tx: Session) -> int:
    """Keep what the visits say. Returns how much was not as they do."""
    lock(tx, _LOCK)
    wrong = list(_wrong(tx))
    _keep(tx, [(visitor, found) for visitor, _, found in wrong])
    return len(wrong)


def differences(tx: Session) -> Iterator[str]:
    """Last days that are not kept, or as earlier ones."""
    for visitor, kept, found in _wrong(tx):
        said = f"{kept:%Y-%m-%d}" if kept else "never"
        yield f"last_days: visitor {visitor} was last active {found:%Y-%m-%d}, kept is {said}"


def _wrong(tx: Session) -> Iterator[tuple[int, datetime | None, datetime]]:
    end = tallies.until(tx, LAST_DAYS)
    found = _found(tx, _EVER, end)
    kept = {row.visitor_id: row.day for row in tx.execute(sa.select(*LastDay.__table__.c))}
    for visitor, day in found:
        if visitor not in kept or kept[visitor] < day:
            yield visitor, kept.get(visitor), day
