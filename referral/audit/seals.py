"""The audit log's seals: every entry chained to the one before by SHA-256, so that a change of the
past shows.

Sealing comes after writing and waits for nobody who writes, as with the ledger (docs/adr/0015).
Whoever can write to the database can also make the whole chain anew, or cut off its end: that shows
against a head that was exported and kept elsewhere.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from pydantic import BaseModel, Field
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral.audit.entries import AuditEntry
from referral.db import Base, lock

AT_ONCE = 1000
"""How many entries are sealed in one transaction, and read at once when the chain is checked."""
UNSEALED_MAX = timedelta(days=2)
"""How long an entry may wait for its seal before the operator is told."""
HASH_BYTES = 32
BEGINNING = bytes(HASH_BYTES)
"""What the first entry is chained to."""


class AuditSeal(Base):
    """The seal of one entry."""

    __tablename__ = "audit_seals"

    entry_id: Mapped[int] = mapped_column(
        sa.ForeignKey("audit_entries.id"), primary_key=True, autoincrement=False
    )
    row: Mapped[bytes]
    """The hash of the entry itself, so that a broken one can be named."""
    hash: Mapped[bytes]
    """Of the hash before and of `row`."""


@dataclass(frozen=True)
class Head:
    """The end of the chain: what is to be kept elsewhere. Entry 0 is an empty chain's."""

    entry: int
    hash: str
    entries: int
    """All that are sealed."""


class KeptHead(BaseModel):
    """A head that was exported."""

    entry: int = Field(ge=0)
    hash: str = Field(pattern="^[0-9a-f]{64}$")
    entries: int = Field(ge=0)


@dataclass(frozen=True)
class Fault:
    """Something that is not as it was sealed."""

    words: str
    entry: int


def hash_of(entry: Any) -> bytes:
    """The hash of what an entry says: as a JSON list in ASCII without spaces, keys in order, the
    time in microseconds since 1970."""
    at = (entry.at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    said = ["audit", entry.id, entry.by, entry.action, entry.subject, entry.details, at]
    return hashlib.sha256(json.dumps(said, separators=(",", ":"), sort_keys=True).encode()).digest()


def _chained(before: bytes, row: bytes) -> bytes:
    return hashlib.sha256(before + row).digest()


_ENTRIES = sa.select(
    AuditEntry.id,
    AuditEntry.by,
    AuditEntry.action,
    AuditEntry.subject,
    AuditEntry.details,
    AuditEntry.at,
)
_SEALS = sa.select(AuditSeal.entry_id, AuditSeal.row, AuditSeal.hash)


def _last(tx: Session) -> Any:
    return tx.execute(_SEALS.order_by(AuditSeal.entry_id.desc()).limit(1)).one_or_none()


def seal_next(tx: Session, upto: int) -> int:
    """Seal some entries with ids up to `upto`, below which none is on its way any more.

    Returns how many; call until 0.
    """
    lock(tx, "audit-seal")
    before = _last(tx)
    after, running = (before.entry_id, before.hash) if before else (0, BEGINNING)
    following = _ENTRIES.where(AuditEntry.id > after, AuditEntry.id <= upto)
    seals = []
    for entry in tx.execute(following.order_by(AuditEntry.id).limit(AT_ONCE)):
        row = hash_of(entry)
        running = _chained(running, row)
        seals.append({"entry_id": entry.id, "row": row, "hash": running})
    if seals:
        tx.execute(sa.insert(AuditSeal), seals)
    return len(seals)


def head(tx: Session) -> Head:
    last = _last(tx)
    if last is None:
        return Head(0, BEGINNING.hex(), 0)
    entries = tx.scalar(sa.select(sa.func.count()).select_from(AuditSeal)) or 0
    return Head(last.entry_id, last.hash.hex(), entries)


def as_document(found: Head) -> dict[str, Any]:
    """A head as it is exported."""
    return asdict(found)


def sealed_upto(tx: Session) -> int:
    """The id of the newest entry that is sealed; 0 for none."""
    return tx.scalar(sa.select(sa.func.max(AuditSeal.entry_id))) or 0


def oldest_unsealed(tx: Session) -> datetime | None:
    """When the first entry was written that has no seal yet; None when all have one."""
    following = sa.select(AuditEntry.at).where(AuditEntry.id > sealed_upto(tx))
    return tx.scalar(following.order_by(AuditEntry.id).limit(1))


def faults(tx: Session, kept: Iterable[KeptHead] = ()) -> Iterator[Fault]:
    """Everything that is not as it was sealed, in the order of the entries; then heads that do not
    fit. Read some at a time, however long the chain is."""
    wanted: dict[int, list[KeptHead]] = {}
    for each in kept:
        wanted.setdefault(each.entry, []).append(each)
    unfit = _unfit(wanted.pop(0, []), BEGINNING, 0)
    running, sealed = BEGINNING, 0
    for entry_id, seal, entry in _pairs(tx):
        if seal is None:
            yield Fault(f"entry {entry_id} was added behind the seal", entry_id)
            continue
        sealed += 1
        if _chained(running, seal.row) != seal.hash:
            yield Fault(f"entry {entry_id} does not follow the one before it", entry_id)
        running = seal.hash
        if entry is None:
            yield Fault(f"entry {entry_id} is gone", entry_id)
        elif hash_of(entry) != seal.row:
            yield Fault(f"entry {entry_id} was changed", entry_id)
        unfit += _unfit(wanted.pop(entry_id, []), seal.hash, sealed)
    yield from unfit
    for missing in wanted:
        yield Fault(f"entry {missing} of the exported head has no seal", missing)


def _pairs(tx: Session) -> Iterator[tuple[int, Any, Any]]:
    """Seals and entries by id, up to the last seal, each None where only the other is there."""
    after, upto = 0, sealed_upto(tx)
    while after < upto:
        of_seals = _SEALS.where(AuditSeal.entry_id > after).order_by(AuditSeal.entry_id)
        seals = {seal.entry_id: seal for seal in tx.execute(of_seals.limit(AT_ONCE))}
        last = max(seals)
        of_entries = _ENTRIES.where(AuditEntry.id > after, AuditEntry.id <= last)
        entries = {entry.id: entry for entry in tx.execute(of_entries)}
        for entry_id in sorted({*seals, *entries}):
            yield entry_id, seals.get(entry_id), entries.get(entry_id)
        after = last


def _unfit(kept: Iterable[KeptHead], found: bytes, entries: int) -> list[Fault]:
    return [
        Fault(f"entry {each.entry} is not the one of the exported head", each.entry)
        for each in kept
        if (each.hash, each.entries) != (found.hex(), entries)
    ]
