"""Moments: how many went on from one to the next, and after how long, by product and batch.

Four of them. Of a package: from its first scan to its claim. Of a customer, by the package that was
claimed first: from that claim to the next purchase, to the first share, and from that share to the
first friend who bought. Each is a distribution by the month in which it began, in steps of a
sixteenth of a decade, so that medians and quartiles come out of few rows.

They are counted for days that are over for a while (`LATE`); what comes in later still, or whose
browser is found to be a customer's later, `recount` finds. Customers have a row each (`Milestones`)
with which their part in the distributions can be taken out again when it changes.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, aliased, mapped_column

from referral.batches import Batch
from referral.claims import Claim
from referral.db import Base, is_sqlite, lock, no_hurry
from referral.db.bulk import upsert_many
from referral.gathering import add_up
from referral.rollups import milestones
from referral.rollups.milestones import Milestones, Whose
from referral.rollups.sums import day_of
from referral.rollups.tallies import Tallied, What, until
from referral.visits import SeenCode

MOMENTS = What.moments
"""What `Tallied` has them under."""
LATE = timedelta(days=2)
"""As of scans, which may have waited for the database."""
ALL = 0
"""Stands for all products, or all batches of a product."""
ROWS_AT_ONCE = 2_000
BEFORE, WAITING = -1, -2
"""Instead of a step: it had happened before, or has not happened so far."""
STEPS_A_DECADE = 16
BOUNDS = tuple(round(60 * 10 ** (n / STEPS_A_DECADE)) for n in range(108))
"""In seconds, from a minute to about ten years: a step ends before its bound. The last has none."""
_EVER = datetime(1970, 1, 1, tzinfo=UTC)
_LOCK = "moments"


class Moment(IntEnum):
    claim = 1
    """From the first scan of a package to its claim."""
    again = 2
    """From a customer's first claim to the next purchase, a claim or an order; see
    `milestones.APART`."""
    share = 3
    """From a customer's first claim to the first share."""
    friend = 4
    """From the first share of a customer who has claimed to the first purchase of a friend."""


class MomentCount(Base):
    """Of how many a moment that began in a month came after so long."""

    __tablename__ = "moment_counts"

    moment: Mapped[int] = mapped_column(sa.SmallInteger, primary_key=True, autoincrement=False)
    product_id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    """The product, or `ALL`."""
    batch_id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    """The batch, or `ALL`."""
    month: Mapped[datetime] = mapped_column(primary_key=True)
    """The first day, in UTC, of the month in which it began."""
    step: Mapped[int] = mapped_column(sa.SmallInteger, primary_key=True, autoincrement=False)
    """Which step of `BOUNDS` the time between is in; `BEFORE` or `WAITING`."""
    count: Mapped[int] = mapped_column(sa.BigInteger)

    __table_args__ = (sa.Index(None, "product_id", "batch_id"),)


_Key = tuple[int, int, int, datetime, int]
"""Moment, product, batch, month, step."""


def step_of(seconds: float) -> int:
    """The step that a time between is in."""
    return next((step for step, bound in enumerate(BOUNDS) if round(seconds) < bound), len(BOUNDS))


def counted_until(tx: Session) -> datetime | None:
    """Up to when, not included, moments are counted; None before the first time."""
    end = until(tx, MOMENTS)
    return None if end == _EVER else end


def count(tx: Session, now: datetime) -> bool:
    """Count the days that are over and were not yet. Whether there were any."""
    no_hurry(tx)
    lock(tx, _LOCK)
    since, end = until(tx, MOMENTS), day_of(now - LATE)
    if end <= since:
        return False
    _write(tx, _packages(tx, since, end))
    busy = milestones.busy(since, end)
    _renew(tx, lambda column: column.in_(busy), end)
    tx.merge(Tallied(what=MOMENTS, until=end))
    tx.flush()
    return True


def follow_merge(tx: Session, gone: int, kept: int) -> None:
    """Put right what two customers becoming one changes; all that is theirs has been moved."""
    lock(tx, _LOCK)
    end = until(tx, MOMENTS)
    if end != _EVER:
        _renew(tx, lambda column: column.in_((gone, kept)), end)


# Packages


def _packages(tx: Session, since: datetime, end: datetime) -> Counter[_Key]:
    """What changes from one midnight to another: packages scanned first, and claims of others."""
    other = aliased(SeenCode)
    is_first = ~sa.exists().where(
        other.batch_id == SeenCode.batch_id,
        other.index == SeenCode.index,
        other.label != SeenCode.label,
        sa.or_(
            other.first_at < SeenCode.first_at,
            sa.and_(other.first_at == SeenCode.first_at, other.label < SeenCode.label),
        ),
    )
    claim = sa.and_(
        Claim.batch_id == SeenCode.batch_id, Claim.index == SeenCode.index, Claim.at < end
    )
    # A package that was claimed over the API may be scanned later, or never.
    begins = sa.or_(Claim.id.is_(None), Claim.at >= SeenCode.first_at)
    step = _step(tx, SeenCode.first_at, Claim.at)
    month = _month(tx, SeenCode.first_at)
    product = sa.select(Batch.product_id).where(Batch.id == SeenCode.batch_id).scalar_subquery()
    columns = (
        product.label("product"),
        SeenCode.batch_id,
        month.label("month"),
        step.label("step"),
    )
    found: Counter[_Key] = Counter()
    new = sa.select(*columns).outerjoin(Claim, claim).where(is_first, begins)
    _add(tx, found, Moment.claim, new.where(SeenCode.first_at >= since, SeenCode.first_at < end))
    if since > _EVER:
        of_others = sa.select(*columns).join(Claim, claim).where(is_first, begins)
        claimed = of_others.where(Claim.at >= since, SeenCode.first_at < since)
        moved: Counter[_Key] = Counter()
        _add(tx, moved, Moment.claim, claimed)
        for key, times in moved.items():
            found[key] += times
            found[(*key[:-1], WAITING)] -= times
    return found


# Customers


def _renew(tx: Session, whose: Whose, end: datetime) -> None:
    """Find the milestones of customers anew, and what they count with them."""
    change = Counter(
        {key: -times for key, times in _of_customers(tx, milestones.kept_of(whose)).items()}
    )
    connection = tx.connection()
    connection.execute(sa.delete(Milestones).where(whose(Milestones.customer_id)))
    names = [column.name for column in Milestones.__table__.columns]
    found = milestones.found(tx, whose, end)
    into = sa.insert(Milestones).from_select(names, sa.select(*(found.c[name] for name in names)))
    connection.execute(into)
    for key, times in _of_customers(tx, milestones.kept_of(whose)).items():
        change[key] += times
    _write(tx, change)


def _of_customers(tx: Session, known: sa.Subquery) -> Counter[_Key]:
    """What milestones count as."""
    found: Counter[_Key] = Counter()
    of = known.c
    for moment, begin, came in (
        (Moment.again, of.claimed_at, of.again_at),
        (Moment.share, of.claimed_at, of.shared_at),
        (Moment.friend, of.shared_at, of.friend_at),
    ):
        columns = (
            Batch.product_id.label("product"),
            of.batch_id,
            _month(tx, begin).label("month"),
            _step(tx, begin, came).label("step"),
        )
        each = sa.select(*columns).join_from(known, Batch, Batch.id == of.batch_id)
        _add(tx, found, moment, each.where(begin.is_not(None)))
    return found


# In the words of the database


def _step(tx: Session, begin: Any, came: Any) -> sa.ColumnElement[int]:
    """The step of the time between two moments."""
    if is_sqlite(tx):
        days = sa.func.julianday(came) - sa.func.julianday(begin)
        seconds = sa.func.round(days * 86_400)
    else:
        seconds = sa.func.round(sa.func.extract("epoch", came - begin))
    return sa.case(
        (came.is_(None), sa.literal_column(str(WAITING))),
        (came < begin, sa.literal_column(str(BEFORE))),
        else_=_halved(seconds, 0, len(BOUNDS)),
    )


def _halved(seconds: Any, low: int, high: int) -> sa.ColumnElement[int]:
    """Which of the steps from `low` to `high` it is, in as few comparisons as can be."""
    if low == high:
        return sa.literal_column(str(low))
    middle = (low + high) // 2
    bound: sa.ColumnElement[int] = sa.literal_column(str(BOUNDS[middle]))
    return sa.case(
        (seconds < bound, _halved(seconds, low, middle)),
        else_=_halved(seconds, middle + 1, high),
    )


def _month(tx: Session, at: Any) -> sa.ColumnElement[datetime]:
    """When the month of a moment began."""
    if is_sqlite(tx):
        pattern: sa.ColumnElement[Any] = sa.literal_column("'%Y-%m-01 00:00:00.000000'")
        return sa.type_coerce(sa.func.strftime(pattern, at, type_=sa.String()), at.type)
    month: sa.ColumnElement[Any] = sa.literal_column("'month'")
    return sa.func.date_trunc(month, at, sa.literal_column("'UTC'"), type_=at.type)


def month_of(at: datetime) -> datetime:
    """When the month of a moment began, in UTC."""
    at = at.astimezone(UTC)
    return datetime(at.year, at.month, 1, tzinfo=UTC)


def _add(tx: Session, to: Counter[_Key], moment: Moment, each: sa.Select[Any]) -> None:
    """Count the rows of a statement, which have product, batch, month and step."""
    rows = each.subquery()
    columns = list(rows.c)
    counted = sa.select(rows, sa.func.count())
    for found in tx.execute(counted.group_by(*columns)):
        product, batch, month, step, times = found
        to[moment, product, batch, month, step] += times


def _write(tx: Session, change: Mapping[_Key, int]) -> None:
    """Add to the counts of batches, and to those of their products and of all together."""
    rows = [
        {**dict(zip(_NAMES, key, strict=True)), "count": times}
        for key, times in sorted(_summed(change).items())
        if times
    ]
    _add_up(tx, rows)


def _add_up(tx: Session, rows: Sequence[Mapping[str, Any]]) -> None:
    for start in range(0, len(rows), ROWS_AT_ONCE):
        upsert_many(tx, MomentCount, rows[start : start + ROWS_AT_ONCE], add_up)


_NAMES = ("moment", "product_id", "batch_id", "month", "step")


def _summed(of_batches: Mapping[_Key, int]) -> Counter[_Key]:
    found: Counter[_Key] = Counter()
    for (moment, product, batch, month, step), times in of_batches.items():
        for whose, of in ((product, batch), (product, ALL), (ALL, ALL)):
            found[int(moment), whose, of, month, step] += times
    return found


# From what there is


def recount(tx: Session) -> int:
    """Count all days that are over anew. Returns how many counts were wrong."""
    lock(tx, _LOCK)
    no_hurry(tx)
    end = until(tx, MOMENTS)
    if end == _EVER:
        return 0
    before = _kept(tx)
    _renew(tx, milestones.everybody, end)
    wrong = {key: found - kept for key, (kept, found) in _wrong(tx, _kept(tx), end).items()}
    _add_up(
        tx,
        [
            {**dict(zip(_NAMES, key, strict=True)), "count": change}
            for key, change in sorted(wrong.items())
        ],
    )
    final = _kept(tx)
    return sum(before[key] != final[key] for key in before.keys() | final.keys())


def differences(tx: Session) -> Iterator[str]:
    """Where the counts differ from what they are of, each in words; see `db.one_moment`."""
    no_hurry(tx)
    end = until(tx, MOMENTS)
    if end == _EVER:
        return
    for key, (kept, found) in sorted(_wrong(tx, _kept(tx), end).items()):
        what = ", ".join(f"{name} {value}" for name, value in zip(_NAMES, key, strict=True))
        yield f"moment_counts: {what}: {found}, {kept} in the count"


def _kept(tx: Session) -> Counter[_Key]:
    columns = [getattr(MomentCount, name) for name in _NAMES]
    rows = tx.execute(sa.select(*columns, MomentCount.count))
    return Counter({tuple(row[:-1]): int(row[-1]) for row in rows if row[-1]})


def _wrong(tx: Session, kept: Counter[_Key], end: datetime) -> dict[_Key, tuple[int, int]]:
    """What is kept and what there is, where they differ. Of customers it is found from all that
    they did and not from their milestones."""
    found = _summed(
        _packages(tx, _EVER, end)
        + _of_customers(tx, milestones.found(tx, milestones.everybody, end))
    )
    return {
        key: (kept[key], found[key])
        for key in kept.keys() | found.keys()
        if kept[key] != found[key]
    }
