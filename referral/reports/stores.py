"""Stores and distributors, and how many codes went to each."""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral.ranges import CodeRange
from referral.reports import lists
from referral.reports.lists import PAGE, Listed
from referral.stores import Store


@dataclass(frozen=True)
class StoreLine:
    slug: str
    name: str
    kind: str
    region: str | None
    codes: int
    """How many codes are assigned to it."""
    batches: int
    """Of how many batches these are."""


def lines(tx: Session, *, offset: int = 0, limit: int = PAGE) -> Listed[StoreLine]:
    """By name."""
    rows = tx.scalars(
        sa.select(Store).order_by(Store.name, Store.id).offset(offset).limit(limit + 1)
    )
    page = lists.listed(rows.all(), offset, limit)
    return Listed(_lines(tx, page.rows), page.next)


def line(tx: Session, store: Store) -> StoreLine:
    return _lines(tx, [store])[0]


def _lines(tx: Session, found: Sequence[Store]) -> list[StoreLine]:
    counted = _assigned(tx, [store.id for store in found])
    return [StoreLine(s.slug, s.name, s.kind, s.region, *counted.get(s.id, (0, 0))) for s in found]


def _assigned(tx: Session, store_ids: list[int]) -> dict[int, tuple[int, int]]:
    codes = sa.func.sum(CodeRange.end - CodeRange.start)
    rows = tx.execute(
        sa.select(CodeRange.store_id, codes, sa.func.count(CodeRange.batch_id.distinct()))
        .where(CodeRange.store_id.in_(store_ids))
        .group_by(CodeRange.store_id)
    )
    return {store_id: (int(count), batches) for store_id, count, batches in rows if store_id}


def choices(tx: Session) -> Sequence[Store]:
    """Every store, by name."""
    return tx.scalars(sa.select(Store).order_by(Store.name, Store.id)).all()
