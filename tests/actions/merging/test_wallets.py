"""What two customers had, were owed and owe adds up when they are one."""

from fractions import Fraction

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral import actions, ledger, people
from referral.clock import HeldClock
from referral.deployment import Deployment
from referral.ledger import Kind
from referral.rewards import wallets
from referral.rewards.caps import RewardCap
from tests.actions.merging.conftest import bring_in, merge, owed, spend, take_back
from tests.cast import PER_CLAIM, PER_FRIEND, RULES, Brand, Person, cast_of, open_brand


@pytest.mark.parametrize(
    ("claims", "available", "debt"), [(0, 0, PER_CLAIM), (1, 0, 0), (3, 2 * PER_CLAIM, 0)]
)
@pytest.mark.parametrize("keep_debtor", [True, False])
def test_what_one_owes_the_other_pays(
    brand: Brand,
    cast: tuple[Person, Person, Person],
    claims: int,
    available: int,
    debt: int,
    keep_debtor: bool,
) -> None:
    alice, bob, _ = cast
    event = bob.claim(0).claim.event
    spend(brand, bob, PER_CLAIM, "spent")
    take_back(brand, event)
    assert owed(brand, bob) == PER_CLAIM
    for index in range(claims):
        alice.claim(1 + index)
    kept = bob if keep_debtor else alice
    merge(brand, alice, bob, keep=kept.customer)
    assert (kept.points(), owed(brand, kept)) == (available, debt)


def test_taking_back_reaches_what_is_spent(
    brand: Brand, cast: tuple[Person, Person, Person]
) -> None:
    alice, bob, _ = cast
    alice.claim(0)
    bring_in(bob, alice, 1)
    spend(brand, alice, alice.points(), "all")
    spend(brand, bob, bob.points(), "all of hers")
    merge(brand, alice, bob)
    assert (alice.points(), owed(brand, alice)) == (0, 2 * PER_FRIEND)
    alice.claim(2)
    assert (alice.points(), owed(brand, alice)) == (0, 2 * PER_FRIEND - PER_CLAIM)


def test_what_is_on_hold_is_released_to_the_kept_one(
    deployment: Deployment, clock: HeldClock
) -> None:
    brand = open_brand(deployment, hold_days=7)
    alice, bob, _ = cast_of(brand)
    alice.claim(0)
    bob.claim(1)
    merge(brand, alice, bob)
    assert (alice.pending(), bob.pending()) == (2 * PER_CLAIM, 0)
    clock.advance(days=8)
    actions.release_rewards(deployment)
    assert (alice.points(), alice.pending()) == (2 * PER_CLAIM, 0)


def test_a_refund_reaches_the_kept_one_and_what_she_spent_comes_back(
    brand: Brand, cast: tuple[Person, Person, Person]
) -> None:
    alice, bob, _ = cast
    event = bob.claim(0).claim.event
    entry = spend(brand, bob, PER_CLAIM, "spent")
    merge(brand, alice, bob)
    take_back(brand, event, Fraction(1, 2))
    assert owed(brand, alice) == PER_CLAIM // 2

    def undo(tx: Session) -> None:
        source = ledger.account(tx, Kind.redeemed, 0, "points")
        wallets.give_back(
            tx,
            people.lock_customer(tx, bob.customer),
            "points",
            entry,
            source=source,
            key="undo",
            what="undone",
            now=brand.deployment.clock.now(),
        )

    brand.deployment.db.transact(undo)
    assert (alice.points(), owed(brand, alice)) == (PER_CLAIM // 2, 0)


def test_limits_count_what_both_have_had(deployment: Deployment) -> None:
    rules = [{**RULES[0], "limits": {"per_person": 3, "per_person_per_day": 3}}]
    brand = open_brand(deployment, rules=rules)
    alice, bob, _ = cast_of(brand)
    alice.claim(0)
    bob.claim(1)
    bob.claim(2)
    merge(brand, alice, bob)
    assert not alice.claim(3).rewards
    with deployment.db.read() as tx:
        rows = tx.execute(sa.select(RewardCap.scope, RewardCap.used)).all()
        assert {(row.scope.startswith(f"person {alice.customer}"), row.used) for row in rows} == {
            (True, 3)
        }
