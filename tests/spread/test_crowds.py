"""Many openings at once come to what they come to one by one."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from referral import people
from referral.deployment import Deployment
from referral.links import HOP_MAX, Channel, Link
from referral.spread import SpreadNode, attach, nodes
from referral.spread.placing import Opening
from tests.cast import add_product, publish
from tests.conftest import START
from tests.races import overtaken, waiting
from tests.statements import statements

PEOPLE = st.integers(1, 6)
OPENINGS = st.lists(
    st.builds(
        lambda reader, sharer, hop, seconds: Opening(
            reader, sharer, hop, START + timedelta(seconds=seconds)
        ),
        PEOPLE,
        PEOPLE,
        st.sampled_from([0, 0, 0, 1, 1, 2, 254, 255]),
        st.integers(0, 12),
    ),
    max_size=14,
)
SIZES = st.lists(st.integers(1, 8), min_size=14, max_size=14)


def rows(tx: Session, campaign: int) -> list[tuple[Any, ...]]:
    columns = [c for c in SpreadNode.__table__.c if c.name not in ("campaign_id", "channel")]
    found = sa.select(*columns).where(SpreadNode.campaign_id == campaign)
    return [tuple(row) for row in tx.execute(found.order_by(SpreadNode.visitor_id))]


def without_ties(openings: Sequence[Opening]) -> list[Opening]:
    """At equal times the first to come stays: dealt with together they come in another order."""
    return [
        each._replace(at=each.at + timedelta(microseconds=7 * place))
        for place, each in enumerate(openings)
    ]


def in_parts(openings: Sequence[Opening], sizes: Sequence[int]) -> list[Sequence[Opening]]:
    parts, start = [], 0
    for size in sizes:
        parts.append(openings[start : start + size])
        start += size
    return [part for part in parts if part]


@pytest.fixture
def campaigns(deployment: Deployment) -> tuple[int, int]:
    add_product(deployment)
    return publish(deployment, slug="one").id, publish(deployment, slug="two").id


def test_many_at_once_are_as_one_by_one(deployment: Deployment, campaigns: tuple[int, int]) -> None:
    one, two = campaigns

    @example(
        # At the last hop two openings of each other, after one that has given the first a place.
        [Opening(1, 3, 0, START), Opening(1, 2, HOP_MAX, START), Opening(2, 1, HOP_MAX, START)],
        [1, 2],
    )
    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    @given(OPENINGS, SIZES)
    def check(drawn: list[Opening], sizes: list[int]) -> None:
        openings = without_ties(drawn)
        with Session(deployment.db.engine) as tx:
            for each in openings:
                link = Link(one, each.sharer, None, each.hop, Channel.unknown)
                attach(tx, each.reader, link, each.at)
            for part in in_parts(openings, sizes):
                nodes.attach_all(tx, two, part)
            assert rows(tx, one) == rows(tx, two)
            tx.rollback()

    check()


def attached(*openings: Opening) -> Callable[[Session, int], None]:
    return lambda tx, campaign: nodes.attach_all(tx, campaign, openings)


def test_two_who_add_the_same_people_at_once_come_to_the_same(
    deployment: Deployment, campaigns: tuple[int, int]
) -> None:
    one, two = campaigns
    first = [Opening(2, 1, 0, START), Opening(3, 2, 1, START + timedelta(seconds=5))]
    second = [
        Opening(3, 1, 0, START + timedelta(seconds=2)),
        Opening(4, 3, 1, START + timedelta(seconds=3)),
    ]
    overtaken(
        deployment.db,
        lambda tx: nodes.attach_all(tx, one, first),
        lambda: deployment.db.transact(lambda tx: nodes.attach_all(tx, one, second)),
    )
    deployment.db.transact(lambda tx: nodes.attach_all(tx, two, [*first, *second]))
    with deployment.db.read() as tx:
        assert rows(tx, one) == rows(tx, two)


def test_two_who_learn_of_earlier_openings_of_a_sharer_come_to_the_same(
    deployment: Deployment, campaigns: tuple[int, int]
) -> None:
    one, two = campaigns
    before = [Opening(number, 2, 1, START + timedelta(seconds=9 + number)) for number in (4, 5, 6)]
    before.append(Opening(6, 5, 2, START + timedelta(seconds=20)))
    first = [Opening(2, 1, 0, START + timedelta(seconds=5))]
    second = [
        Opening(2, 3, 0, START + timedelta(seconds=4)),
        Opening(5, 7, 1, START + timedelta(seconds=6)),
    ]
    for part in (before, first, second):
        deployment.db.transact(lambda tx, part=part: nodes.attach_all(tx, two, part))  # type: ignore[misc]
    deployment.db.transact(lambda tx: nodes.attach_all(tx, one, before))
    overtaken(
        deployment.db,
        lambda tx: nodes.attach_all(tx, one, first),
        lambda: deployment.db.transact(lambda tx: nodes.attach_all(tx, one, second)),
    )
    with deployment.db.read() as tx:
        assert rows(tx, one) == rows(tx, two)
        parents = {row[0]: row[1] for row in rows(tx, one)}
    assert (parents[2], parents[5], parents[6]) == (3, 7, 2)


def test_sharers_whose_own_openings_come_late_take_no_statement_each(
    deployment: Deployment, campaigns: tuple[int, int]
) -> None:
    def asked_for(campaign: int, many: int) -> int:
        sharers = range(10, 10 + many)
        of_links = [Opening(100 + n, n, 1, START + timedelta(seconds=n)) for n in sharers]
        own = [Opening(n, 1, 0, START + timedelta(seconds=n - 9)) for n in sharers]
        deployment.db.transact(lambda tx: nodes.attach_all(tx, campaign, of_links))
        with statements(deployment.db) as sent:
            deployment.db.transact(lambda tx: nodes.attach_all(tx, campaign, own))
        with deployment.db.read() as tx:
            assert {row[1] for row in rows(tx, campaign) if row[0] in sharers} == {1}
        return len(sent)

    one, two = campaigns
    assert asked_for(one, 3) == asked_for(two, 60)


@pytest.mark.parametrize("reader", [2, 3], ids=["known", "new"])
def test_who_waits_for_a_visitor_does_not_hold_up_a_campaign(
    deployment: Deployment, campaigns: tuple[int, int], reader: int
) -> None:
    """With an opening that moves somebody, and one by which a sharer becomes known."""
    if deployment.db.is_sqlite:
        pytest.skip("SQLite has one writer")
    campaign, _ = campaigns
    late, becomes_known, bystanders = (
        [Opening(1, 7, 0, START)],
        [Opening(reader, 5, 0, START + timedelta(seconds=9))],
        [Opening(4, 1, 0, START + timedelta(seconds=8))],
    )

    def storing(openings: list[Opening]) -> Callable[[], None]:
        return lambda: deployment.db.transact(lambda tx: nodes.attach_all(tx, campaign, openings))

    storing([Opening(2, 1, 0, START + timedelta(seconds=5))])()
    deployment.db.transact(lambda tx: people.remember_visitor(tx, 5, START))
    waits = waiting(
        deployment.db,
        lambda tx: people.note_ran(tx, 5, START),
        storing([*late, *becomes_known]),
        storing(bystanders),
    )
    assert waits == [True, False]
