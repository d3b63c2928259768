"""What happened in a campaign on some days, counted out of the hourly counts of visits, the claims,
the orders and the ledger."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral.claims import Claim
from referral.codes import Label
from referral.db import UTCDateTime
from referral.graph import SpreadNode
from referral.ledger import Account, LedgerEntry, Posting
from referral.ledger import Kind as AccountKind
from referral.orders import Order
from referral.people import Visitor
from referral.ranges import CodeRange
from referral.rollups.day_parts import BY_PARTS, OF_VISITS, Day, Key, Part, Step
from referral.rollups.hours import VisitCount
from referral.visits import Kind, SeenCode

TAKEN_BACK = "taken back"
"""What the ledger calls an entry by which granted rewards go back into their budget."""


def counted(tx: Session, campaign_id: int, part: Part, days: Sequence[Day]) -> Counter[Key]:
    """How often steps were taken on these days, which follow one another."""
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
    # Not joined: SQLite would go through all readers of the campaign.
    hers = sa.select(Visitor.id).where(Visitor.customer_id == purchase.customer_id)
    return (
        sa.select(SpreadNode.channel)
        .where(
            SpreadNode.visitor_id.in_(hers.correlate(purchase)),
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
