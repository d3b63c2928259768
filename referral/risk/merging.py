"""What is known of a customer goes to another one, who is the same person: nobody leaves a block or
a record behind by being merged."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral.db import insert_new, run, upsert
from referral.risk.devices import SharedDevice
from referral.risk.networks import CustomerNetwork
from referral.risk.records import BlockedCustomer, VerdictRow


def hand_over(tx: Session, gone: int, kept: int) -> None:
    """Both customers are held by `people.hold_pair`."""
    for column in (VerdictRow.customer_id, VerdictRow.referrer_id):
        tx.execute(
            sa.update(VerdictRow).where(column == gone).values({column: kept}),
            execution_options={"synchronize_session": "fetch"},
        )
    _move_block(tx, gone, kept)
    _move_devices(tx, gone, kept)
    _move_networks(tx, gone, kept)
    tx.flush()


def _move_block(tx: Session, gone: int, kept: int) -> None:
    """Who was blocked as one of the two is blocked."""
    row = tx.get(BlockedCustomer, gone)
    if row is not None:
        same = {"by": row.by, "reason": row.reason, "at": row.at}
        insert_new(tx, BlockedCustomer, {"customer_id": kept, **same})
        tx.delete(row)


def _move_devices(tx: Session, gone: int, kept: int) -> None:
    of = sa.or_(SharedDevice.customer_id == gone, SharedDevice.other_id == gone)
    for row in tx.scalars(sa.select(SharedDevice).where(of)).all():
        one, two = (kept if each == gone else each for each in (row.customer_id, row.other_id))
        if one != two:
            pair = {"customer_id": one, "other_id": two, "first_at": row.first_at}
            run(tx, upsert(tx, SharedDevice, _earlier), **pair)
        tx.delete(row)


def _earlier(old: Any, new: Any) -> dict[str, Any]:
    return {"first_at": sa.case((new.first_at < old.first_at, new.first_at), else_=old.first_at)}


def _move_networks(tx: Session, gone: int, kept: int) -> None:
    of = CustomerNetwork.customer_id == gone
    for row in tx.scalars(sa.select(CustomerNetwork).where(of)).all():
        known = tx.get(CustomerNetwork, (kept, row.block))
        if known is None:
            same = {"block": row.block, "last_at": row.last_at}
            insert_new(tx, CustomerNetwork, {"customer_id": kept, **same})
        else:
            known.last_at = max(known.last_at, row.last_at)
        tx.delete(row)
