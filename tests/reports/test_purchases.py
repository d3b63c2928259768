"""The purchases of some time as they were then: in order, with what rules may know of each."""

from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from referral import actions, people
from referral.clock import HeldClock
from referral.deployment import Deployment
from referral.orders import OrderIn
from referral.reports import purchases
from referral.reports.purchases import Made, Scope
from referral.rewards import Proof
from tests.cast import GTIN, OTHER_GTIN, RULES, Brand, Person, cast_of, issue, open_brand, publish

OF_ORDERS = {"when": "order", "for": "person", "amount": {"basis_points": 100, "cap": 20}}


@pytest.fixture
def brand(deployment: Deployment) -> Brand:
    return open_brand(deployment, rules=[*RULES, OF_ORDERS], window_days=365)


def made(deployment: Deployment, **of: Any) -> list[Made]:
    now = deployment.clock.now()
    scope = {"since": now - timedelta(days=300), "until": now + timedelta(seconds=1), **of}
    with deployment.db.read() as tx:
        return list(purchases.made(tx, Scope(**scope)))


def order(brand: Brand, number: str, buyer: int, **said: Any) -> None:
    sent = {"external_id": number, "customer_id": buyer, "amount": 5000, "currency": "CNY", **said}
    actions.place_order(brand.deployment, OrderIn.model_validate(sent))


def test_claims_and_orders_are_told_in_the_order_of_time(brand: Brand, clock: HeldClock) -> None:
    alice, bob, _ = cast_of(brand)
    alice.claim(0)
    clock.advance(minutes=1)
    order(brand, "A", bob.sign_in(), at=clock.now() - timedelta(days=9))
    clock.advance(minutes=1)
    bob.claim(1)
    clock.advance(minutes=1)
    order(brand, "B", alice.customer, amount=700)
    found = made(brand.deployment)
    assert [each.event for each in found] == ["claim:1", "order:1", "claim:2", "order:2"]
    assert [each.is_first for each in found] == [True, True, False, False]
    assert [each.amount for each in found] == [0, 5000, 0, 700]
    assert [each.customer for each in found] == [1, 2, 2, 1]
    assert found[1].at > found[0].at, "an order is proven when it is reported"
    assert [each.proof for each in found] == [Proof.claim, Proof.order] * 2


def test_at_one_moment_the_order_is_the_same_every_time(brand: Brand) -> None:
    alice, *_ = cast_of(brand)
    for index in range(4):
        alice.claim(index)
        order(brand, f"A-{index}", alice.customer)
    keys = [each.order for each in made(brand.deployment)]
    assert keys == sorted(keys)
    assert len({each.event for each in made(brand.deployment)}) == 8


def test_the_end_is_not_included(brand: Brand, clock: HeldClock) -> None:
    alice, *_ = cast_of(brand)
    alice.claim(0)
    order(brand, "A", alice.customer)
    moment = clock.now()
    second = timedelta(seconds=1)
    for since, until, count in (
        (moment, moment + second, 2),
        (moment - second, moment, 0),
        (moment + second, moment + 2 * second, 0),
    ):
        assert len(made(brand.deployment, since=since, until=until)) == count


def test_only_the_campaign_whose_link_led_to_a_first_one_pays_the_referrer(
    brand: Brand, clock: HeldClock
) -> None:
    d = brand.deployment
    alice, bob, charlie = cast_of(brand)
    alice.claim(0)
    clock.advance(minutes=1)
    bob.open(alice.link())
    bob.claim(1)
    clock.advance(minutes=1)
    bob.claim(2)
    charlie.open(alice.link())
    charlie.sign_in()
    clock.advance(days=95)
    publish(d, slug="summer", rules=RULES)
    claimed = charlie.claim(3)
    assert claimed.referrer == alice.customer, "she is his referrer, whoever pays"
    found = made(d)
    assert [(each.referrer, each.is_first) for each in found] == [
        (None, True), (1, True), (1, False), (None, True),
    ]  # fmt: skip
    assert [each.referrals for each in found] == [1, 1, 1, 2]


def test_who_is_above_counts_from_when_she_was_brought_in(brand: Brand, clock: HeldClock) -> None:
    alice, bob, charlie = cast_of(brand)
    dora = Person(brand, people.email("dora@example.com"))
    alice.claim(0)
    people_in_line = [alice, bob, charlie, dora]
    for index, (above, below) in enumerate(pairwise(people_in_line), start=1):
        clock.advance(minutes=1)
        below.open(above.link())
        below.claim(index)
    found = made(brand.deployment)
    ids = [each.customer for each in people_in_line]
    assert [each.referrer for each in found] == [None, *ids[:3]]
    assert [each.above for each in found] == [None, None, *ids[:2]]


def test_friends_are_counted_as_they_came(brand: Brand, clock: HeldClock) -> None:
    alice, *_ = cast_of(brand)
    alice.claim(0)
    for number in range(1, 4):
        clock.advance(minutes=1)
        friend = Person(brand, people.email(f"f{number}@example.com"))
        friend.open(alice.link())
        friend.claim(number)
    clock.advance(minutes=1)
    friend.claim(10)
    assert [each.referrals for each in made(brand.deployment)] == [1, 1, 2, 3, 1]


def test_purchases_can_be_of_one_campaign_currency_or_some_products(
    brand: Brand, clock: HeldClock
) -> None:
    d = brand.deployment
    alice, *_ = cast_of(brand)
    alice.claim(0)
    actions.add_product(d, gtin=OTHER_GTIN, name="Cup", price=2000, currency="CNY")
    cups = issue(d, OTHER_GTIN)
    alice.claim(0, cups)
    order(brand, "A", alice.customer, gtins=[GTIN])
    order(brand, "B", alice.customer, gtins=[OTHER_GTIN])
    order(brand, "C", alice.customer)
    order(brand, "D", alice.customer, currency="SGD")

    def events(**of: Any) -> set[str]:
        return {each.event for each in made(d, **of)}

    orders = {f"order:{n}" for n in (1, 2, 3, 4)}
    assert events() == {"claim:1", "claim:2", *orders}
    cups_only = {"claim:2", "order:2", "order:3", "order:4"}
    assert events(gtins=[OTHER_GTIN]) == cups_only, "an order that does not say may be of it"
    assert events(currency="CNY") == {"claim:1", "claim:2", "order:1", "order:2", "order:3"}
    assert events(campaign_id=brand.campaign.id) == events(currency="CNY")
    assert events(campaign_id=brand.campaign.id + 1) == set()


def test_many_are_read_in_pieces(brand: Brand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purchases, "AT_ONCE", 2)
    alice, *_ = cast_of(brand)
    for index in range(5):
        alice.claim(index)
    assert [each.number for each in made(brand.deployment)] == [1, 2, 3, 4, 5]
