"""What was used up on the way into the console: challenges and sign-ins elsewhere, each good once.

Nothing is written down when somebody begins: what he began travels in his own browser, signed. It
is kept here when he is through, until it would have been too old anyway.
"""

import hashlib
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral.db import Base, insert_new


class Spent(Base):
    __tablename__ = "staff_spent"

    key: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    """The SHA-256 of what is random in it."""
    expires_at: Mapped[datetime] = mapped_column(index=True)


def spend(tx: Session, what: str, expires_at: datetime) -> bool:
    """Use something up. Returns whether this was the first time."""
    key = hashlib.sha256(what.encode()).hexdigest()
    return insert_new(tx, Spent, {"key": key, "expires_at": expires_at}) == 1


def sweep(tx: Session, now: datetime) -> int:
    """Forget what is too old to be used. Returns how much."""
    too_old = sa.delete(Spent).where(Spent.expires_at <= now)
    return tx.connection().execute(too_old).rowcount
