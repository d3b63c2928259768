"""Shared devices: which customers signed in with the same browser.

A browser that belongs to a customer becomes another visitor when somebody else signs in on it, so
that two people are never one. That it happened is kept here.
"""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral.db import Base, insert_new

FIRST_MAX = LAST_MAX = 100
"""How many of those before, the first and the last, are kept with whoever signs in next: a phone
in a shop is used by everybody."""


class SharedDevice(Base):
    """Two customers who used one browser; a row for each of the two."""

    __tablename__ = "shared_devices"

    customer_id: Mapped[int] = mapped_column(sa.ForeignKey("customers.id"), primary_key=True)
    other_id: Mapped[int] = mapped_column(
        sa.ForeignKey("customers.id"), primary_key=True, index=True
    )
    first_at: Mapped[datetime]

    __table_args__ = (sa.CheckConstraint("customer_id <> other_id", name="two_customers"),)


def note_shared(tx: Session, customer: int, other: int, now: datetime) -> None:
    """Keep that a customer signed in on a browser that was another's, and those's before."""
    known = sa.select(SharedDevice.other_id).where(SharedDevice.customer_id == other)
    # By number, which is the order they came in: most have the same `first_at`.
    first = tx.scalars(known.order_by(SharedDevice.other_id).limit(FIRST_MAX)).all()
    last = tx.scalars(known.order_by(SharedDevice.other_id.desc()).limit(LAST_MAX)).all()
    before = {*first, *last}
    pairs = {
        pair
        for each in {other, *before} - {customer}
        for pair in ((customer, each), (each, customer))
    }
    rows = [{"customer_id": one, "other_id": two, "first_at": now} for one, two in sorted(pairs)]
    insert_new(tx, SharedDevice, rows)
