"""The sums of the ledger as pages read them: what is kept by the day, and what came since.

What came since the last sweep is counted anew, as long as it is no more than `NEW_MAX` entries;
where it is more, figures are as of the sweep, and say so.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral.ledger import LedgerEntry
from referral.rollups import money
from referral.rollups.money import Granted, MoneyDay, Moved, Piece, RewardDay

NEW_MAX = 20_000
DAYS_MAX = 90
"""How many days are counted anew at most: of a brand that was never swept."""

_MOVED = ("kind", "owner", "unit", "day", "what")
_GRANTED = ("campaign_id", "unit", "rule", "day")


class Sums:
    """The sums as they are at a moment; what came since the sweep is counted once."""

    def __init__(self, tx: Session, zone: ZoneInfo, now: datetime) -> None:
        self._tx = tx
        self.zone = zone
        self.now = now
        kept_until = money.until(tx)
        self._new = self._pieces(kept_until)
        self.as_of: datetime | None = None if self._new is not None else kept_until
        """Up to when the figures are; None for now."""
        self._moved: dict[money.MoneyKey, Moved] | None = None
        self._granted: dict[money.RewardKey, Granted] | None = None

    def _pieces(self, since: datetime) -> list[Piece] | None:
        """The days to be counted anew; None where that would take too long."""
        new = sa.select(LedgerEntry.at).where(LedgerEntry.at >= since).order_by(LedgerEntry.at)
        limited = new.limit(NEW_MAX + 1).subquery()
        first, count = self._tx.execute(
            sa.select(sa.func.min(limited.c.at), sa.func.count()).select_from(limited)
        ).one()
        if first is None:
            return []
        days = money.pieces(first, max(self.now, first) + money.LATE, self.zone)
        return days if count <= NEW_MAX and len(days) <= DAYS_MAX else None

    def moved(
        self,
        by: tuple[str, ...],
        *,
        kinds: Collection[str] | None = None,
        owners: Collection[int] | None = None,
        unit: str | None = None,
        first: date | None = None,
        last: date | None = None,
    ) -> dict[tuple[Any, ...], Moved]:
        """What moved, by some of kind, owner, unit, day and what; days are included."""
        columns = [getattr(MoneyDay, name) for name in by]
        kept = sa.select(
            *columns,
            *(sa.func.sum(each) for each in (MoneyDay.plus, MoneyDay.minus, MoneyDay.entries)),
        ).group_by(*columns)
        conditions = {"kind": kinds, "owner": owners, "unit": None if unit is None else {unit}}
        for name, allowed in conditions.items():
            if allowed is not None:
                kept = kept.where(getattr(MoneyDay, name).in_(allowed))
        kept = _of_days(kept, MoneyDay.day, first, last)
        found: dict[tuple[Any, ...], Moved] = defaultdict(Moved)
        for row in self._tx.execute(kept):
            *kept_key, plus, minus, entries = row
            found[tuple(kept_key)] += Moved(int(plus), int(minus), int(entries))
        for key, each in self._new_moved().items():
            named = dict(zip(_MOVED, key, strict=True))
            if _is_wanted(named, conditions, first, last):
                found[tuple(named[name] for name in by)] += each
        return dict(found)

    def granted(
        self,
        by: tuple[str, ...],
        *,
        campaigns: Collection[int] | None = None,
        first: date | None = None,
        last: date | None = None,
    ) -> dict[tuple[Any, ...], Granted]:
        """What rules granted, by some of campaign_id, unit, rule and day; days are included."""
        columns = [getattr(RewardDay, name) for name in by]
        sums = (RewardDay.rewards, RewardDay.granted, RewardDay.reversed, RewardDay.expired)
        kept = sa.select(*columns, *(sa.func.sum(each) for each in sums)).group_by(*columns)
        if campaigns is not None:
            kept = kept.where(RewardDay.campaign_id.in_(campaigns))
        kept = _of_days(kept, RewardDay.day, first, last)
        found: dict[tuple[Any, ...], Granted] = defaultdict(Granted)
        for row in self._tx.execute(kept):
            key, values = tuple(row[: len(by)]), row[len(by) :]
            found[key] += Granted(*map(int, values))
        for new_key, each in self._new_granted().items():
            named = dict(zip(_GRANTED, new_key, strict=True))
            if _is_wanted(named, {"campaign_id": campaigns}, first, last):
                found[tuple(named[name] for name in by)] += each
        return dict(found)

    def _new_moved(self) -> Mapping[money.MoneyKey, Moved]:
        if self._moved is None:
            self._moved = money.moved(self._tx, self._new or [])
        return self._moved

    def _new_granted(self) -> Mapping[money.RewardKey, Granted]:
        if self._granted is None:
            self._granted = money.granted(self._tx, self._new or [])
        return self._granted


def _of_days(
    statement: sa.Select[Any], day: Any, first: date | None, last: date | None
) -> sa.Select[Any]:
    if first is not None:
        statement = statement.where(day >= first)
    return statement.where(day <= last) if last is not None else statement


def _is_wanted(
    named: Mapping[str, Any],
    conditions: Mapping[str, Collection[Any] | None],
    first: date | None,
    last: date | None,
) -> bool:
    is_among = all(
        allowed is None or named[name] in allowed for name, allowed in conditions.items()
    )
    day = named["day"]
    return is_among and (first is None or day >= first) and (last is None or day <= last)
