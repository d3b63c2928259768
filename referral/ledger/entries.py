"""The ledger: entries and postings. Double-entry, append-only, whole numbers.

An entry moves amounts between accounts of one unit (points, or minor units of a currency); its
postings sum to zero. Entries and postings are never changed or deleted: a correction is another
entry. Each account's balance is kept beside them (`accounts`) and `verify` compares the two.
`seals` tells if anything is not as it was written.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral.db import Base, RowId, connection_of, insert_new_id, is_sqlite, no_hurry
from referral.db.bulk import numbers
from referral.db.round_trips import Answer, Ask, ask, in_one_trip
from referral.ledger import accounts
from referral.ledger.accounts import (
    Account,
    AccountName,
    Changed,
    Kind,
)


class LedgerEntry(Base):
    """One transaction of the ledger. `key` names its cause, once."""

    __tablename__ = "ledger_entries"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    key: Mapped[str] = mapped_column(sa.String(160), unique=True)
    what: Mapped[str] = mapped_column(sa.String(120))
    at: Mapped[datetime] = mapped_column(index=True)


class Posting(Base):
    """A signed amount on one account: minus leaves it, plus arrives."""

    __tablename__ = "postings"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    entry_id: Mapped[int] = mapped_column(sa.ForeignKey("ledger_entries.id"), index=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("accounts.id"))
    amount: Mapped[int] = mapped_column(sa.BigInteger)

    __table_args__ = (
        sa.CheckConstraint("amount <> 0", name="amount_not_zero"),
        sa.Index(None, "account_id", "entry_id"),
    )


class AlreadyPosted(Exception):
    """There is an entry with this key. Nothing was written."""


@dataclass(frozen=True)
class Move:
    """Amounts go from one account to another; both are of the same unit.

    An account is named, or given by its id; within one entry always in the same way.
    """

    source: int | AccountName
    destination: int | AccountName
    amount: int


Along = Callable[[Any], Any]
"""Makes an INSERT with RETURNING of what an entry is for, out of a table with the entry's `id` that
is empty where there is none. The statement is built once for an `Along`, which therefore is a
function of a module or kept by one."""


def budget(tx: Session, campaign_id: int, unit: str) -> AccountName:
    """The account that a campaign's rewards are paid from, and go back to when taken back."""
    return AccountName(Kind.budget, campaign_id, unit)


def post(
    tx: Session,
    *,
    key: str,
    what: str,
    moves: Sequence[Move],
    now: datetime,
) -> int:
    """Write one entry and return its id.

    Raises `Insufficient` when an account would go below zero and `AlreadyPosted` for a key that
    was used; nothing is written then.
    """
    changed = accounts.change(tx, _changes(moves))
    return _write(tx, key, what, changed, now)


def post_along(
    tx: Session,
    along: Along,
    values: Mapping[str, Any],
    *,
    key: str,
    what: str,
    moves: Sequence[Move],
    now: datetime,
    before: Sequence[Ask] = (),
) -> Answer:
    """Write one entry, and with it what it is for: in one statement, so that there is both or none.

    `along` makes the INSERT of that, which takes `values`, and returns rows; see `Along`. `before`
    is asked in any case, first and in the same trip as something else. Raises as `post` does.
    """
    changed = accounts.change(tx, _changes(moves), before)
    return _write_along(tx, along, values, key, what, changed, now)


def _changes(moves: Sequence[Move]) -> dict[int | AccountName, int]:
    """What these moves change, by account."""
    changes: dict[int | AccountName, int] = defaultdict(int)
    for move in moves:
        if move.amount <= 0 or move.source == move.destination:
            raise ValueError("a move needs a positive amount and two accounts")
        changes[move.source] -= move.amount
        changes[move.destination] += move.amount
    return {which: more for which, more in changes.items() if more}


def fund(tx: Session, campaign_id: int, unit: str, amount: int, *, key: str, now: datetime) -> None:
    """Put up a campaign's budget, or add to it."""
    if amount <= 0:
        raise ValueError("a budget needs a positive amount")
    changed = accounts.change(tx, {AccountName(Kind.issue, 0, unit): -amount})
    changed += accounts.put_up(tx, AccountName(Kind.budget, campaign_id, unit), amount)
    _write(tx, key, "budget", changed, now)


def _write(tx: Session, key: str, what: str, changed: Changed, now: datetime) -> int:
    """Write an entry for what was changed. Undoes it and raises `AlreadyPosted` for a used key."""
    entry_id: int = _write_along(tx, None, {}, key, what, changed, now).scalar
    return entry_id


def _write_along(
    tx: Session,
    along: Along | None,
    values: Mapping[str, Any],
    key: str,
    what: str,
    changed: Changed,
    now: datetime,
) -> Answer:
    entry = {"key": key, "what": what, "at": now}
    answer = Answer((), 0)
    if is_sqlite(tx):
        if insert_new_id(tx, LedgerEntry, entry) is not None:
            rows = [{"of": key, "account_id": which, "amount": more} for which, more in changed]
            connection_of(tx).execute(_POSTINGS, rows)
            [answer] = in_one_trip(tx, ask(_after(along), of=key, **values))
    else:
        postings = {
            "accounts": numbers(tx, [which for which, _ in changed]),
            "amounts": numbers(tx, [more for _, more in changed]),
        }
        [answer] = in_one_trip(tx, ask(_whole(along), **entry, **postings, **values))
    if not answer.rows:
        accounts.undo(tx, changed)
        raise AlreadyPosted()
    return answer


_ENTRY, _POSTING = LedgerEntry.__table__.c, Posting.__table__.c
_OF_KEY = sa.select(_ENTRY.id).where(_ENTRY.key == sa.bindparam("of"))
_POSTINGS = sa.insert(Posting.__table__).values(  # type: ignore[arg-type]
    entry_id=_OF_KEY.scalar_subquery(),
    account_id=sa.bindparam("account_id"),
    amount=sa.bindparam("amount"),
)


@cache
def _after(along: Along | None) -> Any:
    """What follows when an entry and its postings were written: SQLite does not insert into several
    tables at once."""
    entry = _OF_KEY.subquery("entry")
    return along(entry) if along else sa.select(entry.c.id)


@cache
def _whole(along: Along | None) -> Any:
    """An entry with its postings and what goes along, if its key is new."""
    made = postgresql.insert(LedgerEntry.__table__).values(  # type: ignore[arg-type]
        {name: sa.bindparam(name, type_=_ENTRY[name].type) for name in ("key", "what", "at")}
    )
    entry = made.on_conflict_do_nothing().returning(_ENTRY.id).cte("entry")
    given = [sa.cast(sa.bindparam(name, type_=sa.Text()), _NUMBERS) for name in _GIVEN]
    parts = sa.func.unnest(*given).table_valued(
        sa.column("account_id", sa.BigInteger), sa.column("amount", sa.BigInteger)
    )
    each = sa.select(entry.c.id, *parts.render_derived().c)
    posted = sa.insert(Posting.__table__).from_select(  # type: ignore[arg-type]
        ["entry_id", "account_id", "amount"], each
    )
    rest: Any = along(entry) if along else sa.select(entry.c.id)
    return rest.add_cte(posted.returning(_POSTING.id).cte("posted"))


_NUMBERS = postgresql.ARRAY(sa.BigInteger)
_GIVEN = ("accounts", "amounts")


def verify(tx: Session) -> list[str]:
    """Every way in which the ledger does not add up, in words; empty when it does."""
    findings = []
    no_hurry(tx)
    uneven = tx.execute(
        sa.select(Posting.entry_id, Account.unit, sa.func.sum(Posting.amount))
        .join(Account, Account.id == Posting.account_id)
        .group_by(Posting.entry_id, Account.unit)
        .having(sa.func.sum(Posting.amount) != 0)
        .order_by(Posting.entry_id)
    )
    for entry_id, unit, total in uneven:
        findings.append(f"entry {entry_id} is out by {total} {unit}")
    empty = tx.scalars(
        sa.select(LedgerEntry.id)
        .where(~sa.exists().where(Posting.entry_id == LedgerEntry.id))
        .order_by(LedgerEntry.id)
    )
    findings += [f"entry {entry_id} has no postings" for entry_id in empty]
    posted = sa.func.coalesce(sa.func.sum(Posting.amount), 0)
    drifted = tx.execute(
        sa.select(Account.id, Account.balance, posted)
        .outerjoin(Posting, Posting.account_id == Account.id)
        .group_by(Account.id, Account.balance)
        .having(Account.balance != posted)
        .order_by(Account.id)
    )
    for account_id, balance, total in drifted:
        findings.append(f"account {account_id} says {balance}, its postings {total}")
    return findings
