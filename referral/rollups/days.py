"""What happened in each campaign, by the day of the brand's calendar: the steps of its funnel as a
whole and by channel, store and region, and what its budget granted and got back.

Days that are over are counted once and kept, out of the hourly counts of visits, the claims, the
orders and the ledger; what came since is counted when it is asked for. An hour belongs to the day
in which it begins. What is stored late, or turns out to be a machine's, is found as long as days
are gone over again (`AGAIN`, and `AGAIN_DAILY` once a day); after that by `recount`.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral.claims import Claim
from referral.codes import Label
from referral.db import Base, UTCDateTime, lock, no_hurry
from referral.db.bulk import insert_many
from referral.graph import SpreadNode
from referral.ledger import Account, LedgerEntry, Posting
from referral.ledger import Kind as AccountKind
from referral.orders import Order
from referral.people import Visitor
from referral.ranges import CodeRange
from referral.rollups.hours import VisitCount
from referral.rollups.tallies import Tallied, What
from referral.visits import Kind, SeenCode

DAYS = What.campaign_days
AGAIN, AGAIN_DAILY = timedelta(days=3), timedelta(days=35)
"""How far back days are gone over again: every time, and when another day is over."""
ROWS_AT_ONCE = 2_000
TAKEN_BACK = "taken back"
"""What the ledger calls an entry by which granted rewards go back into their budget."""
_LOCK = "campaign days"
_EVER = datetime(1970, 1, 1, tzinfo=UTC)


class Step(StrEnum):
    """What is counted. Those up to `order` are the steps of a funnel, in its order."""

    open = "open"
    engagement = "engagement"
    scan = "scan"
    sign_in = "sign_in"
    claim = "claim"
    order = "order"
    share = "share"
    granted = "granted"
    """Amounts that left the budget, by unit."""
    reversed = "reversed"
    """Amounts that came back into it."""


FUNNEL = (
    Step.open,
    Step.engagement,
    Step.scan,
    Step.sign_in,
    Step.claim,
    Step.order,
    Step.share,
)
OF_VISITS = (Step.open, Step.engagement, Step.scan, Step.sign_in, Step.share)


class Part(StrEnum):
    """What days are parted by; `value` says which of them."""

    all = "all"
    channel = "channel"
    """Of a visit its own; of a purchase that of the link by which its buyer had come."""
    store = "store"
    """The number of the store that the package went to."""
    region = "region"
    """Of a claim where its code was first scanned."""
    unit = "unit"
    """Of what was granted and came back."""


BY_PARTS = (Part.all, Part.channel, Part.store, Part.region)


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


@dataclass(frozen=True)
class Day:
    """A day of a calendar, from one midnight up to the next, which is not included."""

    day: date
    since: datetime
    until: datetime


def day_in(day: date, zone: ZoneInfo) -> Day:
    return Day(day, midnight(day, zone), midnight(day + timedelta(days=1), zone))


def days_in(first: date, last: date, zone: ZoneInfo) -> list[Day]:
    """All days from one to another, both included."""
    length = (last - first).days + 1
    return [day_in(first + timedelta(days=n), zone) for n in range(max(length, 0))]


def midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)


Key = tuple[date, str, str]
"""A day, a step and a value."""


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
    return found + _counted(tx, campaign_id, part, since)


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
    for (_, step, value), count in _counted(tx, campaign_id, part, since).items():
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


# Counting


def _counted(tx: Session, campaign_id: int, part: Part, days: Sequence[Day]) -> Counter[Key]:
    """The same of these days, which follow one another, out of what it is a count of."""
    found = Counter[Key]()
    if not days:
        return found
    for count in _COUNTS[part]:
        statement = count(campaign_id, part, days)
        for n, step, value, times in tx.execute(statement):
            found[days[n].day, step, str(value or "")] += int(times)
    return found


def _slots(days: Sequence[Day]) -> sa.CTE:
    return (
        sa.values(
            sa.column("n", sa.Integer()),
            sa.column("since", UTCDateTime()),
            sa.column("until", UTCDateTime()),
        )
        .data([(n, day.since, day.until) for n, day in enumerate(days)])
        .cte("slots")
    )


def _within(slots: sa.CTE, at: Any, days: Sequence[Day]) -> sa.ColumnElement[bool]:
    # The whole as well: databases guess better how much of a table that is.
    whole = (at >= days[0].since, at < days[-1].until)
    return sa.and_(at >= slots.c.since, at < slots.c.until, *whole)


_BLANK: sa.ColumnElement[Any] = sa.literal_column("''")


def _of_visits(campaign_id: int, part: Part, days: Sequence[Day]) -> sa.Select[Any]:
    columns = {
        Part.all: _BLANK,
        Part.channel: VisitCount.channel,
        Part.store: VisitCount.store_id,
        Part.region: VisitCount.region,
    }
    slots = _slots(days)
    value = columns[part]
    inside = sa.and_(VisitCount.campaign_id == campaign_id, _within(slots, VisitCount.hour, days))
    return (
        sa.select(slots.c.n, VisitCount.kind, value, sa.func.sum(VisitCount.count))
        .select_from(slots.join(VisitCount, inside))
        .where(VisitCount.kind.in_([Kind(step).value for step in OF_VISITS]))
        .group_by(slots.c.n, VisitCount.kind, *([value] if part is not Part.all else []))
        .having(sa.func.sum(VisitCount.count) != 0)
    )


def _of_claims(campaign_id: int, part: Part, days: Sequence[Day]) -> sa.Select[Any]:
    slots = _slots(days)
    inside = sa.and_(Claim.campaign_id == campaign_id, _within(slots, Claim.at, days))
    source: sa.FromClause = slots.join(Claim, inside)
    value: Any = _BLANK
    if part is Part.region:
        source = source.outerjoin(
            SeenCode,
            sa.and_(
                SeenCode.batch_id == Claim.batch_id,
                SeenCode.index == Claim.index,
                SeenCode.label == Label.inner,
            ),
        )
        value = SeenCode.region
    elif part is Part.store:
        value = (
            sa.select(CodeRange.store_id)
            .where(CodeRange.batch_id == Claim.batch_id, CodeRange.start <= Claim.index)
            .order_by(CodeRange.start.desc())
            .limit(1)
            .correlate(Claim)
            .scalar_subquery()
        )
    elif part is Part.channel:
        value = _channel_of(Claim, Claim.at)
    return _by_day(slots, source, Step.claim, value)


def _of_orders(campaign_id: int, part: Part, days: Sequence[Day]) -> sa.Select[Any]:
    """By when they were reported: the days before do not change any more. They are of no store, and
    nobody knows from where."""
    slots = _slots(days)
    at = Order.reported_at
    inside = sa.and_(Order.campaign_id == campaign_id, _within(slots, at, days))
    value = _channel_of(Order, at) if part is Part.channel else _BLANK
    return _by_day(slots, slots.join(Order, inside), Step.order, value)


def _by_day(
    slots: sa.CTE, source: sa.FromClause, step: Step, value: sa.ColumnElement[Any]
) -> sa.Select[Any]:
    each = sa.select(slots.c.n, value.label("value")).select_from(source).subquery()
    name: sa.ColumnElement[str] = sa.literal_column(f"'{step}'")
    return sa.select(each.c.n, name, each.c.value, sa.func.count()).group_by(each.c.n, each.c.value)


def _channel_of(purchase: Any, at: Any) -> sa.ColumnElement[Any]:
    """The channel of the first link of its campaign that a purchase's customer had opened."""
    return (
        sa.select(SpreadNode.channel)
        .join(Visitor, Visitor.id == SpreadNode.visitor_id)
        .where(
            Visitor.customer_id == purchase.customer_id,
            SpreadNode.campaign_id == purchase.campaign_id,
            SpreadNode.parent_id.is_not(None),
            SpreadNode.at <= at,
        )
        .order_by(SpreadNode.at, SpreadNode.visitor_id)
        .limit(1)
        .correlate(purchase)
        .scalar_subquery()
    )


def _of_ledger(campaign_id: int, part: Part, days: Sequence[Day]) -> sa.Select[Any]:
    # On their own first: PostgreSQL would rather go through all that a budget ever paid.
    entries = (
        sa.select(LedgerEntry.id, LedgerEntry.what, LedgerEntry.at)
        .where(LedgerEntry.at >= days[0].since, LedgerEntry.at < days[-1].until)
        .cte("entries")
        .prefix_with("MATERIALIZED", dialect="postgresql")
    )
    slots = _slots(days)
    is_back = sa.and_(Posting.amount > 0, entries.c.what == TAKEN_BACK)
    step = sa.case(
        (is_back, sa.literal_column(f"'{Step.reversed}'")),
        else_=sa.literal_column(f"'{Step.granted}'"),
    )
    amount = sa.func.abs(Posting.amount).label("amount")
    inside = (
        sa.select(slots.c.n, step.label("step"), Account.unit, amount)
        .select_from(entries)
        .join(slots, sa.and_(entries.c.at >= slots.c.since, entries.c.at < slots.c.until))
        .join(Posting, Posting.entry_id == entries.c.id)
        .join(Account, Account.id == Posting.account_id)
        .where(Account.kind == AccountKind.budget.value, Account.owner == campaign_id)
        # What is put up arrives as well, and is no cost.
        .where(sa.or_(Posting.amount < 0, is_back))
        .subquery()
    )
    columns = (inside.c.n, inside.c.step, inside.c.unit)
    return sa.select(*columns, sa.func.sum(inside.c.amount)).group_by(*columns)


_COUNTS: dict[Part, Sequence[Callable[[int, Part, Sequence[Day]], sa.Select[Any]]]] = {
    **dict.fromkeys(BY_PARTS, (_of_visits, _of_claims, _of_orders)),
    Part.unit: (_of_ledger,),
}


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
        wrong += sum(1 for _ in _differing(tx, campaign, days, (*BY_PARTS, Part.unit)))
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
        for part, (day, step, value), kept, found in _differing(
            tx, campaign, days, (*BY_PARTS, Part.unit)
        ):
            if part in {Part.all, Part.unit} or step in OF_VISITS:
                of = f"campaign {campaign}, {day}, {step}, {part} {value}".rstrip()
                yield f"campaign_days: {of}: {found}, {kept} is kept"


_Differing = tuple[Part, Key, int, int]


def _differing(
    tx: Session, campaign: int, days: Sequence[Day], parts: Iterable[Part]
) -> Iterator[_Differing]:
    for part in parts:
        kept = Counter[Key]()
        rows = tx.execute(
            sa.select(
                CampaignDay.day, CampaignDay.step, CampaignDay.value, CampaignDay.count
            ).where(CampaignDay.campaign_id == campaign, CampaignDay.part == part.value)
        )
        for day, step, value, count in rows:
            kept[day, step, value] = count
        found = _counted(tx, campaign, part, days)
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
    for part in (*BY_PARTS, Part.unit):
        rows = [
            {
                "campaign_id": campaign,
                "part": part.value,
                "day": day,
                "step": step,
                "value": value,
                "count": count,
            }
            for (day, step, value), count in sorted(_counted(tx, campaign, part, days).items())
        ]
        for start in range(0, len(rows), ROWS_AT_ONCE):
            insert_many(
                tx,
                CampaignDay,
                rows[start : start + ROWS_AT_ONCE],
                ("campaign_id", "part", "day", "step", "value"),
            )
