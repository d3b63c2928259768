"""Batches: codes of one product made together, and what state each range of their codes is in.

Issuing a batch adds one row whatever its size; its codes are computed. States are kept by
half-open index range, so a batch of ten million that is half activated has two range rows.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from threading import Lock
from time import monotonic

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral.catalog import Product
from referral.codes import INDEX_END
from referral.db import Base, Database, RowId, lock, run
from referral.errors import N_, Conflict, InvalidInput, NotFound

SIZE_MAX = 100_000_000
NAME_LENGTH_MAX = 120
REASON_LENGTH_MAX = 200
DIRECTORY_SECONDS_MAX = 2.0
"""How old the directory may be."""
LOOKS_PER_SECOND_MAX = 50
"""How often unknown codes may have it looked at again: that bounds what guessing costs."""


class RangeState(StrEnum):
    issued = "issued"
    activated = "activated"
    voided = "voided"


class Batch(Base):
    """Codes of one product made together. `first_index` is its place among all batches."""

    __tablename__ = "batches"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    product_id: Mapped[int] = mapped_column(sa.ForeignKey("products.id"), index=True)
    name: Mapped[str] = mapped_column(sa.String(NAME_LENGTH_MAX))
    size: Mapped[int] = mapped_column(sa.BigInteger)
    first_index: Mapped[int] = mapped_column(sa.BigInteger, unique=True)
    key_id: Mapped[str] = mapped_column(sa.String(8))
    created_by: Mapped[str] = mapped_column(sa.String(80))
    created_at: Mapped[datetime]

    __table_args__ = (sa.CheckConstraint("size > 0", name="size_positive"),)


class CodeRange(Base):
    """The state of the codes from `start` up to, not including, `end`. Ranges cover their batch."""

    __tablename__ = "code_ranges"

    batch_id: Mapped[int] = mapped_column(sa.ForeignKey("batches.id"), primary_key=True)
    start: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True)
    end: Mapped[int] = mapped_column(sa.BigInteger)
    state: Mapped[str] = mapped_column(sa.String(12))

    __table_args__ = (sa.CheckConstraint('"end" > start', name="not_empty"),)


class RangeChange(Base):
    """Who changed the state of which range, when and why. Only ever added to."""

    __tablename__ = "range_changes"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    batch_id: Mapped[int] = mapped_column(sa.ForeignKey("batches.id"), index=True)
    start: Mapped[int] = mapped_column(sa.BigInteger)
    end: Mapped[int] = mapped_column(sa.BigInteger)
    state: Mapped[str] = mapped_column(sa.String(12))
    reason: Mapped[str] = mapped_column(sa.String(REASON_LENGTH_MAX))
    by: Mapped[str] = mapped_column(sa.String(80))
    at: Mapped[datetime]


class UnknownBatch(NotFound):
    slug = "unknown-batch"
    title = N_("There is no such batch.")
    advice = N_("Choose one from the list of batches.")


class BadRange(InvalidInput):
    slug = "bad-range"
    title = N_("This range is not inside the batch.")
    advice = N_("Give a start below the end, both between 0 and the batch's size.")


class CodesExhausted(Conflict):
    slug = "codes-exhausted"
    title = N_("There are not that many codes left.")
    advice = N_("Make a smaller batch.")


@dataclass(frozen=True)
class Span:
    """A half-open range of indexes in one state."""

    start: int
    end: int
    state: str


def overlay(spans: Sequence[Span], new: Span) -> list[Span]:
    """`spans` with `new` laid over them, neighbours in the same state merged."""
    pieces = [new]
    for span in spans:
        pieces.append(Span(span.start, min(span.end, new.start), span.state))
        pieces.append(Span(max(span.start, new.end), span.end, span.state))
    merged: list[Span] = []
    for piece in sorted((p for p in pieces if p.start < p.end), key=lambda p: p.start):
        if merged and merged[-1].state == piece.state and merged[-1].end == piece.start:
            merged[-1] = Span(merged[-1].start, piece.end, piece.state)
        else:
            merged.append(piece)
    return merged


def add_batch(
    tx: Session, *, product: Product, name: str, size: int, key_id: str, by: str, now: datetime
) -> Batch:
    """Issue `size` codes. Raises `CodesExhausted`."""
    lock(tx, "batches")  # two batches made at once would begin at the same index
    end = tx.scalar(sa.select(sa.func.max(Batch.first_index + Batch.size))) or 0
    if end + size > INDEX_END:
        raise CodesExhausted()
    batch = Batch(
        product_id=product.id,
        name=name,
        size=size,
        first_index=end,
        key_id=key_id,
        created_by=by,
        created_at=now,
    )
    tx.add(batch)
    tx.flush()
    tx.add(CodeRange(batch_id=batch.id, start=0, end=size, state=RangeState.issued))
    _note(tx, batch, Span(0, size, RangeState.issued), reason="", by=by, now=now)
    return batch


def batch_by_id(tx: Session, batch_id: int, *, for_update: bool = False) -> Batch:
    """Raises `UnknownBatch`."""
    statement = sa.select(Batch).where(Batch.id == batch_id)
    batch = tx.scalar(statement.with_for_update() if for_update else statement)
    if batch is None:
        raise UnknownBatch()
    return batch


def set_state(
    tx: Session,
    batch_id: int,
    state: RangeState,
    *,
    start: int | None,
    end: int | None,
    reason: str,
    by: str,
    now: datetime,
) -> Batch:
    """Put a range (all of the batch by default) into a state. Raises `UnknownBatch`, `BadRange`."""
    batch = batch_by_id(tx, batch_id, for_update=True)
    new = Span(0 if start is None else start, batch.size if end is None else end, state)
    if not 0 <= new.start < new.end <= batch.size:
        raise BadRange(size=batch.size)
    spans = overlay(ranges(tx, batch_id), new)
    tx.execute(sa.delete(CodeRange).where(CodeRange.batch_id == batch_id))
    tx.execute(
        sa.insert(CodeRange),
        [{"batch_id": batch_id, "start": s.start, "end": s.end, "state": s.state} for s in spans],
    )
    _note(tx, batch, new, reason=reason, by=by, now=now)
    return batch


def ranges(tx: Session, batch_id: int) -> list[Span]:
    rows = tx.execute(
        sa.select(CodeRange.start, CodeRange.end, CodeRange.state)
        .where(CodeRange.batch_id == batch_id)
        .order_by(CodeRange.start)
    )
    return [Span(*row) for row in rows]


_STATE_OF = (
    sa.select(CodeRange.state)
    .where(CodeRange.batch_id == sa.bindparam("batch"), CodeRange.start <= sa.bindparam("place"))
    .order_by(CodeRange.start.desc())
    .limit(1)
)


def state_of(tx: Session, batch_id: int, index: int) -> RangeState:
    """The state of one code, as this transaction sees it."""
    state = run(tx, _STATE_OF, batch=batch_id, place=index).scalar()
    return RangeState(state or RangeState.issued)


def _note(tx: Session, batch: Batch, span: Span, *, reason: str, by: str, now: datetime) -> None:
    change = {"start": span.start, "end": span.end, "state": span.state}
    tx.execute(
        sa.insert(RangeChange).values(batch_id=batch.id, reason=reason, by=by, at=now, **change)
    )


@dataclass(frozen=True)
class Entry:
    """A batch as the directory keeps it: what does not change once it is issued."""

    id: int
    product_id: int
    gtin: str
    product_name: str
    price: int
    first_index: int
    size: int
    key_id: str


@dataclass(frozen=True)
class _Shelf:
    """The directory at one moment; replaced as a whole, so readers need no lock."""

    entries: tuple[Entry, ...] = ()
    firsts: tuple[int, ...] = ()
    by_id: Mapping[int, Entry] = field(default_factory=dict)


class BatchDirectory:
    """Every batch in memory, so that an unknown code costs no query."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._lock = Lock()
        self._read_at = float("-inf")
        self._shelf = _Shelf()
        self._look_second = self._looks = 0

    def find(self, global_index: int) -> Entry | None:
        shelf = self._fresh()
        at = bisect_right(shelf.firsts, global_index) - 1
        if at < 0:
            return None
        entry = shelf.entries[at]
        return entry if global_index < entry.first_index + entry.size else None

    def batch(self, batch_id: int) -> Entry:
        """Raises `UnknownBatch`."""
        entry = self._fresh().by_id.get(batch_id)
        if entry is None and self.look_again():
            entry = self._fresh().by_id.get(batch_id)
        if entry is None:
            raise UnknownBatch()
        return entry

    def forget(self) -> None:
        """Read again at the next look: this process has issued a batch."""
        self._read_at = float("-inf")

    def look_again(self) -> bool:
        """After a miss: whether another process has issued a batch in the meantime."""
        second = int(monotonic())
        if second != self._look_second:
            self._look_second, self._looks = second, 0
        self._looks += 1
        if self._looks > LOOKS_PER_SECOND_MAX:
            return False
        before = self._shelf
        self.forget()
        return self._fresh() is not before

    def _fresh(self) -> _Shelf:
        if monotonic() - self._read_at >= DIRECTORY_SECONDS_MAX:
            with self._lock:
                if monotonic() - self._read_at >= DIRECTORY_SECONDS_MAX:
                    self._shelf = self._read(self._shelf)
                    self._read_at = monotonic()
        return self._shelf

    def _read(self, known: _Shelf) -> _Shelf:
        """What the database has; `known` itself when no batch has been added to it."""
        columns = (Batch.id, Batch.product_id, Product.gtin, Product.name, Product.price)
        with self._db.read() as session:
            newest = session.scalar(sa.select(sa.func.max(Batch.id)))
            if newest is None or newest in known.by_id:
                return known
            rows = session.execute(
                sa.select(*columns, Batch.first_index, Batch.size, Batch.key_id)
                .join(Product, Product.id == Batch.product_id)
                .order_by(Batch.first_index)
            )
            entries = tuple(Entry(*row) for row in rows)
        return _Shelf(
            entries,
            tuple(entry.first_index for entry in entries),
            {entry.id: entry for entry in entries},
        )
