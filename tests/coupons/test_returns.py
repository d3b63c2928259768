"""A coupon whose order is refunded is good again: once, for its holder, and what is owed comes
first."""

import random
from datetime import timedelta

import pytest
import sqlalchemy as sa

from referral import actions, coupons, ledger
from referral.actions.coupons import subject_of
from referral.audit import of_subject
from referral.clock import HeldClock
from referral.coupons import Coupon, CouponState
from referral.coupons.returns import CouponNotUsed, NoSuchCoupon, used_by
from referral.deployment import Deployment
from referral.errors import Problem
from referral.ledger import Kind
from referral.orders import RefundIn
from referral.rewards.wallets import BACK_LASTS
from tests.cast import Brand, Person, cast_of
from tests.pools import balance, find, open_with, order, state, undo
from tests.races import at_once

CODES = tuple(f"TEA-000{number}" for number in range(1, 7))


@pytest.fixture
def brand(deployment: Deployment) -> Brand:
    return open_with(deployment, *CODES)


@pytest.fixture
def alice(brand: Brand) -> Person:
    """She has TEA-0001."""
    found = cast_of(brand)[0]
    found.claim(0)
    return found


def refund(d: Deployment, number: str, amount: int = 5000, **said: bool) -> None:
    sent = {"external_id": f"back-{amount}", "amount": amount, **said}
    actions.refund_order(d, number, RefundIn.model_validate(sent))


def make_good(d: Deployment, code: str, by: str = "olga@brand.example") -> None:
    actions.make_coupon_good(d, find(d, code).coupon.id, reason="the shop was out of it", by=by)


def test_a_full_refund_gives_the_coupon_back_and_it_is_used_again(
    brand: Brand, alice: Person
) -> None:
    d = brand.deployment
    order(d, "A", CODES[0])
    assert state(d, CODES[0]) is CouponState.used
    refund(d, "A", 2000)
    assert state(d, CODES[0]) is CouponState.used, "some of the order stands"
    refund(d, "A", 3000)
    held = find(d, CODES[0])
    assert state(d, CODES[0]) is CouponState.valid
    assert (held.coupon.used_at, held.coupon.used_by, held.holder) == (None, None, alice.customer)
    assert balance(d, Kind.wallet, alice.customer) == 1
    assert balance(d, Kind.redeemed, 0) == 0
    order(d, "B", CODES[0])
    assert find(d, CODES[0]).coupon.used_by == "B"
    assert balance(d, Kind.redeemed, 0) == 1


def test_refunded_twice_and_reported_twice_it_comes_back_once(brand: Brand, alice: Person) -> None:
    d = brand.deployment
    for number in ("A", "B", "C"):
        order(d, number, CODES[0])
        assert find(d, CODES[0]).coupon.used_by == number
        refund(d, number)
        refund(d, number)
        assert state(d, CODES[0]) is CouponState.valid
    order(d, "D", CODES[0])
    for older in ("A", "B"):
        refund(d, older)
    assert find(d, CODES[0]).coupon.used_by == "D", "an older order's refund leaves it alone"


def test_the_same_refund_at_the_same_moment_gives_it_back_once(brand: Brand, alice: Person) -> None:
    d = brand.deployment
    order(d, "A", CODES[0])
    done = at_once([lambda: refund(d, "A")] * 3 + [lambda: make_good(d, CODES[0])])
    assert done[:3] == [None] * 3
    assert done[3] is None or isinstance(done[3], CouponNotUsed)
    assert state(d, CODES[0]) is CouponState.valid
    assert balance(d, Kind.wallet, alice.customer) == 1


def test_a_shop_can_keep_it(brand: Brand, alice: Person) -> None:
    d = brand.deployment
    order(d, "A", CODES[0])
    refund(d, "A", coupon_back=False)
    assert state(d, CODES[0]) is CouponState.used


def test_one_that_has_expired_does_not_come_back_by_itself(
    brand: Brand, alice: Person, clock: HeldClock
) -> None:
    d = brand.deployment
    order(d, "A", CODES[0])
    clock.advance(days=30)
    refund(d, "A")
    assert state(d, CODES[0]) is CouponState.used
    make_good(d, CODES[0])
    held = find(d, CODES[0])
    assert state(d, CODES[0]) is CouponState.valid
    assert held.reward is not None
    assert held.coupon.expires_at == held.reward.expires_at == clock.now() + BACK_LASTS
    clock.advance(days=30)
    assert actions.expire_rewards(d) == 1
    assert state(d, CODES[0]) is CouponState.expired
    assert balance(d, Kind.wallet, alice.customer) == 0


def test_it_keeps_its_day_when_it_comes_back_in_time(
    brand: Brand, alice: Person, clock: HeldClock
) -> None:
    ends = clock.now() + timedelta(days=30)
    order(brand.deployment, "A", CODES[0])
    clock.advance(days=29)
    refund(brand.deployment, "A")
    assert find(brand.deployment, CODES[0]).coupon.expires_at == ends


def test_staff_make_it_good_with_a_reason(brand: Brand, alice: Person, clock: HeldClock) -> None:
    d = brand.deployment
    with pytest.raises(CouponNotUsed):
        make_good(d, CODES[0])
    with pytest.raises(CouponNotUsed):
        make_good(d, CODES[5])
    with pytest.raises(NoSuchCoupon):
        actions.make_coupon_good(d, 999, reason="x", by="tests")
    order(d, "A", CODES[0])
    make_good(d, CODES[0])
    assert state(d, CODES[0]) is CouponState.valid
    with pytest.raises(CouponNotUsed):
        make_good(d, CODES[0])
    refund(d, "A")
    assert balance(d, Kind.wallet, alice.customer) == 1
    with d.db.read() as tx:
        (kept,) = of_subject(tx, subject_of(find(d, CODES[0]).coupon.id))
    assert (kept.by, kept.action) == ("olga@brand.example", "coupon made good")
    assert kept.details == {"order": "A", "reason": "the shop was out of it"}


def test_what_is_owed_is_paid_first(brand: Brand, alice: Person) -> None:
    d = brand.deployment
    order(d, "A", CODES[0])
    undo(d, "claim:1")
    assert balance(d, Kind.owed, alice.customer) == -1
    refund(d, "A")
    assert balance(d, Kind.owed, alice.customer) == 0
    assert state(d, CODES[0]) is CouponState.withdrawn, "what earned it was undone"


def test_the_one_that_made_up_for_it_is_good_again(brand: Brand, alice: Person) -> None:
    d = brand.deployment
    alice.claim(1)
    alice.claim(2)
    order(d, "A", CODES[0])
    order(d, "B", CODES[2])
    undo(d, "claim:1")
    assert [state(d, code) for code in CODES[:3]] == ["used", "withdrawn", "used"]
    refund(d, "A")
    assert [state(d, code) for code in CODES[:3]] == ["withdrawn", "valid", "used"]
    assert balance(d, Kind.wallet, alice.customer) == 1


def test_who_holds_it_after_a_merge_gets_it_back(brand: Brand, alice: Person) -> None:
    d = brand.deployment
    _, bob, _ = cast_of(brand)
    bob.sign_in()
    order(d, "A", CODES[0])
    merged = actions.merge_customers(
        d, alice.customer, bob.customer, by="tests", reason="one", keep=bob.customer
    )
    refund(d, "A")
    assert find(d, CODES[0]).holder == merged.kept == bob.customer
    assert balance(d, Kind.wallet, bob.customer) == 1


def test_an_order_s_coupon_is_found_by_the_order_alone(brand: Brand, alice: Person) -> None:
    d = brand.deployment
    alice.claim(1)
    order(d, "A", CODES[1])
    with d.db.read() as tx:
        found = used_by(tx, "A")
        assert found is not None
        assert found.code(d.keys) == CODES[1]
        assert used_by(tx, "B") is None
        assert used_by(tx, "") is None


@pytest.mark.parametrize("seed", range(3))
def test_a_wallet_holds_as_many_coupons_as_are_good(
    brand: Brand, alice: Person, clock: HeldClock, seed: int
) -> None:
    """Whatever happens, in whichever order."""
    d, dice = brand.deployment, random.Random(seed)
    claims, placed = 1, 0
    for _ in range(30):
        step = dice.choice(("claim", "order", "order", "refund", "undo", "good", "night"))
        try:
            if step == "claim" and claims < len(CODES):
                alice.claim(claims)
                claims += 1
            elif step == "order":
                placed += 1
                order(d, f"A-{placed}", dice.choice(CODES[:claims]))
            elif step == "refund" and placed:
                refund(d, f"A-{dice.randint(1, placed)}")
            elif step == "undo":
                undo(d, f"claim:{dice.randint(1, claims)}")
            elif step == "good":
                make_good(d, dice.choice(CODES[:claims]))
            elif step == "night":
                clock.advance(days=4)
                actions.expire_rewards(d)
        except (Problem, ledger.AlreadyPosted):
            pass
        states = [state(d, code) for code in CODES]
        assert balance(d, Kind.wallet, alice.customer) == states.count(CouponState.valid), step
        assert balance(d, Kind.redeemed, 0) == states.count(CouponState.used), step
    with d.db.read() as tx:
        assert ledger.verify(tx) == []
        given = tx.scalar(sa.select(sa.func.count()).where(Coupon.reward_id.is_not(None)))
        assert given == len(coupons.held_by_customer(tx, alice.customer))
