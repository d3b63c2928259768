"""An order is kept once and pays what its campaign promises, in its time."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from referral import orders
from referral.campaigns import Campaign
from referral.clock import HeldClock
from referral.orders import Order, Unpaid
from referral.people import Customer
from tests.actions.ordering.conftest import (
    AMOUNT,
    LEAST,
    PER_FRIEND,
    RULES,
    count,
    member,
    order,
    token,
    wallet,
)
from tests.cast import GTIN, OTHER_GTIN, Brand, add_product, cast_of, publish


def test_an_order_pays_the_buyer_and_who_brought_her_in(brand: Brand) -> None:
    d = brand.deployment
    alice = member(d, "alice")
    made = order(d, member_id="bob", via=token(d, alice))
    bob = made.order.customer_id
    assert (made.already, made.referrer, made.order.via) == (False, alice, "accepted")
    assert sorted((each.beneficiary_id, each.amount) for each in made.rewards) == sorted(
        [(bob, 1000), (bob, PER_FRIEND), (alice, PER_FRIEND)]
    )
    assert (wallet(d, bob), wallet(d, alice)) == (1500, PER_FRIEND)


def test_the_second_order_of_a_friend_pays_what_is_promised_for_every_order(brand: Brand) -> None:
    d = brand.deployment
    alice = member(d, "alice")
    order(d, member_id="bob", via=token(d, alice))
    again = order(d, "A-2", member_id="bob")
    assert [each.amount for each in again.rewards] == [1000]
    assert again.referrer == alice


def test_a_percentage_is_rounded_down_and_capped(brand: Brand) -> None:
    d = brand.deployment
    for number, amount, paid in [
        ("1", 19, 0),
        ("2", 20, 1),
        ("3", 59_999, 2999),
        ("4", 70_000, 3000),
    ]:
        made = order(d, number, member_id="bob", amount=amount)
        assert sum(each.amount for each in made.rewards) == paid
        assert made.order.unpaid == (None if paid else Unpaid.not_promised)


def test_the_same_number_again_is_the_same_order(brand: Brand) -> None:
    d = brand.deployment
    alice = member(d, "alice")
    body = {"member_id": "bob", "via": token(d, alice)}
    first, again = order(d, **body), order(d, **body)
    assert again.already
    assert again.order.id == first.order.id
    assert [each.id for each in again.rewards] == [each.id for each in first.rewards]
    assert again.referrer == first.referrer
    assert count(d, Order) == 1
    assert wallet(d, alice) == PER_FRIEND


def test_the_same_number_with_something_else_is_refused(brand: Brand) -> None:
    d = brand.deployment
    order(d, member_id="bob")
    member(d, "charlie")
    for changes, field in [
        ({"member_id": "bob", "amount": AMOUNT + 1}, "amount"),
        ({"member_id": "bob", "currency": "SGD"}, "currency"),
        ({"member_id": "charlie"}, "customer"),
        ({"member_id": "nobody"}, "customer"),
        ({"customer_id": 999}, "customer"),
        ({"via": "x"}, "customer"),
    ]:
        with pytest.raises(orders.OrderDiffers) as refused:
            order(d, **changes)
        assert refused.value.details["fields"] == [field]
    assert (count(d, Order), count(d, Customer)) == (1, 2)


def test_an_order_is_paid_by_the_campaign_that_ran_when_it_was_placed(
    brand: Brand, clock: HeldClock
) -> None:
    d = brand.deployment
    clock.advance(days=100)  # the campaign is over after 90
    late = order(d, member_id="bob", at=brand.campaign.starts_at + timedelta(days=1))
    assert late.order.campaign_id == brand.campaign.id
    assert order(d, "A-2", member_id="bob").order.unpaid == Unpaid.no_campaign


def test_what_was_opened_after_an_order_did_not_lead_to_it(brand: Brand, clock: HeldClock) -> None:
    d = brand.deployment
    alice, bob, _ = cast_of(brand)
    alice.sign_in()
    bob.sign_in()
    ordered_at = d.clock.now()
    clock.advance(minutes=180)
    bob.open(alice.link())
    assert order(d, customer_id=bob.customer, at=ordered_at).referrer is None


def test_the_time_of_an_order_is_neither_ahead_nor_long_ago(brand: Brand) -> None:
    d = brand.deployment
    now = d.clock.now()
    for away in (timedelta(minutes=6), timedelta(days=-367), timedelta(days=300_000)):
        with pytest.raises(orders.BadOrderTime):
            order(d, member_id="bob", at=now + away)
    assert count(d, Customer) == 0
    slightly_ahead = order(d, member_id="bob", at=now + timedelta(minutes=4))
    assert slightly_ahead.order.at == now


def test_why_no_campaign_pays_is_kept(brand: Brand) -> None:
    d = brand.deployment
    add_product(d, OTHER_GTIN)
    publish(d, slug="other", gtins=[OTHER_GTIN], rules=[{**RULES[1], "for": "person"}])
    with d.db.engine.begin() as connection:
        now = d.clock.now()
        over = sa.update(Campaign).where(Campaign.slug == "spring")
        connection.execute(
            over.values(starts_at=now - timedelta(days=2), ends_at=now - timedelta(days=1))
        )
    found = {
        order(d, str(n), member_id="bob", **changes).order.unpaid
        for n, changes in enumerate(
            [{"currency": "SGD"}, {"gtins": [GTIN]}, {"amount": LEAST - 1}, {}]
        )
    }
    assert found == {
        Unpaid.other_currency,
        Unpaid.not_covered,
        Unpaid.too_small,
        Unpaid.not_promised,
    }


def test_a_campaign_that_would_pay_over_its_bound_does_not_pay(brand: Brand) -> None:
    d = brand.deployment
    order(d, member_id="bob")
    rules = [{**RULES[1], "amount": 2001, "least": 1, "what": "points"}]
    with d.db.engine.begin() as connection:
        connection.execute(sa.update(Campaign).values(rules=rules))
    alice = member(d, "alice")
    made = order(d, "A-2", member_id="charlie", via=token(d, alice), amount=AMOUNT)
    assert (made.order.campaign_id, made.order.unpaid) == (None, Unpaid.too_small)
    made = order(d, "A-3", member_id="dave", via=token(d, alice), amount=AMOUNT + 10)
    assert [each.amount for each in made.rewards] == [2001, 2001]


def test_of_two_campaigns_the_one_of_the_link_pays(brand: Brand) -> None:
    d = brand.deployment
    newer = publish(d, slug="newer", rules=RULES)
    alice = member(d, "alice")
    assert order(d, member_id="bob").order.campaign_id == newer.id
    through = order(d, "A-2", member_id="charlie", via=token(d, alice))
    assert through.order.campaign_id == brand.campaign.id
    assert through.referrer == alice


def test_an_order_after_a_claim_is_no_first_purchase(brand: Brand) -> None:
    alice, bob, _ = cast_of(brand)
    alice.sign_in()
    bob.claim(0)
    made = order(
        brand.deployment,
        customer_id=bob.customer,
        via=brand.deployment.links.token(alice.link()),
    )
    assert made.referrer is None
    assert [each.amount for each in made.rewards] == [1000]
