"""The graphs: the spread stays a forest in whatever order openings arrive, and referrals a tree."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from referral import actions, graph, people
from referral.campaigns import Campaign
from referral.deployment import Deployment
from referral.graph import Referral, SpreadNode, Step
from referral.links import HOP_MAX, Channel, Link, VisitorCookie, arrive
from referral.spread.placing import Opening
from tests.cast import add_product, publish
from tests.races import at_once, overtaken, waiting
from tests.spreads import World, by_definition

SLOW_BUT_FINE = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
"""Each example is rolled back, so that one database does for all of them."""
T0 = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
ANN, BEN, CAT, DAN = 1, 2, 3, 4
"""Visitors."""


@pytest.fixture
def campaign(deployment: Deployment) -> Campaign:
    add_product(deployment)
    return publish(deployment)


@dataclass(frozen=True)
class Place:
    parent_id: int | None
    hop: int
    channel: str
    at: datetime


def nodes(tx: Session, campaign: Campaign) -> dict[int, Place]:
    node = SpreadNode.__table__.c
    statement = sa.select(node.visitor_id, node.parent_id, node.hop, node.channel, node.at)
    found = tx.execute(statement.where(node.campaign_id == campaign.id))
    return {visitor: Place(*place) for visitor, *place in found}


def assert_forest(spread: dict[int, Place]) -> None:
    """Every parent is there, one hop above: so there is no cycle."""
    for node in spread.values():
        if node.parent_id is not None:
            assert node.hop == spread[node.parent_id].hop + 1


def link(campaign: Campaign, visitor: int, hop: int = 0, customer: int | None = None) -> Link:
    return Link(campaign.id, visitor, customer, hop, Channel.copy)


# Attaching


def test_an_opening_puts_the_reader_below_the_sharer(
    deployment: Deployment, campaign: Campaign
) -> None:
    def work(tx: Session) -> dict[int, Place]:
        assert graph.attach(tx, BEN, link(campaign, ANN), T0)
        assert graph.attach(tx, CAT, link(campaign, BEN, 1), T0 + timedelta(minutes=1))
        return nodes(tx, campaign)

    spread = deployment.db.transact(work)
    places = {visitor: (node.parent_id, node.hop) for visitor, node in spread.items()}
    assert places == {ANN: (None, 0), BEN: (ANN, 1), CAT: (BEN, 2)}
    assert (spread[BEN].channel, spread[BEN].at) == ("copy", T0)


def test_the_first_opening_decides(deployment: Deployment, campaign: Campaign) -> None:
    def work(tx: Session) -> dict[int, Place]:
        assert graph.attach(tx, CAT, link(campaign, ANN), T0)
        assert not graph.attach(tx, CAT, link(campaign, ANN), T0 + timedelta(minutes=1))
        assert not graph.attach(tx, CAT, link(campaign, BEN), T0 + timedelta(minutes=2))
        return nodes(tx, campaign)

    spread = deployment.db.transact(work)
    assert (spread[CAT].parent_id, spread[CAT].at) == (ANN, T0)


def test_a_child_may_arrive_before_its_parent(deployment: Deployment, campaign: Campaign) -> None:
    def work(tx: Session) -> dict[int, Place]:
        graph.attach(tx, CAT, link(campaign, BEN, 1), T0 + timedelta(minutes=1))
        places = {v: (n.parent_id, n.hop) for v, n in nodes(tx, campaign).items()}
        assert places == {BEN: (None, 1), CAT: (BEN, 2)}
        assert graph.attach(tx, BEN, link(campaign, ANN), T0)
        return nodes(tx, campaign)

    spread = deployment.db.transact(work)
    assert {v: (n.parent_id, n.hop) for v, n in spread.items()} == {
        ANN: (None, 0),
        BEN: (ANN, 1),
        CAT: (BEN, 2),
    }
    assert spread[BEN].at == T0


def test_two_who_open_each_others_links_make_no_circle(
    deployment: Deployment, campaign: Campaign
) -> None:
    def work(tx: Session) -> dict[int, Place]:
        assert graph.attach(tx, BEN, link(campaign, ANN), T0)
        assert not graph.attach(tx, ANN, link(campaign, BEN, 1), T0)
        assert not graph.attach(tx, ANN, link(campaign, BEN, 0), T0)
        return nodes(tx, campaign)

    spread = deployment.db.transact(work)
    assert {v: n.parent_id for v, n in spread.items()} == {ANN: None, BEN: ANN}


def test_ones_own_link_changes_nothing(deployment: Deployment, campaign: Campaign) -> None:
    assert not deployment.db.transact(lambda tx: graph.attach(tx, ANN, link(campaign, ANN), T0))
    with deployment.db.read() as tx:
        assert_forest(nodes(tx, campaign))


def test_campaigns_have_spreads_of_their_own(deployment: Deployment, campaign: Campaign) -> None:
    other = publish(deployment, slug="other")

    def work(tx: Session) -> tuple[int, int]:
        graph.attach(tx, BEN, link(campaign, ANN), T0)
        graph.attach(tx, ANN, link(other, BEN), T0)
        graph.attach(tx, CAT, link(other, ANN, 1), T0)
        return graph.hop_of(tx, campaign.id, ANN), graph.hop_of(tx, other.id, CAT)

    assert deployment.db.transact(work) == (0, 2)


def test_hops_go_on_beyond_what_a_link_can_say(deployment: Deployment, campaign: Campaign) -> None:
    length = HOP_MAX + 20

    def work(tx: Session) -> tuple[int, list[int]]:
        shared = link(campaign, 1000)
        for visitor in range(1001, 1001 + length):
            arrival = arrive(VisitorCookie(visitor), shared, None, T0)
            graph.attach(tx, visitor, shared, T0)
            shared = arrival.own
        last = 1000 + length
        above = [step.visitor for step in graph.path_up(tx, campaign.id, last)]
        return graph.hop_of(tx, campaign.id, last), above

    hop, above = deployment.db.transact(work)
    assert hop == length
    assert above == list(range(999 + length, 999, -1))


visitors = st.integers(1, 7)
who_opens_whose = st.lists(st.tuples(visitors, visitors), min_size=1, max_size=14)


def played(happened: Sequence[tuple[int, int]]) -> list[Opening]:
    """The openings of readers who open sharers' links, a minute after one another."""
    world = World()
    for minute, (reader, sharer) in enumerate(happened):
        world.open(reader, sharer, *[T0 + timedelta(minutes=minute)] * 2)
    return world.openings


def attach(tx: Session, campaign: Campaign, opening: Opening) -> bool:
    shared = link(campaign, opening.sharer, opening.hop)
    return graph.attach(tx, opening.reader, shared, opening.at)


def attaching(deployment: Deployment, campaign: Campaign, opening: Opening) -> Callable[[], bool]:
    return lambda: deployment.db.transact(lambda tx: attach(tx, campaign, opening))


@settings(max_examples=25, suppress_health_check=SLOW_BUT_FINE)
@given(who_opens_whose, st.data())
def test_the_spread_is_the_same_in_whatever_order_openings_arrive(
    deployment: Deployment,
    campaign: Campaign,
    happened: Sequence[tuple[int, int]],
    data: st.DataObject,
) -> None:
    openings = played(happened)
    twice = openings + data.draw(st.lists(st.sampled_from(openings or [None])))
    with Session(deployment.db.engine) as tx:
        for opening in data.draw(st.permutations(twice)):
            if opening is not None:
                attach(tx, campaign, opening)
                assert_forest(nodes(tx, campaign))
        spread = nodes(tx, campaign)
        expected = by_definition(openings)
        assert {visitor: node.parent_id for visitor, node in spread.items()} == expected
        roots = [spread[visitor].hop for visitor, parent in expected.items() if parent is None]
        assert set(roots) <= {0}
        for visitor in spread:
            above = [step.visitor for step in graph.path_up(tx, campaign.id, visitor)]
            assert len(above) == len(set(above)) == spread[visitor].hop
        tx.rollback()


links_of_anybody = st.tuples(visitors, visitors, st.integers(0, 4))


@settings(max_examples=25, suppress_health_check=SLOW_BUT_FINE)
@given(st.lists(links_of_anybody, max_size=16))
def test_the_spread_is_a_forest_whatever_links_say(
    deployment: Deployment, campaign: Campaign, openings: list[tuple[int, int, int]]
) -> None:
    """Cookies get lost and hops go wrong; even so there is no circle and no gap in the hops."""
    with Session(deployment.db.engine) as tx:
        for reader, sharer, hop in openings:
            graph.attach(tx, reader, link(campaign, sharer, hop), T0)
            assert_forest(nodes(tx, campaign))
        tx.rollback()


def test_openings_that_arrive_in_order_are_placed_as_they_happened(
    deployment: Deployment, campaign: Campaign
) -> None:
    happened = [(2, 1), (3, 2), (1, 3), (4, 3), (4, 1), (5, 5), (6, 5), (2, 6)]

    def work(tx: Session) -> dict[int, int | None]:
        for opening in played(happened):
            attach(tx, campaign, opening)
        return {visitor: node.parent_id for visitor, node in nodes(tx, campaign).items()}

    assert deployment.db.transact(work) == {1: None, 2: 1, 3: 2, 4: 3, 5: None, 6: 5}


def test_a_subtree_that_finds_its_place_late_gets_its_hops(
    deployment: Deployment, campaign: Campaign
) -> None:
    """The links said less than there is above: their sharer's cookie had been lost before."""

    def work(tx: Session) -> dict[int, tuple[int | None, int]]:
        for reader, shared, minute in [
            (ANN, link(campaign, 8, 1), 0),
            (CAT, link(campaign, BEN, 1), 3),
            (DAN, link(campaign, CAT, 2), 4),
            (5, link(campaign, DAN, 3), 5),
            (BEN, link(campaign, ANN, 0), 1),
            (8, link(campaign, 9, 0), -1),
        ]:
            graph.attach(tx, reader, shared, T0 + timedelta(minutes=minute))
        return {v: (n.parent_id, n.hop) for v, n in nodes(tx, campaign).items()}

    assert deployment.db.transact(work) == {
        9: (None, 0),
        8: (9, 1),
        ANN: (8, 2),
        BEN: (ANN, 3),
        CAT: (BEN, 4),
        DAN: (CAT, 5),
        5: (DAN, 6),
    }


def test_a_reader_who_comes_in_below_a_node_that_moves_gets_the_right_hop(
    deployment: Deployment, campaign: Campaign
) -> None:
    """Ben turns out to be at hop 3 while Dan is being put two below him."""

    def before(tx: Session) -> None:
        graph.attach(tx, ANN, link(campaign, 8, 1), T0)
        graph.attach(tx, CAT, link(campaign, BEN, 1), T0 + timedelta(minutes=3))

    deployment.db.transact(before)
    dans = T0 + timedelta(minutes=4)
    outcomes = overtaken(
        deployment.db,
        lambda tx: graph.attach(tx, DAN, link(campaign, CAT, 2), dans),
        lambda: deployment.db.transact(
            lambda tx: graph.attach(tx, BEN, link(campaign, ANN, 2), T0 + timedelta(minutes=1))
        ),
    )
    assert outcomes == (True, True)
    with deployment.db.read() as tx:
        spread = nodes(tx, campaign)
    assert_forest(spread)
    assert (spread[BEN].hop, spread[CAT].hop, spread[DAN].hop) == (3, 4, 5)


def test_openings_all_at_once_make_one_forest(deployment: Deployment, campaign: Campaign) -> None:
    """First sharers, late parents and old links together, from eight sides."""
    openings = played([(1, 7), (2, 1), (3, 2), (4, 3), (5, 1), (6, 5), (7, 6), (2, 7), (4, 5)])
    works = [
        lambda mine=mine: [  # type: ignore[misc]
            deployment.db.transact(lambda tx, each=each: attach(tx, campaign, each))
            for each in mine
        ]
        for mine in (openings[number::3] + openings[::-1] for number in range(3))
    ]
    outcomes = at_once(works)
    assert not [each for each in outcomes if isinstance(each, Exception)]
    with deployment.db.read() as tx:
        spread = nodes(tx, campaign)
    assert {v: node.parent_id for v, node in spread.items()} == by_definition(openings)
    assert_forest(spread)


def test_who_moves_a_sharer_is_not_passed_by_by_those_who_open_his_link(
    deployment: Deployment, campaign: Campaign
) -> None:
    if deployment.db.is_sqlite:
        pytest.skip("SQLite has one writer")

    def opened(reader: int, sharer: int, minute: int) -> Opening:
        return Opening(reader, sharer, 0, T0 + timedelta(minutes=minute))

    attaching(deployment, campaign, opened(BEN, ANN, 10))()
    waits = waiting(
        deployment.db,
        lambda tx: attach(tx, campaign, opened(CAT, ANN, 11)),
        attaching(deployment, campaign, opened(ANN, 6, 5)),
        attaching(deployment, campaign, opened(DAN, ANN, 12)),
    )
    assert waits == [True, True], "he who comes later stands in line behind her"
    with deployment.db.read() as tx:
        assert {number: each.hop for number, each in nodes(tx, campaign).items()} == {
            6: 0, ANN: 1, BEN: 2, CAT: 2, DAN: 2,
        }  # fmt: skip


@pytest.mark.parametrize("minutes", [(9, 5, 7), (5, 9, 7), (7, 9, 5)])
def test_openings_of_a_fresh_link_that_come_out_of_order_move_nobody(
    deployment: Deployment, campaign: Campaign, minutes: Sequence[int]
) -> None:
    """So nobody asks for the spread alone, and those who open another link do not wait."""
    if deployment.db.is_sqlite:
        pytest.skip("SQLite has one writer")
    deployment.db.transact(lambda tx: attach(tx, campaign, Opening(BEN, ANN, 0, T0)))
    first, *others = (
        Opening(reader, BEN, 1, T0 + timedelta(minutes=minute))
        for reader, minute in zip((5, 6, 7), minutes, strict=True)
    )
    bystander = Opening(CAT, ANN, 0, T0 + timedelta(minutes=20))
    waits = waiting(
        deployment.db,
        lambda tx: attach(tx, campaign, first),
        *(attaching(deployment, campaign, each) for each in [*others, bystander]),
    )
    assert waits == [True, True, False]
    with deployment.db.read() as tx:
        found = SpreadNode.__table__.c
        shared = sa.select(found.shared_at).where(found.visitor_id == BEN)
        assert tx.scalar(shared) == T0 + timedelta(minutes=min(minutes))
        assert_forest(nodes(tx, campaign))


def test_those_who_open_a_link_do_not_wait_for_each_other(
    deployment: Deployment, campaign: Campaign
) -> None:
    if deployment.db.is_sqlite:
        pytest.skip("SQLite has one writer")
    deployment.db.transact(lambda tx: attach(tx, campaign, Opening(BEN, ANN, 0, T0)))
    first, *others = (Opening(n, ANN, 0, T0 + timedelta(minutes=n)) for n in (CAT, DAN, 5))
    waits = waiting(
        deployment.db,
        lambda tx: attach(tx, campaign, first),
        *(attaching(deployment, campaign, each) for each in others),
    )
    assert waits == [False, False]


@pytest.mark.parametrize("hops", [(0, 3), (3, 0)])
def test_two_who_open_an_unknown_sharers_link_at_the_same_moment_stand_at_one_hop(
    deployment: Deployment, campaign: Campaign, hops: tuple[int, int]
) -> None:
    openings = [
        Opening(reader, ANN, hop, T0 + timedelta(seconds=second))
        for reader, hop, second in zip((BEN, CAT), hops, (0, 1), strict=True)
    ]
    outcomes = overtaken(
        deployment.db,
        lambda tx: attach(tx, campaign, openings[0]),
        lambda: deployment.db.transact(lambda tx: attach(tx, campaign, openings[1])),
    )
    assert not [each for each in outcomes if isinstance(each, Exception)]
    with deployment.db.read() as tx:
        spread = nodes(tx, campaign)
    assert_forest(spread)
    assert spread[BEN].parent_id == spread[CAT].parent_id == ANN


def test_two_arriving_at_the_same_moment_find_one_place(
    deployment: Deployment, campaign: Campaign
) -> None:
    def beside() -> bool:
        return deployment.db.transact(lambda tx: graph.attach(tx, BEN, link(campaign, CAT), T0))

    first, second = overtaken(
        deployment.db, lambda tx: graph.attach(tx, BEN, link(campaign, ANN), T0), beside
    )
    assert (first, second) == (True, False)
    with deployment.db.read() as tx:
        spread = nodes(tx, campaign)
        assert spread[BEN].parent_id == ANN
        assert_forest(spread)


def test_the_database_refuses_a_visitor_above_himself(
    deployment: Deployment, campaign: Campaign
) -> None:
    row = {"campaign_id": campaign.id, "visitor_id": ANN, "parent_id": ANN, "hop": 1}
    statement = sa.insert(SpreadNode).values(**row, channel="copy", at=T0)
    with pytest.raises(IntegrityError, match="not_own_parent"):
        deployment.db.transact(lambda tx: tx.execute(statement))


# Looking up


def customer(deployment: Deployment, number: int) -> int:
    made, _ = actions.add_customer(deployment, [people.external(f"member-{number}")], None)
    return made


def test_the_way_up_names_visitors_nearest_first_and_who_they_are(
    deployment: Deployment, campaign: Campaign
) -> None:
    alice, dan = customer(deployment, 1), customer(deployment, 2)

    def work(tx: Session) -> list[Step]:
        people.fold_visitor(tx, ANN, alice, T0)
        people.fold_visitor(tx, DAN, dan, T0)
        graph.attach(tx, BEN, link(campaign, ANN), T0)
        graph.attach(tx, CAT, link(campaign, BEN, 1), T0)
        graph.attach(tx, DAN, link(campaign, CAT, 2), T0)
        return list(graph.path_up(tx, campaign.id, DAN))

    assert deployment.db.transact(work) == [Step(CAT, None), Step(BEN, None), Step(ANN, alice)]
    with deployment.db.read() as tx:
        assert list(graph.path_up(tx, campaign.id, ANN)) == []
        assert list(graph.path_up(tx, campaign.id, 999)) == []
        touches = graph.touches_of(tx, dan)
        assert [(touch.visitor_id, touch.parent_id) for touch in touches] == [(DAN, CAT)]
        assert graph.touches_of(tx, alice) == []


def test_touches_of_all_of_a_customers_browsers_come_first_first(
    deployment: Deployment, campaign: Campaign
) -> None:
    dan, other = customer(deployment, 1), publish(deployment, slug="other")

    def work(tx: Session) -> list[SpreadNode]:
        for visitor in (DAN, DAN + 1):
            people.fold_visitor(tx, visitor, dan, T0)
        graph.attach(tx, DAN, link(campaign, ANN), T0 + timedelta(hours=2))
        graph.attach(tx, DAN, link(other, ANN), T0 + timedelta(hours=1))
        graph.attach(tx, DAN + 1, link(campaign, BEN), T0)
        return graph.touches_of(tx, dan)

    touches = deployment.db.transact(work)
    assert [touch.parent_id for touch in touches] == [BEN, ANN, ANN]
    assert [touch.campaign_id for touch in touches] == [campaign.id, other.id, campaign.id]


# The referral tree


def settle(tx: Session, who: int, *candidates: int) -> int | None:
    people.lock_customer(tx, who)
    event = f"claim:{who}"
    referrer = graph.nearest(tx, who, candidates)
    graph.settle(tx, who, referrer, event=event, campaign_id=None, why={}, now=T0)
    return referrer


@pytest.fixture
def four(deployment: Deployment) -> list[int]:
    return [customer(deployment, number) for number in range(4)]


def test_a_customers_place_is_settled_once(deployment: Deployment, four: list[int]) -> None:
    a, b, c, _ = four

    def work(tx: Session) -> None:
        assert not graph.is_settled(tx, b)
        assert graph.referrer_of(tx, b) is None
        assert settle(tx, b, a) == a
        assert graph.is_settled(tx, b)
        assert graph.referrer_of(tx, b) == a
        assert settle(tx, c) is None
        assert graph.is_settled(tx, c)

    deployment.db.transact(work)
    with pytest.raises(IntegrityError):
        deployment.db.transact(lambda tx: settle(tx, b, c))
    with deployment.db.read() as tx:
        assert graph.referrer_of(tx, b) == a


def test_two_cannot_have_brought_each_other_in(deployment: Deployment, four: list[int]) -> None:
    a, b, _, _ = four
    assert deployment.db.transact(lambda tx: settle(tx, a, b)) == b
    assert deployment.db.transact(lambda tx: settle(tx, b, a)) is None


def test_a_circle_through_customers_who_have_not_bought_is_seen(
    deployment: Deployment, four: list[int]
) -> None:
    """C came through B, B through A; then A, who was first, comes through C."""
    a, b, c, d = four
    assert deployment.db.transact(lambda tx: settle(tx, c, b)) == b
    assert deployment.db.transact(lambda tx: settle(tx, b, a)) == a
    assert deployment.db.transact(lambda tx: settle(tx, a, c, b, d)) == d, "the next in line"
    assert deployment.db.transact(lambda tx: settle(tx, d, c, b, a)) is None


def test_nobody_brings_himself_in(deployment: Deployment, four: list[int]) -> None:
    a, b, _, _ = four
    assert deployment.db.transact(lambda tx: settle(tx, a, a, b)) == b
    row = {"customer_id": b, "referrer_id": b, "event": "claim:1", "why": {}, "at": T0}
    with pytest.raises(IntegrityError, match="not_own_referrer"):
        deployment.db.transact(lambda tx: tx.execute(sa.insert(Referral).values(**row)))


def above(tx: Session, who: int) -> list[int]:
    """The way up from a customer; an endless one fails."""
    way: list[int] = []
    referrer = graph.referrer_of(tx, who)
    while referrer is not None:
        assert referrer not in [who, *way], "a circle"
        way.append(referrer)
        referrer = graph.referrer_of(tx, referrer)
    return way


people_named = st.integers(0, 7)


@settings(max_examples=25, suppress_health_check=SLOW_BUT_FINE)
@given(st.permutations(range(8)), st.lists(st.lists(people_named, max_size=3), min_size=8))
def test_referrals_are_a_tree_whoever_is_named(
    deployment: Deployment, order: list[int], named: list[list[int]]
) -> None:
    with Session(deployment.db.engine) as tx:
        row = {"name_encrypted": None, "created_at": T0}
        cast = [
            tx.scalar(sa.insert(people.Customer).values(**row).returning(people.Customer.id))
            for _ in range(8)
        ]
        for who in order:
            candidates = [cast[name] for name in named[who]]
            referrer = settle(tx, cast[who], *candidates)
            assert referrer is None or referrer in candidates
            for each in cast:
                above(tx, each)
        tx.rollback()


def test_two_who_name_each_other_at_the_same_moment_do_not_both_succeed(
    deployment: Deployment, four: list[int]
) -> None:
    a, b, _, _ = four
    outcomes = overtaken(
        deployment.db,
        lambda tx: settle(tx, a, b),
        lambda: deployment.db.transact(lambda tx: settle(tx, b, a)),
    )
    assert sorted(map(str, outcomes)) == sorted(map(str, [b, None]))
    with deployment.db.read() as tx:
        assert (above(tx, a), above(tx, b)) == ([b], [])


def test_three_who_name_each_other_in_a_ring_do_not_all_succeed(
    deployment: Deployment, four: list[int]
) -> None:
    """A names B while B names C; then C, who is above both, names A."""
    a, b, c, _ = four
    outcomes = overtaken(
        deployment.db,
        lambda tx: settle(tx, a, b),
        lambda: deployment.db.transact(lambda tx: settle(tx, b, c)),
    )
    assert outcomes == (b, c)
    assert deployment.db.transact(lambda tx: settle(tx, c, a)) is None


def test_a_chain_that_grows_at_the_same_moment_is_walked_to_its_new_end(
    deployment: Deployment, four: list[int]
) -> None:
    """B is above C. While B is put below A, A is about to be put below C; that would close it."""
    a, b, c, _ = four
    deployment.db.transact(lambda tx: settle(tx, c, b))
    first, second = overtaken(
        deployment.db,
        lambda tx: settle(tx, b, a),
        lambda: deployment.db.transact(lambda tx: settle(tx, a, c)),
    )
    assert (first, second) == (a, None)
    with deployment.db.read() as tx:
        assert above(tx, c) == [b, a]
