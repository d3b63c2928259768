"""Links that led nowhere: counted by why and where, beside the requests."""

from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from referral import gathering
from referral.clock import HeldClock
from referral.dead_links import KEPT_DAYS, DeadLink, DeadLinks, sweep
from referral.deployment import Deployment
from referral.links import LinkFault
from tests.races import overtaken

HOUR = datetime(2026, 3, 2, 9, tzinfo=UTC)
Row = tuple[datetime, str, str, int]


def rows(deployment: Deployment) -> list[Row]:
    columns = (DeadLink.hour, DeadLink.fault, DeadLink.region, DeadLink.count)
    with deployment.db.read() as tx:
        found = tx.execute(sa.select(*columns).order_by(*columns[:3]))
        return [(row.hour, row.fault, row.region, row[3]) for row in found]


def test_they_are_counted_by_hour_fault_and_region(
    deployment: Deployment, clock: HeldClock
) -> None:
    dead = deployment.dead_links
    for fault, region in (
        (LinkFault.cut, "CN-GD"),
        (LinkFault.cut, "CN-GD"),
        (LinkFault.cut, None),
        (LinkFault.foreign, None),
    ):
        dead.count(fault, region)
    assert rows(deployment) == [], "nothing is written in the request"
    assert dead.flush() == 4
    clock.advance(minutes=30)
    dead.count(LinkFault.cut)
    dead.flush()
    dead.count(LinkFault.cut)
    dead.flush()
    assert rows(deployment) == [
        (HOUR, "cut", "", 1),
        (HOUR, "cut", "CN-GD", 2),
        (HOUR, "foreign", "", 1),
        (HOUR.replace(hour=10), "cut", "", 2),
    ]


def test_two_processes_add_up(deployment: Deployment) -> None:
    other = DeadLinks(deployment.db, deployment.clock)
    for fault in LinkFault:
        deployment.dead_links.count(fault)
    for fault in reversed(LinkFault):
        other.count(fault)
    outcome = overtaken(
        deployment.db,
        lambda tx: other._write(tx, other._gathered),
        deployment.dead_links.flush,
    )
    assert outcome == (None, 5)
    assert [row[-1] for row in rows(deployment)] == [2] * 5


def test_memory_is_bounded(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "PLACES_MAX", 3)
    for number in range(10):
        deployment.dead_links.count(LinkFault.cut, f"C{number}")
    assert len(deployment.dead_links._gathered) == 4
    deployment.dead_links.flush()
    assert sum(row[-1] for row in rows(deployment)) == 10
    assert (HOUR, "cut", "", 7) in rows(deployment)


def test_old_ones_are_swept(deployment: Deployment, clock: HeldClock) -> None:
    deployment.dead_links.count(LinkFault.altered)
    deployment.dead_links.flush()
    clock.advance(days=KEPT_DAYS)
    deployment.dead_links.count(LinkFault.altered)
    deployment.dead_links.flush()
    swept = [deployment.db.transact(lambda tx: sweep(tx, clock.now())) for _ in range(2)]
    assert swept == [1, 0]
