"""What happened in each campaign, by the day of the brand's calendar: the steps of its funnel as a
whole and by channel, store and region, and what its budget granted and got back.

Days that are over are counted once and kept, out of the hourly counts of visits, the claims, the
orders and the ledger; what came since is counted when it is asked for. An hour belongs to the day
in which it begins. What is stored late, or turns out to be a machine's, is found as long as days
are gone over again (`AGAIN`, and `AGAIN_DAILY` once a day); after that by `recount`.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral.claims import Claim
from referral.db import Base, lock, no_hurry
from referral.db.bulk import insert_many
from referral.orders import Order
from referral.rollups.day_counts import counted
from referral.rollups.day_parts import OF_VISITS, Day, Key, Part, days_in, midnight
from referral.rollups.hours import VisitCount
from referral.rollups.tallies import Tallied, What

DAYS = What.campaign_days
AGAIN, AGAIN_DAILY = timedelta(days=3), timedelta(days=35)
"""How far back days are gone over again: every time, and when another day is over."""
ROWS_AT_ONCE = 2_000
_LOCK = "campaign days"
_EVER = datetime(1970, 1, 1, tzinfo=UTC)


class CampaignDay(Base):
    """How often a step was taken on one day of the brand's calendar."""

    __tablename__ = "campaign_days"

    campaign_id: Mapped[int] = mapped_column(sa.Integer, primary_key=True, autoincrement=False)
    part: Mapped[str] = mapped_column(sa.String(8), primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    step: Mapped[str] = mapped_column(sa.String(12), primary_key=True)
    value: Mapped[str] = mapped_column(sa.String(60), primary_key=True)
    """A channel, a store's number, a region or a unit; empty where it is not known."""
    count: Mapped[int] = mapped_column(sa.BigInteger)


# Reading


def until(tx: Session) -> datetime:
    """From when on nothing is kept yet."""
    return tx.scalar(sa.select(Tallied.until).where(Tallied.what == DAYS)) or _EVER


def read(
    tx: Session, campaign_id: int, part: Part, first: date, last: date, zone: ZoneInfo
) -> Counter[Key]:
    """What happened from one day to another, both included, exactly up to this moment."""
    kept_until = until(tx)
    found = Counter[Key]()
    kept = _kept(campaign_id, part, first, last, kept_until, zone)
    for day, step, value, count in tx.execute(
        kept.add_columns(CampaignDay.day, CampaignDay.step, CampaignDay.value, CampaignDay.count)
    ):
        found[day, step, value] += count
    since = [day for day in days_in(first, last, zone) if day.since >= kept_until]
    return found + counted(tx, campaign_id, part, since)


def read_sums(
    tx: Session, campaign_id: int, part: Part, first: date, last: date, zone: ZoneInfo
) -> Counter[tuple[str, str]]:
    """The same of all these days together, by step and value: added up by the database."""
    kept_until = until(tx)
    found = Counter[tuple[str, str]]()
    by = (CampaignDay.step, CampaignDay.value)
    kept = _kept(campaign_id, part, first, last, kept_until, zone)
    for step, value, count in tx.execute(
        kept.add_columns(*by, sa.func.sum(CampaignDay.count)).group_by(*by)
    ):
        found[step, value] += int(count)
    since = [day for day in days_in(first, last, zone) if day.since >= kept_until]
    for (_, step, value), count in counted(tx, campaign_id, part, since).items():
        found[step, value] += count
    return found


def _kept(
    campaign_id: int, part: Part, first: date, last: date, kept_until: datetime, zone: ZoneInfo
) -> sa.Select[Any]:
    """The rows of these days, without columns so far."""
    return sa.select().where(
        CampaignDay.campaign_id == campaign_id,
        CampaignDay.part == part.value,
        CampaignDay.day >= first,
        CampaignDay.day <= last,
        CampaignDay.day < kept_until.astimezone(zone).date(),
    )


# Keeping


def tally(tx: Session, campaigns: Iterable[int], now: datetime, zone: ZoneInfo) -> bool:
    """Count the days that are over and were not yet, and the latest of the others again. Whether
    there were new ones. In another time zone than before all days are counted anew."""
    lock(tx, _LOCK)
    no_hurry(tx)
    known, end = until(tx), midnight(now.astimezone(zone).date(), zone)
    if known != _EVER and known != midnight(known.astimezone(zone).date(), zone):
        tx.execute(sa.delete(CampaignDay))
        known = _EVER
    begin = known if known == _EVER else known - (AGAIN_DAILY if end > known else AGAIN)
    for campaign in campaigns:
        _keep(tx, campaign, _days_of(tx, campaign, begin, end, zone))
    if end > known:
        tx.merge(Tallied(what=DAYS, until=end))
        tx.flush()
    return end > known


def recount(tx: Session, campaigns: Iterable[int], zone: ZoneInfo) -> int:
    """Count all days that are kept anew. Returns how many counts of them were wrong."""
    lock(tx, _LOCK)
    no_hurry(tx)
    wrong, end = 0, until(tx)
    for campaign in campaigns:
        days = _days_of(tx, campaign, _EVER, end, zone)
        wrong += sum(1 for _ in _differing(tx, campaign, days))
        _keep(tx, campaign, days)
    return wrong


def differences(tx: Session, campaigns: Iterable[int], zone: ZoneInfo) -> Iterator[str]:
    """Where what is kept is not what there is, each in words; see `db.one_moment`.

    By channel, store and region only visits are compared: where a package went, and by which link
    its buyer came, may have become known since.
    """
    no_hurry(tx)
    end = until(tx)
    for campaign in campaigns:
        days = _days_of(tx, campaign, _EVER, end, zone)
        for part, (day, step, value), kept, found in _differing(tx, campaign, days):
            if part in {Part.all, Part.unit} or step in OF_VISITS:
                of = f"campaign {campaign}, {day}, {step}, {part} {value}".rstrip()
                yield f"campaign_days: {of}: {found}, {kept} is kept"


_Differing = tuple[Part, Key, int, int]


def _differing(tx: Session, campaign: int, days: Sequence[Day]) -> Iterator[_Differing]:
    for part in Part:
        kept = Counter[Key]()
        rows = tx.execute(
            sa.select(
                CampaignDay.day, CampaignDay.step, CampaignDay.value, CampaignDay.count
            ).where(CampaignDay.campaign_id == campaign, CampaignDay.part == part.value)
        )
        for day, step, value, count in rows:
            kept[day, step, value] = count
        found = counted(tx, campaign, part, days)
        for key in sorted(kept.keys() | found.keys()):
            if kept[key] != found[key]:
                yield part, key, kept[key], found[key]


def _days_of(
    tx: Session, campaign: int, begin: datetime, end: datetime, zone: ZoneInfo
) -> list[Day]:
    """The days of a campaign from one midnight to another: from the first of which there is
    anything."""
    firsts = [
        tx.scalar(sa.select(sa.func.min(at)).where(of == campaign))
        for at, of in (
            (VisitCount.hour, VisitCount.campaign_id),
            (Claim.at, Claim.campaign_id),
            (Order.reported_at, Order.campaign_id),
        )
    ]
    found = [first for first in firsts if first is not None]
    if not found or end <= begin:
        return []
    first = max(min(found), begin).astimezone(zone).date()
    return days_in(first, (end - timedelta(microseconds=1)).astimezone(zone).date(), zone)


def _keep(tx: Session, campaign: int, days: Sequence[Day]) -> None:
    if not days:
        return
    tx.execute(
        sa.delete(CampaignDay).where(
            CampaignDay.campaign_id == campaign,
            CampaignDay.day >= days[0].day,
            CampaignDay.day <= days[-1].day,
        )
    )
    for part in Part:
        rows = [
            {
                "campaign_id": campaign,
                "part": part.value,
                "day": day,
                "step": step,
                "value": value,
                "count": count,
            }
            for (day, step, value), count in sorted(counted(tx, campaign, part, days).items())
        ]
        for start in range(0, len(rows), ROWS_AT_ONCE):
            insert_many(
                tx,
                CampaignDay,
                rows[start : start + ROWS_AT_ONCE],
                ("campaign_id", "part", "day", "step", "value"),
            )
