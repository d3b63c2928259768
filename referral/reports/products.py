"""One product as staff see it."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral.batches import Batch
from referral.catalog import Product
from referral.rollups import tallies

BATCHES_SHOWN = 10


@dataclass(frozen=True)
class BatchOf:
    """A batch in the list of its product."""

    id: int
    name: str
    size: int
    created_at: datetime


@dataclass(frozen=True)
class Usage:
    """What became of a product."""

    batches: int
    codes: int
    """How many codes its batches have."""
    claims: int
    newest: list[BatchOf]
    """The newest batches first, `BATCHES_SHOWN` at most."""


def usage(tx: Session, product: Product) -> Usage:
    of_product = Batch.product_id == product.id
    batches, codes = tx.execute(
        sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(Batch.size), 0)).where(of_product)
    ).one()
    claims = tallies.claims_by_product(tx, [product.id])[product.id]
    newest = tx.execute(
        sa.select(Batch.id, Batch.name, Batch.size, Batch.created_at)
        .where(of_product)
        .order_by(Batch.id.desc())
        .limit(BATCHES_SHOWN)
    )
    return Usage(batches, codes, claims, [BatchOf(*row) for row in newest])
