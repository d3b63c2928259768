"""Visits: stored once each, as they came."""

from datetime import UTC, datetime
from uuid import UUID

import sqlalchemy as sa

from referral import visits
from referral.codes import Label
from referral.deployment import Deployment
from referral.links import Channel
from referral.visits import Kind, Visit, VisitRow, new_event_id
from referral.visits.rows import COPIED_FROM

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def stored(deployment: Deployment) -> list[VisitRow]:
    with deployment.db.read() as tx:
        return list(tx.scalars(sa.select(VisitRow).order_by(VisitRow.at)))


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


def test_many_visits_are_stored_once_each_however_they_come(deployment: Deployment) -> None:
    many = [Visit(Kind.open, NOON, new_event_id(NOON), n) for n in range(2 * COPIED_FROM)]
    early, late = many[:COPIED_FROM], many[COPIED_FROM - 1 :]

    def work(arriving: list[Visit]) -> set[UUID]:
        return deployment.db.transact(lambda tx: visits.record(tx, arriving))

    assert work(early) == {visit.event_id for visit in early}
    assert work(late) == {visit.event_id for visit in late[1:]}
    assert work(many) == set()
    assert {row.event_id for row in stored(deployment)} == {visit.event_id for visit in many}
    with deployment.db.read() as tx:
        asked = [many[0].event_id, many[-1].event_id, new_event_id(NOON)]
        assert visits.known_among(tx, asked) == set(asked[:2])
