"""How many links led nowhere, and why."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral.dead_links import DeadLink
from referral.links import LinkFault


def counts(tx: Session, *, since: datetime) -> dict[LinkFault, int]:
    """By what they lacked, most first; those written so far, by whole hours."""
    times = sa.func.sum(DeadLink.count)
    statement = (
        sa.select(DeadLink.fault, times)
        .where(DeadLink.hour >= since)
        .group_by(DeadLink.fault)
        .order_by(times.desc(), DeadLink.fault)
    )
    return {LinkFault(fault): int(count) for fault, count in tx.execute(statement)}
