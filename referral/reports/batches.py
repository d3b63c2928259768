"""Batches as the API shows them: with their product and the states of their codes."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral.batches import Batch, CodeRange, Span, UnknownBatch
from referral.catalog import Product


@dataclass(frozen=True)
class BatchReport:
    id: int
    gtin: str
    name: str
    size: int
    created_at: datetime
    ranges: list[Span]


def one(tx: Session, batch_id: int) -> BatchReport:
    """Raises `UnknownBatch`."""
    found = listed(tx, after=batch_id - 1, limit=1)
    if not found or found[0].id != batch_id:
        raise UnknownBatch()
    return found[0]


def listed(tx: Session, *, after: int, limit: int) -> list[BatchReport]:
    """The batches whose ids follow `after`, in their order."""
    rows = tx.execute(
        sa.select(Batch.id, Product.gtin, Batch.name, Batch.size, Batch.created_at)
        .join(Product, Product.id == Batch.product_id)
        .where(Batch.id > after)
        .order_by(Batch.id)
        .limit(limit)
    ).all()
    spans: dict[int, list[Span]] = defaultdict(list)
    for batch_id, start, end, state in tx.execute(
        sa.select(CodeRange.batch_id, CodeRange.start, CodeRange.end, CodeRange.state)
        .where(CodeRange.batch_id.in_([row.id for row in rows]))
        .order_by(CodeRange.batch_id, CodeRange.start)
    ):
        spans[batch_id].append(Span(start, end, state))
    return [BatchReport(*row, ranges=spans[row.id]) for row in rows]


def made_without(tx: Session, key_ids: Sequence[str]) -> list[int]:
    """The batches whose key is none of these: nobody could read or make their codes."""
    return list(tx.scalars(sa.select(Batch.id).where(Batch.key_id.not_in(key_ids))))
