"""Batches with their product, the states of their codes, and what was done to them."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral import (
    ranges,
)
from referral.batches import Batch, UnknownBatch
from referral.catalog import Product
from referral.ranges import CodeRange, RangeChange, RangeState, Span
from referral.reports import lists
from referral.reports.lists import PAGE, Listed
from referral.rollups import tallies

LOTS_TOLD = 5
"""How many different lots of a batch are named."""


@dataclass(frozen=True)
class BatchFacts:
    """What does not change about a batch once it is issued."""

    id: int
    gtin: str
    product_name: str
    name: str
    size: int
    labels: str
    scheme: str
    created_by: str
    created_at: datetime


_FACTS = sa.select(
    Batch.id,
    Product.gtin,
    Product.name.label("product_name"),
    Batch.name,
    Batch.size,
    Batch.labels,
    Batch.scheme,
    Batch.created_by,
    Batch.created_at,
).join(Product, Product.id == Batch.product_id)


@dataclass(frozen=True)
class BatchReport(BatchFacts):
    """A batch with its ranges in order: all of them, or as many as were asked for."""

    ranges: list[Span]


def one(tx: Session, batch_id: int, *, ranges_max: int | None = None) -> BatchReport:
    """Raises `UnknownBatch`."""
    found = listed(tx, after=batch_id - 1, limit=1, ranges_max=ranges_max)
    if not found or found[0].id != batch_id:
        raise UnknownBatch()
    return found[0]


def listed(
    tx: Session, *, after: int, limit: int, ranges_max: int | None = None
) -> list[BatchReport]:
    """The batches whose ids follow `after`, in their order, each with its first ranges."""
    rows = tx.execute(_FACTS.where(Batch.id > after).order_by(Batch.id).limit(limit)).all()
    # One query a batch, out of the key's index: numbering them all in one would read every range
    # there is, and voiding codes one by one makes hundreds of thousands.
    return [BatchReport(*row, ranges=_spans(tx, row.id, limit=ranges_max)) for row in rows]


@dataclass(frozen=True)
class BatchLine(BatchFacts):
    """A batch with what its codes come to."""

    codes: Mapping[str, int]
    """How many codes are in each state; one that none is in may be missing."""
    claims: int

    def in_state(self, state: str) -> int:
        return self.codes.get(state, 0)

    @property
    def activated(self) -> int:
        return self.in_state(RangeState.activated)

    @property
    def withdrawn(self) -> int:
        return self.in_state(RangeState.voided) + self.in_state(RangeState.recalled)


def lines(
    tx: Session, *, product_id: int | None = None, offset: int = 0, limit: int = PAGE
) -> Listed[BatchLine]:
    """Newest first; of one product where that is given."""
    newest = _FACTS.order_by(Batch.id.desc()).offset(offset).limit(limit + 1)
    if product_id is not None:
        newest = newest.where(Batch.product_id == product_id)
    rows = tx.execute(newest)
    page = lists.listed([BatchFacts(*row) for row in rows], offset, limit)
    return Listed(_lines(tx, page.rows), page.next)


def newest_of(tx: Session, product_id: int, limit: int) -> list[BatchFacts]:
    """The newest batches of a product."""
    rows = tx.execute(
        _FACTS.where(Batch.product_id == product_id).order_by(Batch.id.desc()).limit(limit)
    )
    return [BatchFacts(*row) for row in rows]


def line(tx: Session, batch_id: int) -> BatchLine:
    """Raises `UnknownBatch`."""
    row = tx.execute(_FACTS.where(Batch.id == batch_id)).one_or_none()
    if row is None:
        raise UnknownBatch()
    return _lines(tx, [BatchFacts(*row)])[0]


def _lines(tx: Session, batches: Sequence[BatchFacts]) -> list[BatchLine]:
    ids = [batch.id for batch in batches]
    codes: dict[int, dict[str, int]] = defaultdict(dict)
    for batch_id, state, count in tx.execute(
        sa.select(CodeRange.batch_id, CodeRange.state, sa.func.sum(CodeRange.end - CodeRange.start))
        .where(CodeRange.batch_id.in_(ids))
        .group_by(CodeRange.batch_id, CodeRange.state)
    ):
        codes[batch_id][state] = int(count)
    claims = tallies.claims_by_batch(tx, ids)
    return [
        BatchLine(**vars(batch), codes=codes[batch.id], claims=claims[batch.id])
        for batch in batches
    ]


def spans(tx: Session, batch_id: int, *, offset: int = 0, limit: int = PAGE) -> Listed[Span]:
    """The ranges of a batch in order, a page of them: voiding codes one by one makes many."""
    return lists.listed(_spans(tx, batch_id, offset=offset, limit=limit + 1), offset, limit)


def _spans(tx: Session, batch_id: int, *, offset: int = 0, limit: int | None) -> list[Span]:
    rows = tx.execute(
        sa.select(*ranges.COLUMNS)
        .where(CodeRange.batch_id == batch_id)
        .order_by(CodeRange.start)
        .offset(offset)
        .limit(limit)
    )
    return [ranges.span_of(row) for row in rows]


def waiting(tx: Session, batch_id: int) -> tuple[int, int] | None:
    """The first range of a batch that is not on sale yet: what is activated next."""
    states = (RangeState.issued, RangeState.printed)
    found = tx.execute(
        sa.select(CodeRange.start, CodeRange.end)
        .where(CodeRange.batch_id == batch_id, CodeRange.state.in_(states))
        .order_by(CodeRange.start)
        .limit(1)
    ).one_or_none()
    return (found.start, found.end) if found else None


def in_state(tx: Session, batch_id: int, state: str, start: int, end: int) -> int:
    """How many codes of a range are in a state."""
    inside = (
        CodeRange.batch_id == batch_id,
        CodeRange.state == state,
        CodeRange.start < end,
        CodeRange.end > start,
    )
    rows = tx.execute(sa.select(CodeRange.start, CodeRange.end).where(*inside))
    return sum(min(row.end, end) - max(row.start, start) for row in rows)


def lots(tx: Session, batch_id: int) -> list[str]:
    """The lots that codes of a batch are of; at most `LOTS_TOLD`."""
    statement = (
        sa.select(CodeRange.lot)
        .distinct()
        .where(CodeRange.batch_id == batch_id, CodeRange.lot.is_not(None))
    )
    found = tx.scalars(statement.order_by(CodeRange.lot).limit(LOTS_TOLD))
    return [lot for lot in found if lot]


def changes(
    tx: Session, batch_id: int, *, offset: int = 0, limit: int = PAGE
) -> Listed[RangeChange]:
    """What was done to a batch's ranges, newest first."""
    rows = tx.scalars(
        sa.select(RangeChange)
        .where(RangeChange.batch_id == batch_id)
        .order_by(RangeChange.id.desc())
        .offset(offset)
        .limit(limit + 1)
    )
    return lists.listed(rows.all(), offset, limit)


def made_without(tx: Session, key_ids: Sequence[str]) -> list[int]:
    """The batches whose key is none of these: nobody could read or make their codes."""
    return list(tx.scalars(sa.select(Batch.id).where(Batch.key_id.not_in(key_ids))))
