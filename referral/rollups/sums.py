"""Sums of the hourly counts (`rollups`): what pages ask of a whole campaign or batch, in few rows.

With channels, stores and regions there may be as many hourly counts as visits. These have only what
is asked for: of a campaign how many of each kind, of a batch its scans by the hour and, by the day,
where they were, of a store its scans by the day. They are written with the hourly counts, in slots
as well.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral.db import Base, is_sqlite
from referral.db.bulk import upsert_many
from referral.gathering import add_up
from referral.places import REGION_LENGTH_MAX
from referral.visits import Kind

NONE = 0
"""Stands for no campaign and no batch, in the hourly counts."""
ROWS_AT_ONCE = 2_000
Sort = tuple[int, int, datetime, str, str, str, int, str]
"""Of an hourly count: campaign, batch, hour, kind, label, channel, store, region."""
Key = tuple[Any, ...]


class CampaignVisits(Base):
    """How many visits of a kind a campaign had. Only the sum over all slots says something."""

    __tablename__ = "campaign_visits"

    campaign_id: Mapped[int] = mapped_column(sa.Integer, primary_key=True, autoincrement=False)
    kind: Mapped[str] = mapped_column(sa.String(12), primary_key=True)
    slot: Mapped[int] = mapped_column(sa.SmallInteger, primary_key=True, autoincrement=False)
    count: Mapped[int] = mapped_column(sa.BigInteger)


class BatchScans(Base):
    """How often codes of a batch were scanned in one hour."""

    __tablename__ = "batch_scans"

    batch_id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    hour: Mapped[datetime] = mapped_column(primary_key=True)
    label: Mapped[str] = mapped_column(sa.String(5), primary_key=True)
    slot: Mapped[int] = mapped_column(sa.SmallInteger, primary_key=True, autoincrement=False)
    count: Mapped[int] = mapped_column(sa.BigInteger)


class BatchRegions(Base):
    """How often codes of a batch were scanned in a region on one day of UTC."""

    __tablename__ = "batch_regions"

    batch_id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    day: Mapped[datetime] = mapped_column(primary_key=True)
    label: Mapped[str] = mapped_column(sa.String(5), primary_key=True)
    region: Mapped[str] = mapped_column(sa.String(REGION_LENGTH_MAX), primary_key=True)
    """ISO 3166; empty where it is not known."""
    slot: Mapped[int] = mapped_column(sa.SmallInteger, primary_key=True, autoincrement=False)
    count: Mapped[int] = mapped_column(sa.BigInteger)


class StoreScans(Base):
    """How often codes that went to a store were scanned on one day of UTC."""

    __tablename__ = "store_scans"

    store_id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    day: Mapped[datetime] = mapped_column(primary_key=True)
    slot: Mapped[int] = mapped_column(sa.SmallInteger, primary_key=True, autoincrement=False)
    count: Mapped[int] = mapped_column(sa.BigInteger)


def day_of(moment: datetime) -> datetime:
    """The midnight, of UTC, before a moment."""
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def _of_campaign(sort: Sort) -> Key | None:
    campaign, kind = sort[0], sort[3]
    return None if campaign == NONE else (campaign, kind)


def _of_scan(sort: Sort) -> Key | None:
    _campaign, batch, hour, kind, label, *_rest = sort
    return None if batch == NONE or kind != Kind.scan else (batch, hour, label)


def _of_region(sort: Sort) -> Key | None:
    _campaign, batch, hour, kind, label, _channel, _store, region = sort
    return None if batch == NONE or kind != Kind.scan else (batch, day_of(hour), label, region)


def _of_store(sort: Sort) -> Key | None:
    _campaign, _batch, hour, kind, _label, _channel, store, _region = sort
    return None if store == NONE or kind != Kind.scan else (store, day_of(hour))


@dataclass(frozen=True)
class _Sums:
    """A table of sums: its key, of a sort and as the database says it of the hourly counts."""

    model: type[Base]
    names: tuple[str, ...]
    key: Callable[[Sort], Key | None]
    is_counted: Callable[[Any], sa.ColumnElement[bool]]

    def columns(self, tx: Session, hourly: Any) -> list[Any]:
        return [_day(tx, hourly) if name == "day" else getattr(hourly, name) for name in self.names]


def _is_scan(hourly: Any) -> sa.ColumnElement[bool]:
    return sa.and_(hourly.batch_id != NONE, hourly.kind == Kind.scan.value)


_ALL = (
    _Sums(
        CampaignVisits,
        ("campaign_id", "kind"),
        _of_campaign,
        lambda hourly: hourly.campaign_id != NONE,
    ),
    _Sums(BatchScans, ("batch_id", "hour", "label"), _of_scan, _is_scan),
    _Sums(BatchRegions, ("batch_id", "day", "label", "region"), _of_region, _is_scan),
    _Sums(
        StoreScans,
        ("store_id", "day"),
        _of_store,
        lambda hourly: sa.and_(hourly.store_id != NONE, hourly.kind == Kind.scan.value),
    ),
)
"""In the order in which they are written, everywhere the same."""


def _day(tx: Session, hourly: Any) -> sa.ColumnElement[datetime]:
    kind = BatchRegions.day.type
    if is_sqlite(tx):
        text = sa.func.strftime("%Y-%m-%d 00:00:00.000000", hourly.hour, type_=sa.String())
        return sa.type_coerce(text, kind)
    return sa.func.date_trunc(
        sa.literal_column("'day'"), hourly.hour, sa.literal_column("'UTC'"), type_=kind
    )


def add(tx: Session, counts: Mapping[Sort, int], slot: int) -> None:
    """Add what was added to the hourly counts."""
    for sums in _ALL:
        more: Counter[Key] = Counter()
        for sort, times in counts.items():
            key = sums.key(sort)
            if key is not None:
                more[key] += times
        _add(tx, sums, more, slot)


def _add(tx: Session, sums: _Sums, more: Mapping[Key, int], slot: int) -> None:
    # In one order everywhere, so that no two processes wait for each other in a circle.
    rows = [
        {**dict(zip(sums.names, key, strict=True)), "slot": slot, "count": times}
        for key, times in sorted(more.items())
        if times
    ]
    for start in range(0, len(rows), ROWS_AT_ONCE):
        upsert_many(tx, sums.model, rows[start : start + ROWS_AT_ONCE], add_up)


# From the hourly counts


@dataclass(frozen=True)
class Difference:
    """One sum, and what the hourly counts give."""

    table: str
    key: Mapping[str, Any]
    kept: int
    found: int

    def __str__(self) -> str:
        what = ", ".join(f"{name} {value}" for name, value in self.key.items())
        return f"{self.table}: {what}: {self.found} in the hourly counts, {self.kept} in the sum"


def differences(tx: Session, hourly: type[Base]) -> Iterator[Difference]:
    """Where the sums are not those of the `hourly` counts; see `db.one_moment`."""
    for sums in _ALL:
        for key, (kept, found) in sorted(_differing(tx, sums, hourly).items()):
            named = dict(zip(sums.names, key, strict=True))
            yield Difference(sums.model.__tablename__, named, kept, found)


def mend(tx: Session, hourly: type[Base], slot: int) -> int:
    """Put the sums right by the `hourly` counts. Returns how many were not."""
    total = 0
    for sums in _ALL:
        wrong = _differing(tx, sums, hourly)
        _add(tx, sums, {key: found - kept for key, (kept, found) in wrong.items()}, slot)
        total += len(wrong)
    return total


def _differing(tx: Session, sums: _Sums, hourly: Any) -> dict[Key, tuple[int, int]]:
    """What is kept and what is found, where that is not the same."""
    model: Any = sums.model
    columns = [getattr(model, name) for name in sums.names]
    kept = _summed(tx, sa.select(*columns, sa.func.sum(model.count)).group_by(*columns))
    columns = sums.columns(tx, hourly)
    counted = sa.select(*columns, sa.func.sum(hourly.count)).where(sums.is_counted(hourly))
    found = _summed(tx, counted.group_by(*columns))
    return {
        key: (kept.get(key, 0), found.get(key, 0))
        for key in kept.keys() | found.keys()
        if kept.get(key, 0) != found.get(key, 0)
    }


def _summed(tx: Session, statement: sa.Select[Any]) -> dict[Key, int]:
    return {tuple(row[:-1]): int(row[-1]) for row in tx.execute(statement)}
