"""What the audit log keeps: who saw or decided what."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral.db import Base, RowId

BY_LENGTH_MAX = 254
"""Of who decided something, here and in other tables: as long as an e-mail address may be."""
COMMAND = "command"
"""Who did what was done on the command line."""
STRANGER = "stranger"
"""Who did what somebody did of whom nothing is known."""


class AuditEntry(Base):
    """One decision. Nobody's personal data is in it: people are named by their numbers."""

    __tablename__ = "audit_entries"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    by: Mapped[str] = mapped_column(sa.String(BY_LENGTH_MAX), index=True)
    """Who: a staff member's e-mail address, or the name of an API key or command."""
    action: Mapped[str] = mapped_column(sa.String(40), index=True)
    subject: Mapped[str] = mapped_column(sa.String(80), index=True)
    """What it was about, e.g. ``campaign:3``."""
    details: Mapped[dict[str, Any]]
    at: Mapped[datetime] = mapped_column(index=True)


def note(
    tx: Session,
    *,
    by: str,
    action: str,
    subject: str,
    details: dict[str, Any] | None = None,
    now: datetime,
) -> None:
    """Keep a decision, in the transaction that carries it out."""
    tx.add(AuditEntry(by=by, action=action, subject=subject, details=details or {}, at=now))


def of_subject(tx: Session, subject: str) -> list[AuditEntry]:
    """What was decided about something, oldest first."""
    of = sa.select(AuditEntry).where(AuditEntry.subject == subject)
    return list(tx.scalars(of.order_by(AuditEntry.id)))


def latest_of_subject(tx: Session, subject: str, limit: int) -> list[AuditEntry]:
    """What was decided last about something, newest first."""
    of = sa.select(AuditEntry).where(AuditEntry.subject == subject)
    return list(tx.scalars(of.order_by(AuditEntry.id.desc()).limit(limit)))
