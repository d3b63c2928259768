"""Points and won items become vouchers, and what cannot be redeemed takes nothing."""

from datetime import timedelta

import pytest

from referral import actions, ledger
from referral.actions.redeeming import EnoughOfThese, NotEnoughPoints, OnlyWon, PriceChanged
from referral.clock import HeldClock
from referral.deployment import Deployment
from referral.idempotency import IdempotencyMismatch
from referral.people import UnknownCustomer
from referral.redemption.items import ItemNotBegun, ItemOver, OutOfStock, UnknownItem
from tests.actions.redeeming.conftest import redeem, undo
from tests.cast import Brand
from tests.rewarded import add_item, give, held, states, stock, sums


def test_points_become_a_voucher_and_the_stock_is_one_less(
    deployment: Deployment, alice: int, clock: HeldClock
) -> None:
    add_item(deployment, voucher_days=14)
    voucher = redeem(deployment, alice)
    assert (held(deployment, alice), stock(deployment)) == (150, 9)
    assert (voucher.state, voucher.unit, voucher.amount) == ("issued", "points", 100)
    assert voucher.expires_at == clock.now() + timedelta(days=14)
    with deployment.db.read() as tx:
        assert ledger.balances(tx, ledger.Kind.redeemed, 0) == {"points": 100}


def test_the_same_request_is_one_redemption(deployment: Deployment, alice: int, bob: int) -> None:
    add_item(deployment)
    first = actions.redeem(deployment, alice, "cup", key="tap")
    again = actions.redeem(deployment, alice, "cup", key="tap")
    assert (first.already, again.already) == (False, True)
    assert first.voucher.id == again.voucher.id
    assert (held(deployment, alice), stock(deployment)) == (150, 9)
    assert redeem(deployment, bob, key="tap").id != first.voucher.id, "another customer's"
    add_item(deployment, slug="mug")
    with pytest.raises(IdempotencyMismatch):
        actions.redeem(deployment, alice, "mug", key="tap")


@pytest.mark.parametrize("asks_for", ["kept", "gone"])
def test_a_request_sent_again_after_a_merge_is_the_first_one(
    deployment: Deployment, alice: int, bob: int, asks_for: str
) -> None:
    add_item(deployment)
    first = redeem(deployment, bob, key="tap")
    actions.merge_customers(deployment, alice, bob, keep=alice, by="tests", reason="one person")
    asked = {"kept": alice, "gone": bob}[asks_for]
    again = actions.redeem(deployment, asked, "cup", key="tap")
    assert (again.already, again.voucher.id) == (True, first.id)
    assert (held(deployment, alice), stock(deployment)) == (400, 9)
    assert not actions.redeem(deployment, asked, "cup", key="another tap").already


def test_what_cannot_be_redeemed_takes_nothing(
    deployment: Deployment, alice: int, clock: HeldClock
) -> None:
    now, day = clock.now(), timedelta(days=1)
    for slug, terms, expected in (
        ("dear", {"price": 251}, NotEnoughPoints),
        ("gone", {"stock": 0}, OutOfStock),
        ("soon", {"starts_at": now + day}, ItemNotBegun),
        ("over", {"starts_at": now - day, "ends_at": now}, ItemOver),
        ("prize", {"price": None}, OnlyWon),
    ):
        add_item(deployment, slug=slug, **terms)
        with pytest.raises(expected):
            actions.redeem(deployment, alice, slug, key=slug)
        assert stock(deployment, slug) == terms.get("stock", 10)
    for unknown in ("nothing", "a\0b", "\ud800"):
        with pytest.raises(UnknownItem):
            actions.redeem(deployment, alice, unknown, key="k")
    with pytest.raises(UnknownCustomer):
        actions.redeem(deployment, 4711, "dear", key="k")
    assert (held(deployment, alice), states(deployment)) == (250, [])


def test_a_person_gets_as_many_as_the_item_says(deployment: Deployment, alice: int) -> None:
    add_item(deployment, price=10, per_person=2)
    first = redeem(deployment, alice, "1")
    redeem(deployment, alice, "2")
    with pytest.raises(EnoughOfThese):
        redeem(deployment, alice, "3")
    undo(deployment, first)
    assert redeem(deployment, alice, "3").state == "issued", "what was undone does not count"


def test_a_price_that_changed_in_between_is_not_taken(deployment: Deployment, alice: int) -> None:
    add_item(deployment, price=120)
    with pytest.raises(PriceChanged):
        redeem(deployment, alice, price=100)
    assert redeem(deployment, alice, price=120).amount == 120


def test_an_item_that_was_won_costs_the_right_to_it(
    deployment: Deployment, brand: Brand, alice: int
) -> None:
    add_item(deployment, per_person=1)
    give(brand, alice, 2, won="cup")
    for key in ("1", "2"):
        assert redeem(deployment, alice, key).unit == "item:cup"
    assert (held(deployment, alice), held(deployment, alice, "item:cup")) == (250, 0)
    assert redeem(deployment, alice, "3").unit == "points", "won ones do not count as had"
    assert stock(deployment) == 7


def test_a_prize_that_is_out_of_stock_stays_won(
    deployment: Deployment, brand: Brand, alice: int
) -> None:
    add_item(deployment, stock=0, price=None)
    give(brand, alice, 1, won="cup")
    with pytest.raises(OutOfStock):
        redeem(deployment, alice)
    assert held(deployment, alice, "item:cup") == 1


def test_what_was_won_can_be_redeemed_when_the_item_is_over_until_the_right_expires(
    deployment: Deployment, brand: Brand, alice: int, clock: HeldClock
) -> None:
    add_item(deployment, price=100, ends_at=clock.now() + timedelta(days=3))
    give(brand, alice, 2, won="cup", lasts=timedelta(days=5))
    clock.advance(days=4)
    assert redeem(deployment, alice, "1").unit == "item:cup"
    clock.advance(days=1)
    with pytest.raises(ItemOver):  # also before the nightly pass takes the right away
        redeem(deployment, alice, "2")
    actions.expire_rewards(deployment)
    with pytest.raises(ItemOver):
        redeem(deployment, alice, "2")
    assert held(deployment, alice) == 250


def test_what_has_expired_pays_for_nothing_before_the_nightly_pass_either(
    deployment: Deployment, brand: Brand, alice: int, clock: HeldClock
) -> None:
    add_item(deployment, price=300)
    give(brand, alice, 100, lasts=timedelta(days=5))
    clock.advance(days=5)
    with pytest.raises(NotEnoughPoints):
        redeem(deployment, alice)
    assert (held(deployment, alice), stock(deployment)) == (350, 10)
    add_item(deployment, slug="mug", price=250)
    actions.redeem(deployment, alice, "mug", key="m")
    assert actions.expire_rewards(deployment) == 1
    assert (held(deployment, alice), sums(deployment)) == (0, {0})
