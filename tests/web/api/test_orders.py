"""Orders over the API: reported once, answered the same again, refunded in parts."""

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from referral import coupons
from referral.clock import HeldClock
from referral.orders import Order
from referral.people import Customer
from tests.web.api.conftest import Api, problem
from tests.web.conftest import Brand, make_brand

RULES = [
    {"when": "order", "for": "person", "amount": {"basis_points": 500, "cap": 3000}},
    {"when": "referred_first_order", "for": "both", "amount": 500, "least": 10_000},
]
BODY = {"external_id": "2026/0001", "member_id": "bob", "amount": 20_000, "currency": "CNY"}


@pytest.fixture
def brand(deployment: Any) -> Brand:
    return make_brand(deployment, rules=RULES)


def orders_kept(brand: Brand) -> int:
    with brand.deployment.db.read() as tx:
        return tx.scalar(sa.select(sa.func.count()).select_from(Order)) or 0


def test_an_order_is_answered_with_what_it_brought(brand: Brand, api: Api) -> None:
    alice = api.customer("alice")
    response = api.post("/orders", {**BODY, "via": api.token(alice)})
    assert response.status_code == 201, response.text
    said = response.json
    bob = said["customer_id"]
    order = said["order"]
    assert (order["external_id"], order["customer_id"], order["campaign"], order["unpaid"]) == (
        "2026/0001",
        bob,
        "spring",
        None,
    )
    assert (said["referrer_id"], said["via"], said["via_reason"]) == (alice, "accepted", None)
    assert {(each["customer_id"], each["amount"]) for each in said["rewards"]} == {
        (bob, 1000),
        (bob, 500),
        (alice, 500),
    }
    assert said["withheld"] == []
    assert api.get(f"/customers/{bob}").json["referrer_id"] == alice


def test_the_same_order_again_is_answered_the_same(brand: Brand, api: Api) -> None:
    body = {**BODY, "via": api.token(api.customer("alice"))}
    first, again = api.post("/orders", body), api.post("/orders", body)
    assert (first.status_code, again.status_code) == (201, 200)
    assert {**first.json, "already": True} == again.json
    assert orders_kept(brand) == 1


def test_another_amount_or_customer_under_the_number_is_refused(brand: Brand, api: Api) -> None:
    api.made("/orders", BODY)
    for change in ({"amount": 1}, {"member_id": "charlie"}, {"currency": "SGD"}):
        refused = api.post("/orders", {**BODY, **change})
        assert problem(refused) == (409, "order-differs")
    assert orders_kept(brand) == 1


def test_an_idempotency_key_replays_the_first_answer(brand: Brand, api: Api) -> None:
    first = api.post("/orders", BODY, once="a")
    again = api.post("/orders", BODY, once="a")
    assert (again.status_code, again.json) == (201, first.json)
    assert again.headers["Idempotent-Replayed"] == "true"
    other = api.post("/orders", {**BODY, "amount": 1}, once="a")
    assert problem(other) == (422, "idempotency-mismatch")
    refund = {"external_id": "R", "amount": 5}
    one = api.post("/orders/2026/0001/refunds", refund, once="r")
    two = api.post("/orders/2026/0001/refunds", refund, once="r")
    assert (one.status_code, two.status_code, two.json) == (201, 201, one.json)


def test_a_link_that_counts_for_nothing_says_why(brand: Brand, api: Api) -> None:
    said = api.made("/orders", {**BODY, "via": "no such token"})
    assert (said["via"], said["via_reason"]) == ("ignored", "altered")
    bob = said["customer_id"]
    said = api.made("/orders", {**BODY, "external_id": "2", "via": api.token(bob)})
    assert (said["via"], said["via_reason"]) == ("ignored", "own-link")


def test_a_guest_order_is_credited_along_the_link(brand: Brand, api: Api) -> None:
    alice = api.customer("alice")
    body = {"external_id": "G", "via": api.token(alice), "amount": 20_000, "currency": "CNY"}
    said = api.made("/orders", body)
    assert said["order"]["guest"]
    assert (said["referrer_id"], said["customer_id"] != alice) == (alice, True)
    assert api.made("/orders", body)["customer_id"] == said["customer_id"]


@pytest.mark.parametrize(
    "change",
    [
        {"amount": 0},
        {"amount": -5},
        {"amount": 10**12 + 1},
        {"amount": 10**30},
        {"amount": "20"},
        {"amount": 1.5},
        {"amount": True},
        {"currency": "cny"},
        {"currency": "QQQ"},
        {"currency": ""},
        {"external_id": ""},
        {"external_id": "x" * 121},
        {"external_id": "a\u0000b"},
        {"external_id": "a\nb"},
        {"external_id": "a//b"},
        {"external_id": ".."},
        {"external_id": "\ud800"},
        {"member_id": None},
        {"member_id": "x" * 121},
        {"member_id": "a\tb"},
        {"phone": "12"},
        {"customer_id": 0},
        {"customer_id": 2**63},
        {"via": "\u0000"},
        {"at": "yesterday"},
        {"at": "2026-03-02T09:30:00"},
        {"at": "2099-01-01T00:00:00Z"},
        {"at": "9999-12-31T23:59:59-12:00"},
        {"at": "0001-01-01T00:00:00+12:00"},
        {"at": "2024-01-01T00:00:00Z"},
        {"gtins": ["6901234567893"]},
        {"gtins": ["x"]},
        {"gtins": "6901234567892"},
        {"gtins": ["6901234567892"] * 101},
        {"discount": 5},
    ],
    ids=str,
)
def test_what_is_no_order_is_refused_and_credits_nothing(
    brand: Brand, api: Api, change: dict[str, Any]
) -> None:
    status, slug = problem(api.post("/orders", {**BODY, **change}))
    assert (status, slug) in {(422, "invalid-input"), (422, "bad-order-time")}
    assert orders_kept(brand) == 0
    with brand.deployment.db.read() as tx:
        assert tx.scalar(sa.select(sa.func.count()).select_from(Customer)) == 0


def test_what_names_nobody_known_is_refused(brand: Brand, api: Api) -> None:
    nobody = {name: value for name, value in BODY.items() if name != "member_id"}
    assert problem(api.post("/orders", {**nobody, "customer_id": 99})) == (404, "unknown-customer")
    assert problem(api.post("/orders", {**nobody, "coupon": "ABC-1"})) == (404, "unknown-coupon")
    two = {"customer_id": api.customer("alice"), "member_id": "bob"}
    api.customer("bob")
    assert problem(api.post("/orders", {**BODY, **two})) == (409, "customer-exists")
    assert orders_kept(brand) == 0
    assert coupons.UnknownCoupon.status == 404


def test_an_order_of_last_week_is_taken_with_its_time(
    brand: Brand, api: Api, clock: HeldClock
) -> None:
    clock.advance(days=7)
    placed = clock.now() - timedelta(days=6)
    said = api.made("/orders", {**BODY, "at": placed.isoformat()})
    assert said["order"]["at"] == placed.isoformat().replace("+00:00", "Z")
    assert said["order"]["reported_at"] == clock.now().isoformat().replace("+00:00", "Z")


def test_refunds_in_parts_take_back_their_share(brand: Brand, api: Api) -> None:
    alice = api.customer("alice")
    bob = api.made("/orders", {**BODY, "via": api.token(alice)})["customer_id"]
    path = "/orders/2026/0001/refunds"
    first = api.post(path, {"external_id": "R/1", "amount": 5_000})
    assert first.status_code == 201
    assert first.json["order"]["refunded"] == 5_000
    taken = {(each["customer_id"], each["taken_back"]) for each in first.json["rewards"]}
    assert taken == {(bob, 250), (bob, 125), (alice, 125)}
    again = api.post(path, {"external_id": "R/1", "amount": 5_000})
    assert (again.status_code, {**first.json, "already": True}) == (200, again.json)
    different = api.post(path, {"external_id": "R/1", "amount": 5_001})
    assert problem(different) == (409, "refund-differs")
    too_much = api.post(path, {"external_id": "R/2", "amount": 15_001})
    assert problem(too_much) == (409, "refund-too-large")
    assert too_much.json["left"] == 15_000
    rest = api.made(path, {"external_id": "R/2", "amount": 15_000})
    assert {each["state"] for each in rest["rewards"]} == {"reversed"}
    points = api.get(f"/customers/{bob}").json["balances"]["points"]
    assert (points["available"], points["pending"]) == (0, 0)


def test_a_refund_of_no_order_or_of_no_amount_is_refused(brand: Brand, api: Api) -> None:
    body = {"external_id": "R", "amount": 1}
    assert problem(api.post("/orders/none/refunds", body)) == (404, "unknown-order")
    api.made("/orders", {**BODY, "external_id": "A"})
    for change in ({"amount": 0}, {"amount": -1}, {"external_id": ""}, {"why": "x"}):
        refused = api.post("/orders/A/refunds", {**body, **change})
        assert problem(refused) == (422, "invalid-input")


def test_an_order_is_looked_up_with_its_refunds(brand: Brand, api: Api) -> None:
    made = api.made("/orders", BODY)
    api.made("/orders/2026/0001/refunds", {"external_id": "R", "amount": 5_000})
    found = api.get("/orders/2026/0001").json
    assert found["order"] == {**made["order"], "refunded": 5_000}
    assert [(each["external_id"], each["amount"]) for each in found["refunds"]] == [("R", 5_000)]
    assert [each["taken_back"] for each in found["rewards"]] == [250]
    assert problem(api.get("/orders/2026/0002")) == (404, "unknown-order")
    assert problem(api.get("/orders/%00")) == (404, "not-found")


def test_orders_are_listed_by_page_and_by_customer(brand: Brand, api: Api) -> None:
    for number in range(3):
        api.made("/orders", {**BODY, "external_id": f"A-{number}"})
    charlie = api.made("/orders", {**BODY, "external_id": "C", "member_id": "charlie"})
    page = api.get("/orders?limit=2").json
    assert [each["external_id"] for each in page["items"]] == ["C", "A-2"]
    rest = api.get(f"/orders?limit=2&after={page['next']}").json
    assert [each["external_id"] for each in rest["items"]] == ["A-1", "A-0"]
    assert rest["next"] is None
    hers = api.get(f"/orders?customer_id={charlie['customer_id']}").json
    assert [each["external_id"] for each in hers["items"]] == ["C"]
    assert api.get("/orders?customer_id=99").json == {"items": [], "next": None}
    assert problem(api.get("/orders?after=x")) == (422, "invalid-input")


def test_why_an_order_is_not_paid_is_said(brand: Brand, api: Api) -> None:
    assert api.made("/orders", {**BODY, "currency": "SGD"})["order"]["unpaid"] == "other-currency"
    small = api.made("/orders", {**BODY, "external_id": "2", "amount": 10})
    assert (small["order"]["unpaid"], small["rewards"]) == ("not-promised", [])


def test_a_campaign_counts_its_orders(brand: Brand, api: Api) -> None:
    api.made("/orders", {**BODY, "external_id": "A"})
    api.made("/orders", {**BODY, "external_id": "B", "amount": 1_000})
    api.made("/orders", {**BODY, "external_id": "C", "currency": "SGD"})
    api.made("/orders/A/refunds", {"external_id": "R", "amount": 5_000})
    figures = api.get("/campaigns/spring/metrics").json
    assert (figures["orders"], figures["order_amount"], figures["refunded_amount"]) == (
        2,
        21_000,
        5_000,
    )


def test_after_a_merge_an_order_names_the_kept_one(brand: Brand, api: Api) -> None:
    alice = api.customer("alice")
    first = api.made("/orders", {**BODY, "via": api.token(alice)})
    bob, kept = first["customer_id"], api.customer("kept")
    api.post(f"/customers/{kept}/merge", {"other_id": bob, "reason": "one", "keep": kept})
    again = api.post("/orders", {**BODY, "external_id": "2026/0001"}).json
    found = api.get("/orders/2026/0001").json
    for said in (again, found):
        assert said["customer_id"] == kept
        assert {each["customer_id"] for each in said["rewards"]} == {kept, alice}
    refund = {"external_id": "R", "amount": 5_000}
    taken = api.made("/orders/2026/0001/refunds", refund)["rewards"]
    assert {each["customer_id"] for each in taken} == {kept, alice}
    for asked in (bob, kept):
        listed = api.get(f"/orders?customer_id={asked}").json["items"]
        assert [each["external_id"] for each in listed] == ["2026/0001"]


def test_what_was_withheld_names_the_kept_one(deployment: Any, api: Api) -> None:
    once = {"per_person": 1, "budget": 100}
    rule = {"when": "order", "for": "person", "amount": 100, "least": 2_000, "limits": once}
    make_brand(deployment, rules=[rule])
    bob, kept = api.made("/orders", {**BODY, "external_id": "A"})["customer_id"], api.customer("k")
    api.made("/orders", BODY)
    api.post(f"/customers/{kept}/merge", {"other_id": bob, "reason": "one", "keep": kept})
    (withheld,) = api.get("/orders/2026/0001").json["withheld"]
    assert (withheld["customer_id"], withheld["why"]) == (kept, "limit_reached")


def test_a_new_phone_beside_a_customer_is_left_alone(brand: Brand, api: Api) -> None:
    ann = api.customer("ann")
    body = {"amount": 20_000, "currency": "CNY", "phone": "13900139000"}
    made = api.made("/orders", {**body, "external_id": "A", "customer_id": ann})
    assert made["customer_id"] == ann
    assert api.made("/orders", {**body, "external_id": "B"})["customer_id"] != ann
