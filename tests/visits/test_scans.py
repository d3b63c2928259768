"""How often a code was seen, and by how many devices."""

from datetime import UTC, datetime, timedelta

import pytest

from referral import visits
from referral.batches import Batch
from referral.codes import Code, Label
from referral.deployment import Deployment
from referral.visits import Kind, Visit, new_event_id
from tests.cast import add_product, issue

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


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
