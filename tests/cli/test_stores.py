"""`referral stores`: outlets and distributors."""

import pytest

from tests.cast import Brand
from tests.cli.conftest import Referral, check_failed, told


def test_a_store_is_added_once(referral: Referral, brand: Brand) -> None:
    add = ("stores", "add", "guangzhou-east", "--name", "广州东店", "--region", "CN-GD")
    assert told(referral(*add, "--kind", "distributor", "--json")) == {
        "slug": "guangzhou-east",
        "name": "广州东店",
        "kind": "distributor",
        "region": "CN-GD",
    }
    check_failed(referral(*add), "short name already")
    said = referral("stores", "add", "b", "--name", "B").stdout
    assert said == "Added the store B as b.\n"


def test_what_is_no_store_is_refused(referral: Referral, brand: Brand) -> None:
    for slug in ("East", "a--b", "-a", "东", "x" * 61, "a\n"):
        check_failed(referral("stores", "add", "--name", "East", "--", slug), "short name")
    check_failed(referral("stores", "add", "a", "--name", "A", "--region", "XX"), "region")
    assert referral("stores", "add", "a", "--name", " ").exit_code == 2
    assert referral("stores", "add", "a", "--name", "A", "--kind", "kiosk").exit_code == 2
    assert referral("stores", "list").stdout.startswith("There are no stores yet")


def test_stores_are_listed_with_what_went_to_them(
    referral: Referral, brand: Brand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("referral.cli.stores.PAGE", 2)
    for name in "DBEAC":
        referral("stores", "add", name.lower(), "--name", name)
    batch = ("--batch", brand.batch.id, "--start", 5, "--end", 15)
    referral("codes", "assign", *batch, "--store", "b")
    stores = told(referral("stores", "list", "--json"))["items"]
    assert [store["name"] for store in stores] == ["A", "B", "C", "D", "E"]
    assert [(s["codes"], s["batches"]) for s in stores if s["slug"] == "b"] == [(10, 1)]
    lines = referral("stores", "list").stdout.splitlines()
    assert len(lines) == 5
    assert lines[1].split() == ["b", "store", "-", "10", "codes", "B"]
