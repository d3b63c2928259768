"""The ledger's seals: blocks of entries, chained by SHA-256, so that a change of the past shows.

Sealing comes after posting and waits for nobody who posts; docs/adr/0015 says how no entry is left
out. Of every sealed entry and posting a hash is kept, so a broken one can be named; the hashes are
chained from entry to entry and from block to block. Whoever can write to the database can also make
the whole chain anew: that shows against a head that was exported and kept elsewhere.
"""

import hashlib
import json
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from pydantic import AwareDatetime, BaseModel, Field
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral.db import Base, RowId, lock
from referral.ledger.accounts import Account
from referral.ledger.entries import LedgerEntry, Posting

BLOCK_ENTRIES = 1000
"""How many entries a block has at most: what is read at once, also when the chain is checked."""
UNSEALED_MAX = timedelta(days=2)
"""How long an entry may wait for its seal before the operator is told."""
HASH_BYTES = 32
BEGINNING = bytes(HASH_BYTES)
"""What the first entry of the first block is chained to."""
BEFORE_ALL = -(2**63)
"""No id is lower: nothing is put before the first entry either."""
_PART = struct.Struct(f">q{HASH_BYTES}s")


class LedgerBlock(Base):
    """A block of sealed entries: those whose ids follow the block before, up to `last_entry`."""

    __tablename__ = "ledger_blocks"

    number: Mapped[int] = mapped_column(RowId, primary_key=True, autoincrement=False)
    """From 1, without a gap."""
    entries: Mapped[int] = mapped_column(sa.Integer)
    postings: Mapped[int] = mapped_column(sa.Integer)
    last_entry: Mapped[int] = mapped_column(RowId)
    at: Mapped[datetime]
    hash: Mapped[bytes]
    """Of the last entry's hash and of what this row says."""

    __table_args__ = (sa.CheckConstraint("number > 0", name="number_positive"),)


class LedgerSeal(Base):
    """The seal of one entry."""

    __tablename__ = "ledger_seals"

    entry_id: Mapped[int] = mapped_column(
        sa.ForeignKey("ledger_entries.id"), primary_key=True, autoincrement=False
    )
    block: Mapped[int] = mapped_column(sa.ForeignKey("ledger_blocks.number"), index=True)
    parts: Mapped[bytes]
    """The hash of the entry's own row, then each posting's id and hash, by id."""
    hash: Mapped[bytes]
    """Of the hash before, which is the last entry's or block's, and of `parts`."""


@dataclass(frozen=True)
class Head:
    """The end of the chain: what is to be kept elsewhere. Block 0 is an empty chain's."""

    block: int
    hash: str
    at: datetime | None
    entries: int
    """All that are sealed."""
    postings: int
    last_entry: int


class KeptHead(BaseModel):
    """A head that was exported, as far as it is compared."""

    block: int = Field(ge=0)
    hash: str = Field(pattern="^[0-9a-f]{64}$")
    entries: int = Field(ge=0)
    at: AwareDatetime | None = None


@dataclass(frozen=True)
class Fault:
    """Something that is not as it was sealed. What is not known is None."""

    words: str
    block: int | None = None
    entry: int | None = None
    posting: int | None = None


# Hashes


def _digest(*values: object) -> bytes:
    """The hash of some values, written as a JSON list without spaces in ASCII."""
    return hashlib.sha256(json.dumps(values, separators=(",", ":")).encode()).digest()


def _microseconds(at: datetime) -> int:
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _of_entry(entry: Any) -> bytes:
    return _digest("entry", entry.id, entry.key, entry.what, _microseconds(entry.at))


def _of_posting(posting: Any) -> bytes:
    return _digest(
        "posting",
        posting.id,
        posting.entry_id,
        posting.account_id,
        posting.kind,
        posting.owner,
        posting.unit,
        posting.amount,
    )


def _parts(entry: Any, postings: Iterable[Any]) -> bytes:
    packed = [_PART.pack(posting.id, _of_posting(posting)) for posting in postings]
    return _of_entry(entry) + b"".join(packed)


def _chained(before: bytes, parts: bytes) -> bytes:
    return hashlib.sha256(before + parts).digest()


def _of_block(last: bytes, block: Any) -> bytes:
    row = (block.number, block.entries, block.postings, block.last_entry, _microseconds(block.at))
    return _chained(last, _digest("block", *row))


# Reading


@dataclass(frozen=True)
class _Span:
    """Entries with their postings, by id; both in the order of their ids."""

    entries: Sequence[Any]
    postings: Mapping[int, list[Any]]


_ENTRIES = sa.select(LedgerEntry.id, LedgerEntry.key, LedgerEntry.what, LedgerEntry.at)
_POSTINGS = sa.select(
    Posting.id,
    Posting.entry_id,
    Posting.account_id,
    Posting.amount,
    Account.kind,
    Account.owner,
    Account.unit,
).outerjoin(Account, Account.id == Posting.account_id)


def _span(tx: Session, after: int, last: int, limit: int | None = None) -> _Span:
    """The entries with ids over `after` up to `last`."""
    found = _ENTRIES.where(LedgerEntry.id > after, LedgerEntry.id <= last)
    entries = tx.execute(found.order_by(LedgerEntry.id).limit(limit)).all()
    postings: dict[int, list[Any]] = {}
    if limit and len(entries) == limit:
        last = entries[-1].id
    of = _POSTINGS.where(Posting.entry_id > after, Posting.entry_id <= last)
    for posting in tx.execute(of.order_by(Posting.entry_id, Posting.id)):
        postings.setdefault(posting.entry_id, []).append(posting)
    return _Span(entries, postings)


_BLOCKS = sa.select(
    LedgerBlock.number,
    LedgerBlock.entries,
    LedgerBlock.postings,
    LedgerBlock.last_entry,
    LedgerBlock.at,
    LedgerBlock.hash,
)


def _blocks(tx: Session) -> Iterator[Any]:
    """All blocks in their order, few at a time."""
    number = 0
    following = _BLOCKS.order_by(LedgerBlock.number).limit(BLOCK_ENTRIES)
    while rows := tx.execute(following.where(LedgerBlock.number > number)).all():
        yield from rows
        number = rows[-1].number


def _last_block(tx: Session) -> Any:
    return tx.execute(_BLOCKS.order_by(LedgerBlock.number.desc()).limit(1)).one_or_none()


# Sealing


def seal_next(tx: Session, upto: int, now: datetime) -> int:
    """Seal one block of entries with ids up to `upto`, below which none is on its way any more.

    Returns how many entries; call until 0.
    """
    lock(tx, "ledger-seal")
    before = _last_block(tx)
    after = before.last_entry if before else BEFORE_ALL
    span = _span(tx, after, upto, BLOCK_ENTRIES)
    if not span.entries:
        return 0
    number = before.number + 1 if before else 1
    running = before.hash if before else BEGINNING
    seals = []
    for entry in span.entries:
        parts = _parts(entry, span.postings.get(entry.id, ()))
        running = _chained(running, parts)
        seals.append({"entry_id": entry.id, "block": number, "parts": parts, "hash": running})
    block = LedgerBlock(
        number=number,
        entries=len(seals),
        postings=sum(len(span.postings.get(entry.id, ())) for entry in span.entries),
        last_entry=span.entries[-1].id,
        at=now,
    )
    block.hash = _of_block(running, block)
    tx.add(block)
    tx.flush()
    tx.execute(sa.insert(LedgerSeal), seals)
    return len(seals)


def head(tx: Session) -> Head:
    last = _last_block(tx)
    if last is None:
        return Head(0, BEGINNING.hex(), None, 0, 0, 0)
    entries, postings = tx.execute(
        sa.select(sa.func.sum(LedgerBlock.entries), sa.func.sum(LedgerBlock.postings))
    ).one()
    return Head(last.number, last.hash.hex(), last.at, int(entries), int(postings), last.last_entry)


def as_document(found: Head) -> dict[str, Any]:
    """A head as it is exported."""
    return asdict(found)


def oldest_unsealed(tx: Session) -> datetime | None:
    """When the first entry was posted that has no seal yet; None when all have one."""
    last = _last_block(tx)
    after = last.last_entry if last else BEFORE_ALL
    following = sa.select(LedgerEntry.at).where(LedgerEntry.id > after)
    return tx.scalar(following.order_by(LedgerEntry.id).limit(1))


# Checking


def faults(tx: Session, kept: Iterable[KeptHead] = ()) -> Iterator[Fault]:
    """Everything that is not as it was sealed, in the order of the entries; then heads that do not
    fit. What is read at a time is one block, however long the chain is."""
    running = BEGINNING
    number = sealed = 0
    after = BEFORE_ALL
    wanted: dict[int, list[KeptHead]] = {}
    for each in kept:
        wanted.setdefault(each.block, []).append(each)
    unfit = _unfit(wanted.pop(0, []), BEGINNING, 0)
    for block in _blocks(tx):
        is_next = block.number == number + 1
        if not is_next:
            yield _gone(number + 1, block.number - 1)
        checked = _Checked(tx, block, running if is_next else None, after if is_next else None)
        yield from checked.faults()
        number, after, running = block.number, block.last_entry, block.hash
        sealed += block.entries
        unfit += _unfit(wanted.pop(number, []), block.hash, sealed)
    yield from unfit
    for missing in wanted:
        words = f"block {missing} of the exported head is gone: the chain ends at {number}"
        yield Fault(words, missing)


def _gone(first: int, last: int) -> Fault:
    which = f"block {first} is" if first == last else f"blocks {first} to {last} are"
    return Fault(f"{which} gone", first)


def _unfit(kept: Sequence[KeptHead], found: bytes, entries: int) -> list[Fault]:
    return [
        Fault(f"block {each.block} is not the one of the exported head", each.block)
        for each in kept
        if (each.hash, each.entries) != (found.hex(), entries)
    ]


class _Checked:
    """One block, compared with what is there now.

    `running` is the hash before it and `after` the last entry before it; None when that block is
    gone.
    """

    def __init__(self, tx: Session, block: Any, running: bytes | None, after: int | None) -> None:
        self._block = block
        self._running = running
        seals = sa.select(LedgerSeal.entry_id, LedgerSeal.parts, LedgerSeal.hash)
        of = seals.where(LedgerSeal.block == block.number).order_by(LedgerSeal.entry_id)
        self._seals = {seal.entry_id: seal for seal in tx.execute(of)}
        if after is None:
            after = min(self._seals, default=block.last_entry + 1) - 1
        self._after = after
        # Never more at once than a block has, also when it claims to reach over a million.
        limit = BLOCK_ENTRIES + len(self._seals)
        self._span = _span(tx, after, block.last_entry, limit)

    def faults(self) -> Iterator[Fault]:
        entries = {entry.id: entry for entry in self._span.entries}
        postings = 0
        for entry_id in sorted({*entries, *self._seals}):
            seal, entry = self._seals.get(entry_id), entries.get(entry_id)
            if seal is None:
                yield self._fault(f"entry {entry_id} was added behind the seal", entry_id)
                continue
            postings += (len(seal.parts) - HASH_BYTES) // _PART.size
            yield from self._chain(seal)
            there = self._span.postings.get(entry_id, [])
            if entry is None:
                yield self._fault(f"entry {entry_id} is gone", entry_id)
            elif _parts(entry, there) != seal.parts:
                yield from self._differences(entry, there, seal.parts)
        block = self._block
        is_whole = (len(self._seals), postings) == (block.entries, block.postings)
        last = self._running if self._running is not None else b""
        if not is_whole or _of_block(last, block) != block.hash:
            yield Fault(f"block {block.number} was changed", block.number)

    def _chain(self, seal: Any) -> Iterator[Fault]:
        if self._running is not None and _chained(self._running, seal.parts) != seal.hash:
            yield self._fault(f"the seal of entry {seal.entry_id} was changed", seal.entry_id)
        self._running = seal.hash

    def _differences(self, entry: Any, there: Sequence[Any], parts: bytes) -> Iterator[Fault]:
        if _of_entry(entry) != parts[:HASH_BYTES]:
            yield self._fault(f"entry {entry.id} was changed", entry.id)
        sealed = dict(_PART.iter_unpack(parts[HASH_BYTES:]))
        now = {posting.id: posting for posting in there}
        for posting_id in sorted({*sealed, *now}):
            posting = now.get(posting_id)
            if posting is None:
                words = f"posting {posting_id} of entry {entry.id} is gone"
            elif posting_id not in sealed:
                words = f"posting {posting_id} was added to entry {entry.id} behind the seal"
            elif _of_posting(posting) != sealed[posting_id]:
                words = (
                    f"posting {posting_id} of entry {entry.id} was changed: now it is "
                    f"{posting.amount:+} {posting.unit} on account {posting.account_id} "
                    f"({posting.kind} of {posting.owner})"
                )
            else:
                continue
            yield self._fault(words, entry.id, posting_id)

    def _fault(self, words: str, entry: int, posting: int | None = None) -> Fault:
        return Fault(words, self._block.number, entry, posting)
