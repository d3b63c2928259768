"""Which place in the tree remains of the two."""

import pytest
import sqlalchemy as sa

from referral import people
from referral.clock import HeldClock
from referral.graph import Referral
from referral.reports import referrals
from referral.rewards import Reason, Reward
from referral.spread import counters
from tests.actions.merging.conftest import bring_in, merge, place_of, tree
from tests.cast import PER_CLAIM, PER_FRIEND, Brand, Person


def test_the_place_that_was_settled_earlier_remains(
    brand: Brand, cast: tuple[Person, Person, Person], clock: HeldClock
) -> None:
    alice, bob, charlie = cast
    charlie.claim(0)
    bring_in(bob, charlie, 1)
    clock.advance(minutes=1)
    alice.claim(2)
    dan, eve = (
        Person(brand, people.phone("13700137000")),
        Person(brand, people.phone("13600136000")),
    )
    bring_in(dan, alice, 3)
    bring_in(eve, dan, 4)
    settled = place_of(brand, bob)
    merge(brand, alice, bob)
    assert place_of(brand, alice) == settled
    with brand.deployment.db.read() as tx:
        counts = counters.counts_of(tx, counters.TREE, [charlie.customer, bob.customer])
        assert (counts[charlie.customer].total, counts[bob.customer].total) == (3, 0)


def test_the_only_place_remains(brand: Brand, cast: tuple[Person, Person, Person]) -> None:
    alice, bob, charlie = cast
    charlie.claim(0)
    bring_in(bob, charlie, 1)
    settled = place_of(brand, bob)
    merge(brand, alice, bob)
    assert place_of(brand, alice) == settled


@pytest.mark.parametrize("keep_upper", [True, False])
def test_the_upper_place_remains_and_nobody_is_paid_for_herself(
    brand: Brand, cast: tuple[Person, Person, Person], keep_upper: bool
) -> None:
    alice, bob, charlie = cast
    charlie.claim(0)
    bring_in(alice, charlie, 1)
    bring_in(bob, alice, 2)
    bob.claim(3)
    settled, budget = place_of(brand, alice), brand.budget_left()
    assert (alice.points(), bob.points()) == (
        PER_CLAIM + 2 * PER_FRIEND,
        2 * PER_CLAIM + PER_FRIEND,
    )
    kept = alice if keep_upper else bob
    merge(brand, alice, bob, keep=kept.customer)
    assert place_of(brand, kept) == settled
    # What was paid for the two claims stays, and what Charlie brought about; what she had for
    # bringing in herself, and for having been brought in by herself, does not.
    assert kept.points() == 3 * PER_CLAIM + PER_FRIEND
    assert brand.budget_left() == budget + 2 * PER_FRIEND
    with brand.deployment.db.read() as tx:
        same = sa.select(Reward).where(Reward.why == Reason.same_person)
        taken = tx.scalars(same.order_by(Reward.depth)).all()
        assert [(each.depth, each.amount) for each in taken] == [(0, PER_FRIEND), (1, PER_FRIEND)]


def test_who_bought_only_as_her_own_friend_was_brought_in_by_nobody(
    brand: Brand, cast: tuple[Person, Person, Person]
) -> None:
    alice, bob, charlie = cast
    bring_in(bob, alice, 0)
    bring_in(charlie, alice, 1)
    merge(brand, alice, bob)
    assert place_of(brand, alice) == (None, "claim:1")
    assert alice.claim(2).referrer is None
    assert alice.points() == 2 * PER_CLAIM + PER_FRIEND
    with brand.deployment.db.read() as tx:
        place = tx.get_one(Referral, alice.customer)
        assert [touch.outcome for touch in referrals.reasons(place).touches] == ["nobody"]


def test_who_stands_between_the_two_comes_below_them(
    brand: Brand, cast: tuple[Person, Person, Person]
) -> None:
    alice, bob, charlie = cast
    alice.claim(0)
    bring_in(charlie, alice, 1)
    bring_in(bob, charlie, 2)
    merge(brand, bob, alice)
    with brand.deployment.db.read() as tx:
        assert tree(tx) == {alice.customer: None, charlie.customer: alice.customer}
    assert charlie.points() == PER_CLAIM + 2 * PER_FRIEND, "she did bring in a buyer"
