"""What stores come to: scans and claims of the codes that went to them, vouchers they handed over,
and who came by the links on their posters. Days are those of UTC, as the tallies are."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral.redemption.vouchers import Voucher
from referral.reports import lists
from referral.reports.lists import PAGE, Listed
from referral.rollups import tallies
from referral.rollups.sums import StoreScans, day_of
from referral.spread import counters
from referral.spread.forests import Counts
from referral.stores import Store


@dataclass(frozen=True)
class StoreDay:
    day: datetime
    scans: int
    claims: int


@dataclass(frozen=True)
class StoreFigures:
    scans: int
    """Every time a person's browser loaded a code that went to the store."""
    claims: int
    vouchers: int
    """Handed over at its tills."""


@dataclass(frozen=True)
class StoreRank:
    """A store among the others."""

    slug: str
    name: str
    kind: str
    region: str | None
    figures: StoreFigures


def days(tx: Session, store_id: int, since: datetime, end: datetime) -> list[StoreDay]:
    """One count a day, from the day of `since` to that of `end`."""
    first, behind = _bounds(since, end)
    rows = tx.execute(
        sa.select(StoreScans.day, sa.func.sum(StoreScans.count))
        .where(StoreScans.store_id == store_id, StoreScans.day >= first, StoreScans.day < behind)
        .group_by(StoreScans.day)
    )
    scans = {day: int(count) for day, count in rows}
    claims = tallies.claims_by_store(tx, first, behind, store_id)
    return [
        StoreDay(day, scans.get(day, 0), claims.get((store_id, day), 0))
        for day in (first + timedelta(days=n) for n in range((behind - first).days))
    ]


def vouchers(tx: Session, store_id: int, since: datetime, end: datetime) -> int:
    """How many the store handed over."""
    return _vouchers(tx, since, end, store_id)[store_id]


def came_by(tx: Session, visitor: int, campaigns: Sequence[int]) -> Mapping[int, Counts]:
    """Who came by the links of a store's visitor, by campaign."""
    return {
        campaign: counters.counts_of(tx, campaign, [visitor]).get(visitor, Counts())
        for campaign in campaigns
    }


def ranking(
    tx: Session, since: datetime, end: datetime, *, offset: int = 0, limit: int = PAGE
) -> Listed[StoreRank]:
    """The stores of which there is anything to say, the most claims first."""
    first, behind = _bounds(since, end)
    scans = Counter[int]()
    for store, count in tx.execute(
        sa.select(StoreScans.store_id, sa.func.sum(StoreScans.count))
        .where(StoreScans.day >= first, StoreScans.day < behind)
        .group_by(StoreScans.store_id)
    ):
        scans[store] = int(count)
    claims = Counter[int]()
    for (store, _day), count in tallies.claims_by_store(tx, first, behind).items():
        claims[store] += count
    handed = _vouchers(tx, first, behind)
    ranked = sorted(
        scans.keys() | claims.keys() | handed.keys(),
        key=lambda store: (-claims[store], -scans[store], -handed[store], store),
    )
    page = lists.listed(ranked[offset : offset + limit + 1], offset, limit)
    found = {each.id: each for each in tx.scalars(sa.select(Store).where(Store.id.in_(page.rows)))}
    return Listed(
        [
            StoreRank(
                found[each].slug,
                found[each].name,
                found[each].kind,
                found[each].region,
                StoreFigures(scans[each], claims[each], handed[each]),
            )
            for each in page.rows
            if each in found
        ],
        page.next,
    )


def _bounds(since: datetime, end: datetime) -> tuple[datetime, datetime]:
    return day_of(since), day_of(end) + timedelta(days=1)


def _vouchers(
    tx: Session, since: datetime, end: datetime, store_id: int | None = None
) -> Counter[int]:
    statement = (
        sa.select(Voucher.store_id, sa.func.count())
        .where(Voucher.accepted_at >= since, Voucher.accepted_at < end)
        .where(Voucher.store_id.is_not(None))
        .group_by(Voucher.store_id)
    )
    if store_id is not None:
        statement = statement.where(Voucher.store_id == store_id)
    return Counter({store: count for store, count in tx.execute(statement) if store})
