"""A refund takes back its share of what was paid, once."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from referral import actions, ledger, orders, rewards
from referral.clock import HeldClock
from referral.deployment import Deployment
from referral.ledger import Kind
from referral.orders import Order, Refund
from referral.rewards import RewardState
from tests.actions.ordering.conftest import (
    AMOUNT,
    RULES,
    SLOW_BUT_FINE,
    balance,
    count,
    member,
    order,
    refund,
    token,
    wallet,
)
from tests.cast import Brand, open_brand


def test_a_refund_takes_back_its_share_from_everybody(brand: Brand) -> None:
    d = brand.deployment
    alice = member(d, "alice")
    bob = order(d, member_id="bob", via=token(d, alice)).order.customer_id
    before = brand.budget_left()
    half = refund(d, AMOUNT // 2)
    assert (half.already, half.order.refunded) == (False, AMOUNT // 2)
    assert (wallet(d, bob), wallet(d, alice)) == (750, 250)
    assert brand.budget_left() == before + 1000
    refund(d, AMOUNT // 2, "R-2")
    assert (wallet(d, bob), wallet(d, alice)) == (0, 0)
    with d.db.read() as tx:
        states = {each.state for each in rewards.of_event(tx, half.order.event)}
    assert states == {RewardState.reversed}


def test_the_same_refund_again_takes_nothing_more(brand: Brand) -> None:
    d = brand.deployment
    bob = order(d, member_id="bob").order.customer_id
    first, again = refund(d, 5000), refund(d, 5000)
    assert again.already
    assert again.refund.id == first.refund.id
    assert wallet(d, bob) == 750
    with pytest.raises(orders.RefundDiffers):
        refund(d, 5001)
    order(d, "A-2", member_id="bob")
    assert not refund(d, 5000, of="A-2").already, "another order's refunds have their own numbers"


def test_more_than_the_order_is_never_refunded(brand: Brand) -> None:
    d = brand.deployment
    order(d, member_id="bob")
    refund(d, AMOUNT - 1)
    with pytest.raises(orders.RefundTooLarge) as refused:
        refund(d, 2, "R-2")
    assert refused.value.details["left"] == 1
    with pytest.raises(orders.UnknownOrder):
        refund(d, 1, of="A-2")
    assert count(d, Refund) == 1


def test_what_is_on_hold_is_taken_back_from_there(deployment: Deployment, clock: HeldClock) -> None:
    brand = open_brand(deployment, rules=RULES, hold_days=7)
    bob = order(deployment, member_id="bob").order.customer_id
    assert balance(deployment, Kind.pending, bob) == 1000
    refund(deployment, AMOUNT // 4)
    assert balance(deployment, Kind.pending, bob) == 750
    clock.advance(days=8)
    actions.release_rewards(deployment)
    assert wallet(deployment, bob) == 750
    assert brand.budget_left() == 100_000 - 750


def test_what_was_spent_is_owed_and_paid_by_what_comes_next(brand: Brand) -> None:
    d = brand.deployment
    bob = order(d, member_id="bob").order.customer_id

    def spend(tx: Session) -> None:
        to = ledger.account(tx, Kind.redeemed, 0, "points")
        rewards.wallets.spend(
            tx, bob, "points", 900, to=to, key="t", what="test", now=d.clock.now()
        )

    d.db.transact(spend)
    refund(d, AMOUNT)
    assert (wallet(d, bob), balance(d, Kind.owed, bob)) == (0, -900)
    order(d, "A-2", member_id="bob", amount=40_000)
    assert (wallet(d, bob), balance(d, Kind.owed, bob)) == (1100, 0)


@settings(max_examples=25, suppress_health_check=SLOW_BUT_FINE)
@given(
    amount=st.integers(1, 10**6),
    cuts=st.lists(st.floats(0, 1), max_size=5),
)
def test_any_refunds_take_back_exactly_their_share(
    brand: Brand, amount: int, cuts: list[float]
) -> None:
    d = brand.deployment
    number = str(count(d, Order))
    made = order(d, number, member_id="bob", amount=amount)
    marks = sorted({int(amount * cut) for cut in cuts} - {0} | {amount})
    for before, mark in zip([0, *marks], marks, strict=False):
        refund(d, mark - before, str(mark), of=number)
        with d.db.read() as tx:
            taken = {
                each.amount: each.taken_back for each in rewards.of_event(tx, made.order.event)
            }
        for granted, back in taken.items():
            # Half upwards, in whole numbers.
            assert back == (2 * granted * mark + amount) // (2 * amount)
    with d.db.read() as tx:
        left = [each.left for each in rewards.of_event(tx, made.order.event)]
    assert set(left) <= {0}
