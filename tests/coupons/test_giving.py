"""A reward gets a code of its own, and expires with it."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from referral import actions, coupons, ledger, people
from referral.clock import HeldClock
from referral.coupons import Coupon, CouponNotGood, CouponState, NoSuchPool, PoolCurrency
from referral.deployment import Deployment
from referral.rewards import Reward, Withheld
from tests.cast import Brand, Person, add_product, cast_of, issue, publish
from tests.pools import RULES, add_pool, balance, find, open_with, state, use
from tests.races import at_once


def test_a_reward_has_a_code_of_its_own(brand: Brand, alice: Person) -> None:
    d = brand.deployment
    claimed = alice.claim(0)
    assert [(reward.unit, reward.amount) for reward in claimed.rewards] == [("coupon:tea", 1)]
    held = find(d, "tea-0001")
    assert held.holder == alice.customer
    assert held.state_at(d.clock.now()) is CouponState.valid
    assert held.coupon.expires_at == d.clock.now() + timedelta(days=30)
    assert claimed.rewards[0].expires_at == held.coupon.expires_at
    assert balance(d, ledger.Kind.budget, brand.campaign.id) == 99
    assert balance(d, ledger.Kind.wallet, alice.customer) == 1
    alice.claim(1)
    assert find(d, "tea-0002").holder == alice.customer
    with d.db.read() as tx:
        shown = coupons.held_by_customer(tx, alice.customer)
    assert [each.code(d.keys) for each in shown] == ["TEA-0002", "TEA-0001"]


def test_claiming_again_gives_no_second_code(brand: Brand, alice: Person) -> None:
    alice.claim(0)
    assert alice.claim(0).already
    assert state(brand.deployment, "tea-0002") is CouponState.free


def test_an_empty_pool_keeps_the_claim_and_says_why_there_is_nothing(
    brand: Brand, alice: Person
) -> None:
    for index in range(3):
        assert alice.claim(index).rewards
    claimed = alice.claim(3)
    assert claimed.rewards == []
    assert claimed.budget_spent
    assert balance(brand.deployment, ledger.Kind.budget, brand.campaign.id) == 97
    with brand.deployment.db.read() as tx:
        assert [each.why for each in tx.scalars(sa.select(Withheld))] == ["budget_spent"]


def test_a_budget_that_is_spent_leaves_the_code_in_the_pool(deployment: Deployment) -> None:
    brand = open_with(deployment, "TEA-0001", "TEA-0002", budget=1)
    alice, bob, _ = cast_of(brand)
    assert alice.claim(0).rewards
    assert bob.claim(1).budget_spent
    assert state(deployment, "tea-0002") is CouponState.free


def test_both_sides_get_a_code_each(deployment: Deployment) -> None:
    rules = [{**RULES[0], "when": "referred_first_claim", "for": "both"}]
    brand = open_with(deployment, "TEA-0001", "TEA-0002", "TEA-0003", rules=rules)
    alice, bob, _ = cast_of(brand)
    alice.claim(0)
    bob.open(alice.link())
    bob.claim(1)
    found = {find(deployment, code).holder for code in ("tea-0001", "tea-0002")}
    assert found == {alice.customer, bob.customer}
    assert state(deployment, "tea-0003") is CouponState.free


def test_a_code_is_nobody_s_to_use_while_the_reward_is_on_hold(
    deployment: Deployment, clock: HeldClock
) -> None:
    brand = open_with(deployment, "TEA-0001", hold_days=7)
    alice = cast_of(brand)[0]
    alice.claim(0)
    assert state(deployment, "tea-0001") is CouponState.waiting
    with deployment.db.read() as tx:
        assert coupons.held_by_customer(tx, alice.customer) == []
    with pytest.raises(CouponNotGood):
        use(deployment, "tea-0001", "order:1")
    clock.advance(days=7)
    actions.release_rewards(deployment)
    assert state(deployment, "tea-0001") is CouponState.valid
    assert find(deployment, "tea-0001").coupon.expires_at == clock.now() + timedelta(days=30)


def test_a_reward_expires_with_its_coupon_and_not_with_the_points(
    deployment: Deployment, clock: HeldClock
) -> None:
    """The pool's coupons last 30 days; what else the campaign pays lasts 5."""
    brand = open_with(deployment, "TEA-0001", hold_days=7, lasts_days=5)
    claimed = cast_of(brand)[0].claim(0)
    ends = clock.now() + timedelta(days=7 + 30)
    held = find(deployment, "TEA-0001")
    assert held.reward is not None
    found = [claimed.rewards[0].expires_at, held.reward.expires_at, held.coupon.expires_at]
    assert found == [ends] * 3
    clock.advance(days=7)
    actions.release_rewards(deployment)
    clock.advance(days=29)
    assert actions.expire_rewards(deployment) == 0
    assert state(deployment, "TEA-0001") is CouponState.valid
    clock.advance(days=1)
    assert actions.expire_rewards(deployment) == 1
    assert state(deployment, "TEA-0001") is CouponState.expired


def test_a_reward_that_is_released_at_once_expires_with_its_coupon(
    deployment: Deployment, clock: HeldClock
) -> None:
    brand = open_with(deployment, "TEA-0001", lasts_days=5)
    cast_of(brand)[0].claim(0)
    held = find(deployment, "TEA-0001")
    assert held.reward is not None
    assert held.reward.expires_at == held.coupon.expires_at == clock.now() + timedelta(days=30)


def test_a_coupon_that_would_have_ended_before_it_can_be_used_is_not_given(
    deployment: Deployment, clock: HeldClock
) -> None:
    ends = clock.now() + timedelta(days=7)
    add_pool(deployment, "TEA-0001", lasts_days=None, expires_at=ends)
    product = add_product(deployment, price=20_000)
    terms = {"rules": RULES, "budget": 0, "budgets": {"coupon:tea": 5}, "hold_days": 7}
    brand = Brand(deployment, product, issue(deployment), publish(deployment, **terms))
    assert cast_of(brand)[0].claim(0).budget_spent
    assert state(deployment, "tea-0001") is CouponState.free
    clock.advance(days=7)
    assert state(deployment, "tea-0001") is CouponState.expired


@pytest.mark.parametrize(
    "changes, error", [({"slug": "coffee"}, NoSuchPool), ({"currency": "USD"}, PoolCurrency)]
)
def test_a_campaign_gives_from_a_pool_there_is(
    deployment: Deployment, changes: dict[str, str], error: type[Exception]
) -> None:
    add_pool(deployment, "TEA-0001", **changes)
    add_product(deployment, price=20_000)
    with pytest.raises(error):
        publish(deployment, rules=RULES, budget=0, budgets={"coupon:tea": 5})


def test_no_two_claims_at_once_get_the_same_code(deployment: Deployment) -> None:
    brand = open_with(deployment, *(f"TEA-{number:04}" for number in range(6)))
    people_there = [Person(brand, people.email(f"p{number}@example.com")) for number in range(8)]
    for person in people_there:
        person.sign_in()
    works: list[Callable[[], Any]] = [
        lambda person=person, index=index: person.claim(index)
        for index, person in enumerate(people_there)
    ]
    claimed = at_once(works)
    assert sorted(len(each.rewards) for each in claimed) == [0, 0, 1, 1, 1, 1, 1, 1]
    with deployment.db.read() as tx:
        given = tx.scalars(sa.select(Coupon.reward_id)).all()
        rewards = set(tx.scalars(sa.select(Reward.id)))
    assert set(given) == rewards
    assert len(rewards) == 6
