"""Codes that were flagged: which, what for, how often and where last."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral.batches import Batch
from referral.flags import CodeFlag
from referral.reports import lists
from referral.reports.lists import PAGE, Listed


@dataclass(frozen=True)
class FlagLine:
    batch_id: int
    batch_name: str
    index: int
    kind: str
    first_at: datetime
    last_at: datetime
    times: int
    region: str | None
    """Where it was last flagged."""


def flagged(
    tx: Session,
    *,
    batch_id: int | None = None,
    index: int | None = None,
    kind: str | None = None,
    offset: int = 0,
    limit: int = PAGE,
) -> Listed[FlagLine]:
    """Flags, the latest first; of a batch, a code of it or a kind where that is given."""
    wanted = {CodeFlag.batch_id: batch_id, CodeFlag.index: index, CodeFlag.kind: kind}
    rows = tx.execute(
        sa.select(
            CodeFlag.batch_id,
            Batch.name,
            CodeFlag.index,
            CodeFlag.kind,
            CodeFlag.first_at,
            CodeFlag.last_at,
            CodeFlag.times,
            CodeFlag.region,
        )
        .join(Batch, Batch.id == CodeFlag.batch_id)
        .where(*(column == value for column, value in wanted.items() if value is not None))
        .order_by(CodeFlag.last_at.desc(), CodeFlag.batch_id, CodeFlag.index, CodeFlag.kind)
        .offset(offset)
        .limit(limit + 1)
    )
    return lists.listed([FlagLine(*row) for row in rows], offset, limit)


def counts(
    tx: Session, *, batches: Sequence[int] | None = None, since: datetime | None = None
) -> Mapping[str, int]:
    """How many codes are flagged for each kind, the most first; of some batches, and flagged again
    `since` a moment, where that is given."""
    codes = sa.func.count().label("codes")
    statement = (
        sa.select(CodeFlag.kind, codes)
        .group_by(CodeFlag.kind)
        .order_by(codes.desc(), CodeFlag.kind)
    )
    if batches is not None:
        statement = statement.where(CodeFlag.batch_id.in_(batches))
    if since is not None:
        statement = statement.where(CodeFlag.last_at >= since)
    return {row.kind: row.codes for row in tx.execute(statement)}
