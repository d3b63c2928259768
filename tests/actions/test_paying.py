"""What purchases are paid: every kind of rule, through the whole way of a claim."""

from collections.abc import Sequence
from typing import Any

import pytest
import sqlalchemy as sa

from referral import actions, people
from referral.clock import HeldClock
from referral.deployment import Deployment
from referral.orders import OrderIn, RefundIn
from referral.rewards import Reward, Why, Withheld
from tests.cast import PRICE, Brand, Person, cast_of, open_brand
from tests.races import at_once


def brand_with(deployment: Deployment, *rules: dict[str, Any], **terms: Any) -> Brand:
    return open_brand(deployment, rules=list(rules), **terms)


def friends(brand: Brand, count: int) -> list[Person]:
    return [Person(brand, people.phone(f"138 0013 81{n:02d}")) for n in range(count)]


def bring_in(referrer: Person, crowd: Sequence[Person], first_index: int = 100) -> list[int]:
    """What the referrer got for each of them, who claim one after the other."""
    got = []
    for n, friend in enumerate(crowd):
        friend.open(referrer.link())
        claimed = friend.claim(first_index + n)
        own = [r.amount for r in claimed.rewards if r.beneficiary_id == referrer.customer]
        got.append(sum(own))
    return got


CARD = {"when": "nth_claim", "for": "person", "nth": 3, "every": True, "amount": 60}


def amounts(person: Person, indexes: range) -> list[int]:
    return [sum(each.amount for each in person.claim(n).rewards) for n in indexes]


def test_every_third_claim_fills_the_stamp_card(deployment: Deployment) -> None:
    alice, bob, _ = cast_of(brand_with(deployment, CARD))
    assert amounts(alice, range(7)) == [0, 0, 60, 0, 0, 60, 0]
    assert amounts(bob, range(10, 13)) == [0, 0, 60], "everybody has a card of his own"


def test_a_stamp_card_that_is_filled_once_is_filled_once(deployment: Deployment) -> None:
    alice, _, _ = cast_of(brand_with(deployment, {**CARD, "every": False}))
    assert amounts(alice, range(7)) == [0, 0, 60, 0, 0, 0, 0]


def test_stamps_are_as_old_as_the_card_allows(deployment: Deployment, clock: HeldClock) -> None:
    alice, _, _ = cast_of(brand_with(deployment, {**CARD, "within_days": 10}))
    assert amounts(alice, range(2)) == [0, 0]
    clock.advance(days=10)
    assert amounts(alice, range(2, 5)) == [0, 0, 60], "the first two are too old by now"


def test_a_card_that_found_the_budget_spent_stays_full(deployment: Deployment) -> None:
    brand = brand_with(deployment, CARD, budget=60)
    alice, bob, _ = cast_of(brand)
    assert amounts(bob, range(10, 13)) == [0, 0, 60]
    assert amounts(alice, range(3)) == [0, 0, 0]
    assert [each.why for each in alice.claim(3).withheld] == [Why.budget_spent]


NTH = {"when": "nth_referral", "for": "referrer", "nth": 2, "amount": 70, "least": PRICE}


@pytest.mark.parametrize(
    "every, got", [(False, [0, 70, 0, 0]), (True, [0, 70, 0, 70])], ids=["once", "every"]
)
def test_the_second_friend_is_counted_among_all(
    deployment: Deployment, every: bool, got: list[int]
) -> None:
    brand = brand_with(deployment, {**NTH, "every": every})
    alice, _, _ = cast_of(brand)
    alice.sign_in()
    assert bring_in(alice, friends(brand, 4)) == got


@pytest.mark.parametrize("for_whom, got", [("referrer", [0, 0, 70, 0]), ("person", [0] * 4)])
def test_a_second_friend_who_ordered_too_little_is_made_up_for_by_the_third_once(
    deployment: Deployment, for_whom: str, got: list[int]
) -> None:
    brand = brand_with(deployment, {**NTH, "for": for_whom})
    alice, _, _ = cast_of(brand)
    alice.sign_in()
    crowd = friends(brand, 4)
    before = bring_in(alice, crowd[:1])
    order_through(alice, crowd[1], PRICE - 1)
    assert [*before, 0, *bring_in(alice, crowd[2:], 200)] == got
    with deployment.db.read() as tx:
        paid = list(tx.scalars(sa.select(Reward.beneficiary_id)))
    assert paid == [alice.customer if for_whom == "referrer" else crowd[2].customer]


def order_through(referrer: Person, friend: Person, amount: int) -> None:
    """The friend, whom the referrer brought in, orders for the first time."""
    friend.sign_in()
    friend.open(referrer.link())
    told = {"external_id": f"order of {friend.customer}", "amount": amount, "currency": "CNY"}
    sent = OrderIn.model_validate({**told, "customer_id": friend.customer})
    actions.place_order(referrer.brand.deployment, sent)


def test_tiers_rise_with_the_friends(deployment: Deployment) -> None:
    tiers = {"tiers": [{"from": 1, "amount": 10}, {"from": 3, "amount": 30}]}
    rule = {"when": "referred_first_purchase", "for": "referrer", "amount": tiers, "least": PRICE}
    brand = brand_with(deployment, rule)
    alice, _, _ = cast_of(brand)
    alice.sign_in()
    assert bring_in(alice, friends(brand, 4)) == [10, 10, 30, 30]


def test_friends_who_claim_at_once_are_counted_one_after_the_other(deployment: Deployment) -> None:
    brand = brand_with(deployment, {**NTH, "nth": 3})
    alice, _, _ = cast_of(brand)
    alice.sign_in()
    crowd = friends(brand, 5)
    for friend in crowd:
        friend.open(alice.link())
        friend.sign_in()
    answers = at_once([lambda f=f, n=n: f.claim(n) for n, f in enumerate(crowd)])
    paid = [each for each in answers if not isinstance(each, BaseException) and each.rewards]
    assert len(paid) == 1, "exactly one of them is the third"


def test_several_units_are_paid_out_of_budgets_of_their_own(deployment: Deployment) -> None:
    points = {"when": "claim", "for": "person", "amount": 20}
    credit = {"when": "first_claim", "for": "person", "what": "credit", "amount": 150}
    brand = brand_with(deployment, points, credit, budget=100, budgets={"CNY": 200})
    alice, bob, _ = cast_of(brand)
    got = [(reward.unit, reward.amount) for reward in alice.claim(0).rewards]
    assert sorted(got) == [("CNY", 150), ("points", 20)]
    claimed = bob.claim(1)
    assert [(reward.unit, reward.amount) for reward in claimed.rewards] == [("points", 20)]
    assert [(each.rule, each.why) for each in claimed.withheld] == [
        ("first_claim:person:credit", Why.budget_spent)
    ]
    assert claimed.budget_spent
    again = bob.claim(1)
    assert again.already
    assert again.budget_spent, "the first answer, again"


def test_limits_count_what_was_granted_also_when_it_is_taken_back(deployment: Deployment) -> None:
    rule = {"when": "order", "for": "person", "amount": 100, "least": PRICE}
    limits = {"total": 1, "per_person": 1, "budget": 100}
    alice, bob, _ = cast_of(brand_with(deployment, {**rule, "limits": limits}))
    order_through(bob, alice, PRICE)
    assert alice.points() == 100
    refund = RefundIn(external_id="r", amount=PRICE)
    actions.refund_order(deployment, f"order of {alice.customer}", refund)
    assert alice.points() == 0
    order_through(alice, bob, PRICE)
    with deployment.db.read() as tx:
        assert list(tx.scalars(sa.select(Withheld.why))) == [Why.limit_reached]
