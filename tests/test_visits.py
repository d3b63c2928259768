"""Visits: stored once each, and how often a code was seen."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
import sqlalchemy as sa

from referral import visits
from referral.batches import Batch
from referral.codes import Code, Label
from referral.deployment import Deployment
from referral.links import Channel
from referral.visits import (
    Kind,
    Visit,
    VisitRow,
    engagement_id,
    new_event_id,
)
from tests.cast import add_product, issue

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


# Storing


def stored(deployment: Deployment) -> list[VisitRow]:
    with deployment.db.read() as tx:
        return list(tx.scalars(sa.select(VisitRow).order_by(VisitRow.id)))


def test_a_visit_is_stored_as_it_came(deployment: Deployment) -> None:
    visit = Visit(
        Kind.open,
        NOON,
        new_event_id(),
        visitor=2**62,
        campaign=7,
        parent=2**61,
        hop=3,
        channel=Channel.poster,
        batch=4,
        code_index=5,
        label=Label.outer,
        region="CN-GD",
        machine="head",
    )
    assert deployment.db.transact(lambda tx: visits.record(tx, [visit])) == {visit.event_id}
    [row] = stored(deployment)
    assert (row.kind, row.at, row.event_id) == ("open", NOON, visit.event_id)
    assert (row.visitor_id, row.campaign_id, row.parent_id, row.hop) == (2**62, 7, 2**61, 3)
    assert (row.channel, row.batch_id, row.code_index, row.machine) == ("poster", 4, 5, "head")
    assert (row.label, row.region) == ("outer", "CN-GD")


def test_a_visit_that_arrives_twice_is_stored_once(deployment: Deployment) -> None:
    first, second, third = (Visit(Kind.open, NOON, new_event_id(), n) for n in range(3))

    def work(*arriving: Visit) -> set[UUID]:
        return deployment.db.transact(lambda tx: visits.record(tx, arriving))

    assert work(first, second) == {first.event_id, second.event_id}
    assert work(second, third, third) == {third.event_id}
    assert work(first) == set()
    assert work() == set()
    assert {row.event_id for row in stored(deployment)} == {
        visit.event_id for visit in (first, second, third)
    }


def test_one_engagement_a_visitor_a_campaign_and_a_day() -> None:
    same = engagement_id(1, 7, NOON)
    assert engagement_id(1, 7, NOON + timedelta(hours=11)) == same
    others = {
        engagement_id(2, 7, NOON),
        engagement_id(1, 8, NOON),
        engagement_id(1, 7, NOON + timedelta(hours=12)),
        engagement_id(17, 7, NOON),
    }
    assert len(others | {same}) == 5


# Seen before


@pytest.fixture
def batch(deployment: Deployment) -> Batch:
    add_product(deployment)
    return issue(deployment)


def scan(deployment: Deployment, batch: Batch, visitor: int, at: datetime, index: int = 5) -> None:
    visit = Visit(
        Kind.scan,
        at,
        new_event_id(),
        visitor=visitor,
        batch=batch.id,
        code_index=index,
        label=Label.inner,
    )
    deployment.db.transact(lambda tx: visits.remember_scans(tx, [visit]))


def seen(deployment: Deployment, batch: Batch, visitor: int | None) -> tuple[int, datetime | None]:
    with deployment.db.read() as tx:
        found = visits.seen(tx, Code(batch.id, 5, "0" * 16), visitor)
    return found.others, found.first_at


def test_a_code_nobody_scanned_was_not_seen(deployment: Deployment, batch: Batch) -> None:
    assert seen(deployment, batch, 1) == (0, None)


def test_other_devices_are_counted_once_each_from_their_first_scan(
    deployment: Deployment, batch: Batch
) -> None:
    for minute, visitor in enumerate([1, 2, 2, 3, 1]):
        scan(deployment, batch, visitor, NOON + timedelta(minutes=minute))
    scan(deployment, batch, 9, NOON - timedelta(days=1), index=6)
    assert seen(deployment, batch, 1) == (2, NOON)
    assert seen(deployment, batch, 2) == (2, NOON)
    assert seen(deployment, batch, None) == (3, NOON)
    assert seen(deployment, batch, 77) == (3, NOON)
