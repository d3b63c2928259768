"""What customers hold and spend. What expires first is spent first.

A customer's wallet never goes below zero: what was spent and then had to be taken back is owed, on
an account of its own, and paid by what becomes available later.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral import ledger
from referral.db import Base
from referral.db.bulk import among, numbers
from referral.db.round_trips import Ask, ask
from referral.ledger import AccountName, Kind, Move
from referral.rewards.records import Reward, RewardState

BACK_LASTS = timedelta(days=30)
"""How long what comes back too late, after the day it would have expired, can still be spent."""


class Lot(Base):
    """How much of which reward an entry of the ledger spent, so that it can be given back."""

    __tablename__ = "spent_lots"

    entry_id: Mapped[int] = mapped_column(sa.ForeignKey("ledger_entries.id"), primary_key=True)
    reward_id: Mapped[int] = mapped_column(sa.ForeignKey("rewards.id"), primary_key=True)
    amount: Mapped[int] = mapped_column(sa.BigInteger)

    __table_args__ = (sa.CheckConstraint("amount > 0", name="amount_positive"),)


@dataclass(frozen=True)
class Taken:
    """What was taken of one reward."""

    reward_id: int
    amount: int


def debt_of(tx: Session, customer_id: int, unit: str) -> int:
    """What a customer owes, as a number above zero; 0 for nothing."""
    return -ledger.balances(tx, Kind.owed, customer_id).get(unit, 0)


_OWING = sa.select(ledger.Account.owner).where(
    ledger.Account.kind == sa.literal_column("'owed'"),
    among(ledger.Account.owner, "customers"),
    ledger.Account.balance < 0,
)


def asking_owing(tx: Session, customers: Collection[int]) -> Ask:
    """Which of these customers, who are locked, owe anything: rows of an `owner`."""
    return ask(_OWING, customers=numbers(tx, customers))


def take(tx: Session, customer_id: int, unit: str, most: int) -> list[Taken]:
    """Take up to so much off what is left of a customer's available rewards."""
    return _take_off(tx, _open_lots(tx, customer_id, unit), most) if most else []


def spendable(tx: Session, customer_id: int, now: datetime) -> dict[str, int]:
    """What a customer can spend, by unit: what is in the wallet but for what has expired, which
    the nightly pass takes out of it."""
    rows = tx.execute(
        sa.select(Reward.unit, sa.func.sum(Reward.left))
        .where(Reward.holder_id == customer_id, Reward.left > 0)
        .where(Reward.state == RewardState.available, _not_expired(now))
        .group_by(Reward.unit)
    )
    return {unit: int(amount) for unit, amount in rows}


def first_expiry(tx: Session, customer_id: int, now: datetime) -> dict[str, datetime]:
    """When the first of what a customer can spend expires, by unit; what never does is left out."""
    rows = tx.execute(
        sa.select(Reward.unit, sa.func.min(Reward.expires_at).label("first"))
        .where(Reward.holder_id == customer_id, Reward.left > 0)
        .where(Reward.state == RewardState.available, Reward.expires_at > now)
        .group_by(Reward.unit)
    )
    return {row.unit: row.first for row in rows}


def _not_expired(now: datetime) -> sa.ColumnElement[bool]:
    return sa.or_(Reward.expires_at.is_(None), Reward.expires_at > now)


def _open_lots(
    tx: Session, customer_id: int, unit: str, *where: sa.ColumnElement[bool]
) -> Sequence[Reward]:
    """The rewards that something can be taken off, in the order it is taken, locked."""
    return tx.scalars(
        sa.select(Reward)
        .where(Reward.holder_id == customer_id, Reward.unit == unit, Reward.left > 0)
        .where(Reward.state == RewardState.available, *where)
        .order_by(Reward.expires_at.is_(None), Reward.expires_at, Reward.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).all()


def _take_off(tx: Session, lots: Sequence[Reward], most: int) -> list[Taken]:
    taken = []
    for reward in lots:
        amount = min(reward.left, most)
        if amount == 0:
            break
        reward.left -= amount
        most -= amount
        taken.append(Taken(reward.id, amount))
    tx.flush()
    return taken


def spend(
    tx: Session,
    customer_id: int,
    unit: str,
    amount: int,
    *,
    to: int | AccountName,
    key: str,
    what: str,
    now: datetime,
) -> int:
    """Move an amount from a customer's wallet to the account `to`; returns the ledger's entry.

    What has expired is not spent, though it is in the wallet until the nightly pass. The customer
    is locked by the caller. Raises `ledger.Insufficient`; nothing is written then.
    """
    # The rewards before the accounts, as the nightly pass takes them: else each could wait for
    # what the other one holds.
    lots = _open_lots(tx, customer_id, unit, _not_expired(now))
    if sum(reward.left for reward in lots) < amount:
        raise ledger.Insufficient()
    wallet = ledger.account(tx, Kind.wallet, customer_id, unit)
    entry_id = ledger.post(tx, key=key, what=what, moves=[Move(wallet, to, amount)], now=now)
    for lot in _take_off(tx, lots, amount):
        tx.add(Lot(entry_id=entry_id, reward_id=lot.reward_id, amount=lot.amount))
    tx.flush()
    return entry_id


def give_back(
    tx: Session,
    customer_id: int,
    unit: str,
    spent: int,
    *,
    source: int,
    key: str,
    what: str,
    now: datetime,
    among: sa.ColumnElement[bool] | None = None,
) -> int:
    """Undo the entry `spent` of `spend`: out of the account `source`, back to where it came from.

    Debts that were made in the meantime are paid first. What would have expired by now can be spent
    for `BACK_LASTS` more. `among` says which rewards it may go back to, where not any that
    something was spent of will do. The customer, who may be the one into whom
    the spender was merged, is locked by the caller. Returns the ledger's entry.
    """
    lots = tx.scalars(sa.select(Lot).where(Lot.entry_id == spent).order_by(Lot.reward_id)).all()
    amount = sum(lot.amount for lot in lots)
    # The rewards before the accounts, as everywhere.
    rewards = _spent_lots(tx, customer_id, unit, [lot.reward_id for lot in lots], among)
    paid = min(debt_of(tx, customer_id, unit), amount)
    moves = []
    if paid:
        moves.append(Move(source, ledger.account(tx, Kind.owed, customer_id, unit), paid))
    if amount > paid:
        wallet = ledger.account(tx, Kind.wallet, customer_id, unit)
        moves.append(Move(source, wallet, amount - paid))
    entry_id = ledger.post(tx, key=key, what=what, moves=moves, now=now)
    _restore(tx, rewards, amount - paid, now)
    return entry_id


def _spent_lots(
    tx: Session,
    customer_id: int,
    unit: str,
    first: Sequence[int],
    among: sa.ColumnElement[bool] | None,
) -> Sequence[Reward]:
    """The rewards that something was spent of, locked: those of `first`, then others, for where
    the first have been taken back since."""
    spent = Reward.amount - Reward.left - Reward.taken_back - Reward.lapsed
    return tx.scalars(
        sa.select(Reward)
        .where(Reward.holder_id == customer_id, Reward.unit == unit, spent > 0)
        .where(sa.true() if among is None else among)
        .where(Reward.state != RewardState.pending)
        .order_by(Reward.id.not_in(first), Reward.id.desc())
        .with_for_update()
        .execution_options(populate_existing=True)
    ).all()


def _restore(tx: Session, rewards: Sequence[Reward], amount: int, now: datetime) -> None:
    """Make rewards hold so much more of what was spent of them."""
    for reward in rewards:
        room = reward.amount - reward.left - reward.taken_back - reward.lapsed
        put = min(room, amount)
        if put == 0:
            break
        reward.left += put
        reward.state = RewardState.available
        if reward.expires_at is not None and reward.expires_at <= now:
            reward.expires_at = now + BACK_LASTS
        amount -= put
    assert amount == 0, "what was spent is always of some reward"
    tx.flush()
