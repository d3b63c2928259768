"""Visits of several months."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa

from referral import visits
from referral.deployment import Deployment
from referral.links import Channel
from referral.visits import Kind, Visit, VisitRow, months, new_event_id


def opening(at: datetime, visitor: int = 2, **more: Any) -> Visit:
    its = {"campaign": 7, "parent": 1, "hop": 1, "channel": Channel.wechat, **more}
    return Visit(its.pop("kind", Kind.open), at, new_event_id(at), visitor, **its)


def store(d: Deployment, *arriving: Visit) -> None:
    d.db.transact(lambda tx: visits.record(tx, arriving))


def moments(d: Deployment) -> list[datetime]:
    """Of the visits that are stored."""
    with d.db.read() as tx:
        return list(tx.scalars(sa.select(VisitRow.at).order_by(VisitRow.at)))


@contextmanager
def without_months(d: Deployment) -> Iterator[Deployment]:
    """Let every visit lie in the rest, whatever tests before this one have made; afterwards there
    are the tables that were there: tests on PostgreSQL share them."""
    there = _months(d)
    for month in there:
        d.db.transact(partial(months.drop, month=month))
    yield d
    for month in _months(d):
        d.db.transact(partial(months.drop, month=month))
    for month in there:
        d.db.transact(partial(months.make, month=month))


def _months(d: Deployment) -> list[datetime]:
    with d.db.read() as tx:
        return months.before(tx, datetime.max.replace(tzinfo=UTC))


def tables(d: Deployment) -> dict[str, int]:
    """How many visits are in which table, on PostgreSQL: those of months, and the rest."""
    with d.db.read() as tx:
        names: Sequence[str] = tx.scalars(months._TABLES).all()
        return {
            name.removeprefix("visits_"): tx.scalar(sa.text(f"SELECT count(*) FROM {name}")) or 0
            for name in sorted(names)
        }


@pytest.fixture
def monthless(deployment: Deployment) -> Iterator[Deployment]:
    """A deployment on PostgreSQL in which no month has a table."""
    with without_months(deployment):
        assert tables(deployment) == {"rest": 0}
        yield deployment
