"""Races for money between real processes: the last of something, and two that undo each other."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from referral import actions, graph, ledger, people
from referral.claims import Claim
from referral.config import Config
from referral.deployment import Deployment, open_deployment
from referral.ledger import Kind
from referral.orders import OrderIn, RefundIn
from referral.redemption import items, vouchers
from referral.redemption.items import ItemDraft
from referral.stores import StoreKind
from tests.cast import Brand, cast_of, open_brand
from tests.racers import Racers, Work

pytestmark = pytest.mark.race
RACERS = 4
PRICE = 60


@pytest.fixture(scope="module")
def racers() -> Iterator[Racers]:
    with Racers(RACERS) as running:
        yield running


@pytest.fixture
def now(config: Config) -> Iterator[Deployment]:
    """On the real clock, as the processes are."""
    opened = open_deployment(config)
    yield opened
    opened.db.close()


def new_customer(d: Deployment, number: int) -> int:
    return actions.add_customer(d, [people.external(f"racer-{number}")], None)[0]


def balances(d: Deployment, customer: int) -> dict[str, int]:
    """What a customer has in points, by kind of account."""
    kinds = (Kind.wallet, Kind.pending, Kind.owed)
    with d.db.read() as tx:
        return {kind: ledger.balances(tx, kind, customer).get("points", 0) for kind in kinds}


def is_balanced(d: Deployment) -> bool:
    with d.db.read() as tx:
        return ledger.verify(tx) == []


# The last unit of a budget


def claim_several(d: Deployment, codes: list[str], customer: int) -> list[int]:
    """What each of these claims brought."""
    claimed = (actions.claim(d, d.read_code(code), customer) for code in codes)
    return [sum(reward.amount for reward in each.rewards) for each in claimed]


def test_the_last_units_of_a_budget_are_paid_once(
    now: Deployment, config: Config, racers: Racers
) -> None:
    rules = [{"when": "claim", "for": "person", "amount": 20}]
    brand = open_brand(now, rules=rules, budget=150)
    works = []
    for number in range(RACERS):
        codes = [brand.code(number * 10 + index).text for index in range(5)]
        works.append(Work(claim_several, (codes, new_customer(now, number))))
    answers = racers.at_once(config, works)
    amounts = Counter(amount for answer in answers for amount in answer)
    assert amounts == {20: 7, 0: 13}, "7 times 20 of 150; the claims stand without"
    assert brand.budget_left() == 10
    with now.db.read() as tx:
        assert tx.scalar(sa.select(sa.func.count()).select_from(Claim)) == 20
    assert is_balanced(now)


# The last item of a stock


def redeem(d: Deployment, customer: int, key: str) -> str:
    return str(actions.redeem(d, customer, "cup", key=key).voucher.state)


def brand_with_cups(d: Deployment, stock: int, **terms: Any) -> Brand:
    rules = [{"when": "claim", "for": "person", "amount": PRICE}]
    cup = {"slug": "cup", "titles": {"en": "Cup"}, "price": PRICE, "stock": stock}
    draft = ItemDraft.model_validate({**cup, "value": 60, "currency": "CNY"})
    brand = open_brand(d, **{"rules": rules, **terms})
    actions.add_item(d, draft, by="tests")
    return brand


def test_the_last_items_go_to_as_many_people(
    now: Deployment, config: Config, racers: Racers
) -> None:
    brand = brand_with_cups(now, stock=2)
    crowd = [new_customer(now, number) for number in range(RACERS)]
    for index, customer in enumerate(crowd):
        actions.claim(now, brand.code(index), customer)
    works = [Work(redeem, (customer, "press")) for customer in crowd]
    assert Counter(racers.at_once(config, works)) == {"issued": 2, "OutOfStock": 2}
    with now.db.read() as tx:
        assert items.item_by_slug(tx, "cup").stock == 0
    left = Counter(balances(now, customer)[Kind.wallet] for customer in crowd)
    assert left == {0: 2, PRICE: 2}, "whoever got none has lost nothing"
    assert is_balanced(now)


def test_points_for_one_item_are_spent_once(
    now: Deployment, config: Config, racers: Racers
) -> None:
    brand = brand_with_cups(now, stock=10)
    customer = new_customer(now, 1)
    actions.claim(now, brand.code(1), customer)
    works = [Work(redeem, (customer, f"press-{n}")) for n in range(RACERS)]
    assert Counter(racers.at_once(config, works)) == {"issued": 1, "NotEnoughPoints": 3}
    assert balances(now, customer)[Kind.wallet] == 0


# One voucher at two stores


def accept(d: Deployment, till: int, code: str, press: str) -> bool:
    return actions.accept_voucher(d, till, code, press=press).again


def test_one_voucher_is_accepted_by_one_of_several_tills(
    now: Deployment, config: Config, racers: Racers
) -> None:
    brand = brand_with_cups(now, stock=10)
    customer = new_customer(now, 1)
    actions.claim(now, brand.code(1), customer)
    voucher = actions.redeem(now, customer, "cup", key="press").voucher
    code = vouchers.code_of(now.keys, voucher.seed, now.keys.newest)
    tills = []
    for slug in ("east", "west"):
        actions.add_store(now, slug=slug, name=slug, kind=StoreKind.store, region=None)
        tills.append(actions.add_till(now, slug, "counter", by="tests").id)
    # Each till twice: the same press again is the same hand-over.
    works = [Work(accept, (till, code, f"press-{till}")) for till in [*tills, *tills]]
    answers = racers.at_once(config, works)
    assert Counter(map(str, answers)) == {"False": 1, "True": 1, "HandedOver": 2}
    assert answers[0] == "HandedOver" or answers[1] == "HandedOver"


# A refund against a redemption


def refund(d: Deployment, number: str, amount: int) -> int:
    sent = RefundIn(external_id=f"refund-of-{number}", amount=amount)
    return actions.refund_order(d, number, sent).order.refunded


@pytest.mark.parametrize("attempt", range(4))
def test_what_is_refunded_while_it_is_spent_is_spent_or_owed(
    now: Deployment, config: Config, racers: Racers, attempt: int
) -> None:
    share = {"when": "order", "for": "person", "amount": {"basis_points": 600, "cap": PRICE}}
    brand = brand_with_cups(now, stock=10, rules=[share])
    customer = new_customer(now, 1)
    sent = OrderIn(external_id="order-1", customer_id=customer, amount=1000, currency="CNY")
    assert [reward.amount for reward in actions.place_order(now, sent).rewards] == [PRICE]
    works = [Work(refund, ("order-1", 1000)), Work(redeem, (customer, "press"))]
    refunded, redeemed = racers.at_once(config, works)
    assert refunded == 1000
    assert redeemed in {"issued", "NotEnoughPoints"}
    has = balances(now, customer)
    assert has[Kind.wallet] == 0
    assert has[Kind.owed] == (-PRICE if redeemed == "issued" else 0)
    assert brand.budget_left() == brand.campaign.budget, "the campaign has all of it back"
    assert is_balanced(now)


def test_two_refunds_at_once_take_back_what_both_come_to(
    now: Deployment, config: Config, racers: Racers
) -> None:
    share = {"when": "order", "for": "person", "amount": {"basis_points": 600, "cap": 1000}}
    brand = open_brand(now, rules=[share], hold_days=7)
    customer = new_customer(now, 1)
    sent = OrderIn(external_id="order-1", customer_id=customer, amount=1000, currency="CNY")
    actions.place_order(now, sent)
    works = [Work(refund_part, (n,)) for n in range(RACERS)]
    answers = Counter(map(str, racers.at_once(config, works)))
    assert answers["RefundTooLarge"] == 1
    assert sum(answers.values()) == RACERS
    assert balances(now, customer)[Kind.pending] == 6, "10 per cent of the order are left"
    assert brand.budget_left() == brand.campaign.budget - 6


def refund_part(d: Deployment, number: int) -> int:
    sent = RefundIn(external_id=f"refund-{number}", amount=300)
    return actions.refund_order(d, "order-1", sent).order.refunded


# Two merges of the same people


def merge(d: Deployment, one: int, other: int) -> int | None:
    return actions.merge_customers(d, one, other, by="tests", reason="one person").gone


def claim(d: Deployment, code: str, customer: int) -> int:
    return len(actions.claim(d, d.read_code(code), customer).rewards)


@pytest.mark.parametrize("attempt", range(4))
def test_the_same_people_are_merged_once(
    now: Deployment, config: Config, racers: Racers, attempt: int
) -> None:
    brand = open_brand(now)
    alice, bob, _ = cast_of(brand)
    alice.claim(0)
    bob.open(alice.link())
    bob.claim(1)
    one, two = alice.customer, bob.customer
    works: list[Work] = [
        Work(merge, (one, two)),
        Work(merge, (two, one)),
        Work(claim, (brand.code(2).text, one)),
        Work(claim, (brand.code(3).text, two)),
    ]
    answers = racers.at_once(config, works)
    assert Counter(answers[:2]) == {two: 1, None: 1}
    assert answers[2:] == [1, 1]
    # 20 for each of four packages; for bringing in herself she has nothing.
    assert balances(now, one) == {Kind.wallet: 80, Kind.pending: 0, Kind.owed: 0}
    assert balances(now, two) == {Kind.wallet: 0, Kind.pending: 0, Kind.owed: 0}
    with now.db.read() as tx:
        assert graph.referrer_of(tx, one) is None
    assert is_balanced(now)
