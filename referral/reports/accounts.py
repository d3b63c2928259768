"""The ledger by account: which there are and what they hold; what moved on one, line by line."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral.errors import N_, NotFound
from referral.ledger import Account, Kind, LedgerEntry, Posting
from referral.reports.causes import Cause, causes

PAGE = 50
OTHERS_MAX = 6
"""How many other accounts of an entry are named: a budget is put up in many parts."""


class UnknownAccount(NotFound):
    slug = "unknown-account"
    title = N_("There is no such account.")


@dataclass(frozen=True)
class AccountLine:
    """An account and what it holds; a budget with all its parts."""

    kind: str
    owner: int
    unit: str
    balance: int


@dataclass(frozen=True)
class Accounts:
    lines: list[AccountLine]
    next: tuple[int, str] | None
    """The owner and unit behind which the next page begins."""


def accounts(
    tx: Session, kind: Kind, *, after: tuple[int, str] | None = None, limit: int = PAGE
) -> Accounts:
    """The accounts of a kind, by owner; out of an index."""
    statement = (
        sa.select(Account.owner, Account.unit, sa.func.sum(Account.balance))
        .where(Account.kind == kind)
        .group_by(Account.owner, Account.unit)
        .order_by(Account.owner, Account.unit)
        .limit(limit + 1)
    )
    if after is not None:
        owner, unit = after
        # The first condition alone bounds the range of the index.
        statement = statement.where(
            Account.owner >= owner, sa.or_(Account.owner > owner, Account.unit > unit)
        )
    found = [AccountLine(kind, *row[:2], int(row[2])) for row in tx.execute(statement)]
    last = found[limit - 1] if len(found) > limit else None
    return Accounts(found[:limit], (last.owner, last.unit) if last else None)


def of_owner(tx: Session, kinds: Sequence[Kind], owner: int) -> list[AccountLine]:
    """The accounts of one customer or campaign."""
    rows = tx.execute(
        sa.select(Account.kind, Account.owner, Account.unit, sa.func.sum(Account.balance))
        .where(Account.kind.in_(kinds), Account.owner == owner)
        .group_by(Account.kind, Account.owner, Account.unit)
        .order_by(Account.kind, Account.unit)
    )
    return [AccountLine(kind, whose, unit, int(held)) for kind, whose, unit, held in rows]


@dataclass(frozen=True)
class Other:
    """Another account of an entry, where the amount came from or went."""

    kind: str
    owner: int
    amount: int


@dataclass(frozen=True)
class Line:
    """What an entry moved on an account."""

    entry: int
    at: datetime
    what: str
    key: str
    amount: int
    after: int
    """What the account held then."""
    others: list[Other]
    more: int
    """How many other accounts are not named."""
    cause: Cause | None


@dataclass(frozen=True)
class Cursor:
    """Where a page goes on: before an entry, at which the account held so much."""

    entry: int
    held: int


@dataclass(frozen=True)
class Statement:
    """A page of what moved on an account, newest first."""

    account: AccountLine
    lines: list[Line]
    next: Cursor | None


def statement(
    tx: Session,
    kind: Kind,
    owner: int,
    unit: str,
    *,
    before: Cursor | None = None,
    limit: int = PAGE,
) -> Statement:
    """Raises `UnknownAccount`.

    What is before an entry never changes, so what the account held there comes with the cursor.
    """
    slots = tx.execute(
        sa.select(Account.id, Account.balance).where(
            Account.kind == kind, Account.owner == owner, Account.unit == unit
        )
    ).all()
    if not slots:
        raise UnknownAccount()
    held = sum(balance for _, balance in slots)
    account = AccountLine(kind, owner, unit, held)
    moved = _moved(tx, [number for number, _ in slots], before, limit + 1)
    shown = moved[:limit]
    entries = _entries(tx, [entry for entry, _ in shown])
    others = _others(tx, [entry for entry, _ in shown], {number for number, _ in slots}, unit)
    known = causes(tx, [(each.id, each.key) for each in entries.values()])
    lines = []
    after = before.held if before else held
    for entry, amount in shown:
        about = entries[entry]
        named = others[entry]
        lines.append(
            Line(
                entry,
                about.at,
                about.what,
                about.key,
                amount,
                after,
                named[:OTHERS_MAX],
                max(0, len(named) - OTHERS_MAX),
                known.get(entry),
            )
        )
        after -= amount
    following = Cursor(shown[-1][0], after) if len(moved) > limit else None
    return Statement(account, lines, following)


def _moved(
    tx: Session, slots: Sequence[int], before: Cursor | None, limit: int
) -> list[tuple[int, int]]:
    """The last entries on an account with the amount of each, newest first."""
    # The last of each part, out of an index; among these are the last of all.
    each = []
    for slot in slots:
        of_slot = sa.select(Posting.entry_id, Posting.amount).where(Posting.account_id == slot)
        if before is not None:
            of_slot = of_slot.where(Posting.entry_id < before.entry)
        newest = of_slot.order_by(Posting.entry_id.desc()).limit(limit).subquery()
        each.append(sa.select(newest))
    every = (sa.union_all(*each) if len(each) > 1 else each[0]).subquery()
    rows = tx.execute(
        sa.select(every.c.entry_id, sa.func.sum(every.c.amount))
        .group_by(every.c.entry_id)
        .order_by(every.c.entry_id.desc())
        .limit(limit)
    )
    return [(entry, int(amount)) for entry, amount in rows]


def _entries(tx: Session, numbers: Sequence[int]) -> dict[int, LedgerEntry]:
    found = tx.scalars(sa.select(LedgerEntry).where(LedgerEntry.id.in_(numbers)))
    return {entry.id: entry for entry in found}


def _others(
    tx: Session, entries: Sequence[int], own: set[int], unit: str
) -> dict[int, list[Other]]:
    """The other accounts of these entries; the parts of a budget are one."""
    amount = sa.func.sum(Posting.amount)
    rows = tx.execute(
        sa.select(Posting.entry_id, Account.kind, Account.owner, amount)
        .join(Account, Account.id == Posting.account_id)
        .where(Posting.entry_id.in_(entries), Account.id.not_in(own), Account.unit == unit)
        .group_by(Posting.entry_id, Account.kind, Account.owner)
        .order_by(Posting.entry_id, amount)
    )
    found: dict[int, list[Other]] = defaultdict(list)
    for entry, kind, owner, moved in rows:
        found[entry].append(Other(kind, owner, int(moved)))
    return found
