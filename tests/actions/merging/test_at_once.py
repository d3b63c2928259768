"""Merges at the same moment as others, as claims, as the nightly pass and as spending."""

from collections.abc import Callable

import pytest
import sqlalchemy as sa

from referral import actions, ledger, people
from referral.clock import HeldClock
from referral.deployment import Deployment
from referral.people import Merge
from tests.actions.merging.conftest import bring_in, faults, merge, place_of, spend, tree
from tests.cast import PER_CLAIM, PER_FRIEND, Brand, Person, cast_of, open_brand
from tests.races import at_once, overtaken


def settled_as_one(brand: Brand, *persons: Person) -> None:
    with brand.deployment.db.read() as tx:
        numbers = [each.customer for each in persons]
        assert len(set(people.current(tx, numbers).values())) == 1
        assert tx.scalar(sa.select(sa.func.count(Merge.id))) == len(persons) - 1
        assert not faults(tx)


def merge_beside(
    brand: Brand, one: Person, other: Person, work: Callable[[], object], merge_first: bool
) -> None:
    """A merge and some work, one of them begun first and the other before that is committed."""
    works = [lambda: merge(brand, one, other), work]
    outcome = overtaken(
        brand.deployment.db, lambda tx: works[not merge_first](), works[merge_first]
    )
    assert not [each for each in outcome if isinstance(each, Exception)]


def test_two_merges_of_the_same_people_are_one(
    brand: Brand, cast: tuple[Person, Person, Person]
) -> None:
    alice, bob, _ = cast
    alice.claim(0)
    bring_in(bob, alice, 1)
    outcomes = at_once(
        [
            lambda: merge(brand, alice, bob),
            lambda: merge(brand, bob, alice, keep=bob.customer),
            lambda: merge(brand, alice, bob),
            lambda: merge(brand, bob, alice),
        ]
    )
    assert sorted(each.gone is not None for each in outcomes) == [False, False, False, True]
    assert len({each.kept for each in outcomes}) == 1
    settled_as_one(brand, alice, bob)


def test_merges_in_a_ring_end_in_one(brand: Brand) -> None:
    ring = [Person(brand, people.phone(f"1380013800{digit}")) for digit in range(5)]
    for index, person in enumerate(ring):
        if index:
            person.open(ring[index - 1].link())
        person.claim(index)

    def joined(one: Person, other: Person) -> Callable[[], actions.Merged]:
        return lambda: merge(brand, one, other)

    outcomes = at_once([joined(ring[i], ring[i - 1]) for i in range(5)])
    assert [each for each in outcomes if isinstance(each, Exception)] == []
    assert sum(each.gone is not None for each in outcomes) == 4
    settled_as_one(brand, *ring)


@pytest.mark.parametrize("merge_first", [True, False])
def test_a_claim_beside_a_merge_is_the_kept_ones(
    brand: Brand, cast: tuple[Person, Person, Person], merge_first: bool
) -> None:
    alice, bob, charlie = cast
    bob.open(charlie.link())
    merge_beside(brand, alice, bob, lambda: bob.claim(0), merge_first)
    assert alice.points() == PER_CLAIM + PER_FRIEND
    assert place_of(brand, alice)[0] == charlie.customer


@pytest.mark.parametrize("merge_first", [True, False])
def test_a_friend_who_comes_beside_a_merge_is_the_kept_ones(
    brand: Brand, cast: tuple[Person, Person, Person], merge_first: bool
) -> None:
    alice, bob, charlie = cast
    bob.claim(0)
    charlie.open(bob.link())
    merge_beside(brand, alice, bob, lambda: charlie.claim(1), merge_first)
    assert alice.points() == PER_CLAIM + PER_FRIEND
    assert place_of(brand, charlie)[0] == alice.customer


@pytest.mark.parametrize("merge_first", [True, False])
def test_a_merge_and_a_first_claim_make_no_circle(
    brand: Brand, clock: HeldClock, merge_first: bool
) -> None:
    """Bob is below Xenia, who has bought nothing; Cora is below Alice. Xenia comes through Cora
    while Alice, who has more below her, turns out to be Bob."""
    alice, bob, xenia, cora = (
        Person(brand, people.phone(f"1380013800{digit}")) for digit in range(4)
    )
    xenia.sign_in()
    bring_in(bob, xenia, 0)
    clock.advance(minutes=1)
    alice.claim(1)
    bring_in(cora, alice, 2)
    xenia.open(cora.link())
    merge_beside(brand, alice, bob, lambda: xenia.claim(3), merge_first)
    with brand.deployment.db.read() as tx:
        assert not faults(tx)
        one = people.current(tx, [bob.customer])[bob.customer]
        above = None if merge_first else cora.customer
        assert tree(tx) == {
            xenia.customer: above,
            one: xenia.customer if merge_first else None,
            cora.customer: one,
        }


def test_a_release_beside_a_merge_loses_nothing(deployment: Deployment, clock: HeldClock) -> None:
    brand = open_brand(deployment, hold_days=7)
    alice, bob, _ = cast_of(brand)
    for index in range(6):
        (alice, bob)[index % 2].claim(index)
    clock.advance(days=8)
    outcomes = at_once(
        [
            lambda: merge(brand, alice, bob),
            lambda: actions.release_rewards(deployment),
            lambda: actions.release_rewards(deployment),
        ]
    )
    assert not [each for each in outcomes if isinstance(each, Exception)]
    actions.release_rewards(deployment)
    assert (alice.points(), alice.pending()) == (6 * PER_CLAIM, 0)


@pytest.mark.parametrize("merge_first", [True, False])
def test_spending_beside_a_merge_spends_once(
    brand: Brand, cast: tuple[Person, Person, Person], merge_first: bool
) -> None:
    alice, bob, _ = cast
    bob.claim(0)
    merge_beside(brand, alice, bob, lambda: spend(brand, bob, PER_CLAIM, "spent"), merge_first)
    assert alice.points() == 0
    with pytest.raises(ledger.Insufficient):
        spend(brand, alice, 1, "more")
