"""Who counts as a guest: somebody who never signed in, whatever others tell of her."""

from datetime import datetime

import pytest

from referral import actions, people, risk
from referral.clock import HeldClock
from referral.deployment import Deployment
from referral.links import Channel
from referral.orders import Order, OrderIn
from referral.people import Contact
from referral.reports import evidence
from referral.reports.evidence import Event
from tests.cast import RULES, Brand, Person, cast_of, open_brand

OF_ORDERS = {"when": "order", "for": "person", "amount": {"basis_points": 100, "cap": 20}}
PHONES = ["+8613800138001", "+8613800138002", "+8613800138003", "+8613800138004"]


@pytest.fixture
def brand(deployment: Deployment) -> Brand:
    return open_brand(deployment, rules=[*RULES, OF_ORDERS], hold_days=7)


@pytest.fixture
def alice(brand: Brand) -> Person:
    """A customer with a proof of her phone number and one of purchase."""
    found = cast_of(brand)[0]
    found.claim(0)
    return found


def order(brand: Brand, phone: str, above: int) -> Order:
    """An order as whoever has a shop's key makes one up: of a new customer, along a link."""
    d = brand.deployment
    link = actions.make_link(d, brand.campaign.slug, above, Channel.copy)
    sent = {"external_id": f"order {phone}", "amount": 2000, "currency": "CNY", "phone": phone}
    sent["via"] = d.links.token(link)
    return actions.place_order(d, OrderIn.model_validate(sent)).order


def chain(brand: Brand, clock: HeldClock, top: int) -> list[Order]:
    """Made-up customers, each brought in by the one before."""
    made: list[Order] = []
    for number, phone in enumerate(PHONES):
        made.append(order(brand, phone, made[-1].customer_id if made else top))
        clock.advance(minutes=37 * (number + 1) ** 2)
    return made


def guests_above(brand: Brand, customer: int, referrer: int, moment: datetime) -> int | None:
    d = brand.deployment
    event = Event("order:1", customer, referrer, is_first=True, pays_referrer=True)
    with d.db.read() as tx:
        facts, _ = evidence.gather(tx, d.keys, event, moment)
        return evidence.look_further(tx, facts, None).guests


def sign_in(brand: Brand, phone: str) -> int:
    return Person(brand, people.phone(phone)).sign_in()


def test_a_chain_made_up_by_a_shop_s_orders_is_of_guests(
    brand: Brand, alice: Person, clock: HeldClock
) -> None:
    made = chain(brand, clock, alice.customer)
    first, _, third, last = (each.customer_id for each in made)
    now = clock.now()
    assert guests_above(brand, last, third, now) == 3, "up to Alice, who signed in"
    assert guests_above(brand, first, alice.customer, now) == 0
    actions.look(brand.deployment)
    with brand.deployment.db.read() as tx:
        verdicts = [risk.verdict_of(tx, each.event) for each in made]
    found = [{each.rule for each in verdict.found} for verdict in verdicts if verdict]
    assert found == [set(), set(), set(), {"guest_chain"}]


def test_whoever_signs_in_with_that_number_is_no_guest_from_then_on(
    brand: Brand, alice: Person, clock: HeldClock
) -> None:
    made = chain(brand, clock, alice.customer)
    _, second, third, last = (each.customer_id for each in made)
    before = clock.now()
    clock.advance(minutes=1)
    assert sign_in(brand, PHONES[1]) == second
    assert guests_above(brand, last, third, clock.now()) == 1
    assert guests_above(brand, last, third, before) == 3, "a replay sees what was known then"


@pytest.mark.parametrize(
    "contact", [people.phone(PHONES[0]), people.email("made.up@example.com"), people.external("m")]
)
def test_what_a_script_says_of_a_customer_proves_nothing(
    brand: Brand, clock: HeldClock, contact: Contact
) -> None:
    made, _ = actions.add_customer(brand.deployment, [contact], "Made Up")
    assert guests_above(brand, made + 1, made, clock.now()) == 1


def test_signing_in_with_wechat_proves_somebody(brand: Brand, clock: HeldClock) -> None:
    d = brand.deployment
    signed_in = actions.sign_in_with_wechat(
        d, people.wechat("openid-1"), people.new_visitor_id(), None
    )
    assert guests_above(brand, 99, signed_in.customer, clock.now()) == 0


def test_two_who_are_one_are_proven_by_either(
    brand: Brand, alice: Person, clock: HeldClock
) -> None:
    d = brand.deployment
    made, _ = actions.add_customer(d, [people.external("member 7")], None)
    assert guests_above(brand, 99, made, clock.now()) == 1
    kept = actions.merge_customers(d, made, alice.customer, by="tests", reason="one person")
    assert guests_above(brand, 99, kept.kept, clock.now()) == 0
