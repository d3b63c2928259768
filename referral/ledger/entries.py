"""The ledger: entries and postings. Double-entry, append-only, whole numbers.

An entry moves amounts between accounts of one unit (points, or minor units of a currency); its
postings sum to zero. Entries and postings are never changed or deleted: a correction is another
entry. Each account's balance is kept beside them (`accounts`) and `verify` compares the two.
`seals` tells if anything is not as it was written.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral.db import Base, RowId, insert_new_id
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
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("accounts.id"), index=True)
    amount: Mapped[int] = mapped_column(sa.BigInteger)

    __table_args__ = (sa.CheckConstraint("amount <> 0", name="amount_not_zero"),)


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


def budget(tx: Session, campaign_id: int, unit: str) -> AccountName:
    """The account that a campaign's rewards are paid from, and go back to when taken back."""
    return AccountName(Kind.budget, campaign_id, unit)


def post(tx: Session, *, key: str, what: str, moves: Sequence[Move], now: datetime) -> int:
    """Write one entry and return its id.

    Raises `Insufficient` when an account would go below zero and `AlreadyPosted` for a key that
    was used; nothing is written then.
    """
    changes: dict[int | AccountName, int] = defaultdict(int)
    for move in moves:
        if move.amount <= 0 or move.source == move.destination:
            raise ValueError("a move needs a positive amount and two accounts")
        changes[move.source] -= move.amount
        changes[move.destination] += move.amount
    changed = accounts.change(tx, {which: more for which, more in changes.items() if more})
    return _write(tx, key, what, changed, now)


def fund(tx: Session, campaign_id: int, unit: str, amount: int, *, key: str, now: datetime) -> None:
    """Put up a campaign's budget, or add to it."""
    if amount <= 0:
        raise ValueError("a budget needs a positive amount")
    changed = accounts.change(tx, {AccountName(Kind.issue, 0, unit): -amount})
    changed += accounts.put_up(tx, AccountName(Kind.budget, campaign_id, unit), amount)
    _write(tx, key, "budget", changed, now)


def _write(tx: Session, key: str, what: str, changed: Changed, now: datetime) -> int:
    """Write an entry for what was changed. Undoes it and raises `AlreadyPosted` for a used key."""
    entry_id = insert_new_id(tx, LedgerEntry, {"key": key, "what": what, "at": now})
    if entry_id is None:
        accounts.undo(tx, changed)
        raise AlreadyPosted()
    postings = [{"entry_id": entry_id, "account_id": a, "amount": more} for a, more in changed]
    tx.connection().execute(_POSTINGS, postings)
    return entry_id


_POSTINGS = sa.insert(Posting.__table__)  # type: ignore[arg-type]


def verify(tx: Session) -> list[str]:
    """Every way in which the ledger does not add up, in words; empty when it does."""
    findings = []
    if tx.get_bind().dialect.name == "postgresql":
        # It reads all there is, however long that takes.
        tx.execute(sa.text("SET LOCAL statement_timeout = 0"))
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
