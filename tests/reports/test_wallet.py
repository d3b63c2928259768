"""What a customer has of taking part, and why what is missing is."""

from datetime import timedelta

import pytest
from sqlalchemy.orm import Session

from referral import actions, people
from referral.clock import HeldClock
from referral.deployment import Deployment
from referral.reports import wallet
from referral.reports.wallet import Friend, NoPoints, Package, Waiting
from referral.rewards import Reward, RewardState, Why
from tests.cast import (
    OTHER_GTIN,
    PER_CLAIM,
    PER_FRIEND,
    Brand,
    Person,
    add_product,
    cast_of,
    issue,
    open_brand,
    publish,
)

HOLD = timedelta(days=7)


@pytest.fixture
def brand(deployment: Deployment) -> Brand:
    return open_brand(deployment, hold_days=HOLD.days)


@pytest.fixture
def cast(brand: Brand, clock: HeldClock) -> tuple[Person, Person, Person]:
    """Alice has claimed a package, and Bob one through her link a day later."""
    alice, bob, charlie = cast_of(brand)
    alice.claim(0)
    bob.open(alice.link())
    clock.advance(days=1)
    bob.claim(1)
    return alice, bob, charlie


def friends_of(brand: Brand, person: Person, **part: int) -> list[Friend]:
    with brand.deployment.db.read() as tx:
        return wallet.friends_of(tx, brand.deployment.keys, person.customer, **part)


def packages_of(brand: Brand, person: Person, **part: int) -> list[Package]:
    with brand.deployment.db.read() as tx:
        return wallet.packages_of(tx, person.customer, **part)


def test_rewards_come_newest_first_a_page_at_a_time(
    brand: Brand, cast: tuple[Person, Person, Person]
) -> None:
    alice, bob, _ = cast
    with brand.deployment.db.read() as tx:
        found = wallet.rewards_of(tx, alice.customer)
        assert [(r.amount, r.depth) for r in found] == [(PER_FRIEND, 1), (PER_CLAIM, 0)]
        [older] = wallet.rewards_of(tx, alice.customer, offset=1, limit=1)
        assert older.amount == PER_CLAIM
        assert {r.amount for r in wallet.rewards_of(tx, bob.customer)} == {PER_CLAIM, PER_FRIEND}


def test_what_is_on_hold_is_told_with_its_first_and_last_day(
    brand: Brand, cast: tuple[Person, Person, Person], clock: HeldClock
) -> None:
    alice, _, charlie = cast
    charlie.sign_in()
    second = clock.now()
    with brand.deployment.db.read() as tx:
        waiting = wallet.waiting_of(tx, alice.customer)
        assert waiting == Waiting(second - timedelta(days=1) + HOLD, second + HOLD)
        assert wallet.waiting_of(tx, charlie.customer) is None
    clock.advance(days=6)
    actions.release_rewards(brand.deployment)
    with brand.deployment.db.read() as tx:
        assert wallet.waiting_of(tx, alice.customer) == Waiting(second + HOLD, second + HOLD)
    clock.advance(days=1)
    actions.release_rewards(brand.deployment)
    with brand.deployment.db.read() as tx:
        assert wallet.waiting_of(tx, alice.customer) is None


# Friends


def test_friends_have_the_names_they_gave_and_what_they_brought(
    brand: Brand, cast: tuple[Person, Person, Person], clock: HeldClock
) -> None:
    alice, bob, charlie = cast
    first = clock.now()
    charlie.open(alice.link())
    clock.advance(days=7)
    actions.release_rewards(brand.deployment)
    charlie.claim(2)
    actions.rename(brand.deployment, charlie.customer, "查理 🍵")
    now = clock.now()
    newest = Friend("查理 🍵", now, PER_FRIEND, RewardState.pending, now + HOLD, None)
    oldest = Friend(None, first, PER_FRIEND, RewardState.available, first + HOLD, None)
    assert friends_of(brand, alice) == [newest, oldest]
    assert friends_of(brand, alice, offset=1, limit=1) == [oldest]
    assert friends_of(brand, bob) == []
    with brand.deployment.db.read() as tx:
        assert wallet.friend_count(tx, alice.customer) == 2
        assert wallet.friend_count(tx, bob.customer) == 0


def test_what_was_taken_back_is_no_point(brand: Brand, cast: tuple[Person, Person, Person]) -> None:
    def take_back(tx: Session) -> None:
        reward = wallet.rewards_of(tx, cast[0].customer)[0]
        tx.merge(reward).state = RewardState.reversed

    brand.deployment.db.transact(take_back)
    [friend] = friends_of(brand, cast[0])
    assert (friend.points, friend.state, friend.why) == (0, RewardState.reversed, None)


def test_a_friend_without_points_is_one_of_a_spent_budget(deployment: Deployment) -> None:
    brand = open_brand(deployment, budget=PER_CLAIM + PER_FRIEND)
    alice, bob, charlie = cast_of(brand)
    alice.claim(0)
    charlie.open(alice.link())
    charlie.claim(1)
    bob.open(alice.link())
    bob.claim(2)
    found = {friend.points: friend.why for friend in friends_of(brand, alice)}
    assert found[0] is Why.budget_spent


def test_a_friend_without_points_is_one_of_a_campaign_that_did_not_cover_it(
    brand: Brand, deployment: Deployment
) -> None:
    alice, bob, charlie = cast_of(brand)
    alice.sign_in()
    add_product(deployment, OTHER_GTIN)
    elsewhere = publish(deployment, slug="elsewhere", gtins=[OTHER_GTIN])
    bob.open(alice.link(elsewhere))
    bob.claim(1)
    assert [friend.why for friend in friends_of(brand, alice)] == [NoPoints.not_covered]
    # Nor is there any campaign for a product that costs too little for it.
    cheap = issue(deployment, add_product(deployment, "06901234567915", price=10).gtin)
    charlie.open(alice.link())
    charlie.claim(3, cheap)
    assert {friend.why for friend in friends_of(brand, alice)} == {NoPoints.not_covered}


def test_a_friend_without_points_is_one_of_a_campaign_that_gives_none(
    deployment: Deployment,
) -> None:
    rules = [{"when": "first_claim", "for": "person", "amount": 20}]
    brand = open_brand(deployment, rules=rules)
    alice, bob, _ = cast_of(brand)
    alice.sign_in()
    bob.open(alice.link())
    bob.claim(1)
    [friend] = friends_of(brand, alice)
    assert (friend.points, friend.state, friend.why) == (0, None, NoPoints.not_promised)


# Packages


def test_packages_are_those_claimed_newest_first(
    brand: Brand, cast: tuple[Person, Person, Person], clock: HeldClock
) -> None:
    alice = cast[0]
    clock.advance(days=1)
    claim = alice.claim(7).claim.id
    newest = Package("Cold Brew Tea", clock.now(), None, claim)
    found = packages_of(brand, alice)
    oldest = Package("Cold Brew Tea", clock.now() - timedelta(days=2), None, found[-1].claim_id)
    assert found == [newest, oldest]
    assert 0 < oldest.claim_id < claim
    assert packages_of(brand, alice, offset=1, limit=5) == [oldest]


def test_a_claim_that_found_the_budget_spent_says_so(deployment: Deployment) -> None:
    brand = open_brand(deployment, budget=2 * PER_CLAIM)
    alice, bob, _ = cast_of(brand)
    for index in range(3):
        alice.claim(index)
    assert [p.why for p in packages_of(brand, alice)] == [Why.budget_spent, None, None]
    bob.open(alice.link())
    bob.claim(4)
    assert [p.why for p in packages_of(brand, bob)] == [Why.budget_spent]


def test_a_claim_that_no_campaign_covers_says_so(brand: Brand, deployment: Deployment) -> None:
    alice = Person(brand, people.phone("13800138000"))
    cheap = issue(deployment, add_product(deployment, OTHER_GTIN, price=10).gtin)
    alice.claim(0, cheap)
    assert [p.why for p in packages_of(brand, alice)] == [NoPoints.not_covered]


def test_a_first_claim_through_a_link_of_another_campaign_lacks_nothing(
    brand: Brand, deployment: Deployment
) -> None:
    """The campaign that pays promises no thanks for a friend that another one brought."""
    alice, bob, _ = cast_of(brand)
    alice.sign_in()
    add_product(deployment, OTHER_GTIN)
    elsewhere = publish(deployment, slug="elsewhere", gtins=[OTHER_GTIN])
    bob.open(alice.link(elsewhere))
    bob.claim(1)
    assert [p.why for p in packages_of(brand, bob)] == [None]
    with deployment.db.read() as tx:
        assert [r.amount for r in wallet.rewards_of(tx, bob.customer)] == [PER_CLAIM]
        assert isinstance(wallet.rewards_of(tx, bob.customer)[0], Reward)
