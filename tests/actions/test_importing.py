"""Files of orders: every line by itself, nothing twice, and a look at one that changes nothing."""

import io

import pytest
import sqlalchemy as sa

from referral import actions, people
from referral.actions import importing
from referral.actions.importing import Imported, check_orders, import_orders
from referral.deployment import Deployment
from referral.errors import Unavailable
from referral.orders import Order, OrderDiffers, Refund, RefundTooLarge, UnknownOrder
from referral.orders.files import ADVICE, OrderFile
from referral.people import Customer, UnknownCustomer
from referral.reports import customers
from tests.cast import Brand, open_brand

HEADER = "kind,order,external_id,member_id,customer_id,amount,currency\n"
RULES = [{"when": "order", "for": "person", "amount": {"basis_points": 500, "cap": 3000}}]
FILE = (
    HEADER
    + "refund,A-1,R-1,,,500,\n"  # before its order
    + "order,,A-1,bob,,2000,CNY\n"
    + ",,A-2,bob,,3000,CNY\n"
    + ",,A-3,bob,,3O00,CNY\n"
    + ",,A-4,,99,3000,CNY\n"
    + ",,A-2,bob,,3001,CNY\n"
    + "refund,A-2,R-1,,,3001,\n"
    + "refund,A-9,R-1,,,1,\n"
    + ",,A-2,bob,,3000,CNY\n"
)


@pytest.fixture
def brand(deployment: Deployment) -> Brand:
    return open_brand(deployment, rules=RULES)


def taken(brand: Brand, text: str = FILE) -> Imported:
    return import_orders(brand.deployment, as_file(text), lambda done, total: None)


def looked_at(brand: Brand, text: str = FILE) -> Imported:
    return check_orders(brand.deployment, as_file(text), lambda done, total: None)


def as_file(text: str) -> OrderFile:
    return OrderFile(io.BytesIO(text.encode()))


def kept(brand: Brand) -> tuple[int, int, int]:
    with brand.deployment.db.read() as tx:
        counts = [
            tx.scalar(sa.select(sa.func.count()).select_from(model)) or 0
            for model in (Order, Refund, Customer)
        ]
    return counts[0], counts[1], counts[2]


WRONG = [
    (5, "amount", ADVICE["amount"]),
    (6, None, UnknownCustomer.advice),
    (7, None, OrderDiffers.advice),
    (8, None, RefundTooLarge.advice),
    (9, "order", UnknownOrder.advice),
]


def said(found: Imported) -> list[tuple[int, str | None, str]]:
    return [(fault.line, fault.column, fault.advice) for fault in found.faults]


def test_every_line_is_kept_or_told(brand: Brand) -> None:
    found = taken(brand)
    assert (found.orders, found.refunds, found.already, found.rewards, found.wrong) == (
        *(2, 1, 1, 2, 5),
    )
    assert said(found) == WRONG
    assert kept(brand) == (2, 1, 1)


def test_the_same_file_again_keeps_nothing_twice(brand: Brand) -> None:
    taken(brand)
    again = taken(brand)
    assert (again.orders, again.refunds, again.already, again.rewards) == (0, 0, 4, 0)
    assert said(again) == WRONG
    assert kept(brand) == (2, 1, 1)
    bob = actions.add_customer(brand.deployment, [people.external("bob")], None)[0]
    with brand.deployment.db.read() as tx:
        assert customers.balances(tx, bob)[0].available == 75 + 150


def test_looking_at_a_file_says_the_same_and_keeps_nothing(brand: Brand) -> None:
    found = looked_at(brand)
    assert (found.orders, found.refunds, found.already, found.wrong) == (2, 1, 1, 5)
    assert said(found) == WRONG
    assert kept(brand) == (0, 0, 0)
    taken(brand)
    after = looked_at(brand)
    assert (after.orders, after.refunds, after.already) == (0, 0, 4)
    assert said(after) == WRONG


def test_looking_at_refunds_adds_them_up(brand: Brand) -> None:
    text = FILE + "refund,A-1,R-2,,,1500,\nrefund,A-1,R-3,,,1,\nrefund,A-1,R-2,,,7,\n"
    found, done = looked_at(brand, text), taken(brand, text)
    assert said(found) == said(done)
    # The refund that stands before its order comes last, when too little is left for it.
    assert [fault.line for fault in found.faults] == [2, 5, 6, 7, 8, 9, 13]


def test_only_so_many_wrong_lines_are_told_and_all_are_counted(
    brand: Brand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "FAULTS_MAX", 3)
    found = taken(brand, HEADER + ",,A,bob,,x,CNY\n" * 10)
    assert (found.wrong, len(found.faults)) == (10, 3)


def test_a_database_that_goes_away_stops_the_file(
    brand: Brand, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object) -> None:
        raise Unavailable()

    monkeypatch.setattr(importing, "place_order", gone)
    with pytest.raises(Unavailable):
        taken(brand)


def test_how_far_it_is_is_told(brand: Brand) -> None:
    told: list[tuple[int, int]] = []
    import_orders(brand.deployment, as_file(FILE), lambda done, total: told.append((done, total)))
    assert told[0] == (1, 10)
    assert told[-1] == (10, 10)
    assert told == sorted(told)
