"""Misses: how many codes were tried that do not exist; where, and nothing about who.

They are gathered in memory, so that a wrong code costs no query: see `gathering`.
"""

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral.catalog import Product
from referral.clock import Clock
from referral.db import Base, Database, upsert
from referral.gathering import Gatherer, add_up, hour_of, pieces
from referral.places import REGION_LENGTH_MAX

KEPT_DAYS = 400
NONE = 0
"""Stands for no product and for no batch: a key can hold no NULL."""


class CodeMisses(Base):
    """How many wrong codes were tried in an hour and a region, at a product's address, near a
    batch."""

    __tablename__ = "code_misses"

    hour: Mapped[datetime] = mapped_column(primary_key=True)
    product_id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    """The product in the address; `NONE` for a code that was typed, and for an unknown product."""
    batch_id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    """The batch whose index the code came to, or `NONE`."""
    region: Mapped[str] = mapped_column(sa.String(REGION_LENGTH_MAX), primary_key=True)
    """Where it was tried, ISO 3166; empty where that is not known."""
    count: Mapped[int] = mapped_column(sa.BigInteger)

    __table_args__ = (sa.Index(None, "batch_id", "hour"),)


class _Place(NamedTuple):
    hour: datetime
    gtin: str
    batch_id: int
    region: str


class Misses(Gatherer[_Place]):
    """The misses of this process. Every thread may count."""

    name = "misses"

    def __init__(self, db: Database, clock: Clock) -> None:
        super().__init__(db)
        self._clock = clock
        self.on_miss: Callable[[], object] | None = None
        """Called for every miss: figures are kept elsewhere as well."""

    def count(self, gtin: str | None, near_batch: int | None, region: str | None = None) -> None:
        """Count a wrong code at the address of a product (GTIN-14), near a batch, in a region."""
        if self.on_miss is not None:
            self.on_miss()
        hour = hour_of(self._clock.now())
        self._count(_Place(hour, gtin or "", near_batch or NONE, region or ""))

    def _write(self, tx: Session, gathered: Counter[_Place]) -> None:
        product_ids = _product_ids(tx, {place.gtin for place in gathered if place.gtin})
        counts: Counter[tuple[datetime, int, int, str]] = Counter()
        for place, count in gathered.items():
            product_id = product_ids.get(place.gtin, NONE)
            counts[place.hour, product_id, place.batch_id, place.region] += count
        statement = upsert(tx, CodeMisses, add_up)
        # In one order everywhere, so that two processes do not wait for each other in a circle.
        for piece in pieces(sorted(counts.items())):
            rows = [
                {
                    "hour": hour,
                    "product_id": product_id,
                    "batch_id": batch_id,
                    "region": region,
                    "count": count,
                }
                for (hour, product_id, batch_id, region), count in piece
            ]
            tx.connection().execute(statement, rows)

    def _coarser(self, place: _Place) -> _Place:
        """Without its product and batch, so that there is one row an hour."""
        return _Place(place.hour, "", NONE, "")


def sweep(tx: Session, now: datetime) -> int:
    """Drop counts older than `KEPT_DAYS`. Returns how many rows."""
    is_old = CodeMisses.hour < now - timedelta(days=KEPT_DAYS)
    return tx.connection().execute(sa.delete(CodeMisses).where(is_old)).rowcount


def _product_ids(tx: Session, gtins: set[str]) -> dict[str, int]:
    columns = sa.select(Product.gtin, Product.id)
    return {
        gtin: product_id
        for piece in pieces(sorted(gtins))
        for gtin, product_id in tx.execute(columns.where(Product.gtin.in_(piece)))
    }
