"""Tallies by the day: claims by campaign, batch, region and store, new customers, codes scanned
first.

They are counted once, when their day (of UTC) is over for a while (`LATE`): whoever claims or scans
writes nothing for it. A figure is the tallies and a count of what came since. Nothing is added to a
day that is over, but for merged customers, whose places change (`follow_merge`), and scans that are
stored later still, which `recount` finds. A claim counts in the region in which its code was
scanned first, and for the store that had its code, as far as that was known when its day was
tallied.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral.batches import Batch
from referral.claims import Claim
from referral.codes import Label
from referral.db import Base, is_sqlite, lock, no_hurry
from referral.db.bulk import upsert_many
from referral.gathering import add_up
from referral.graph import Referral
from referral.places import REGION_LENGTH_MAX
from referral.ranges import CodeRange
from referral.rollups.sums import day_of
from referral.visits import SeenCode


class What(IntEnum):
    """What is taken in up to some moment, each under a number of its own in `Tallied`."""

    purchases = 1
    scans = 2
    campaign_days = 3
    tree = 4
    last_days = 5
    moments = 7
    money = 20


PURCHASES, SCANS = What.purchases, What.scans
LATE = {PURCHASES: timedelta(hours=1), SCANS: timedelta(days=2)}
"""So long after its end nothing is written any more that belongs to a day. Scans may have waited
for the database."""
NONE = 0
"""Stands for no campaign: a key has no empty parts."""
ROWS_AT_ONCE = 2_000
_EVER = datetime(1970, 1, 1, tzinfo=UTC)
_LOCK = "tallies"


class ClaimDay(Base):
    """How many codes of a batch were claimed on one day of UTC, paid for by a campaign or none."""

    __tablename__ = "claim_days"

    batch_id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    day: Mapped[datetime] = mapped_column(primary_key=True)
    campaign_id: Mapped[int] = mapped_column(sa.Integer, primary_key=True, autoincrement=False)
    """The campaign, or `NONE`."""
    count: Mapped[int] = mapped_column(sa.BigInteger)

    __table_args__ = (sa.Index(None, "campaign_id"),)


class ClaimHour(Base):
    """How many codes of a batch were claimed in one hour."""

    __tablename__ = "claim_hours"

    batch_id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    hour: Mapped[datetime] = mapped_column(primary_key=True)
    count: Mapped[int] = mapped_column(sa.BigInteger)


class ClaimRegionDay(Base):
    """Claims of a day by where the codes were scanned first."""

    __tablename__ = "claim_region_days"

    batch_id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    day: Mapped[datetime] = mapped_column(primary_key=True)
    region: Mapped[str] = mapped_column(sa.String(REGION_LENGTH_MAX), primary_key=True)
    """ISO 3166; empty where it is not known."""
    count: Mapped[int] = mapped_column(sa.BigInteger)


class ClaimStoreDay(Base):
    """Claims of a day by the store that the codes went to."""

    __tablename__ = "claim_store_days"

    store_id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    day: Mapped[datetime] = mapped_column(primary_key=True)
    count: Mapped[int] = mapped_column(sa.BigInteger)


class NewcomerDay(Base):
    """How many customers made their first purchase in a campaign on one day of UTC."""

    __tablename__ = "newcomer_days"

    campaign_id: Mapped[int] = mapped_column(sa.Integer, primary_key=True, autoincrement=False)
    """The campaign, or `NONE`."""
    day: Mapped[datetime] = mapped_column(primary_key=True)
    is_referred: Mapped[bool] = mapped_column(sa.Boolean, primary_key=True)
    """Whether another customer brought them in."""
    count: Mapped[int] = mapped_column(sa.BigInteger)


class SeenHour(Base):
    """How many labels of a batch were scanned for the first time in one hour."""

    __tablename__ = "seen_hours"

    batch_id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    hour: Mapped[datetime] = mapped_column(primary_key=True)
    label: Mapped[str] = mapped_column(sa.String(5), primary_key=True)
    count: Mapped[int] = mapped_column(sa.BigInteger)


class SeenDay(Base):
    """The same by region, on one day of UTC."""

    __tablename__ = "seen_days"

    batch_id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    day: Mapped[datetime] = mapped_column(primary_key=True)
    label: Mapped[str] = mapped_column(sa.String(5), primary_key=True)
    region: Mapped[str] = mapped_column(sa.String(REGION_LENGTH_MAX), primary_key=True)
    """ISO 3166; empty where it is not known."""
    count: Mapped[int] = mapped_column(sa.BigInteger)


class Tallied(Base):
    """Up to when, not included, days are tallied; no row before the first."""

    __tablename__ = "tallied"

    what: Mapped[int] = mapped_column(sa.SmallInteger, primary_key=True, autoincrement=False)
    """See `What`."""
    until: Mapped[datetime]


def until(tx: Session, what: int = PURCHASES) -> datetime:
    """The moment from which on everything is to be counted one by one."""
    return tx.scalar(sa.select(Tallied.until).where(Tallied.what == what)) or _EVER


# Reading


def claims_by_campaign(tx: Session, campaigns: Sequence[int]) -> Counter[int]:
    """How many claims each of these campaigns pays for."""
    tallied, claimed = ClaimDay.campaign_id, Claim.campaign_id
    return _claims(tx, tallied, claimed, tallied.in_(campaigns), claimed.in_(campaigns))


def claims_by_batch(tx: Session, batches: Sequence[int]) -> Counter[int]:
    """How many codes of each of these batches are claimed."""
    tallied, claimed = ClaimDay.batch_id, Claim.batch_id
    return _claims(tx, tallied, claimed, tallied.in_(batches), claimed.in_(batches))


def claims_by_product(tx: Session, products: Sequence[int]) -> Counter[int]:
    """The same of each of these products."""
    of, theirs = Batch.product_id, Batch.product_id.in_(products)
    tallied = sa.and_(Batch.id == ClaimDay.batch_id, theirs)
    return _claims(tx, of, of, tallied, sa.and_(Batch.id == Claim.batch_id, theirs))


def _claims(tx: Session, tallied: Any, claimed: Any, kept: Any, since: Any) -> Counter[int]:
    """Claims by a column: where tallied, `kept` says which; `since` of those that came later."""
    last = until(tx)
    found = Counter[int]()
    for statement in (
        sa.select(tallied, sa.func.sum(ClaimDay.count)).where(kept, ClaimDay.day < last),
        sa.select(claimed, sa.func.count(Claim.id)).where(since, Claim.at >= last),
    ):
        for owner, count in tx.execute(statement.group_by(statement.selected_columns[0])):
            found[owner] += int(count)
    return found


@dataclass(frozen=True)
class Newcomers:
    """Customers whose first purchase fell to a campaign."""

    all: int = 0
    referred: int = 0
    """Those of them whom another customer brought in."""


def newcomers_by_campaign(tx: Session, campaigns: Sequence[int]) -> dict[int, Newcomers]:
    """Of each of these campaigns."""
    last = until(tx)
    found = Counter[tuple[int | None, bool]]()
    is_referred = Referral.referrer_id.is_not(None)
    for campaign, referred, count, condition in (
        (
            NewcomerDay.campaign_id,
            NewcomerDay.is_referred,
            sa.func.sum(NewcomerDay.count),
            NewcomerDay.day < last,
        ),
        (Referral.campaign_id, is_referred, sa.func.count(), Referral.at >= last),
    ):
        statement = sa.select(campaign, referred, count).where(condition, campaign.in_(campaigns))
        for owner, was_referred, times in tx.execute(statement.group_by(campaign, referred)):
            found[owner, bool(was_referred)] += int(times)
    return {
        each: Newcomers(found[each, True] + found[each, False], found[each, True])
        for each in campaigns
    }


def newcomers_between(tx: Session, campaign: int, since: datetime, end: datetime) -> Newcomers:
    """Of a campaign, from one moment to another."""
    first_day, last_day = _whole_days(since, end, until(tx))
    found = Counter[bool]()
    days = sa.select(NewcomerDay.is_referred, sa.func.sum(NewcomerDay.count)).where(
        NewcomerDay.campaign_id == campaign,
        NewcomerDay.day >= first_day,
        NewcomerDay.day < last_day,
    )
    for referred, count in tx.execute(days.group_by(NewcomerDay.is_referred)):
        found[bool(referred)] += int(count)
    is_referred = Referral.referrer_id.is_not(None)
    # What is before, behind and not tallied yet one by one.
    for begin, stop in ((since, min(first_day, end)), (max(last_day, since), end)):
        one_by_one = (
            sa.select(is_referred, sa.func.count())
            .where(Referral.campaign_id == campaign, Referral.at >= begin, Referral.at < stop)
            .group_by(is_referred)
        )
        for referred, count in tx.execute(one_by_one):
            found[bool(referred)] += count
    return Newcomers(found[True] + found[False], found[True])


def claims_by_region(
    tx: Session, batches: Sequence[int], since: datetime, end: datetime
) -> dict[str | None, int]:
    """Claims of these batches' codes from one moment to another, by where these were scanned
    first."""
    # Whole days from the tallies; what is before, behind and not tallied yet one by one.
    first_day, last_day = _whole_days(since, end, until(tx))
    found = Counter[str | None]()
    if first_day < last_day:
        days = ClaimRegionDay
        kept = sa.select(days.region, sa.func.sum(days.count)).where(
            days.batch_id.in_(batches), days.day >= first_day, days.day < last_day
        )
        for where, count in tx.execute(kept.group_by(days.region)):
            found[where or None] += int(count)
    for begin, stop in ((since, min(first_day, end)), (max(last_day, since), end)):
        if begin < stop:
            one_by_one = (
                sa.select(SeenCode.region, sa.func.count())
                .select_from(Claim)
                .outerjoin(SeenCode, _FIRST_SCAN)
                .where(Claim.batch_id.in_(batches), Claim.at >= begin, Claim.at < stop)
            )
            for region, count in tx.execute(one_by_one.group_by(SeenCode.region)):
                found[region] += count
    return dict(found)


def seen_by_label(tx: Session, batch_id: int) -> Counter[str]:
    """How many labels of a batch have been scanned."""
    last = until(tx, SCANS)
    kept = sa.select(SeenDay.label, sa.func.sum(SeenDay.count)).where(
        SeenDay.batch_id == batch_id, SeenDay.day < last
    )
    since = sa.select(SeenCode.label, sa.func.count()).where(
        SeenCode.batch_id == batch_id, SeenCode.first_at >= last
    )
    found = Counter[str]()
    for statement, label in ((kept, SeenDay.label), (since, SeenCode.label)):
        for which, count in tx.execute(statement.group_by(label)):
            found[which] += int(count)
    return found


def seen_by_region(
    tx: Session, batches: Sequence[int], since: datetime, end: datetime
) -> Counter[tuple[str, str | None]]:
    """Labels of these batches that were scanned for the first time from one moment to another, by
    label and region."""
    first_day, last_day = _whole_days(since, end, until(tx, SCANS))
    found = Counter[tuple[str, str | None]]()
    kept = sa.select(SeenDay.label, SeenDay.region, sa.func.sum(SeenDay.count)).where(
        SeenDay.batch_id.in_(batches), SeenDay.day >= first_day, SeenDay.day < last_day
    )
    for label, where, count in tx.execute(kept.group_by(SeenDay.label, SeenDay.region)):
        found[label, where or None] += int(count)
    for begin, stop in ((since, min(first_day, end)), (max(last_day, since), end)):
        if begin < stop:
            one_by_one = sa.select(SeenCode.label, SeenCode.region, sa.func.count()).where(
                SeenCode.batch_id.in_(batches), SeenCode.first_at >= begin, SeenCode.first_at < stop
            )
            rows = tx.execute(one_by_one.group_by(SeenCode.label, SeenCode.region))
            for label, region, count in rows:
                found[label, region] += count
    return found


def _whole_days(since: datetime, end: datetime, last: datetime) -> tuple[datetime, datetime]:
    """The midnights between which all is tallied; the same one twice where nothing is."""
    first_day = day_of(since + timedelta(days=1) - timedelta(microseconds=1))
    return first_day, max(min(day_of(end), last), first_day)


# A claim can come without a scan, over the API: where it happened is not known then.
_FIRST_SCAN = sa.and_(
    SeenCode.batch_id == Claim.batch_id,
    SeenCode.index == Claim.index,
    SeenCode.label == Label.inner,
)

_AT_STORE = sa.and_(
    CodeRange.batch_id == Claim.batch_id,
    CodeRange.start <= Claim.index,
    CodeRange.end > Claim.index,
    CodeRange.store_id.is_not(None),
)


def claims_by_store(
    tx: Session, since: datetime, end: datetime, store_id: int | None = None
) -> dict[tuple[int, datetime], int]:
    """Claims of stores' codes by store and day of UTC, from one midnight of UTC to another; of one
    store where that is given."""
    last = min(max(until(tx), since), end)
    found = Counter[tuple[int, datetime]]()
    kept = sa.select(ClaimStoreDay.store_id, ClaimStoreDay.day, ClaimStoreDay.count).where(
        ClaimStoreDay.day >= since, ClaimStoreDay.day < last
    )
    of_day = _cut(tx, "day", Claim.at)
    fresh = (
        sa.select(CodeRange.store_id, of_day, sa.func.count())
        .select_from(Claim)
        .join(CodeRange, _AT_STORE)
        .where(Claim.at >= last, Claim.at < end)
        .group_by(CodeRange.store_id, of_day)
    )
    if store_id is not None:
        kept = kept.where(ClaimStoreDay.store_id == store_id)
        fresh = fresh.where(CodeRange.store_id == store_id)
    for statement in (kept, fresh):
        for store, day, count in tx.execute(statement):
            if store is not None:
                found[store, day] += count
    return dict(found)


# Tallying


def tally(tx: Session, now: datetime) -> bool:
    """Tally the days that are over and were not yet. Whether there were any."""
    no_hurry(tx)
    lock(tx, _LOCK)
    done = False
    for what, late in LATE.items():
        since, end = until(tx, what), day_of(now - late)
        if end <= since:
            continue
        for tallies in _ALL:
            if tallies.what == what:
                _write(tx, tallies, tallies.counted(tx, since, end))
        tx.merge(Tallied(what=what, until=end))
        tx.flush()
        done = True
    return done


def follow_merge(tx: Session, before: Iterable[Mapping[str, Any]], kept: int) -> None:
    """Put right what two customers becoming one changes: `before` are their places as they were."""
    lock(tx, _LOCK)
    last = until(tx)
    if last == _EVER:
        return
    change = Counter[_Key]()
    for place in before:
        at = datetime.fromisoformat(place["at"])
        change[_newcomer(place["campaign_id"], at, place["referrer_id"])] -= at < last
    now = tx.get(Referral, kept, populate_existing=True)
    if now is not None:
        change[_newcomer(now.campaign_id, now.at, now.referrer_id)] += now.at < last
    _write(tx, _NEWCOMERS, change)


_Key = tuple[Any, ...]


def _newcomer(campaign: int | None, at: datetime, referrer: int | None) -> _Key:
    return campaign or NONE, day_of(at.astimezone(UTC)), referrer is not None


@dataclass(frozen=True)
class _Tallies:
    """A table of tallies, and how what is tallied is counted."""

    model: type[Base]
    names: tuple[str, ...]
    at: Any
    what: int = PURCHASES

    def counted(self, tx: Session, since: datetime, end: datetime) -> Counter[_Key]:
        """What there is from one midnight to another."""
        columns = self._columns(tx)
        statement = sa.select(*columns, sa.func.count()).group_by(*columns)
        if self.model is ClaimRegionDay:
            statement = statement.select_from(Claim).outerjoin(SeenCode, _FIRST_SCAN)
        if self.model is ClaimStoreDay:
            statement = statement.select_from(Claim).join(CodeRange, _AT_STORE)
        rows = tx.execute(statement.where(self.at >= since, self.at < end))
        return Counter({tuple(row[:-1]): row[-1] for row in rows})

    def kept(self, tx: Session) -> Counter[_Key]:
        model: Any = self.model
        columns = [getattr(model, name) for name in self.names]
        rows = tx.execute(sa.select(*columns, model.count))
        return Counter({tuple(row[:-1]): row[-1] for row in rows if row[-1]})

    def _columns(self, tx: Session) -> list[Any]:
        day = _cut(tx, "hour" if "hour" in self.names else "day", self.at)
        none: sa.ColumnElement[Any] = sa.literal_column("0")
        if self.model is ClaimDay:
            return [Claim.batch_id, day, sa.func.coalesce(Claim.campaign_id, none)]
        if self.model is ClaimHour:
            return [Claim.batch_id, day]
        if self.model is ClaimRegionDay:
            region = sa.func.coalesce(SeenCode.region, sa.literal_column("''"))
            return [Claim.batch_id, day, region]
        if self.model is ClaimStoreDay:
            return [CodeRange.store_id, day]
        if self.model is SeenHour:
            return [SeenCode.batch_id, day, SeenCode.label]
        if self.model is SeenDay:
            region = sa.func.coalesce(SeenCode.region, sa.literal_column("''"))
            return [SeenCode.batch_id, day, SeenCode.label, region]
        campaign = sa.func.coalesce(Referral.campaign_id, none)
        return [campaign, day, Referral.referrer_id.is_not(None)]


_CLAIMS = _Tallies(ClaimDay, ("batch_id", "day", "campaign_id"), Claim.at)
_CLAIM_HOURS = _Tallies(ClaimHour, ("batch_id", "hour"), Claim.at)
_REGIONS = _Tallies(ClaimRegionDay, ("batch_id", "day", "region"), Claim.at)
_STORES = _Tallies(ClaimStoreDay, ("store_id", "day"), Claim.at)
_NEWCOMERS = _Tallies(NewcomerDay, ("campaign_id", "day", "is_referred"), Referral.at)
_HOURS = _Tallies(SeenHour, ("batch_id", "hour", "label"), SeenCode.first_at, SCANS)
_SEEN = _Tallies(SeenDay, ("batch_id", "day", "label", "region"), SeenCode.first_at, SCANS)
_ALL = (_CLAIMS, _CLAIM_HOURS, _REGIONS, _STORES, _NEWCOMERS, _HOURS, _SEEN)
_CHECKED = (_CLAIMS, _CLAIM_HOURS, _NEWCOMERS, _HOURS, _SEEN)
"""A scan that came in late may have made another region of a claim's since, and codes may have gone
to another store."""


def _cut(tx: Session, unit: str, at: Any) -> sa.ColumnElement[datetime]:
    """When the hour or the day of a moment began."""
    if is_sqlite(tx):
        hour = "%H" if unit == "hour" else "00"
        pattern: sa.ColumnElement[Any] = sa.literal_column(f"'%Y-%m-%d {hour}:00:00.000000'")
        return sa.type_coerce(sa.func.strftime(pattern, at, type_=sa.String()), at.type)
    cut: sa.ColumnElement[Any] = sa.literal_column(f"'{unit}'")
    return sa.func.date_trunc(cut, at, sa.literal_column("'UTC'"), type_=at.type)


def _write(tx: Session, tallies: _Tallies, change: Mapping[_Key, int]) -> None:
    rows = [
        {**dict(zip(tallies.names, key, strict=True)), "count": count}
        for key, count in sorted(change.items())
        if count
    ]
    for start in range(0, len(rows), ROWS_AT_ONCE):
        upsert_many(tx, tallies.model, rows[start : start + ROWS_AT_ONCE], add_up)


# From the claims, places and codes themselves


def recount(tx: Session) -> int:
    """Tally all days that are over anew. Returns how many tallies were wrong."""
    lock(tx, _LOCK)
    no_hurry(tx)
    total = 0
    for tallies in _ALL:
        wrong = _wrong(tx, tallies)
        _write(tx, tallies, {key: found - kept for key, (kept, found) in wrong.items()})
        total += len(wrong)
    return total


def differences(tx: Session) -> Iterator[str]:
    """Where the tallies differ from what they are of, each in words; see `db.one_moment`."""
    no_hurry(tx)
    for tallies in _CHECKED:
        for key, (kept, found) in sorted(_wrong(tx, tallies).items()):
            what = ", ".join(f"{n} {v}" for n, v in zip(tallies.names, key, strict=True))
            yield f"{tallies.model.__tablename__}: {what}: {found}, {kept} in the tally"


def _wrong(tx: Session, tallies: _Tallies) -> dict[_Key, tuple[int, int]]:
    kept, found = tallies.kept(tx), tallies.counted(tx, _EVER, until(tx, tallies.what))
    return {
        key: (kept[key], found[key])
        for key in kept.keys() | found.keys()
        if kept[key] != found[key]
    }
