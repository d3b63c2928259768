"""Whose an order is, and who brought the buyer in."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from referral import actions, coupons, graph, people
from referral.campaigns import Campaign
from referral.clock import HeldClock
from referral.orders import Order
from referral.people import Customer, CustomerExists, UnknownCustomer
from referral.rewards import Reward
from tests.actions.ordering.conftest import (
    PER_FRIEND,
    RULES,
    count,
    give_coupon,
    member,
    order,
    token,
    wallet,
)
from tests.cast import Brand, Person, cast_of, publish


def test_a_buyer_is_found_by_all_that_names_her(brand: Brand) -> None:
    d = brand.deployment
    contacts = [people.external("bob"), people.phone("138 0013 8000")]
    bob, _ = actions.add_customer(d, contacts, None)
    ways = [
        {"customer_id": bob},
        {"member_id": " bob "},
        {"phone": "+86 138-0013-8000"},
        {"customer_id": bob, "member_id": "bob", "phone": "13800138000"},
    ]
    for number, way in enumerate(ways):
        assert order(d, f"A-{number}", **way).order.customer_id == bob
    assert count(d, Customer) == 1


def test_what_names_two_people_or_nobody_is_refused(brand: Brand) -> None:
    d = brand.deployment
    bob = member(d, "bob")
    member(d, "charlie")
    with pytest.raises(CustomerExists):
        order(d, member_id="charlie", customer_id=bob)
    with pytest.raises(UnknownCustomer):
        order(d, customer_id=bob + 10)
    assert (count(d, Order), count(d, Reward)) == (0, 0)


@pytest.mark.parametrize("new", [{"phone": "13900139000"}, {"member_id": "dave"}])
def test_what_is_new_beside_a_known_customer_is_left_alone(
    brand: Brand, new: dict[str, str]
) -> None:
    d = brand.deployment
    contacts = [people.external("bob"), people.phone("13800138000")]
    bob, _ = actions.add_customer(d, contacts, None)
    for number, known in enumerate(
        [{"customer_id": bob}, {"member_id": "bob"}, {"phone": "13800138000"}]
    ):
        if known.keys() != new.keys():
            assert order(d, f"A-{number}", **known, **new).order.customer_id == bob
    with d.db.read() as tx:
        assert people.identities_of(tx, d.keys, bob) == contacts
    assert order(d, "B-1", **new).order.customer_id != bob, "whose it is has not been shown"
    again = order(d, "A-0", customer_id=bob, **new)
    assert (again.already, again.order.customer_id) == (True, bob)
    with pytest.raises(CustomerExists):
        order(d, "B-2", customer_id=bob, **new)


def test_what_is_new_altogether_makes_one_customer(brand: Brand) -> None:
    d = brand.deployment
    made = order(d, member_id="bob", phone="13800138000").order.customer_id
    assert order(d, "A-2", phone="13800138000").order.customer_id == made
    assert order(d, "A-3", member_id="bob").order.customer_id == made


def test_whoever_signs_in_with_a_phone_that_an_order_named_is_not_the_coupons_holder(
    brand: Brand,
) -> None:
    d = brand.deployment
    alice, bob, _ = cast_of(brand)
    code = give_coupon(d, alice.sign_in())
    first = order(d, coupon=code, phone="13900139000")
    friend = first.order.customer_id
    assert friend != alice.customer
    with d.db.read() as tx:
        held = coupons.find(tx, d.keys, code)
    assert (held.holder, held.coupon.used_by) == (alice.customer, "A-1")
    assert order(d, coupon=code, phone="13900139000").already
    person = Person(brand, people.phone("13900139000"))
    assert person.sign_in() == friend
    assert order(d, "A-2", coupon=code, phone="13900139000").order.customer_id == friend
    known = bob.sign_in()
    assert order(d, "A-3", coupon=code, customer_id=known).order.customer_id == known
    assert order(d, "A-4", coupon=code, member_id="new").order.customer_id != alice.customer


def test_a_guest_is_a_new_customer_brought_in_along_the_link(brand: Brand) -> None:
    d = brand.deployment
    alice = member(d, "alice")
    made = order(d, via=token(d, alice))
    guest = made.order.customer_id
    assert made.order.is_guest
    assert (guest != alice, made.referrer) == (True, alice)
    assert wallet(d, alice) == PER_FRIEND
    again, other = order(d, via=token(d, alice)), order(d, "A-2", via=token(d, alice))
    assert again.order.customer_id == guest
    assert other.order.customer_id not in {guest, alice}
    with d.db.read() as tx:
        (visitor,) = people.visitors_of(tx, guest)
        assert graph.hop_of(tx, brand.campaign.id, visitor) == 1
        assert people.kinds_of(tx, guest) == set()


def test_an_order_through_a_chain_credits_the_nearest_customer_above(brand: Brand) -> None:
    alice, bob, _ = cast_of(brand)
    alice.sign_in()
    bob.open(alice.link())  # and never signs in
    made = order(brand.deployment, via=brand.deployment.links.token(bob.link()))
    assert made.referrer == alice.customer


def test_a_link_that_leads_nowhere_leaves_the_order_standing(
    brand: Brand, clock: HeldClock
) -> None:
    d = brand.deployment
    bob = member(d, "bob")
    over = publish(d, slug="over", rules=RULES)
    links = {
        "altered": "x" * 300,
        "own-link": token(d, bob),
        "campaign-not-running": token(d, member(d, "alice"), over.slug),
    }
    with d.db.engine.begin() as connection:
        ended = sa.update(Campaign).where(Campaign.id == over.id)
        connection.execute(ended.values(ends_at=over.starts_at + timedelta(seconds=1)))
    clock.advance(minutes=1)
    for why, via in links.items():
        made = order(d, why, member_id="bob", via=via)
        assert (made.order.via, made.referrer) == (why, None)
        assert [each.amount for each in made.rewards] == [1000]


def test_a_coupon_names_its_holder(brand: Brand) -> None:
    d = brand.deployment
    bob = member(d, "bob")
    code = give_coupon(d, bob)
    assert order(d, coupon=code).order.customer_id == bob
    with pytest.raises(coupons.UnknownCoupon):
        order(d, "A-2", coupon="NEVER-GIVEN-1")
    assert order(d, "A-2", coupon="NEVER-GIVEN-1", member_id="bob").order.customer_id == bob
    charlie = member(d, "charlie")
    assert order(d, "A-3", coupon=code, customer_id=charlie).order.customer_id == charlie
