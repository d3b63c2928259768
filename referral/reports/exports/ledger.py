"""The ledger as a file: its postings, and what each account held and moved in a period."""

from collections import defaultdict
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral.errors import N_
from referral.exports.cells import major
from referral.exports.kinds import AT_ONCE, Column, Key, Kind, Page, Wanted, register
from referral.ledger import Account, LedgerEntry, Posting
from referral.reports.exports.days import moment, period


def _postings(tx: Session, wanted: Wanted, after: Key | None) -> Page:
    """By time: an entry's postings stand together."""
    since, until = period(wanted)
    entries = sa.select(*_ENTRY).order_by(LedgerEntry.at, LedgerEntry.id).limit(AT_ONCE // 2)
    if after is not None:
        # In the place of the period's beginning: a page begins in the index where it is to.
        since = moment(after[0])
        entries = entries.where(sa.or_(LedgerEntry.at > since, LedgerEntry.id > after[1]))
    entries = entries.where(LedgerEntry.at >= since, LedgerEntry.at < until)
    found = {entry.id: entry for entry in tx.execute(entries)}
    if not found:
        return Page([], None)
    lines = tx.execute(
        sa.select(
            Posting.entry_id, Posting.id, Account.kind, Account.owner, Account.unit, Posting.amount
        )
        .join(Account, Account.id == Posting.account_id)
        .where(Posting.entry_id.in_(list(found)))
        .order_by(Posting.entry_id, Posting.id)
    ).all()
    of_entry: dict[int, list[Any]] = defaultdict(list)
    for line in lines:
        of_entry[line[0]].append(line)
    rows = [
        (number, entry.at, entry.what, entry.key, posting, kind, owner, unit, major(amount, unit))
        for number, entry in found.items()
        for _entry, posting, kind, owner, unit, amount in of_entry[number]
    ]
    last = list(found.values())[-1]
    is_more = len(found) == AT_ONCE // 2
    return Page(rows, [last.at.isoformat(), last.id] if is_more else None)


_ENTRY = (LedgerEntry.id, LedgerEntry.at, LedgerEntry.what, LedgerEntry.key)


def _count_postings(tx: Session, wanted: Wanted) -> int:
    since, until = period(wanted)
    within = (LedgerEntry.at >= since, LedgerEntry.at < until)
    count = sa.select(sa.func.count()).select_from(LedgerEntry).join(Posting).where(*within)
    return tx.scalar(count) or 0


register(
    Kind(
        name="postings",
        title=N_("Ledger, every posting"),
        columns=(
            Column("entry", N_("Entry")),
            Column("at", N_("Time"), 20),
            Column("what", N_("Reason"), 24),
            Column("key", N_("Cause"), 28),
            Column("posting", N_("Posting")),
            Column("account", N_("Account")),
            Column("owner", N_("Owner")),
            Column("unit", N_("Unit"), 10),
            Column("amount", N_("Amount")),
        ),
        page=_postings,
        count=_count_postings,
        of_period=True,
    )
)


def _totals(tx: Session, wanted: Wanted, after: Key | None) -> Page:
    """What each account held before a period, what came and left in it, and what it held then."""
    since, until = period(wanted)
    accounts = sa.select(Account).order_by(Account.id).limit(AT_ONCE)
    if after is not None:
        accounts = accounts.where(Account.id > after[0])
    found = tx.scalars(accounts).all()
    if not found:
        return Page([], None)
    moved = {
        row.account_id: row
        for row in tx.execute(
            sa.select(Posting.account_id, *_sums(since, until))
            .join(LedgerEntry, LedgerEntry.id == Posting.entry_id)
            .where(Posting.account_id.between(found[0].id, found[-1].id))
            .group_by(Posting.account_id)
        )
    }
    rows = [
        (
            account.kind,
            account.owner,
            account.slot,
            account.unit,
            *(major(int(amount), account.unit) for amount in _line(moved.get(account.id))),
        )
        for account in found
    ]
    return Page(rows, [found[-1].id] if len(found) == AT_ONCE else None)


def _sums(since: Any, until: Any) -> tuple[sa.Label[Any], ...]:
    nothing: sa.ColumnElement[int] = sa.literal_column("0")
    before = sa.case((LedgerEntry.at < since, Posting.amount), else_=nothing)
    within = sa.and_(LedgerEntry.at >= since, LedgerEntry.at < until)
    came = sa.case((sa.and_(within, Posting.amount > 0), Posting.amount), else_=nothing)
    left = sa.case((sa.and_(within, Posting.amount < 0), -Posting.amount), else_=nothing)
    return (
        sa.func.sum(before).label("before"),
        sa.func.sum(came).label("came"),
        sa.func.sum(left).label("gone"),
    )


def _line(row: Any) -> tuple[int, int, int, int]:
    if row is None:
        return 0, 0, 0, 0
    before, came, gone = int(row.before), int(row.came), int(row.gone)
    return before, came, gone, before + came - gone


def _count_accounts(tx: Session, wanted: Wanted) -> int:
    return tx.scalar(sa.select(sa.func.count()).select_from(Account)) or 0


register(
    Kind(
        name="totals",
        title=N_("Ledger, totals by account"),
        columns=(
            Column("account", N_("Account")),
            Column("owner", N_("Owner")),
            Column("slot", N_("Part")),
            Column("unit", N_("Unit"), 10),
            Column("before", N_("Before")),
            Column("came", N_("Came in")),
            Column("left", N_("Went out")),
            Column("after", N_("After")),
        ),
        page=_totals,
        count=_count_accounts,
        of_period=True,
    )
)
