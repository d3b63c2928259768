"""The ledger: accounts, entries and postings. Double-entry, append-only, whole numbers.

An entry moves amounts between accounts of one unit (points, or minor units of a currency); its
postings sum to zero. Entries and postings are never changed or deleted: a correction is another
entry. Each account's balance is kept beside them and `verify` compares the two.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral.db import Base, RowId, insert_new_id, run


class Kind(StrEnum):
    """What an account holds. All but `issue` refuse to go below zero."""

    issue = "issue"
    """Where the brand's promises come from; its balance is minus all that was ever put up."""
    budget = "budget"
    """What a campaign may still grant."""
    pending = "pending"
    """Granted to a customer and still on hold."""
    wallet = "wallet"
    """A customer's own."""


class Account(Base):
    """An account of one unit. `owner` is a campaign's or a customer's id, 0 for the brand."""

    __tablename__ = "accounts"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    kind: Mapped[str] = mapped_column(sa.String(12))
    owner: Mapped[int] = mapped_column(sa.BigInteger)
    unit: Mapped[str] = mapped_column(sa.String(12))
    balance: Mapped[int] = mapped_column(sa.BigInteger)

    __table_args__ = (
        sa.UniqueConstraint("kind", "owner", "unit"),
        sa.CheckConstraint("kind = 'issue' OR balance >= 0", name="balance_not_negative"),
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


class Insufficient(Exception):
    """An account does not hold what was to be taken from it. Nothing was written."""


class AlreadyPosted(Exception):
    """There is an entry with this key. Nothing was written."""


@dataclass(frozen=True)
class Move:
    """Amounts go from one account to another; both are of the same unit."""

    source: int
    destination: int
    amount: int


_FIND = sa.select(Account.id).where(
    Account.kind == sa.bindparam("kind"),
    Account.owner == sa.bindparam("owner"),
    Account.unit == sa.bindparam("unit"),
)


def account(tx: Session, kind: Kind, owner: int, unit: str) -> int:
    """The id of an account, which is opened when it is new."""
    same = {"kind": kind, "owner": owner, "unit": unit}
    found: int | None = run(tx, _FIND, **same).scalar()
    if found is None:
        found = insert_new_id(tx, Account, {**same, "balance": 0})
    if found is None:  # it was opened elsewhere in between
        found = run(tx, _FIND, **same).scalar()
    if found is None:
        raise AssertionError("an account that was just opened is gone")
    return found


def post(tx: Session, *, key: str, what: str, moves: Sequence[Move], now: datetime) -> int:
    """Write one entry and return its id.

    Raises `Insufficient` when an account would go below zero and `AlreadyPosted` for a key that
    was used; nothing is written then.
    """
    changes: dict[int, int] = defaultdict(int)
    for move in moves:
        if move.amount <= 0 or move.source == move.destination:
            raise ValueError("a move needs a positive amount and two accounts")
        changes[move.source] -= move.amount
        changes[move.destination] += move.amount
    # Accounts are changed in one order everywhere, so that two entries never wait for each other
    # in a circle.
    ordered = [(account_id, change) for account_id, change in sorted(changes.items()) if change]
    for done, (account_id, change) in enumerate(ordered):
        if not _change(tx, account_id, change):
            _undo(tx, ordered[:done])
            raise Insufficient()
    entry_id = insert_new_id(tx, LedgerEntry, {"key": key, "what": what, "at": now})
    if entry_id is None:
        _undo(tx, ordered)
        raise AlreadyPosted()
    tx.connection().execute(
        _POSTINGS,
        [{"entry_id": entry_id, "account_id": a, "amount": change} for a, change in ordered],
    )
    return entry_id


_POSTINGS = sa.insert(Posting.__table__)  # type: ignore[arg-type]


def _undo(tx: Session, changes: Sequence[tuple[int, int]]) -> None:
    """Take back changes of this transaction, which still holds the rows."""
    for account_id, change in changes:
        _change(tx, account_id, -change)


_CHANGE = (
    sa.update(Account)
    .where(Account.id == sa.bindparam("account"))
    .where(sa.or_(Account.balance + sa.bindparam("change") >= 0, Account.kind == Kind.issue))
    .values(balance=Account.balance + sa.bindparam("change"))
)


def _change(tx: Session, account_id: int, change: int) -> bool:
    """Add to a balance unless it would fall below what its kind allows."""
    return run(tx, _CHANGE, account=account_id, change=change).rowcount == 1


def fund(tx: Session, campaign_id: int, unit: str, amount: int, *, key: str, now: datetime) -> None:
    """Put up a campaign's budget."""
    source = account(tx, Kind.issue, 0, unit)
    budget = account(tx, Kind.budget, campaign_id, unit)
    post(tx, key=key, what="budget", moves=[Move(source, budget, amount)], now=now)


def balances(tx: Session, kind: Kind, owner: int) -> dict[str, int]:
    """An owner's balances of one kind, by unit."""
    rows = tx.execute(
        sa.select(Account.unit, Account.balance).where(Account.kind == kind, Account.owner == owner)
    )
    return dict(rows.all())


def verify(tx: Session) -> list[str]:
    """Every way in which the ledger does not add up, in words; empty when it does."""
    findings = []
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
