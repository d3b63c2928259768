"""Sealing the ledger and the audit log: what was written is chained, by a pass that nobody who
writes waits for."""

from dataclasses import dataclass

from referral.audit import AuditEntry
from referral.audit import seals as audit_seals
from referral.db.settled import WRITERS_SECONDS, settled
from referral.deployment import Deployment
from referral.ledger import LedgerEntry, seals


@dataclass(frozen=True)
class Sealed:
    """What a pass sealed. `complete` is False when somebody has been posting for too long: the
    entries since are left to the next pass."""

    entries: int
    blocks: int
    complete: bool


def seal(deployment: Deployment, *, wait: float = WRITERS_SECONDS) -> Sealed:
    """Seal every entry of the ledger that is there; safe to run at any time, also twice at once.

    Each block is a transaction of its own. `wait` is how many seconds to wait for those who are
    posting at this moment.
    """
    upto = settled(deployment.db, LedgerEntry, wait)
    if upto is None:
        return Sealed(0, 0, complete=False)
    now = deployment.clock.now()
    entries = blocks = 0
    while done := deployment.db.transact(lambda tx: seals.seal_next(tx, upto, now)):
        entries, blocks = entries + done, blocks + 1
    return Sealed(entries, blocks, complete=True)


@dataclass(frozen=True)
class SealedLog:
    """What a pass sealed of the audit log; `complete` as of the ledger."""

    entries: int
    complete: bool


def seal_audit_log(deployment: Deployment, *, wait: float = WRITERS_SECONDS) -> SealedLog:
    """Seal every entry of the audit log that is there; as `seal`."""
    upto = settled(deployment.db, AuditEntry, wait)
    if upto is None:
        return SealedLog(0, complete=False)
    entries = 0
    while done := deployment.db.transact(lambda tx: audit_seals.seal_next(tx, upto)):
        entries += done
    return SealedLog(entries, complete=True)
