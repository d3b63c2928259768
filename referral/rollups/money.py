"""Sums of the ledger by the day: what moved on which kind of account, and what rules granted.

They are written by the sweep, of everything that is older than `LATE`, and once: nothing is added
to a moment that is so long ago. What came since is counted when a page is read; it is an hour or
two of entries. Days are those of the brand's own calendar. Accounts of customers are one each kind
together, a campaign's are kept apart.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral.db import Base, lock, no_hurry
from referral.db.bulk import upsert_many
from referral.ledger import Account, Kind, LedgerEntry, Posting
from referral.rewards import Reward
from referral.rollups.tallies import Tallied, What

MONEY = What.money
LATE = timedelta(hours=1)
"""So long after a moment no entry of it is still being written."""
ROWS_AT_ONCE = 2_000
DAYS_AT_ONCE = 31
OF_CAMPAIGNS = (Kind.budget, Kind.expired)
"""Whose owner is a campaign and is kept; every other one is 0."""
_LOCK = "money sums"
_EVER = datetime(1970, 1, 1, tzinfo=UTC)


class MoneyDay(Base):
    """What came to the accounts of one kind on one day, and what left them, for one reason."""

    __tablename__ = "money_days"

    kind: Mapped[str] = mapped_column(sa.String(12), primary_key=True)
    owner: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    """A campaign, see `OF_CAMPAIGNS`, or 0."""
    unit: Mapped[str] = mapped_column(sa.String(60), primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    what: Mapped[str] = mapped_column(sa.String(120), primary_key=True)
    """Why, as the entries say it."""
    plus: Mapped[int] = mapped_column(sa.BigInteger)
    minus: Mapped[int] = mapped_column(sa.BigInteger)
    """As a number above zero."""
    entries: Mapped[int] = mapped_column(sa.BigInteger)

    __table_args__ = (sa.Index(None, "day"),)


class RewardDay(Base):
    """What one rule of a campaign granted on one day, and what of its rewards went back or expired
    on that day, whenever they were granted."""

    __tablename__ = "reward_days"

    campaign_id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    unit: Mapped[str] = mapped_column(sa.String(60), primary_key=True)
    rule: Mapped[str] = mapped_column(sa.String(160), primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    rewards: Mapped[int] = mapped_column(sa.BigInteger)
    """How many were granted."""
    granted: Mapped[int] = mapped_column(sa.BigInteger)
    reversed: Mapped[int] = mapped_column(sa.BigInteger)
    expired: Mapped[int] = mapped_column(sa.BigInteger)

    __table_args__ = (sa.Index(None, "day"),)


MoneyKey = tuple[str, int, str, date, str]
"""Of a `MoneyDay`: kind, owner, unit, day, what."""
RewardKey = tuple[int, str, str, date]
"""Of a `RewardDay`: campaign, unit, rule, day."""


@dataclass(frozen=True)
class Moved:
    """How much came and left, and in how many postings."""

    plus: int = 0
    minus: int = 0
    entries: int = 0

    def __add__(self, other: "Moved") -> "Moved":
        return Moved(self.plus + other.plus, self.minus + other.minus, self.entries + other.entries)

    @property
    def net(self) -> int:
        return self.plus - self.minus


@dataclass(frozen=True)
class Granted:
    """What a rule granted, and what became of it."""

    rewards: int = 0
    granted: int = 0
    reversed: int = 0
    expired: int = 0

    def __add__(self, other: "Granted") -> "Granted":
        return Granted(
            self.rewards + other.rewards,
            self.granted + other.granted,
            self.reversed + other.reversed,
            self.expired + other.expired,
        )


def until(tx: Session) -> datetime:
    """The moment from which on everything is to be counted anew."""
    return tx.scalar(sa.select(Tallied.until).where(Tallied.what == MONEY)) or _EVER


# Counting


@dataclass(frozen=True)
class Piece:
    """A day, or what is counted of it."""

    day: date
    since: datetime
    end: datetime
    """Not included."""


def pieces(since: datetime, end: datetime, zone: ZoneInfo) -> list[Piece]:
    """The days between two moments, the first and the last as far as they are between them."""
    found: list[Piece] = []
    while since < end:
        day = since.astimezone(zone).date()
        stop = min(midnight(day + timedelta(days=1), zone), end)
        found.append(Piece(day, since, stop))
        since = stop
    return found


def _within(days: Sequence[Piece]) -> sa.CTE:
    """The days as a table, with a number for each."""
    at = LedgerEntry.at.type
    rows = [
        sa.select(
            sa.literal(n).label("n"),
            sa.literal(each.since, at).label("since"),
            sa.literal(each.end, at).label("until"),
        )
        for n, each in enumerate(days)
    ]
    return (sa.union_all(*rows) if len(rows) > 1 else rows[0]).cte("days")


def _is_in(days: sa.CTE) -> sa.ColumnElement[bool]:
    return sa.and_(LedgerEntry.at >= days.c.since, LedgerEntry.at < days.c.until)


def moved(tx: Session, days: Sequence[Piece]) -> dict[MoneyKey, Moved]:
    """What moved on these days, in one statement."""
    if not days:
        return {}
    given = _within(days)
    owner = sa.case((Account.kind.in_(OF_CAMPAIGNS), Account.owner), else_=0)
    plus = sa.func.sum(sa.case((Posting.amount > 0, Posting.amount), else_=0))
    minus = sa.func.sum(sa.case((Posting.amount < 0, -Posting.amount), else_=0))
    columns = (Account.kind, owner, Account.unit, given.c.n, LedgerEntry.what)
    rows = tx.execute(
        sa.select(*columns, plus, minus, sa.func.count())
        .select_from(given)
        .join(LedgerEntry, _is_in(given))
        .join(Posting, Posting.entry_id == LedgerEntry.id)
        .join(Account, Account.id == Posting.account_id)
        .group_by(*columns)
    )
    return {
        (kind, int(whose), unit, days[n].day, what): Moved(int(came), int(left), times)
        for kind, whose, unit, n, what, came, left, times in rows
    }


_DIGITS: sa.ColumnElement[str] = sa.literal_column("'0123456789'", sa.String())
_BAR: sa.ColumnElement[str] = sa.literal_column("'|'", sa.String())


def _number_at_end(text: Any) -> sa.ColumnElement[int]:
    """The number that a text ends with: of the reward, in the keys of entries about one."""
    before = sa.func.length(sa.func.rtrim(text, _DIGITS)) + 1
    return sa.cast(sa.func.substr(text, before), sa.BigInteger)


def granted(tx: Session, days: Sequence[Piece]) -> dict[RewardKey, Granted]:
    """What was granted, taken back and expired on these days, in three statements."""
    found: dict[RewardKey, Granted] = {}
    if not days:
        return found
    given = _within(days)
    of = (Reward.campaign_id, Reward.unit, Reward.rule, given.c.n)
    entries = sa.select(*of).select_from(given).join(LedgerEntry, _is_in(given))
    rows = tx.execute(
        entries.add_columns(sa.func.count(), sa.func.sum(Reward.amount))
        .join(Reward, Reward.entry_id == LedgerEntry.id)
        .group_by(*of)
    )
    for campaign, unit, rule, n, times, amount in rows:
        found[campaign, unit, rule, days[n].day] = Granted(times, int(amount))
    for what, kind, reward in (
        ("taken back", Kind.budget, _number_at_end(LedgerEntry.key)),
        (
            "expired",
            Kind.expired,
            _number_at_end(sa.func.rtrim(sa.func.rtrim(LedgerEntry.key, _DIGITS), _BAR)),
        ),
    ):
        rows = tx.execute(
            entries.add_columns(sa.func.sum(Posting.amount))
            .join(Posting, Posting.entry_id == LedgerEntry.id)
            .join(Account, sa.and_(Account.id == Posting.account_id, Account.kind == kind))
            .join(Reward, Reward.id == reward)
            .where(LedgerEntry.what == what, Posting.amount > 0)
            .group_by(*of)
        )
        for campaign, unit, rule, n, amount in rows:
            key = (campaign, unit, rule, days[n].day)
            is_back = kind is Kind.budget
            more = Granted(reversed=int(amount)) if is_back else Granted(expired=int(amount))
            found[key] = found.get(key, Granted()) + more
    return found


# Summing


def tally(tx: Session, zone: ZoneInfo, now: datetime) -> bool:
    """Sum up what is new and older than `LATE`. Whether there was anything to do."""
    lock(tx, _LOCK)
    no_hurry(tx)
    since, end = until(tx), now - LATE
    if end <= since:
        return False
    is_new = _count(tx, since, end, zone)
    tx.merge(Tallied(what=MONEY, until=end))
    tx.flush()
    return is_new


def _count(tx: Session, since: datetime, end: datetime, zone: ZoneInfo) -> bool:
    """Sum up what was written meanwhile. Whether there was anything."""
    first = first_entry(tx, since)
    days = pieces(first, end, zone) if first is not None else []
    for start in range(0, len(days), DAYS_AT_ONCE):
        some = days[start : start + DAYS_AT_ONCE]
        _write_moved(tx, moved(tx, some))
        _write_granted(tx, granted(tx, some))
    return bool(days)


def first_entry(tx: Session, since: datetime) -> datetime | None:
    """When the first entry from a moment on was written."""
    return tx.scalar(sa.select(sa.func.min(LedgerEntry.at)).where(LedgerEntry.at >= since))


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """When a day begins, in UTC."""
    return datetime.combine(day, time(), zone).astimezone(UTC)


def _write_moved(tx: Session, found: Mapping[MoneyKey, Moved]) -> None:
    rows = [
        {
            **dict(zip(("kind", "owner", "unit", "day", "what"), key, strict=True)),
            "plus": each.plus,
            "minus": each.minus,
            "entries": each.entries,
        }
        for key, each in sorted(found.items())
    ]
    for start in range(0, len(rows), ROWS_AT_ONCE):
        upsert_many(tx, MoneyDay, rows[start : start + ROWS_AT_ONCE], _add_moved)


def _write_granted(tx: Session, found: Mapping[RewardKey, Granted]) -> None:
    rows = [
        {
            **dict(zip(("campaign_id", "unit", "rule", "day"), key, strict=True)),
            "rewards": each.rewards,
            "granted": each.granted,
            "reversed": each.reversed,
            "expired": each.expired,
        }
        for key, each in sorted(found.items())
    ]
    for start in range(0, len(rows), ROWS_AT_ONCE):
        upsert_many(tx, RewardDay, rows[start : start + ROWS_AT_ONCE], _add_granted)


def _add_moved(old: Any, new: Any) -> Mapping[str, Any]:
    return {name: old[name] + new[name] for name in ("plus", "minus", "entries")}


def _add_granted(old: Any, new: Any) -> Mapping[str, Any]:
    return {name: old[name] + new[name] for name in ("rewards", "granted", "reversed", "expired")}


def recount(tx: Session, zone: ZoneInfo) -> int:
    """Sum up anew all that was, also for another calendar. Returns how many sums were wrong."""
    lock(tx, _LOCK)
    no_hurry(tx)
    end = until(tx)
    before = _kept(tx)
    tx.execute(sa.delete(MoneyDay))
    tx.execute(sa.delete(RewardDay))
    _count(tx, _EVER, end, zone)
    after = _kept(tx)
    return sum(before.get(key) != after.get(key) for key in before.keys() | after.keys())


def _kept(tx: Session) -> dict[Any, Any]:
    moved_on = tx.execute(sa.select(*MoneyDay.__table__.c))
    granted_on = tx.execute(sa.select(*RewardDay.__table__.c))
    return {tuple(row[:5]): tuple(row[5:]) for row in moved_on} | {
        tuple(row[:4]): tuple(row[4:]) for row in granted_on
    }
