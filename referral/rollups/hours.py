"""Rollups: visits counted by the hour and by what they were; figures are read from few rows.

They are written in the transaction that stores the visits, with their `sums` and the `sharers`.
Several processes write to slots of their own, which are added up when read: nobody waits for
somebody else's row. `recount` counts the visits themselves anew, and `differences` says where that
would change anything.
"""

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral import ratings
from referral.db import Base, is_sqlite, lock, no_hurry
from referral.db.bulk import upsert_many
from referral.gathering import add_up, hour_of
from referral.places import REGION_LENGTH_MAX
from referral.rollups import moments, sharers, sums, tallies
from referral.visits import Kind, Visit, VisitRow, months
from referral.visits.keeping import VisitsKeptSince

SLOTS = 16
CORRECTIONS = SLOTS
"""The slot of `recount`, in which nobody else writes."""
NONE = sums.NONE
"""Stands for no campaign and no batch: a key has no empty parts."""
ROWS_AT_ONCE = 2_000
_LOCK = "visit counts"


class VisitCount(Base):
    """How many visits of one sort came in one hour. Only their sum over all slots says something;
    what was taken back may leave one of them below zero."""

    __tablename__ = "visit_counts"

    campaign_id: Mapped[int] = mapped_column(sa.Integer, primary_key=True, autoincrement=False)
    """The campaign, or `NONE`."""
    batch_id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    """The batch of a scanned code, or `NONE`; it has the product."""
    hour: Mapped[datetime] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(sa.String(12), primary_key=True)
    label: Mapped[str] = mapped_column(sa.String(5), primary_key=True)
    """Which label was scanned; empty for what is no scan."""
    channel: Mapped[str] = mapped_column(sa.String(12), primary_key=True)
    store_id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    """The store that the scanned package went to, or `NONE`."""
    region: Mapped[str] = mapped_column(sa.String(REGION_LENGTH_MAX), primary_key=True)
    """ISO 3166; empty where it is not known."""
    slot: Mapped[int] = mapped_column(sa.SmallInteger, primary_key=True, autoincrement=False)
    count: Mapped[int] = mapped_column(sa.BigInteger)

    __table_args__ = (
        sa.Index(None, "batch_id", "hour"),
        sa.Index(None, "campaign_id", "hour"),
    )


_NAMES = ("campaign_id", "batch_id", "hour", "kind", "label", "channel", "store_id", "region")
_Sort = sums.Sort
"""The values of `_NAMES`."""


@dataclass(frozen=True)
class Difference:
    """One hour of one sort, counted in two ways."""

    sort: _Sort
    kept: int
    found: int

    def __str__(self) -> str:
        what = ", ".join(f"{name} {value}" for name, value in zip(_NAMES, self.sort, strict=True))
        return f"{what}: {self.found} visits, {self.kept} in the rollup"


def count(tx: Session, visits: Iterable[Visit]) -> None:
    """Count visits that have just been stored."""
    stored = list(visits)
    _count(tx, Counter(map(_sort, stored)))
    sharers.note(tx, stored)


def _sort(visit: Visit) -> _Sort:
    return (
        visit.campaign or NONE,
        visit.batch or NONE,
        hour_of(visit.at),
        visit.kind.value,
        visit.label.value if visit.label else "",
        visit.channel.name,
        visit.store or NONE,
        visit.region or "",
    )


def turn(tx: Session, visits: Iterable[Visit], was: Kind) -> None:
    """Count visits as what they are now and not any more as what they were taken for."""
    changes: Counter[_Sort] = Counter()
    for visit in visits:
        changes[_sort(visit._replace(kind=was))] -= 1
        changes[_sort(visit)] += 1
    _count(tx, changes)


def _columns(tx: Session) -> tuple[sa.ColumnElement[Any], ...]:
    """A visit's sort, as the database says it."""
    nothing: sa.ColumnElement[Any] = sa.literal_column("0")
    blank: sa.ColumnElement[Any] = sa.literal_column("''")
    return (
        sa.func.coalesce(VisitRow.campaign_id, nothing),
        sa.func.coalesce(VisitRow.batch_id, nothing),
        _hour(tx),
        VisitRow.__table__.c.kind,
        sa.func.coalesce(VisitRow.label, blank),
        VisitRow.__table__.c.channel,
        sa.func.coalesce(VisitRow.store_id, nothing),
        sa.func.coalesce(VisitRow.region, blank),
    )


def _hour(tx: Session) -> sa.ColumnElement[datetime]:
    kind = VisitCount.hour.type
    if is_sqlite(tx):
        text = sa.literal_column("strftime('%Y-%m-%d %H:00:00.000000', visits.at)", sa.String())
        return sa.type_coerce(text, kind)
    return sa.literal_column("date_trunc('hour', visits.at, 'UTC')", kind)


def _count(tx: Session, counts: Counter[_Sort]) -> None:
    slot = os.getpid() % SLOTS
    _add(tx, counts, slot)
    sums.add(tx, counts, slot)


def _add(tx: Session, counts: Counter[_Sort], slot: int) -> None:
    # In one order everywhere, so that no two processes wait for each other in a circle.
    rows = [
        {**dict(zip(_NAMES, sort, strict=True)), "slot": slot, "count": times}
        for sort, times in sorted(counts.items())
        if times
    ]
    upsert_many(tx, VisitCount, rows, add_up)


# From the visits themselves


def recount(tx: Session) -> int:
    """Count all visits and put right what the hourly counts say otherwise; see `db.one_moment`.

    What is written meanwhile is neither lost nor waited for: only differences are added, in a slot
    of their own. Returns how many there were. Call `mend_sums` after it.
    """
    months.hold(tx)
    lock(tx, _LOCK)
    found = list(differences(tx))
    for start in range(0, len(found), ROWS_AT_ONCE):
        part = found[start : start + ROWS_AT_ONCE]
        _add(tx, Counter({each.sort: each.found - each.kept for each in part}), CORRECTIONS)
    return len(found)


def differences(tx: Session) -> Iterator[Difference]:
    """Where the hourly counts and the visits differ; see `db.one_moment`."""
    months.hold(tx)
    no_hurry(tx)
    # Added up by the database: there may be as many counts as visits.
    columns = [getattr(VisitCount, name) for name in _NAMES]
    kept = _while_kept(
        sa.select(*columns, VisitCount.count.label("kept"), _nothing.label("found")),
        VisitCount.campaign_id,
        VisitCount.hour,
    )
    found = [column.label(name) for column, name in zip(_columns(tx), _NAMES, strict=True)]
    visits = _while_kept(
        sa.select(*found, _nothing.label("kept"), sa.literal_column("1").label("found")),
        sa.func.coalesce(VisitRow.campaign_id, NONE),
        VisitRow.at,
    )
    both = sa.union_all(kept, visits).subquery()
    each = [both.c[name] for name in _NAMES]
    kept_sum, found_sum = sa.func.sum(both.c.kept), sa.func.sum(both.c.found)
    differing = (
        sa.select(*each, kept_sum, found_sum)
        .group_by(*each)
        .having(kept_sum != found_sum)
        .order_by(*each)
    )
    for row in tx.execute(differing):
        yield Difference(tuple(row[:-2]), int(row[-2]), int(row[-1]))


_nothing: sa.ColumnElement[int] = sa.literal_column("0")


def _while_kept(statement: sa.Select[Any], campaign: Any, at: Any) -> sa.Select[Any]:
    """Only what is of a time whose visits are kept: of others there are counts and no visits."""
    return statement.outerjoin(VisitsKeptSince, VisitsKeptSince.campaign_id == campaign).where(
        sa.or_(VisitsKeptSince.since.is_(None), at >= VisitsKeptSince.since)
    )


def mend_sums(tx: Session) -> int:
    """Put right what follows from the hourly counts, from shares and from purchases. Returns how
    much was wrong."""
    lock(tx, _LOCK)
    no_hurry(tx)
    mended = sums.mend(tx, VisitCount, CORRECTIONS) + sharers.recount(tx)
    return mended + tallies.recount(tx) + moments.recount(tx) + ratings.recount(tx)


def sum_differences(tx: Session) -> Iterator[object]:
    """What `mend_sums` would put right, each in words."""
    no_hurry(tx)
    yield from sums.differences(tx, VisitCount)
    yield from sharers.differences(tx)
    yield from tallies.differences(tx)
    yield from moments.differences(tx)
    yield from ratings.differences(tx)
