"""Items, tills and vouchers on the console."""

import re

import pytest

from referral import actions
from referral.clock import HeldClock
from referral.deployment import Deployment
from referral.redemption import vouchers
from referral.redemption.vouchers import Voucher
from referral.reports import items as report
from tests.cast import Brand, cast_of, open_brand
from tests.readers import Reader
from tests.rewarded import add_item, add_store, add_till, give, held, states, stock
from tests.web.staff.conftest import sign_in, text

ITEM = {
    "title-en": "Thermos cup",
    "title-zh-Hans": "保温杯",
    "slug": "cup",
    "price": "1,200",
    "value": "30.00",
    "currency": "CNY",
    "per_person": "2",
    "voucher_days": "14",
    "stock": "50",
    "stores": "east",
}


@pytest.fixture
def brand(deployment: Deployment) -> Brand:
    return open_brand(deployment)


@pytest.fixture
def voucher(brand: Brand) -> Voucher:
    """Of Alice, who is customer 1, for a cup at 100 points."""
    alice, _, _ = cast_of(brand)
    customer_id = alice.sign_in()
    give(brand, customer_id, 100)
    add_item(brand.deployment)
    return actions.redeem(brand.deployment, customer_id, "cup", key="k").voucher


def test_an_item_is_added_by_its_form(deployment: Deployment, owner: Reader) -> None:
    add_store(deployment, "east")
    owner.get("/staff/new-item")
    answer = owner.send("/staff/new-item", **ITEM)
    assert answer.status_code == 303, text(owner)
    owner.get(answer.location)
    assert owner.heading == "Thermos cup"
    assert "Added, with 50 in stock" in text(owner)
    with deployment.db.read() as tx:
        line = report.line(tx, "cup")
    assert (line.item.price, line.item.value, line.item.per_person) == (1200, 3000, 2)
    assert (line.item.titles["zh-Hans"], line.stores) == ("保温杯", ["east"])
    owner.get("/staff/items")
    assert "Thermos cup cup 1,200 points 50 0 0 0" in text(owner)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"title-en": " ", "title-zh-Hans": ""}, "Please fill this in."),
        ({"slug": "Thermos Cup"}, "Use small letters and digits"),
        ({"price": "0"}, "Please enter a whole number from 1"),
        ({"value": "-1"}, "Please write the price as a number"),
        ({"currency": "XXY"}, "a currency's three letters"),
        ({"stock": "-1"}, "Please enter a whole number from 0"),
        ({"stock": ""}, "Please enter a whole number from 0"),
        (
            {"starts_at": "2026-05-01T00:00", "ends_at": "2026-04-01T00:00"},
            "The end must lie after the start.",
        ),
    ],
)
def test_what_is_wrong_is_said_beside_its_field(
    deployment: Deployment, owner: Reader, changes: dict[str, str], said: str
) -> None:
    owner.get("/staff/new-item")
    assert owner.send("/staff/new-item", **{**ITEM, **changes}).status_code == 422
    assert said in text(owner)
    with deployment.db.read() as tx:
        assert report.lines(tx).rows == []


def test_an_item_is_changed_and_its_stock_by_a_difference(
    deployment: Deployment, owner: Reader
) -> None:
    add_item(deployment)
    owner.get("/staff/items/cup")
    shown = {**ITEM, "slug": "", "stores": "", "price": "80"}
    changed = {"stock_way": "less", "change_stock": "4", "reason": "broken"}
    assert owner.send("/staff/items/cup", **{**shown, **changed}).status_code == 303
    assert stock(deployment) == 6
    owner.get("/staff/items/cup")
    assert "Price: 100 → 80" in text(owner)
    assert "Stock changed by -4, to 6" in text(owner)
    assert "olga@brand.example · broken" in text(owner)
    answer = owner.send("/staff/items/cup", **{**shown, **changed, "change_stock": "7"})
    assert (answer.status_code, stock(deployment)) == (422, 6)
    assert "There is not so much in stock." in text(owner)
    assert owner.get("/staff/items/none").status_code == 404


def test_a_till_is_added_and_closed(deployment: Deployment, owner: Reader) -> None:
    add_store(deployment, "east")
    owner.get("/staff/stores")
    assert "/staff/stores/east/tills" in owner.page
    owner.get("/staff/stores/east/tills")
    assert owner.send("/staff/stores/east/tills", name=" ").status_code == 422
    owner.send("/staff/stores/east/tills", name="Counter 2")
    owner.get("/staff/stores/east/tills")
    link = re.search(r'value="(http://localhost/till/[^"]+)"', owner.page)
    assert link
    owner.send("/staff/stores/east/tills/1/close")
    owner.get("/staff/stores/east/tills")
    assert "closed on" in text(owner)
    assert link[1] not in owner.page
    assert owner.get(link[1]).status_code == 404


def test_vouchers_are_listed_by_state_store_and_item(
    deployment: Deployment, voucher: Voucher, owner: Reader
) -> None:
    owner.get("/staff/vouchers")
    assert "#1 Thermos cup" in text(owner)
    for query, is_there in (
        ("state=issued", True),
        ("state=accepted", False),
        ("item=cup", True),
        ("item=none&state=any", True),
    ):
        owner.get(f"/staff/vouchers?{query}")
        assert ("#1 Thermos cup" in text(owner)) is is_there, query
    till = add_till(deployment, "east")
    code = vouchers.code_of(deployment.keys, voucher.seed, voucher.key_id)
    actions.accept_voucher(deployment, till.id, code, press="p" * 20)
    owner.get("/staff/vouchers?store=east&state=accepted")
    assert "#1 Thermos cup" in text(owner)


def test_a_voucher_is_found_by_its_code(
    deployment: Deployment, voucher: Voucher, owner: Reader
) -> None:
    code = vouchers.code_of(deployment.keys, voucher.seed, voucher.key_id) or ""
    owner.get("/staff/vouchers")
    assert owner.send("/staff/vouchers", code="0" * 12).status_code == 422
    assert "There is no such voucher." in text(owner)
    answer = owner.send("/staff/vouchers", code=vouchers.grouped(code).lower())
    assert answer.location.endswith("/staff/vouchers/1")


def test_a_redemption_is_undone_with_a_reason_within_a_day(
    deployment: Deployment, voucher: Voucher, owner: Reader, clock: HeldClock
) -> None:
    owner.get("/staff/vouchers/1")
    assert owner.send("/staff/vouchers/1", reason=" ").status_code == 422
    sent = {"csrf_token": owner.form_token(), "reason": "by mistake"}
    for _ in range(2):
        assert owner.post("/staff/vouchers/1", sent).status_code == 303
    owner.get("/staff/vouchers/1")
    assert "by mistake olga@brand.example" in text(owner)
    assert (states(deployment), held(deployment, 1), stock(deployment)) == (["undone"], 100, 10)
    actions.redeem(deployment, 1, "cup", key="again")
    clock.advance(days=1)
    sign_in(owner, "olga")
    owner.get("/staff/vouchers/2")
    assert owner.send("/staff/vouchers/2", reason="too late").status_code == 409
    assert "24 hours" in text(owner)


def test_an_analyst_looks_and_changes_nothing(
    deployment: Deployment, voucher: Voucher, analyst: Reader
) -> None:
    till = add_till(deployment)
    for path in ("/staff/items", "/staff/items/cup", "/staff/vouchers", "/staff/vouchers/1"):
        assert analyst.get(path).status_code == 200
    analyst.get("/staff/stores/east/tills")
    assert "/till/" not in analyst.page.replace("/tills", "")
    analyst.get("/staff/vouchers")
    for path in (
        "/staff/new-item",
        "/staff/items/cup",
        "/staff/vouchers/1",
        f"/staff/stores/east/tills/{till.id}/close",
    ):
        assert analyst.send(path, reason="x").status_code == 403
    assert states(deployment) == ["issued"]
