"""How far a customer's links went, for few people and for many."""

import random
from collections import Counter
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral import people
from referral.campaigns import Campaign
from referral.clock import HeldClock
from referral.graph import SpreadNode
from referral.reports import reach
from referral.reports.reach import Elsewhere, Reach, Step
from referral.spread import counters
from tests.cast import Brand, Person, cast_of, publish
from tests.statements import statements


def somebody(brand: Brand, number: int) -> Person:
    return Person(brand, people.email(f"person-{number}@example.com"))


def reach_of(brand: Brand, person: Person) -> Reach:
    with brand.deployment.db.read() as tx:
        found = reach.reach_of(tx, person.customer)
        assert reach.people_reached(tx, person.customer) == found.total
    assert found.total == sum(step.people for step in found.steps) + found.further
    return found


def test_people_are_counted_by_how_far_away_they_are(brand: Brand) -> None:
    alice, _, charlie = cast_of(brand)
    alice.sign_in()
    charlie.sign_in()
    readers = [somebody(brand, number) for number in range(6)]
    for reader in readers[:3]:
        reader.open(alice.link())
    for reader in readers[3:5]:
        reader.open(readers[0].link())
    readers[5].open(readers[4].link())
    found = reach_of(brand, alice)
    assert found.steps == [Step(1, 3), Step(2, 2), Step(3, 1)]
    assert (found.total, found.further, found.campaigns) == (6, 0, 1)
    assert (found.strangers, found.waiting, found.is_whole) == (6, 0, True)
    assert reach_of(brand, charlie) == Reach(0, [], 0, 0, 0, True, 0, Counter())


def test_her_own_browsers_are_not_people_and_begin_anew(brand: Brand) -> None:
    """Alice's second phone opened her own link before she signed in there, and shares as well."""
    alice, bob, charlie = cast_of(brand)
    alice.sign_in()
    first_phone = alice.link()
    customer, alice.customer = alice.customer, 0
    alice.take_other_phone()
    alice.open(first_phone)
    bob.open(alice.link())
    charlie.open(bob.link())
    alice.sign_in()
    assert alice.customer == customer
    assert reach_of(brand, alice).steps == [Step(1, 1), Step(2, 1)]


def test_each_campaign_counts_for_itself(brand: Brand) -> None:
    alice, bob, charlie = cast_of(brand)
    other = publish(brand.deployment, slug="other")
    alice.sign_in()
    bob.open(alice.link())
    bob.open(alice.link(other))
    charlie.open(bob.link(other))
    found = reach_of(brand, alice)
    assert found.steps == [Step(1, 2), Step(2, 1)]
    assert found.campaigns == 2


# On the way, and elsewhere


def test_those_on_the_way_are_counted_by_how_far_they_came(brand: Brand) -> None:
    alice, bob, charlie = cast_of(brand)
    alice.sign_in()
    bob.open(alice.link())
    charlie.open(bob.link())
    charlie.sign_in()
    found = reach_of(brand, alice)
    assert (found.strangers, found.waiting, sum(found.elsewhere.values())) == (1, 1, 0)
    charlie.claim(1)
    found = reach_of(brand, alice)
    assert (found.strangers, found.waiting, sum(found.elsewhere.values())) == (1, 0, 0)


def test_who_is_nearer_to_another_customer_is_that_ones_friend(brand: Brand) -> None:
    alice, bob, charlie = cast_of(brand)
    alice.sign_in()
    bob.open(alice.link())
    bob.claim(1)
    charlie.open(bob.link())
    charlie.sign_in()
    found = reach_of(brand, alice)
    assert (found.total, found.waiting) == (2, 0)
    charlie.claim(2)
    assert not reach_of(brand, alice).elsewhere


def test_it_is_told_why_somebody_who_claimed_is_no_friend(brand: Brand, clock: HeldClock) -> None:
    alice, bob, charlie = cast_of(brand)
    dora, emil = somebody(brand, 1), somebody(brand, 2)
    alice.sign_in()
    bob.claim(1)
    clock.advance(days=1)
    bob.open(alice.link())
    charlie.open(alice.link())
    dora.open(alice.link())
    clock.advance(days=29)
    dora.claim(2)
    clock.advance(days=2)
    charlie.claim(3)
    other = publish(brand.deployment, slug="other")
    emil.open(bob.link(other))
    clock.advance(days=1)
    emil.open(alice.link())
    emil.claim(4)
    found = reach_of(brand, alice)
    assert found.elsewhere == {
        Elsewhere.before: 1,
        Elsewhere.too_late: 1,
        Elsewhere.another_way: 1,
    }


# Many


FIRST = 10_000


def grow(tx: Session, campaign: Campaign, parents: list[int], now: Any) -> list[int]:
    """Put people below others, given by their places in the list; 0 is the sharer's own."""
    own = tx.scalars(sa.select(SpreadNode.visitor_id).order_by(SpreadNode.visitor_id)).all()
    visitors = [own[0], *(FIRST + number for number in range(1, len(parents) + 1))]
    hops = [0]
    rows = []
    for number, parent in enumerate(parents, 1):
        hops.append(hops[parent] + 1)
        place = {
            "campaign_id": campaign.id,
            "visitor_id": visitors[number],
            "parent_id": visitors[parent],
            "hop": hops[number],
            "channel": "copy",
            "at": now,
            "touched_by": visitors[parent],
            "link_hop": hops[parent],
        }
        rows.append(place)
    tx.connection().execute(sa.insert(SpreadNode.__table__), rows)  # type: ignore[arg-type]
    return hops[1:]


def shared(brand: Brand) -> Person:
    """A customer whose own browser has a place in the spread."""
    alice, _, _ = cast_of(brand)
    alice.sign_in()
    now = brand.deployment.clock.now()
    row = {
        "campaign_id": brand.campaign.id,
        "visitor_id": alice.visitor,
        "hop": 0,
        "channel": "unknown",
        "at": now,
        "shared_at": now,
        "shared_hop": 0,
    }
    table: Any = SpreadNode.__table__
    brand.deployment.db.transact(lambda tx: tx.connection().execute(sa.insert(table), row).rowcount)
    return alice


def test_however_few_are_looked_at_the_sum_is_right(
    brand: Brand, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = shared(brand)
    rnd = random.Random(4)
    parents = [rnd.randrange(number) for number in range(1, 61)]
    db, now = brand.deployment.db, brand.deployment.clock.now()
    hops = db.transact(lambda tx: grow(tx, brand.campaign, parents, now))
    by_hop = Counter(hops)
    for folded in (False, True):
        if folded:
            db.transact(counters.fold)
        for most in (1, 3, 7, 20, 40, 59, 60, 1000):
            monkeypatch.setattr(reach, "WALK_MAX", most)
            found = reach_of(brand, alice)
            assert found.total == 60
            listed = range(1, len(found.steps) + 1)
            assert found.steps == [Step(hop, by_hop[hop]) for hop in listed]
            assert found.is_whole == (most >= 60)
            assert found.strangers == 60
    monkeypatch.setattr(reach, "HOPS_MAX", 2)
    found = reach_of(brand, alice)
    assert found.steps == [Step(1, by_hop[1]), Step(2, by_hop[2])]
    assert found.further == 60 - by_hop[1] - by_hop[2]
    assert not found.is_whole


def test_own_browsers_below_one_another_count_once_beyond_the_walk_too(
    brand: Brand, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob, charlie = cast_of(brand)
    readers = [somebody(brand, number) for number in range(3)]
    alice.sign_in()
    bob.open(alice.link())
    alice.take_other_phone()
    alice.customer = 0
    alice.open(bob.link())
    alice.sign_in()
    charlie.open(alice.link())
    for reader in readers:
        reader.open(charlie.link())
    whole = reach_of(brand, alice)
    assert (whole.total, whole.steps) == (5, [Step(1, 2), Step(2, 3)])
    monkeypatch.setattr(reach, "WALK_MAX", 1)
    cut = reach_of(brand, alice)
    assert (cut.total, cut.steps, cut.further) == (5, [Step(1, 2)], 3)


@pytest.mark.parametrize("is_star", [True, False])
def test_ten_times_as_many_take_no_more_queries(
    brand: Brand, monkeypatch: pytest.MonkeyPatch, is_star: bool
) -> None:
    monkeypatch.setattr(reach, "WALK_MAX", 20)
    alice = shared(brand)
    db, now = brand.deployment.db, brand.deployment.clock.now()
    rnd = random.Random(5)
    asked = []
    for size in (100, 1000):
        parents = [0 if is_star else rnd.randrange(min(n, 9)) for n in range(1, size + 1)]

        def start_over(tx: Session, parents: list[int] = parents) -> None:
            table: Any = SpreadNode.__table__
            tx.connection().execute(sa.delete(table).where(table.c.visitor_id != alice.visitor))
            grow(tx, brand.campaign, parents, now)
            counters.recount(tx)

        db.transact(start_over)
        with statements(db) as said, db.read() as tx:
            assert reach.reach_of(tx, alice.customer).total == size
        asked.append(len(said))
        with statements(db) as said, db.read() as tx:
            assert reach.people_reached(tx, alice.customer) == size
        asked.append(len(said))
    assert asked[2] <= asked[0]
    assert asked[3] == asked[1]
    assert asked[0] <= 12


def test_a_chain_without_end_is_not_followed_to_its_end(
    brand: Brand, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = shared(brand)
    db, now = brand.deployment.db, brand.deployment.clock.now()
    db.transact(lambda tx: grow(tx, brand.campaign, list(range(200)), now))
    db.transact(counters.recount)
    with statements(db) as said:
        found = reach_of(brand, alice)
    assert [step.people for step in found.steps] == [1] * reach.HOPS_MAX
    assert found.further == 200 - reach.HOPS_MAX
    assert len(said) <= 2 * reach.HOPS_MAX
