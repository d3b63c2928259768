"""Wallets: what expires first is spent first, and what was spent can be given back."""

from fractions import Fraction

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral import actions, ledger, people
from referral.actions.reversing import reverse
from referral.clock import HeldClock
from referral.deployment import Deployment
from referral.rewards import Reason, Reward, wallets
from tests.cast import Brand, Person, cast_of, open_brand
from tests.races import at_once
from tests.rewards.test_granting import debt, is_balanced, spend


@pytest.fixture
def brand(deployment: Deployment) -> Brand:
    """A brand that pays 20 points for every claim, at once; they last for 30 days."""
    return open_brand(deployment, lasts_days=30)


@pytest.fixture
def alice(brand: Brand, clock: HeldClock) -> Person:
    """She has 20 points of today and 20 of the day before."""
    person, _, _ = cast_of(brand)
    person.claim(0)
    clock.advance(days=1)
    person.claim(1)
    return person


def left(brand: Brand) -> list[int]:
    with brand.deployment.db.read() as tx:
        return list(tx.scalars(sa.select(Reward.left).order_by(Reward.id)))


def give_back(person: Person, spent: int, key: str = "undo|1") -> int:
    d = person.brand.deployment

    def work(tx: Session) -> int:
        people.lock_customer(tx, person.customer)
        source = ledger.account(tx, ledger.Kind.redeemed, 0, "points")
        return wallets.give_back(
            tx,
            person.customer,
            "points",
            spent,
            source=source,
            key=key,
            what="undone",
            now=d.clock.now(),
        )

    return d.db.transact(work)


def take_back(brand: Brand, event: str) -> None:
    now = brand.deployment.clock.now()
    brand.deployment.db.transact(
        lambda tx: reverse(tx, event, Fraction(1), Reason.refunded, key=f"refund|{event}", now=now)
    )


def test_what_expires_first_is_spent_first(brand: Brand, alice: Person, clock: HeldClock) -> None:
    spend(alice, 25)
    assert (left(brand), alice.points()) == ([0, 15], 15)
    clock.advance(days=29)
    assert actions.expire_rewards(brand.deployment) == 0, "nothing is left of the older ones"
    clock.advance(days=1)
    assert actions.expire_rewards(brand.deployment) == 1
    assert alice.points() == 0


def test_nobody_spends_what_she_has_not(brand: Brand, alice: Person) -> None:
    with pytest.raises(ledger.Insufficient):
        spend(alice, 41)
    assert (left(brand), alice.points()) == ([20, 20], 40)


def test_the_same_points_are_not_spent_twice_at_once(brand: Brand, alice: Person) -> None:
    tries = [lambda n=n: spend(alice, 30, key=f"redemption|{n}") for n in range(4)]
    answers = at_once(tries)
    assert sum(isinstance(answer, int) for answer in answers) == 1
    assert (sum(left(brand)), alice.points()) == (10, 10)
    assert is_balanced(brand.deployment)


def test_what_was_spent_goes_back_to_where_it_came_from(brand: Brand, alice: Person) -> None:
    spent = spend(alice, 25)
    give_back(alice, spent)
    assert (left(brand), alice.points()) == ([20, 20], 40)
    spend(alice, 40, key="redemption|2")
    with pytest.raises(ledger.AlreadyPosted):
        give_back(alice, spent)
    assert is_balanced(brand.deployment)


def test_what_is_given_back_pays_debts_first(brand: Brand, alice: Person) -> None:
    spent = spend(alice, 40)
    take_back(brand, "claim:1")
    assert (debt(alice), alice.points()) == (20, 0)
    give_back(alice, spent)
    assert (debt(alice), alice.points(), left(brand)) == (0, 20, [0, 20])
    assert is_balanced(brand.deployment)


def test_what_was_taken_back_meanwhile_of_other_points_comes_back_to_those(
    brand: Brand, alice: Person
) -> None:
    spent = spend(alice, 20)  # the first claim's
    take_back(brand, "claim:1")  # is paid by the second claim's
    assert left(brand) == [0, 0]
    give_back(alice, spent)
    assert (debt(alice), alice.points(), left(brand)) == (0, 20, [0, 20])
    assert is_balanced(brand.deployment)


def test_what_expired_meanwhile_can_expire_again(
    brand: Brand, alice: Person, clock: HeldClock
) -> None:
    spent = spend(alice, 20)
    clock.advance(days=60)
    assert actions.expire_rewards(brand.deployment) == 1
    give_back(alice, spent)
    assert (alice.points(), left(brand)) == (20, [20, 0])
    clock.advance(seconds=wallets.BACK_LASTS.total_seconds() - 1)
    assert actions.expire_rewards(brand.deployment) == 0
    clock.advance(seconds=1)
    assert actions.expire_rewards(brand.deployment) == 1
    assert alice.points() == 0
    assert is_balanced(brand.deployment)
