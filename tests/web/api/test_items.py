"""Items and redemptions over the API."""

import pytest

from referral import actions
from referral.clock import HeldClock
from referral.deployment import Deployment
from referral.redemption import vouchers
from referral.redemption.vouchers import Voucher
from tests.cast import Brand, open_brand
from tests.rewarded import add_store, add_till, give, held, stock
from tests.web.api.conftest import Api, problem

CUP = {
    "slug": "cup",
    "titles": {"en": "Thermos cup", "zh-Hans": "保温杯"},
    "price": 100,
    "value": 3000,
    "currency": "CNY",
    "stock": 10,
}


@pytest.fixture
def brand(deployment: Deployment) -> Brand:
    return open_brand(deployment)


@pytest.fixture
def customer(api: Api, brand: Brand) -> int:
    """Somebody with 150 points."""
    number = api.customer("member-1")
    give(brand, number, 150)
    return number


def test_an_item_is_added_once_and_listed(api: Api, deployment: Deployment) -> None:
    add_store(deployment, "east")
    made = api.made("/items", {**CUP, "stores": ["east"], "ends_at": "2026-06-01T00:00:00Z"})
    assert made == {
        **CUP,
        "picture": None,
        "stores": ["east"],
        "starts_at": None,
        "ends_at": "2026-06-01T00:00:00Z",
        "per_person": None,
        "voucher_days": 30,
        "vouchers": {"issued": 0, "accepted": 0, "undone": 0, "expired": 0},
    }
    assert problem(api.post("/items", CUP)) == (409, "item-exists")
    api.made("/items", {**CUP, "slug": "mug"})
    page = api.get("/items?limit=1").json
    assert [item["slug"] for item in page["items"]] == ["mug"]
    last = api.get(f"/items?limit=1&after={page['next']}").json
    assert ([item["slug"] for item in last["items"]], last["next"]) == (["cup"], None)
    assert api.get("/items/cup").json == made
    assert problem(api.get("/items/none")) == (404, "unknown-item")


def test_what_is_no_item_is_refused(api: Api, deployment: Deployment) -> None:
    for changes, expected in (
        ({"slug": "A B"}, "invalid-input"),
        ({"titles": {}}, "invalid-input"),
        ({"titles": {"fr": "Tasse"}}, "invalid-input"),
        ({"titles": {"en": " "}}, "invalid-input"),
        ({"price": 0}, "invalid-input"),
        ({"price": "100"}, "invalid-input"),
        ({"stock": -1}, "invalid-input"),
        ({"currency": "XXY"}, "invalid-input"),
        ({"ends_at": "2026-01-01"}, "invalid-input"),
        ({"starts_at": "2026-02-01T00:00:00Z", "ends_at": "2026-01-01T00:00:00Z"}, "invalid-input"),
        ({"colour": "red"}, "invalid-input"),
        ({"picture": "0" * 64}, "unknown-picture"),
        ({"stores": ["nowhere"]}, "unknown-store"),
    ):
        assert problem(api.post("/items", {**CUP, **changes}))[1] == expected, changes
    assert api.get("/items").json["items"] == []


def test_an_item_changes_only_in_what_is_sent(api: Api, deployment: Deployment) -> None:
    made = api.made("/items", {**CUP, "per_person": 3})
    changed = api.made("/items/cup", {"price": 90, "change_stock": -4, "reason": "broken"})
    assert changed == {**made, "price": 90, "stock": 6}
    assert api.made("/items/cup", {"price": None, "per_person": None}) == {
        **changed,
        "price": None,
        "per_person": None,
    }
    assert problem(api.post("/items/cup", {"change_stock": -7})) == (422, "not-so-much-stock")
    assert problem(api.post("/items/cup", {"titles": None})) == (422, "invalid-input")
    assert problem(api.post("/items/cup", {"value": -1})) == (422, "invalid-input")
    assert problem(api.post("/items/none", {})) == (404, "unknown-item")
    assert stock(deployment) == 6


def test_a_customer_redeems_once_for_each_key(
    api: Api, deployment: Deployment, customer: int
) -> None:
    api.made("/items", CUP)
    body = {"customer_id": customer, "item": "cup"}
    first = api.made("/redemptions", body, once="a")
    assert first == api.made("/redemptions", body, once="a")
    assert (first["state"], first["unit"], first["amount"]) == ("issued", "points", 100)
    assert first["url"] == f"http://localhost/v/{first['code']}"
    assert problem(api.post("/redemptions", body)) == (409, "not-enough-points")
    assert (held(deployment, customer), stock(deployment)) == (50, 9)
    assert api.get(f"/redemptions/{first['id']}").json == first
    assert problem(api.get("/redemptions/4711")) == (404, "unknown-voucher")


def test_what_cannot_be_redeemed_is_refused(api: Api, customer: int) -> None:
    api.made("/items", {**CUP, "stock": 0})
    for body, expected in (
        ({"customer_id": customer, "item": "cup"}, (409, "out-of-stock")),
        ({"customer_id": customer, "item": "none"}, (404, "unknown-item")),
        ({"customer_id": 4711, "item": "cup"}, (404, "unknown-customer")),
        ({"customer_id": 0, "item": "cup"}, (422, "invalid-input")),
        ({"item": "cup"}, (422, "invalid-input")),
    ):
        assert problem(api.post("/redemptions", body)) == expected, body


def test_a_redemption_is_undone_within_a_day(
    api: Api, deployment: Deployment, customer: int, clock: HeldClock
) -> None:
    api.made("/items", CUP)
    made = api.made("/redemptions", {"customer_id": customer, "item": "cup"})
    path = f"/redemptions/{made['id']}/undo"
    till = add_till(deployment)
    actions.accept_voucher(deployment, till.id, made["code"], press="p" * 20)
    assert api.get(f"/redemptions/{made['id']}").json["store"] == "east"
    assert problem(api.post(path, {"reason": ""})) == (422, "invalid-input")
    undone = [api.made(path, {"reason": "broken"}) for _ in range(2)]
    assert undone[0] == undone[1]
    assert (undone[0]["state"], undone[0]["code"]) == ("undone", None)
    assert (held(deployment, customer), stock(deployment)) == (150, 10)
    late = api.made("/redemptions", {"customer_id": customer, "item": "cup"})
    clock.advance(days=1)
    answer = api.post(f"/redemptions/{late['id']}/undo", {"reason": "late"})
    assert problem(answer) == (409, "too-late-to-undo")


def test_a_code_whose_key_is_gone_is_not_shown(
    api: Api, deployment: Deployment, customer: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.made("/items", CUP)
    made = api.made("/redemptions", {"customer_id": customer, "item": "cup"})

    def forget(tx: object) -> None:
        tx.get_one(Voucher, made["id"]).key_id = "00000000"  # type: ignore[attr-defined]

    deployment.db.transact(forget)
    assert api.get(f"/redemptions/{made['id']}").json["code"] is None
    assert vouchers.read_code(made["code"]) == made["code"]
