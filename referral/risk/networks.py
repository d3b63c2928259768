"""Networks: from which blocks of addresses customers signed in, as keyed hashes, for 90 days."""

from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral.crypto import KeyRing, keyed_hash
from referral.db import Base, run, upsert
from referral.places import NO_BLOCK, address_block

KEPT = timedelta(days=90)
HASH_LENGTH = 32


class CustomerNetwork(Base):
    """A block of addresses that a customer signed in from."""

    __tablename__ = "customer_networks"

    customer_id: Mapped[int] = mapped_column(sa.ForeignKey("customers.id"), primary_key=True)
    block: Mapped[str] = mapped_column(sa.String(HASH_LENGTH), primary_key=True)
    """A keyed hash: two may be compared, neither can be read."""
    last_at: Mapped[datetime] = mapped_column(index=True)


def note_network(tx: Session, keys: KeyRing, customer: int, address: str, now: datetime) -> None:
    """Keep the block of an address that a customer signed in from; nothing for no address."""
    block = address_block(address)
    if block == NO_BLOCK:
        return
    hashed = keyed_hash(keys.derive("network"), block)[:HASH_LENGTH]
    run(tx, upsert(tx, CustomerNetwork, _later), customer_id=customer, block=hashed, last_at=now)


def _later(old: Any, new: Any) -> dict[str, Any]:
    return {"last_at": sa.case((new.last_at > old.last_at, new.last_at), else_=old.last_at)}


def sweep_networks(tx: Session, now: datetime) -> int:
    """Drop what is older than 90 days. Returns how many rows."""
    is_old = CustomerNetwork.last_at < now - KEPT
    return tx.connection().execute(sa.delete(CustomerNetwork).where(is_old)).rowcount
