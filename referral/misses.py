"""Misses: how many codes were tried that do not exist; where, and nothing about who.

They are gathered in memory and written by a thread of their own, a few rows every few seconds, so
that a wrong code costs no query. What a process has gathered and not yet written is lost when it
is killed.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from multiprocessing.util import Finalize
from threading import Lock, Thread
from time import sleep
from typing import Any, NamedTuple, TypeVar
from weakref import WeakSet, ref

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral.catalog import Product
from referral.clock import Clock
from referral.db import Base, Database, upsert
from referral.errors import Problem
from referral.places import REGION_LENGTH_MAX

WRITE_SECONDS = 5.0
"""How long misses are gathered before they are written."""
KEPT_DAYS = 400
PLACES_MAX = 20_000
"""How many different rows are gathered; further misses are counted without their product and
batch, in one row an hour."""
ROWS_A_STATEMENT = 500
NONE = 0
"""Stands for no product and for no batch: a key can hold no NULL."""
WORST = (Problem, SQLAlchemyError)
"""What writing may fail with: the misses are kept, and written the next time."""


T = TypeVar("T")


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


class Misses:
    """The misses of this process. Every thread may count."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self.on_miss: Callable[[], object] | None = None
        """Called for every miss: figures are kept elsewhere as well."""
        self._begin_anew()
        _ALL.add(self)

    def _begin_anew(self) -> None:
        self._lock, self._writing = Lock(), Lock()
        self._gathered: Counter[_Place] = Counter()
        self._has_writer = False

    def count(self, gtin: str | None, near_batch: int | None, region: str | None = None) -> None:
        """Count a wrong code at the address of a product (GTIN-14), near a batch, in a region."""
        if self.on_miss is not None:
            self.on_miss()
        hour = hour_of(self._clock.now())
        with self._lock:
            self._add(_Place(hour, gtin or "", near_batch or NONE, region or ""), 1)
            starts, self._has_writer = not self._has_writer, True
        if starts:
            # Here and not at the start: only now it is known which process counts.
            weak = ref(self)
            Thread(target=_write_now_and_then, args=(weak,), name="misses", daemon=True).start()
            # Processes of `multiprocessing`, as a server's workers are, know no atexit.
            Finalize(None, _write_at_exit, args=(weak,), exitpriority=1)

    def flush(self) -> int:
        """Write what has been counted; returns how many misses. Raises what the database raises,
        and keeps them then."""
        with self._writing:
            with self._lock:
                gathered, self._gathered = self._gathered, Counter()
            try:
                if gathered:
                    self._db.transact(lambda tx: _write(tx, gathered))
            except BaseException:
                with self._lock:
                    for place, count in gathered.items():
                        self._add(place, count)
                raise
        return gathered.total()

    def _add(self, place: _Place, count: int) -> None:
        if len(self._gathered) >= PLACES_MAX and place not in self._gathered:
            place = _Place(place.hour, "", NONE, "")
        self._gathered[place] += count


_ALL: WeakSet[Misses] = WeakSet()


def _after_fork() -> None:
    """A forked process has no writer, and what was gathered before is its parent's to write."""
    for each in _ALL:
        each._begin_anew()


os.register_at_fork(after_in_child=_after_fork)


def _write_now_and_then(misses: "ref[Misses]") -> None:
    """Until nobody uses them any more, which is why only a weak reference is held meanwhile."""
    while True:
        sleep(WRITE_SECONDS)
        found = misses()
        if found is None:
            return
        with suppress(*WORST):
            found.flush()
        del found


def _write_at_exit(misses: "ref[Misses]") -> None:
    found = misses()
    if found is not None:
        with suppress(*WORST):
            found.flush()


def hour_of(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def sweep(tx: Session, now: datetime) -> int:
    """Drop counts older than `KEPT_DAYS`. Returns how many rows."""
    is_old = CodeMisses.hour < now - timedelta(days=KEPT_DAYS)
    return tx.connection().execute(sa.delete(CodeMisses).where(is_old)).rowcount


def _write(tx: Session, gathered: Counter[_Place]) -> None:
    product_ids = _product_ids(tx, {place.gtin for place in gathered if place.gtin})
    counts: Counter[tuple[datetime, int, int, str]] = Counter()
    for place, count in gathered.items():
        product_id = product_ids.get(place.gtin, NONE)
        counts[place.hour, product_id, place.batch_id, place.region] += count
    statement = upsert(tx, CodeMisses, _add_up)
    # In one order everywhere, so that two processes do not wait for each other in a circle.
    for piece in _pieces(sorted(counts.items())):
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


def _product_ids(tx: Session, gtins: set[str]) -> dict[str, int]:
    columns = sa.select(Product.gtin, Product.id)
    return {
        gtin: product_id
        for piece in _pieces(sorted(gtins))
        for gtin, product_id in tx.execute(columns.where(Product.gtin.in_(piece)))
    }


def _pieces(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), ROWS_A_STATEMENT):
        yield items[start : start + ROWS_A_STATEMENT]


def _add_up(old: Any, new: Any) -> dict[str, Any]:
    return {"count": old["count"] + new["count"]}
