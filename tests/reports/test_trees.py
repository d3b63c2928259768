"""Trees: counted right at any depth, and shown branch by branch."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from referral import actions, graph, people
from referral.clock import HeldClock
from referral.deployment import Deployment
from referral.graph import Referral
from referral.links import Channel, Link
from referral.people import Customer, UnknownCustomer
from referral.reports import trees
from referral.reports.trees import Branch
from referral.stores import StoreKind
from tests.cast import Brand, Person, cast_of, open_brand

SLOW_BUT_FINE = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
"""Each example is rolled back, so that one database does for all of them."""
T0 = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
Forest = Sequence[int | None]
"""For each customer the place of the one who brought him in, which comes before; None for nobody.
"""


def plant(tx: Session, deployment: Deployment, forest: Forest) -> list[int]:
    """Customers with these referrers, named after their places; returns their ids."""
    ids = list(range(1, len(forest) + 1))
    people_ = [
        {"id": n, "name_encrypted": deployment.keys.encrypt(f"p{place}"), "created_at": T0}
        for place, n in enumerate(ids)
    ]
    referrals = [
        {
            "customer_id": ids[place],
            "referrer_id": None if parent is None else ids[parent],
            "event": f"claim:{place}",
            "why": {},
            "at": T0 + timedelta(minutes=place),
        }
        for place, parent in enumerate(forest)
    ]
    tx.execute(sa.insert(Customer), people_)
    tx.execute(sa.insert(Referral.__table__), referrals)
    return ids


def below(forest: Forest, place: int) -> list[int]:
    direct = [child for child, parent in enumerate(forest) if parent == place]
    return direct + [each for child in direct for each in below(forest, child)]


forests = st.lists(st.none() | st.integers(0, 30), min_size=1, max_size=25).map(
    lambda drawn: [
        None if parent is None or place == 0 else parent % place
        for place, parent in enumerate(drawn)
    ]
)


@settings(max_examples=15, suppress_health_check=SLOW_BUT_FINE)
@given(forests)
def test_counts_are_right_at_any_depth(deployment: Deployment, forest: Forest) -> None:
    with Session(deployment.db.engine) as tx:
        plant(tx, deployment, forest)
        roots = trees.roots(tx, deployment.keys, limit=100)
        fruitful = {place for place in range(len(forest)) if below(forest, place)}
        tops = {place for place in fruitful if forest[place] is None}
        assert {each.name for each in roots} == {f"p{place}" for place in tops}
        for place in fruitful:
            top = trees.branch(tx, deployment.keys, place + 1, depth=2, limit=100)
            for each in (
                top,
                *top.children,
                *(c for child in top.children for c in child.children),
            ):
                found = each.customer_id - 1
                assert (each.name, each.at) == (f"p{found}", T0 + timedelta(minutes=found))
                assert each.direct == sum(parent == found for parent in forest)
                assert each.total == len(below(forest, found))
        tx.rollback()


def names(branch: Branch) -> dict[str, object]:
    """A branch as nested names."""
    return {child.name or "": names(child) for child in branch.children}


FOREST: Forest = [None, 0, 0, 1, 1, 1, 3, 6, None, 8, None]
"""0 brought in 1 and 2, 1 brought in 3, 4 and 5, and down from 3 it goes on; 8 brought in 9."""


@pytest.fixture
def planted(deployment: Deployment) -> list[int]:
    return deployment.db.transact(lambda tx: plant(tx, deployment, FOREST))


def branch(deployment: Deployment, customer: int, depth: int, limit: int = 10) -> dict[str, object]:
    with deployment.db.read() as tx:
        return names(trees.branch(tx, deployment.keys, customer, depth=depth, limit=limit))


def test_a_branch_goes_down_as_far_as_it_is_asked(
    deployment: Deployment, planted: list[int]
) -> None:
    assert branch(deployment, planted[0], 0) == {}
    assert branch(deployment, planted[0], 1) == {"p1": {}, "p2": {}}
    assert branch(deployment, planted[0], 2) == {"p1": {"p3": {}, "p4": {}, "p5": {}}, "p2": {}}
    deep = {"p1": {"p3": {"p6": {"p7": {}}}, "p4": {}, "p5": {}}, "p2": {}}
    assert branch(deployment, planted[0], 10) == deep
    assert branch(deployment, planted[0], 10_000) == deep
    assert branch(deployment, planted[10], 3) == {}


def test_a_branch_shows_so_many_children_of_each(
    deployment: Deployment, planted: list[int]
) -> None:
    assert branch(deployment, planted[0], 2, limit=1) == {"p1": {"p3": {}}}
    assert branch(deployment, planted[0], 2, limit=2) == {"p1": {"p3": {}, "p4": {}}, "p2": {}}


def test_a_branch_holds_no_more_than_a_page_can(
    deployment: Deployment, planted: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trees, "NODES_MAX", 4)
    monkeypatch.setattr(trees, "DEPTH_MAX", 2)
    assert branch(deployment, planted[0], 10) == {"p1": {"p3": {}}, "p2": {}}


def test_it_rejects_customers_nobody_knows(deployment: Deployment) -> None:
    with deployment.db.read() as tx, pytest.raises(UnknownCustomer):
        trees.branch(tx, deployment.keys, 999, depth=1, limit=1)


def test_roots_are_those_who_brought_in_most_first(
    deployment: Deployment, planted: list[int]
) -> None:
    with deployment.db.read() as tx:
        roots = trees.roots(tx, deployment.keys)
    assert [(each.name, each.direct, each.total) for each in roots] == [
        ("p0", 2, 7),
        ("p8", 1, 1),
    ]
    with deployment.db.read() as tx:
        assert [each.name for each in trees.roots(tx, deployment.keys, limit=1)] == ["p0"]


def test_somebody_who_has_not_bought_may_be_a_root(deployment: Deployment) -> None:
    brand = open_brand(deployment)
    alice, bob, _ = cast_of(brand)
    alice.sign_in()
    bob.open(alice.link())
    bob.claim(0)
    with deployment.db.read() as tx:
        [root] = trees.roots(tx, deployment.keys)
    assert (root.customer_id, root.direct, root.at) == (alice.customer, 1, None)


def test_children_come_page_by_page_earliest_first(
    deployment: Deployment, planted: list[int]
) -> None:
    def page(offset: int) -> tuple[list[str | None], int | None]:
        with deployment.db.read() as tx:
            found = trees.children(tx, deployment.keys, planted[1], offset=offset, limit=2)
        return [each.name for each in found.branches], found.next

    assert page(0) == (["p3", "p4"], 2)
    assert page(2) == (["p5"], None)
    assert page(4) == ([], None)


def test_the_way_to_the_root_is_nearest_first(deployment: Deployment, planted: list[int]) -> None:
    with deployment.db.read() as tx:
        assert trees.path_to_root(tx, planted[7]) == [planted[place] for place in (6, 3, 1, 0)]
        assert trees.path_to_root(tx, planted[0]) == []
        assert trees.path_to_root(tx, 999) == []


# The spread


def test_the_spread_shows_its_anonymous_hops(brand: Brand, clock: HeldClock) -> None:
    alice, bob, charlie = cast_of(brand)
    alice.claim(0)
    bob.open(alice.link(channel=Channel.poster))
    clock.advance(minutes=1)
    charlie.open(bob.link(channel=Channel.address))
    charlie.claim(1)
    with brand.deployment.db.read() as tx:
        [top] = trees.spread_children(tx, brand.campaign.id, None).branches
        [middle] = trees.spread_children(tx, brand.campaign.id, alice.visitor).branches
        [last] = trees.spread_children(tx, brand.campaign.id, bob.visitor).branches
        assert trees.spread_children(tx, brand.campaign.id, charlie.visitor).branches == []
    assert (top.visitor, top.customer_id, top.hop, top.direct) == (
        alice.visitor,
        alice.customer,
        0,
        1,
    )
    assert (middle.visitor, middle.customer_id, middle.hop) == (bob.visitor, None, 1)
    assert (last.customer_id, last.hop, last.direct) == (charlie.customer, 2, 0)
    assert [(each.total, each.customers, each.depth) for each in (top, middle, last)] == [
        (2, 1, 2),
        (1, 1, 1),
        (0, 0, 0),
    ]
    assert (middle.channel, last.channel) == ("poster", "address")
    assert last.at == clock.now()


def test_first_sharers_with_most_readers_come_first_page_by_page(brand: Brand) -> None:
    readers = iter(
        Person(brand, people.email(f"reader-{number}@example.com")) for number in range(11)
    )
    sharers = [Person(brand, people.email(f"sharer-{number}@example.com")) for number in range(3)]
    for count, sharer in zip((1, 3, 2), sharers, strict=True):
        for _ in range(count):
            next(readers).open(sharer.link())

    def page(after: int | None) -> tuple[list[int], int | None]:
        with brand.deployment.db.read() as tx:
            found = trees.spread_children(tx, brand.campaign.id, None, after=after, limit=2)
        return [each.visitor for each in found.branches], found.next

    second = sharers[2].visitor
    assert page(None) == ([sharers[1].visitor, second], second)
    assert page(second) == ([sharers[0].visitor], None)
    for _ in range(5):
        next(readers).open(sharers[2].link())
    assert page(second) == ([sharers[1].visitor, sharers[0].visitor], None), "where it is now"


def test_readers_of_a_link_come_page_by_page_earliest_first(brand: Brand, clock: HeldClock) -> None:
    alice, *_ = cast_of(brand)
    readers = [Person(brand, people.email(f"reader-{number}@example.com")) for number in range(5)]
    for number, reader in enumerate(readers):
        reader.open(alice.link())
        clock.advance(minutes=number % 2)  # some at one moment
    seen: list[int] = []
    after: int | None = None
    while True:
        with brand.deployment.db.read() as tx:
            found = trees.spread_children(
                tx, brand.campaign.id, alice.visitor, after=after, limit=2
            )
        seen += [each.visitor for each in found.branches]
        assert len(found.branches) <= 2
        if found.next is None:
            break
        after = found.next
    times = [clock.now() - timedelta(minutes=2 - number // 2) for number in range(5)]
    order = sorted(zip(times, (reader.visitor for reader in readers), strict=True))
    assert seen == [visitor for _, visitor in order]
    with brand.deployment.db.read() as tx:
        nobody = trees.spread_children(tx, brand.campaign.id, alice.visitor, after=999)
    assert nobody.branches == []


def test_whoever_came_by_a_stores_poster_came_through_the_store(brand: Brand) -> None:
    d = brand.deployment
    actions.add_store(d, slug="east", name="East Street", kind=StoreKind.store, region=None)
    visitor = actions.open_store_links(d, "east", by="olga")
    alice, bob, _ = cast_of(brand)
    alice.open(Link(brand.campaign.id, visitor, channel=Channel.poster))
    bob.open(alice.link())
    with d.db.read() as tx:
        [top] = trees.spread_children(tx, brand.campaign.id, None).branches
        [below] = trees.spread_children(tx, brand.campaign.id, visitor).branches
    assert top.store == trees.StoreName("east", "East Street")
    assert (top.visitor, top.customer_id, top.total) == (visitor, None, 2)
    assert (below.visitor, below.store) == (alice.visitor, None)


def test_the_places_of_some_visitors_can_be_asked_for(brand: Brand) -> None:
    alice, bob, _ = cast_of(brand)
    alice.sign_in()
    bob.open(alice.link())
    with brand.deployment.db.read() as tx:
        found = trees.spread_of(tx, brand.campaign.id, [alice.visitor, bob.visitor, 999])
        assert trees.spread_of(tx, brand.campaign.id, []) == {}
    assert {visitor: place.hop for visitor, place in found.items()} == {
        alice.visitor: 0,
        bob.visitor: 1,
    }
    assert found[alice.visitor].direct == 1


def test_the_tree_of_a_story_is_what_was_settled(brand: Brand) -> None:
    alice, bob, charlie = cast_of(brand)
    alice.claim(0)
    bob.open(alice.link())
    bob.claim(1)
    charlie.open(bob.link())
    charlie.claim(2)
    actions.rename(brand.deployment, alice.customer, "Alice")
    with brand.deployment.db.read() as tx:
        [root] = trees.roots(tx, brand.deployment.keys)
        assert trees.path_to_root(tx, charlie.customer) == [bob.customer, alice.customer]
        assert graph.referrer_of(tx, charlie.customer) == bob.customer
    assert (root.name, root.direct, root.total, root.depth) == ("Alice", 1, 2, 2)
