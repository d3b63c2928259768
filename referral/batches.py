"""Batches: codes of one product made together. A batch is one row, whatever its size."""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from threading import Lock
from time import monotonic
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral.catalog import Product
from referral.codes import INDEX_END
from referral.db import Base, Database, RowId, lock
from referral.errors import N_, Conflict, InvalidInput, NotFound, Unavailable

BY_LENGTH_MAX = 80
"""Of the beginning of who made a batch, a package or a range what it is: an e-mail address may be
longer."""
SIZE_MAX = 100_000_000
NAME_LENGTH_MAX = 120
DIRECTORY_SECONDS_MAX = 1.0
"""How old the directory may be."""
AWAY_SECONDS = 0.1
"""How long a database that was away is not asked for it again. It may be back any moment, and who
never read the directory can tell nothing of any code until then."""
LOOKS_PER_SECOND_MAX = 20
"""How often it may be read again before its time."""


class Batch(Base):
    """Codes of one product made together. `first_index` is its place among all batches."""

    __tablename__ = "batches"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    product_id: Mapped[int] = mapped_column(sa.ForeignKey("products.id"), index=True)
    name: Mapped[str] = mapped_column(sa.String(NAME_LENGTH_MAX))
    size: Mapped[int] = mapped_column(sa.BigInteger)
    first_index: Mapped[int] = mapped_column(sa.BigInteger, unique=True)
    key_id: Mapped[str] = mapped_column(sa.String(8))
    labels: Mapped[str] = mapped_column(sa.String(6))
    """What its packages carry: the product's choice when it was issued."""
    scheme: Mapped[str] = mapped_column(sa.String(5))
    """How the printed addresses begin, see `Scheme`."""
    created_by: Mapped[str] = mapped_column(sa.String(BY_LENGTH_MAX))
    """Who made it, as far as there is room: see `BY_LENGTH_MAX`."""
    created_at: Mapped[datetime]

    __table_args__ = (sa.CheckConstraint("size > 0", name="size_positive"),)


class Scheme(StrEnum):
    """The scheme of a printed address, as it is spelled.

    In capitals the whole address fits a smaller QR code; some phones do not open one like that.
    """

    small = "https"
    capitals = "HTTPS"


class UnknownBatch(NotFound):
    slug = "unknown-batch"
    title = N_("There is no such batch.")
    advice = N_("Choose one from the list of batches.")


class CodesExhausted(Conflict):
    slug = "codes-exhausted"
    title = N_("There are not that many codes left.")
    advice = N_("Make a smaller batch.")


class NoSuchLabel(InvalidInput):
    slug = "no-such-label"
    title = N_("The packages of this batch carry one label only.")
    advice = N_("Print the inner one.")


class LostBatchKey(Conflict):
    slug = "batch-key-lost"
    title = N_("The key this batch was made with is not here.")
    advice = N_("List it in REFERRAL_SECRET_KEYS again, before the newest.")


def add_batch(
    tx: Session,
    *,
    product: Product,
    name: str,
    size: int,
    scheme: Scheme,
    key_id: str,
    by: str,
    now: datetime,
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
        labels=product.labels,
        scheme=scheme,
        created_by=by[:BY_LENGTH_MAX],
        created_at=now,
    )
    tx.add(batch)
    tx.flush()
    return batch


def batch_by_id(tx: Session, batch_id: int, *, for_update: bool = False) -> Batch:
    """Raises `UnknownBatch`. One that is locked is claimed in by nobody meanwhile."""
    statement = sa.select(Batch).where(Batch.id == batch_id)
    batch = tx.scalar(statement.with_for_update() if for_update else statement)
    if batch is None:
        raise UnknownBatch()
    return batch


@dataclass(frozen=True)
class Entry:
    """A batch as the directory keeps it: what does not change once it is issued."""

    id: int
    product_id: int
    gtin: str
    product_name: str
    price: int
    currency: str
    first_index: int
    size: int
    key_id: str
    labels: str
    scheme: str


_ENTRIES: sa.Select[*tuple[Any, ...]] = (
    sa.select(
        Batch.id,
        Batch.product_id,
        Product.gtin,
        Product.name,
        Product.price,
        Product.currency,
        Batch.first_index,
        Batch.size,
        Batch.key_id,
        Batch.labels,
        Batch.scheme,
    )
    .join(Product, Product.id == Batch.product_id)
    .order_by(Batch.first_index)
)


@dataclass(frozen=True)
class _Shelf:
    """The directory at one moment; replaced as a whole, so readers need no lock."""

    entries: tuple[Entry, ...] = ()
    firsts: tuple[int, ...] = ()
    by_id: Mapping[int, Entry] = field(default_factory=dict)

    @property
    def end(self) -> int:
        """One past the last index that is issued."""
        return self.entries[-1].first_index + self.entries[-1].size if self.entries else 0


class BatchDirectory:
    """Every batch in memory, so that an unknown code costs no query.

    With the database away it goes on with what it had; where it never had anything, or where that
    may not be enough, it raises `Unavailable`.
    """

    def __init__(self, db: Database) -> None:
        self._db = db
        self._lock = Lock()
        self._read_at = float("-inf")
        self._shelf = _Shelf()
        self._was_read = self._is_away = False
        self._look_second = self._looks = 0

    def find(self, global_index: int) -> Entry | None:
        shelf = self._fresh()
        at = bisect_right(shelf.firsts, global_index) - 1
        if at < 0:
            return None
        entry = shelf.entries[at]
        return entry if global_index < entry.first_index + entry.size else None

    @property
    def end(self) -> int:
        """Where the next batch will begin."""
        return self._fresh().end

    def batch(self, batch_id: int) -> Entry:
        """Raises `UnknownBatch`."""
        entry = self._fresh().by_id.get(batch_id)
        if entry is None:
            self.look_again()
            entry = self._shelf.by_id.get(batch_id)
        if entry is None:
            raise UnknownBatch()
        return entry

    def forget(self) -> None:
        """Read again at the next look: this process has issued a batch."""
        with self._lock:  # what is being read at this moment may be older than that batch
            self._read_at = float("-inf")

    def look_again(self) -> None:
        """Read it before its time, so often a second: another process has issued a batch.

        Raises `Unavailable`.
        """
        second = int(monotonic())
        if second != self._look_second:
            self._look_second, self._looks = second, 0
        self._looks += 1
        if self._looks <= LOOKS_PER_SECOND_MAX and not self._is_away:
            self.forget()
        self._fresh()
        if self._is_away:
            raise Unavailable()

    def _fresh(self) -> _Shelf:
        # One thread at a time asks for a database that is away, which may take it seconds; the
        # others do not wait for that.
        if self._is_due() and self._lock.acquire(blocking=not self._is_away):
            try:
                if self._is_due():
                    self._read_again()
            finally:
                self._lock.release()
        if self._is_away and not self._was_read:
            raise Unavailable()
        return self._shelf

    def _is_due(self) -> bool:
        rest = AWAY_SECONDS if self._is_away else DIRECTORY_SECONDS_MAX
        return monotonic() - self._read_at >= rest

    def _read_again(self) -> None:
        try:
            self._shelf = self._read(self._shelf)
            self._was_read, self._is_away = True, False
        except Unavailable:
            self._is_away = True
        self._read_at = monotonic()

    def _read(self, known: _Shelf) -> _Shelf:
        """What the database has; `known` itself when no batch has been added to it."""
        with self._db.read() as session:
            newest = session.scalar(sa.select(sa.func.max(Batch.id)))
            if newest is None or newest in known.by_id:
                return known
            entries = tuple(Entry(*row) for row in session.execute(_ENTRIES))
        return _Shelf(
            entries,
            tuple(entry.first_index for entry in entries),
            {entry.id: entry for entry in entries},
        )
