"""What staff credit by hand: a reward without a rule, or points that leave the wallet again.

Both move between a campaign's budget and the customer's wallet, in one entry of the ledger: more
than somebody has put up is not credited.
"""

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral import ledger
from referral.ledger import Kind, Move
from referral.rewards import wallets
from referral.rewards.records import Reward, RewardState


def credit(
    tx: Session,
    *,
    event: str,
    rule: str,
    campaign_id: int,
    customer_id: int,
    unit: str,
    amount: int,
    lasts: timedelta | None,
    now: datetime,
) -> int:
    """Move points into a wallet; debts are paid first. Returns the ledger's entry.

    There is a verdict on `event`, and the customer is locked by the caller. Raises
    `ledger.Insufficient` when the budget does not have so much; nothing is written then.
    """
    budget = ledger.budget(tx, campaign_id, unit)
    paid = min(wallets.debt_of(tx, customer_id, unit), amount)
    # By their ids, as they are there or opened: paid into by name, a debt would count as new.
    parts = ((Kind.owed, paid), (Kind.wallet, amount - paid))
    moves = [
        Move(budget, ledger.account(tx, kind, customer_id, unit), part)
        for kind, part in parts
        if part
    ]
    key = event.replace(":", "|")
    entry_id = ledger.post(tx, key=key, what="credited by hand", moves=moves, now=now)
    tx.execute(
        sa.insert(Reward).values(
            event=event,
            rule=rule,
            beneficiary_id=customer_id,
            holder_id=customer_id,
            campaign_id=campaign_id,
            depth=0,
            unit=unit,
            amount=amount,
            left=amount - paid,
            taken_back=0,
            lapsed=0,
            state=RewardState.available,
            is_cleared=True,
            granted_at=now,
            available_at=now,
            expires_at=now + lasts if lasts else None,
            entry_id=entry_id,
        )
    )
    return entry_id


def take(
    tx: Session,
    *,
    event: str,
    campaign_id: int,
    customer_id: int,
    unit: str,
    amount: int,
    now: datetime,
) -> int:
    """Move points out of a wallet, those first that expire first. Returns the ledger's entry.

    The customer is locked by the caller. Raises `ledger.Insufficient` when there are not so many
    that could be spent; nothing is written then.
    """
    return wallets.spend(
        tx,
        customer_id,
        unit,
        amount,
        to=ledger.budget(tx, campaign_id, unit),
        key=event.replace(":", "|"),
        what="taken back by hand",
        now=now,
    )
