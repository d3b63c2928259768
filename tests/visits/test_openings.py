"""Openings: whose they were, and what becomes of them when they turn out to be a machine's."""

from datetime import UTC, datetime, timedelta

import pytest

from referral import visits
from referral.deployment import Deployment
from referral.links import Channel
from referral.visits import NEVER_RAN, Kind, Opened, Visit
from tests.visits.conftest import opening, store

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def opened(d: Deployment, *visitors: int) -> list[Opened]:
    with d.db.read() as tx:
        return sorted(visits.opened_by(tx, visitors), key=lambda each: each.at)


def test_an_opening_says_who_opened_whose_link_with_the_hop_of_the_link(
    deployment: Deployment,
) -> None:
    visit = opening(NOON, hop=3)
    store(deployment, visit, opening(NOON + HOUR, parent=None), opening(NOON, visitor=9))
    first, own = opened(deployment, 2)
    assert first == visits.opening_of(visit) == Opened(2, 7, 1, 2, Channel.wechat, NOON)
    assert (own.parent, own.hop) == (None, 0)
    assert opened(deployment, 3) == opened(deployment) == []
    with pytest.raises(ValueError, match="no opening"):
        visits.opening_of(opening(NOON, campaign=None))


def test_openings_become_fetches_and_come_back_as_they_were(deployment: Deployment) -> None:
    first, second = opening(NOON), opening(NOON + HOUR, campaign=8)
    preview = opening(NOON, kind=Kind.fetch, machine="preview")
    shared, others = opening(NOON, kind=Kind.share), opening(NOON, visitor=3)
    store(deployment, second, first, preview, shared, others)

    def machines() -> list[Visit]:
        return deployment.db.transact(lambda tx: visits.count_as_machines(tx, [2]))

    turned = machines()
    assert {(each.event_id, each.kind, each.machine) for each in turned} == {
        (visit.event_id, Kind.fetch, NEVER_RAN) for visit in (first, second)
    }
    assert machines() == []
    assert [each.visitor for each in opened(deployment, 2, 3)] == [3]
    back = deployment.db.transact(lambda tx: visits.count_as_people(tx, [2, 3]))
    assert back == [first, second]
    assert [each.at for each in opened(deployment, 2)] == [NOON, NOON + HOUR]


def test_readers_of_links_are_people(deployment: Deployment) -> None:
    store(
        deployment,
        *(opening(NOON + hours * HOUR) for hours in range(3)),
        opening(NOON + HOUR, visitor=3, campaign=8),
        opening(NOON, visitor=4, kind=Kind.fetch),
        opening(NOON, visitor=5, parent=6),
    )
    with deployment.db.read() as tx:
        assert sorted(visits.readers_of(tx, [1, 2])) == [(1, 2), (1, 3)]
        assert visits.readers_of(tx, []) == []


def test_the_first_opening_of_each_hop_is_told(deployment: Deployment) -> None:
    store(
        deployment,
        *(opening(NOON + hours * HOUR, visitor=hours, hop=1 + hours % 2) for hours in range(5, 9)),
        opening(NOON, campaign=8),
    )
    with deployment.db.read() as tx:
        found = sorted(visits.first_openings(tx, 7, 1))
    assert found == [(0, NOON + 6 * HOUR), (1, NOON + 5 * HOUR)]
