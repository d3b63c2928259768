"""Coupons are looked up by the shop, used once, withdrawn, and expire."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from referral import actions, coupons, ledger
from referral.clock import HeldClock
from referral.coupons import CouponNotGood, CouponState, CouponUsed, UnknownCoupon
from referral.orders import OrderIn
from referral.rewards import Reward, RewardState, expire_due
from tests.cast import Brand, Person
from tests.pools import balance, find, state, undo, use
from tests.races import at_once, overtaken


def test_a_coupon_is_used_by_one_order(brand: Brand, alice: Person) -> None:
    d = brand.deployment
    alice.claim(0)
    alice.claim(1)
    assert use(d, "tea 0002", "order:shop-1").holder == alice.customer
    assert use(d, "TEA-0002", "order:shop-1").coupon.used_by == "order:shop-1"
    with pytest.raises(CouponUsed):
        use(d, "TEA-0002", "order:shop-2")
    assert [state(d, "TEA-0001"), state(d, "TEA-0002")] == [CouponState.valid, CouponState.used]
    assert balance(d, ledger.Kind.wallet, alice.customer) == 1
    assert balance(d, ledger.Kind.redeemed, 0) == 1
    with pytest.raises(CouponNotGood):
        use(d, "TEA-0003", "order:shop-1")
    with pytest.raises(UnknownCoupon):
        use(d, "TEA-0004", "order:shop-1")


def test_two_orders_at_once_do_not_both_use_it(brand: Brand, alice: Person) -> None:
    alice.claim(0)
    d = brand.deployment
    done = at_once([lambda n=n: use(d, "TEA-0001", f"order:{n}") for n in range(4)])
    assert sorted(type(each).__name__ for each in done) == ["CouponUsed"] * 3 + ["Held"]
    assert balance(d, ledger.Kind.redeemed, 0) == 1


def test_what_earned_it_was_undone(brand: Brand, alice: Person) -> None:
    d = brand.deployment
    claimed = alice.claim(0)
    undo(d, claimed.claim.event)
    assert state(d, "TEA-0001") is CouponState.withdrawn
    with pytest.raises(CouponNotGood):
        use(d, "TEA-0001", "order:1")
    assert balance(d, ledger.Kind.budget, brand.campaign.id) == 100
    alice.claim(1)
    assert find(d, "TEA-0002").holder == alice.customer, "a withdrawn code is not given again"


def test_one_that_was_used_and_then_undone_is_made_up_for_by_the_next(
    brand: Brand, alice: Person
) -> None:
    d = brand.deployment
    first = alice.claim(0)
    use(d, "TEA-0001", "order:1")
    undo(d, first.claim.event)
    assert state(d, "TEA-0001") is CouponState.used
    assert balance(d, ledger.Kind.owed, alice.customer) == -1
    alice.claim(1)
    assert balance(d, ledger.Kind.owed, alice.customer) == 0
    assert state(d, "TEA-0002") is CouponState.withdrawn
    alice.claim(2)
    assert state(d, "TEA-0003") is CouponState.valid


def test_it_expires_with_its_reward(brand: Brand, alice: Person, clock: HeldClock) -> None:
    d = brand.deployment
    alice.claim(0)
    clock.advance(days=30)
    assert state(d, "TEA-0001") is CouponState.expired, "also before the nightly pass"
    actions.expire_rewards(d)
    assert state(d, "TEA-0001") is CouponState.expired
    with pytest.raises(CouponNotGood):
        use(d, "TEA-0001", "order:1")
    assert balance(d, ledger.Kind.expired, brand.campaign.id) == 1
    with d.db.read() as tx:
        assert tx.scalar(sa.select(Reward.state)) == RewardState.expired


def test_one_that_expires_at_this_moment_is_not_used(
    brand: Brand, alice: Person, clock: HeldClock
) -> None:
    """The order's clock may still say that it is good."""
    d = brand.deployment
    alice.claim(0)
    clock.advance(days=29)
    soon = clock.now() + timedelta(days=1)
    done = overtaken(d.db, lambda tx: expire_due(tx, soon), lambda: use(d, "TEA-0001", "order:1"))
    assert done[0] == 1
    assert isinstance(done[1], CouponNotGood)
    assert state(d, "TEA-0001") is CouponState.expired
    assert balance(d, ledger.Kind.redeemed, 0) == 0


def test_an_order_beside_the_expiry_stands(brand: Brand, alice: Person, clock: HeldClock) -> None:
    d = brand.deployment
    alice.claim(0)
    clock.advance(days=29)
    soon = clock.now() + timedelta(days=1)
    sent = {"external_id": "A", "amount": 5_000, "currency": "CNY", "coupon": "TEA-0001"}
    order = OrderIn.model_validate(sent)
    done = overtaken(d.db, lambda tx: expire_due(tx, soon), lambda: actions.place_order(d, order))
    assert done[0] == 1
    assert done[1].order.customer_id == alice.customer
    assert find(d, "TEA-0001").coupon.used_by is None


def test_the_holder_is_who_has_the_reward_now(brand: Brand, alice: Person) -> None:
    d = brand.deployment
    alice.claim(0)
    with d.db.read() as tx:
        assert coupons.holder_of(tx, d.keys, "tea 0001") == alice.customer
        assert coupons.holder_of(tx, d.keys, "tea 0002") is None
        assert coupons.holder_of(tx, d.keys, "no such code") is None
