"""Flags: what was odd about a scan of a genuine code, for staff to look at.

A flag says nothing of the person: most have a harmless reason. It is one row for a code and a kind
of oddness, however often that happens.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral.db import Base, run, upsert
from referral.places import REGION_LENGTH_MAX


class Flag(StrEnum):
    other_market = "other_market"
    """Scanned where its range is not made for."""
    not_on_sale = "not_on_sale"
    """Scanned before it was activated or its sale began."""
    expired = "expired"
    """Scanned after its sale window or best-before date."""
    withdrawn = "withdrawn"
    """Scanned though voided or recalled."""
    labels_differ = "labels_differ"
    """The labels of one package belong to two."""


class CodeFlag(Base):
    """A code that was flagged."""

    __tablename__ = "code_flags"

    batch_id: Mapped[int] = mapped_column(sa.ForeignKey("batches.id"), primary_key=True)
    index: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True)
    kind: Mapped[str] = mapped_column(sa.String(16), primary_key=True)
    first_at: Mapped[datetime]
    last_at: Mapped[datetime] = mapped_column(index=True)
    times: Mapped[int] = mapped_column(sa.BigInteger)
    region: Mapped[str | None] = mapped_column(sa.String(REGION_LENGTH_MAX))
    """Where it was last flagged."""

    __table_args__ = (sa.Index(None, "batch_id", "last_at"),)


def raise_flags(
    tx: Session, batch_id: int, index: int, flags: Sequence[Flag], region: str | None, at: datetime
) -> None:
    """Note each of these of a code."""
    statement = upsert(tx, CodeFlag, _once_more)
    for flag in flags:
        row = {"batch_id": batch_id, "index": index, "kind": flag, "region": region}
        run(tx, statement, **row, first_at=at, last_at=at, times=1)


def _once_more(old: Any, new: Any) -> dict[str, Any]:
    # Scans may arrive out of order.
    is_earlier, is_older = new.first_at < old.first_at, new.last_at < old.last_at
    return {
        "times": old.times + 1,
        "first_at": sa.case((is_earlier, new.first_at), else_=old.first_at),
        "last_at": sa.case((is_older, old.last_at), else_=new.last_at),
        "region": sa.case((is_older, old.region), else_=new.region),
    }
