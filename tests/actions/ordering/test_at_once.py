"""Orders and refunds at the same moment."""

from collections.abc import Callable
from typing import Any

import pytest

from referral import coupons, orders
from referral.actions.ordering import Ordered
from referral.orders import Order
from referral.people import Customer
from tests.actions.ordering.conftest import (
    AMOUNT,
    PER_FRIEND,
    count,
    give_coupons,
    member,
    order,
    refund,
    reread,
    token,
    wallet,
)
from tests.cast import Brand
from tests.races import at_once


def test_two_orders_with_each_others_coupons_at_once_both_stand(brand: Brand) -> None:
    d = brand.deployment
    alice, bob = member(d, "alice"), member(d, "bob")
    code, other = give_coupons(d, alice, bob)
    made = at_once(
        [
            lambda: order(d, "A-1", customer_id=alice, coupon=other),
            lambda: order(d, "A-2", customer_id=bob, coupon=code),
        ]
    )
    assert [each.order.customer_id for each in made if isinstance(each, Ordered)] == [alice, bob]
    with d.db.read() as tx:
        used = [coupons.find(tx, d.keys, each).coupon.used_by for each in (code, other)]
    assert used == ["A-2", "A-1"]


@pytest.mark.race
def test_one_order_reported_many_times_at_once_is_one_guest(brand: Brand) -> None:
    d = brand.deployment
    alice = member(d, "alice")
    via = token(d, alice)
    found = at_once([lambda: order(d, via=via)] * 8)
    numbers = {each.order.customer_id for each in found if isinstance(each, Ordered)}
    assert len(numbers) == 1
    assert [each.already for each in found if isinstance(each, Ordered)].count(False) == 1
    assert (count(d, Order), count(d, Customer)) == (1, 2)
    assert wallet(d, alice) == PER_FRIEND


@pytest.mark.race
def test_refunds_at_once_never_add_up_to_more_than_the_order(brand: Brand) -> None:
    d = brand.deployment
    bob = order(d, member_id="bob").order.customer_id
    works: list[Callable[[], Any]] = [
        lambda n=n: refund(d, 6000, f"R-{n}")
        for n in range(6)  # type: ignore[misc]
    ]
    found = at_once(works)
    refused = [each for each in found if isinstance(each, Exception)]
    assert len(refused) == 3
    assert {type(each) for each in refused} == {orders.RefundTooLarge}
    assert wallet(d, bob) == 100


@pytest.mark.race
def test_an_order_and_its_refund_at_once_leave_nothing_half_done(brand: Brand) -> None:
    d = brand.deployment
    for number in map(str, range(5)):
        found = at_once(
            [
                lambda number=number: order(d, number, member_id="bob"),  # type: ignore[misc]
                lambda number=number: refund(d, AMOUNT, of=number),  # type: ignore[misc]
            ]
        )
        assert isinstance(found[0], Ordered)
        came_too_early = isinstance(found[1], orders.UnknownOrder)
        left = sum(each.left for each in reread(d, found[0]))
        assert left == (1000 if came_too_early else 0)


@pytest.mark.race
def test_friends_and_their_referrer_order_at_once_without_waiting_in_a_circle(
    brand: Brand,
) -> None:
    d = brand.deployment
    sharer = member(d, "sharer")
    via = token(d, sharer)
    works: list[Callable[[], Any]] = [lambda: order(d, "own", customer_id=sharer)]
    for friend in [member(d, f"friend-{n}") for n in range(4)]:
        works += [
            lambda friend=friend, again=again: order(  # type: ignore[misc]
                d, f"{friend}-{again}", customer_id=friend, via=via
            )
            for again in range(2)
        ]
    found = at_once(works)
    assert [type(each) for each in found] == [Ordered] * len(works)
    assert wallet(d, sharer) == 1000 + 4 * PER_FRIEND
