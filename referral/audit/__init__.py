"""The audit log: who saw or decided what about money or people. Append-only, and sealed."""

from referral.audit.entries import (
    BY_LENGTH_MAX,
    COMMAND,
    STRANGER,
    AuditEntry,
    latest_of_subject,
    note,
    of_subject,
)
from referral.audit.seals import AuditSeal

__all__ = [
    "BY_LENGTH_MAX",
    "COMMAND",
    "STRANGER",
    "AuditEntry",
    "AuditSeal",
    "latest_of_subject",
    "note",
    "of_subject",
]
