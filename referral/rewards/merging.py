"""What a customer holds goes to another one, who is the same person."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral import ledger
from referral.ledger import Kind, Move
from referral.rewards import caps, wallets
from referral.rewards.records import Reward

_HELD = (Kind.pending, Kind.wallet, Kind.owed)


def hand_over(
    tx: Session, gone: int, kept: int, *, key: str, now: datetime
) -> dict[str, dict[str, int]]:
    """Move all that one customer holds and owes to the other, in one entry of the ledger.

    What one of them owes is then paid out of what the other one can spend, unit by unit. How often
    rules with limits have paid is added up. Both customers are held by `people.hold_pair`. Returns
    what was moved: by unit, the balance of each kind of account.
    """
    # Not only those of the one who goes: nothing may be released or expire beside this.
    _lock_rewards(tx, gone, kept)
    moved = {kind: ledger.balances(tx, kind, gone) for kind in _HELD}
    units = sorted({unit for each in moved.values() for unit, balance in each.items() if balance})
    tx.execute(
        sa.update(Reward).where(Reward.holder_id == gone).values(holder_id=kept),
        execution_options={"synchronize_session": "fetch"},
    )
    caps.hand_over(tx, gone, kept)
    moves = [move for unit in units for move in _moves(tx, gone, kept, unit)]
    if moves:
        ledger.post(tx, key=key, what="one person's wallets", moves=moves, now=now)
    return {
        unit: {kind.value: moved[kind][unit] for kind in _HELD if moved[kind].get(unit)}
        for unit in units
    }


def _lock_rewards(tx: Session, *holders: int) -> None:
    tx.execute(
        sa.select(Reward.id)
        .where(Reward.holder_id.in_(holders))
        .order_by(Reward.id)
        .with_for_update()
    )


def _moves(tx: Session, gone: int, kept: int, unit: str) -> list[Move]:
    account = {
        (who, kind): ledger.account(tx, kind, who, unit) for who in (gone, kept) for kind in _HELD
    }
    held = {(who, kind): ledger.balances(tx, kind, who).get(unit, 0) for who, kind in account}
    moves = [
        Move(account[gone, kind], account[kept, kind], held[gone, kind])
        for kind in (Kind.pending, Kind.wallet)
        if held[gone, kind]
    ]
    if held[gone, Kind.owed]:
        debt = -held[gone, Kind.owed]
        moves.append(Move(account[kept, Kind.owed], account[gone, Kind.owed], debt))
    owed = -(held[gone, Kind.owed] + held[kept, Kind.owed])
    paid = min(owed, held[gone, Kind.wallet] + held[kept, Kind.wallet])
    if paid:
        wallets.take(tx, kept, unit, paid)
        moves.append(Move(account[kept, Kind.wallet], account[kept, Kind.owed], paid))
    return moves
