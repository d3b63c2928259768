"""Orders in the console: the list, one order with why it paid what it paid, and files of them."""

import io
from typing import Any

import pytest
from werkzeug.datastructures import FileStorage
from werkzeug.test import TestResponse

from referral import actions, audit, people
from referral.deployment import Deployment
from referral.links import Channel
from referral.orders import OrderIn, RefundIn
from referral.rewards import When
from referral.web.staff import orders as page
from referral.web.staff import words
from tests.readers import Reader
from tests.web.conftest import Brand, make_brand
from tests.web.staff.conftest import text

RULES = [
    {"when": "order", "for": "person", "amount": {"basis_points": 500, "cap": 600}},
    {"when": "referred_first_order", "for": "referrer", "amount": 500, "least": 10_000},
]
HEADER = "external_id,member_id,amount,currency\n"


@pytest.fixture
def brand(deployment: Deployment) -> Brand:
    return make_brand(deployment, rules=RULES)


def place(brand: Brand, number: str = "A-1", **changes: Any) -> Any:
    body = {"external_id": number, "member_id": "bob", "amount": 10_000, "currency": "CNY"}
    return actions.place_order(brand.deployment, OrderIn.model_validate({**body, **changes}))


def refund(brand: Brand, amount: int) -> None:
    sent = RefundIn(external_id="R-1", amount=amount)
    actions.refund_order(brand.deployment, "A-1", sent)


def test_an_order_says_what_it_paid_and_why(brand: Brand, owner: Reader) -> None:
    d = brand.deployment
    alice, _ = actions.add_customer(d, [people.external("alice")], "Alice")
    link = actions.make_link(d, "spring", alice, Channel.wechat)
    made = place(brand, amount=20_000, via=d.links.token(link))
    refund(brand, 5_000)
    owner.get(f"/staff/orders/{made.order.id}")
    said = text(owner)
    assert "5% of CN¥200.00, but at most 600 points" in said
    assert "For an order 5%" in said
    assert "For a referred friend's first order, to the referrer 500 points" in said
    assert "150 points taken back, as CN¥50.00 of CN¥200.00 was refunded" in said
    assert "Alice" in said
    assert "125 points taken back" in said
    assert "It counts as an opening of the link." in said
    assert "R-1" in said


def test_an_order_that_paid_nothing_says_why(brand: Brand, owner: Reader) -> None:
    made = place(brand, currency="SGD")
    owner.get(f"/staff/orders/{made.order.id}")
    assert "The campaigns that ran are in another currency." in text(owner)
    assert owner.get("/staff/orders/999").status_code == 404


def test_orders_are_listed_and_found_by_number(brand: Brand, owner: Reader) -> None:
    owner.get("/staff/orders")
    assert "No order yet." in text(owner)
    bob = place(brand).order.customer_id
    place(brand, "B/2", member_id="charlie")
    refund(brand, 1_000)
    owner.get("/staff/orders")
    assert "A-1" in text(owner)
    assert "CN¥10.00 refunded" in text(owner)
    owner.get("/staff/orders?number=B/2")
    assert "B/2" in text(owner)
    assert "A-1" not in text(owner)
    owner.get("/staff/orders?number=nothing")
    assert "There is no order with this number." in text(owner)
    owner.get(f"/staff/orders?customer={bob}")
    assert "B/2" not in text(owner)
    for odd in ("number=%00", "customer=x", "offset=x", "customer=-1"):
        assert owner.get(f"/staff/orders?{odd}").status_code == 200


def test_a_customers_page_has_her_orders(brand: Brand, owner: Reader) -> None:
    bob = place(brand).order.customer_id
    owner.get(f"/staff/customers/{bob}")
    assert "A-1" in text(owner)
    assert "CN¥100.00" in text(owner)
    assert "with the first order" in text(owner)


def send(owner: Reader, content: str | bytes, **fields: str) -> TestResponse:
    owner.get("/staff/orders")
    data = content.encode() if isinstance(content, str) else content
    file = FileStorage(io.BytesIO(data), "orders.csv")
    return owner.post_file(
        "/staff/orders/import", {"csrf_token": owner.form_token(), **fields}, file=file
    )


def test_a_file_is_taken_and_summed_up(brand: Brand, owner: Reader) -> None:
    answer = send(owner, HEADER + "A-1,bob,2000,CNY\nA-2,bob,20.5,CNY\n")
    assert answer.status_code == 200
    said = text(owner)
    assert "New orders 1" in said
    assert "Wrong lines 1" in said
    assert "3 amount This does not fit the column. A whole number" in said
    with brand.deployment.db.read() as tx:
        (note,) = audit.of_subject(tx, "orders")
    assert (note.by, note.details) == (
        "olga@brand.example",
        {"orders": 1, "refunds": 0, "wrong": 1},
    )
    send(owner, HEADER + "A-1,bob,2000,CNY\n")
    assert "New orders 0" in text(owner)
    assert "Reported before 1" in text(owner)


def test_a_file_can_be_looked_at_only(brand: Brand, owner: Reader) -> None:
    send(owner, HEADER + "A-1,bob,2000,CNY\n", check="1")
    assert "Nothing was kept." in text(owner)
    owner.get("/staff/orders")
    assert "No order yet." in text(owner)


def test_a_file_that_cannot_be_taken_is_said_at_the_field(
    brand: Brand, owner: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "LINES_MAX", 2)
    for content, says in [
        ((HEADER + "张,bob,1,CNY\n").encode("gb18030"), "not in UTF-8"),
        ("number,total\n1,2\n", "Not known: number, total"),
        (HEADER + "A-1,bob,1,CNY\n" * 2, "This file has 3 lines"),
        ("", "does not name the columns"),
    ]:
        assert send(owner, content).status_code == 422
        assert says in text(owner)
    owner.get("/staff/orders")
    assert owner.send("/staff/orders/import").status_code == 422
    assert "Please choose a file." in text(owner)
    assert send(owner, "x" * 2_000_000).status_code == 413


def test_who_may_only_look_takes_no_file(brand: Brand, analyst: Reader) -> None:
    analyst.get("/staff/orders")
    assert "Take a file of orders" not in text(analyst)
    assert send(analyst, HEADER).status_code == 403


def test_every_rule_has_its_words() -> None:
    for when in When:
        assert {f"{when}:person", f"{when}:referrer"} <= words.RULES.keys()
