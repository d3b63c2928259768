"""Orders that the shop reports: whose they are, what they pay, and what a refund takes back."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from referral import actions, coupons, graph, ledger, orders, people, rewards
from referral.actions.ordering import Ordered
from referral.batches import Batch
from referral.campaigns import Campaign
from referral.clock import HeldClock
from referral.deployment import Deployment
from referral.ledger import Kind
from referral.links import Channel
from referral.orders import Order, OrderIn, Refund, RefundIn, Unpaid
from referral.people import Customer, CustomerExists, UnknownCustomer
from referral.rewards import Reward, RewardState
from tests.cast import GTIN, OTHER_GTIN, Brand, Person, add_product, cast_of, open_brand, publish
from tests.races import at_once

PER_ORDER = {"basis_points": 500, "cap": 3000}
"""5 per cent, at most 30 yuan."""
PER_FRIEND = 500
LEAST = 10_000
RULES = [
    {"when": "order", "for": "person", "amount": PER_ORDER},
    {"when": "referred_first_order", "for": "both", "amount": PER_FRIEND, "least": LEAST},
]
AMOUNT = 20_000
SLOW_BUT_FINE = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@pytest.fixture
def brand(deployment: Deployment) -> Brand:
    return open_brand(deployment, rules=RULES)


def sent(number: str = "A-1", **changes: Any) -> OrderIn:
    body = {"external_id": number, "amount": AMOUNT, "currency": "CNY", **changes}
    return OrderIn.model_validate(body)


def order(deployment: Deployment, number: str = "A-1", **changes: Any) -> Ordered:
    return actions.place_order(deployment, sent(number, **changes))


def refund(deployment: Deployment, amount: int, number: str = "R-1", of: str = "A-1") -> Any:
    return actions.refund_order(deployment, of, RefundIn(external_id=number, amount=amount))


def member(deployment: Deployment, name: str) -> int:
    return actions.add_customer(deployment, [people.external(name)], None)[0]


def token(deployment: Deployment, customer: int, slug: str = "spring") -> str:
    link = actions.make_link(deployment, slug, customer, Channel.wechat)
    return deployment.links.token(link)


def balance(deployment: Deployment, kind: Kind, customer: int, unit: str = "points") -> int:
    with deployment.db.read() as tx:
        return ledger.balances(tx, kind, customer).get(unit, 0)


def wallet(deployment: Deployment, customer: int) -> int:
    return balance(deployment, Kind.wallet, customer)


def count(deployment: Deployment, model: Any) -> int:
    with deployment.db.read() as tx:
        return tx.scalar(sa.select(sa.func.count()).select_from(model)) or 0


# Whose it is


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


def give_coupon(deployment: Deployment, customer: int) -> str:
    """A coupon that a claim brought a customer."""
    (code,) = give_coupons(deployment, customer)
    return code


def give_coupons(deployment: Deployment, *customers: int) -> list[str]:
    """A coupon that a claim brought each of these customers."""
    pool = {"slug": "tea", "content": {"en": {"title": "Tea"}}, "value": 100, "currency": "CNY"}
    actions.add_pool(
        deployment, coupons.PoolDraft.model_validate({**pool, "lasts_days": 30}), by="t"
    )
    count = len(customers)
    codes = actions.generate_coupons(deployment, "tea", prefix="TEA", count=count, by="t")
    publish(
        deployment,
        slug="coupons",
        rules=[{"when": "claim", "for": "person", "what": "coupon", "of": "tea", "amount": 1}],
        budgets={"coupon:tea": count},
    )
    with deployment.db.read() as tx:
        batch = tx.scalars(sa.select(Batch)).one()
    for index, customer in enumerate(customers, start=1):
        claimed = actions.claim(deployment, deployment.codes.encode(batch, index), customer)
        assert [each.unit for each in claimed.rewards] == ["coupon:tea"]
    return codes


# When, and what pays


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


# Refunds


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


# At once


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


def reread(deployment: Deployment, ordered: Ordered) -> list[Reward]:
    with deployment.db.read() as tx:
        return rewards.of_event(tx, ordered.order.event)


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
