"""The way in for visits: everything that follows from one happens once, however often it comes."""

from datetime import datetime

import pytest
import sqlalchemy as sa

from referral import actions, graph, intake, people
from referral.codes import Label
from referral.deployment import Deployment
from referral.links import Channel, Link
from referral.people import Visitor
from referral.visits import Kind, ScannedCode, Visit, VisitRow, new_event_id
from tests.cast import Brand, cast_of, open_brand
from tests.races import at_once

ANN, BEN = 1, 2


@pytest.fixture
def brand(deployment: Deployment) -> Brand:
    return open_brand(deployment)


def opening(brand: Brand, link: Link, reader: int) -> Visit:
    return Visit(
        Kind.open,
        brand.deployment.clock.now(),
        new_event_id(),
        visitor=reader,
        campaign=link.campaign,
        parent=link.visitor,
        hop=link.hop + 1,
        channel=link.channel,
    )


def counted(brand: Brand) -> tuple[int, int, int, int]:
    """How many visits, visitors, places in the spread and scanned codes there are."""
    tables = (VisitRow, Visitor, graph.SpreadNode, ScannedCode)
    with brand.deployment.db.read() as tx:
        return tuple(  # type: ignore[return-value]
            tx.scalar(sa.select(sa.func.count()).select_from(table)) for table in tables
        )


def test_an_opening_brings_a_visit_a_visitor_and_a_place(brand: Brand) -> None:
    link = Link(brand.campaign.id, ANN, None, 0, Channel.copy)
    intake.hand_in(brand.deployment, opening(brand, link, BEN))
    assert counted(brand) == (1, 1, 2, 0)


def test_an_opening_that_comes_twice_counts_once(brand: Brand) -> None:
    link = Link(brand.campaign.id, ANN, None, 0, Channel.copy)
    visit = opening(brand, link, BEN)
    for _ in range(3):
        intake.hand_in(brand.deployment, visit)
    assert counted(brand) == (1, 1, 2, 0)


def test_an_opening_that_comes_twice_at_once_counts_once(brand: Brand) -> None:
    link = Link(brand.campaign.id, ANN, None, 0, Channel.copy)
    visit = opening(brand, link, BEN)
    outcomes = at_once([lambda: intake.hand_in(brand.deployment, visit)] * 4)
    assert sorted(map(bool, outcomes)) == [False, False, False, True], "one of them was new"
    assert counted(brand) == (1, 1, 2, 0)


def test_many_readers_of_one_link_at_the_same_moment_are_all_kept(brand: Brand) -> None:
    link = Link(brand.campaign.id, ANN, None, 0, Channel.copy)

    def read(reader: int) -> None:
        intake.hand_in(brand.deployment, opening(brand, link, reader))

    outcomes = at_once([lambda reader=reader: read(reader) for reader in range(10, 18)])
    assert outcomes == [None] * 8
    assert counted(brand) == (8, 8, 9, 0)


def test_a_fetch_is_counted_and_leads_to_nothing(brand: Brand) -> None:
    link = Link(brand.campaign.id, ANN, None, 0, Channel.copy)
    fetch = opening(brand, link, BEN)._replace(kind=Kind.fetch, visitor=None, machine="fetcher")
    intake.hand_in(brand.deployment, fetch)
    assert counted(brand) == (1, 0, 0, 0)


def test_a_machine_gets_no_place_even_with_a_visitor_and_a_link(brand: Brand) -> None:
    link = Link(brand.campaign.id, ANN, None, 0, Channel.copy)
    fetch = opening(brand, link, BEN)._replace(kind=Kind.fetch, machine="prefetch")
    intake.hand_in(brand.deployment, fetch)
    assert counted(brand) == (1, 0, 0, 0)


def test_ones_own_link_is_a_visit_without_a_place(brand: Brand) -> None:
    link = Link(brand.campaign.id, BEN, None, 0, Channel.copy)
    intake.hand_in(brand.deployment, opening(brand, link, BEN)._replace(parent=None))
    assert counted(brand) == (1, 1, 0, 0)
    intake.hand_in(brand.deployment, opening(brand, link, BEN))
    assert counted(brand) == (2, 1, 0, 0)


def scan(brand: Brand, at: datetime, visitor: int | None = BEN) -> Visit:
    return Visit(
        Kind.scan,
        at,
        new_event_id(),
        visitor=visitor,
        campaign=brand.campaign.id,
        batch=brand.batch.id,
        code_index=3,
        label=Label.inner,
    )


def test_every_scan_is_a_visit_and_a_device_is_noted_once(brand: Brand) -> None:
    now = brand.deployment.clock.now()
    for _ in range(3):
        intake.hand_in(brand.deployment, scan(brand, now))
    intake.hand_in(brand.deployment, scan(brand, now, visitor=ANN))
    assert counted(brand) == (4, 2, 0, 2)


def test_engagements_and_shares_are_visits_only(brand: Brand) -> None:
    now = brand.deployment.clock.now()
    for kind in (Kind.engagement, Kind.share):
        visit = Visit(kind, now, new_event_id(), visitor=BEN, campaign=brand.campaign.id)
        intake.hand_in(brand.deployment, visit)
    assert counted(brand) == (2, 1, 0, 0)


def test_a_visitor_who_is_a_customer_stays_one(brand: Brand) -> None:
    alice, _, _ = cast_of(brand)
    alice.sign_in()
    link = Link(brand.campaign.id, BEN, None, 0, Channel.copy)
    intake.hand_in(brand.deployment, opening(brand, link, alice.visitor))
    with brand.deployment.db.read() as tx:
        assert people.visitors_of(tx, alice.customer) == [alice.visitor]
        assert [node.parent_id for node in graph.touches_of(tx, alice.customer)] == [BEN]


def test_an_opening_that_comes_after_the_claim_changes_no_credit(brand: Brand) -> None:
    """The claim knew it from the cookie already; the referral is settled then."""
    alice, bob, _ = cast_of(brand)
    alice.claim(0)
    link = alice.link()
    bob.open(link, arrives=False)
    assert bob.claim(1).referrer == alice.customer
    before = counted(brand)
    intake.hand_in(brand.deployment, opening(brand, link, bob.visitor))
    visits, *rest = counted(brand)
    assert (visits, rest) == (before[0] + 1, list(before[1:]))
    assert actions.claim(brand.deployment, brand.code(1), bob.customer).referrer == alice.customer
