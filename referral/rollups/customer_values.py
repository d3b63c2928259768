"""What each customer is worth and how far she has come: a row a customer."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral.db import Base

NOWHERE = ""
"""The quadrant of whoever has not bought and brought nobody in."""


class CustomerValue(Base):
    """A customer's value and stage, as of `at`. There is none for who has gone into another."""

    __tablename__ = "customer_values"

    customer_id: Mapped[int] = mapped_column(
        sa.ForeignKey("customers.id"), primary_key=True, autoincrement=False
    )
    stage: Mapped[str] = mapped_column(sa.String(10))
    """A `Stage`."""
    quadrant: Mapped[str] = mapped_column(sa.String(10))
    """A `Quadrant`, or `NOWHERE`."""
    purchases: Mapped[int] = mapped_column(sa.Integer)
    """Claims, and orders of which something is left after refunds."""
    first_at: Mapped[datetime | None]
    """The first of them, and the last."""
    last_at: Mapped[datetime | None]
    scanned_at: Mapped[datetime | None]
    """When a code was last scanned that a browser of hers had not scanned before."""
    past: Mapped[int] = mapped_column(sa.BigInteger)
    """The three parts of her own value, and their sum: see `life.Worth`."""
    year: Mapped[int] = mapped_column(sa.BigInteger)
    potential: Mapped[int] = mapped_column(sa.BigInteger)
    own: Mapped[int] = mapped_column(sa.BigInteger)
    brought: Mapped[int] = mapped_column(sa.Integer)
    """How many customers she brought in."""
    referral: Mapped[int] = mapped_column(sa.BigInteger)
    """What those are worth, and what they would have cost in advertising."""
    at: Mapped[datetime]

    __table_args__ = (
        sa.Index(None, "own", "customer_id"),
        sa.Index(None, "quadrant", "own", "customer_id"),
    )


def value_of(tx: Session, customer_id: int) -> CustomerValue | None:
    return tx.get(CustomerValue, customer_id)


def quietly(statement: Any) -> Any:
    """A statement that changes rows. Nothing of the table is held by the session."""
    return statement.execution_options(synchronize_session=False)
