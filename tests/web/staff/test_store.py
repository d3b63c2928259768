"""A store's page, its posters, and how stores rank."""

import re

import pytest
from flask import Flask

from referral import actions
from referral.ranges import RangeState
from referral.rollups import hours, tallies
from referral.staff import Role
from referral.stores import Store, StoreKind
from tests.readers import Reader
from tests.web.conftest import Brand
from tests.web.staff.conftest import PASSWORD, sign_in, text

PAGE = "/staff/stores/canton-1"


@pytest.fixture
def store(brand: Brand) -> Store:
    """A store that got a hundred of the batch's codes, all of them on sale."""
    d = brand.deployment
    found = actions.add_store(
        d, slug="canton-1", name="Canton One", kind=StoreKind.store, region="CN-GD"
    )
    number = brand.batch.id
    actions.set_range(d, number, RangeState.activated, start=0, end=200, by="olga")
    actions.assign_range(d, number, {"store_id": found.id}, start=0, end=100, by="olga")
    return found


def bought(brand: Brand, buyer: Reader, *numbers: int) -> None:
    for number in numbers:
        buyer.claim(brand.path(number))


def test_it_counts_what_went_to_the_store_alone(
    brand: Brand, owner: Reader, alice: Reader, bob: Reader, store: Store
) -> None:
    alice.sign_in("13800138000")
    bought(brand, alice, 1, 2, 150)
    bob.sign_in("13800138001")
    bought(brand, bob, 151)
    assert owner.get(PAGE).status_code == 200
    assert "Codes 100 in 1 batch Scans 2 of codes that went here Claims 2 of" in text(owner)


def test_days_that_are_tallied_and_those_that_are_not_add_up(
    brand: Brand, owner: Reader, alice: Reader, store: Store
) -> None:
    d = brand.deployment
    alice.sign_in("13800138000")
    bought(brand, alice, 1, 2)
    d.clock.advance(days=3)  # type: ignore[attr-defined]
    assert d.db.transact(lambda tx: tallies.tally(tx, d.clock.now()))
    bought(brand, alice, 3)
    sign_in(owner, "olga")
    owner.get(PAGE)
    assert "Claims 3 of codes that went here" in text(owner)
    owner.get(f"{PAGE}?period=7")
    assert "Claims 3 of" in text(owner)
    with d.db.read() as tx:
        assert list(hours.differences(tx)) == []
        assert list(tallies.differences(tx)) == []


def test_stores_rank_by_claims(brand: Brand, owner: Reader, alice: Reader, store: Store) -> None:
    owner.get("/staff/stores/ranking")
    assert "Nothing happened at a store in this period." in text(owner)
    d = brand.deployment
    other = actions.add_store(
        d, slug="other", name="The Other", kind=StoreKind.distributor, region=None
    )
    actions.assign_range(d, brand.batch.id, {"store_id": other.id}, start=100, end=200, by="o")
    alice.sign_in("13800138000")
    bought(brand, alice, 1, 101, 102)
    owner.get("/staff/stores/ranking")
    assert re.search(r"The Other Distributor — 2 .* Canton One Store Guangdong 1 ", text(owner))


def test_who_comes_by_its_poster_is_traced_back_to_the_store(
    app: Flask, brand: Brand, owner: Reader, alice: Reader, store: Store
) -> None:
    owner.get(PAGE)
    assert owner.send(f"{PAGE}/links").status_code == 303
    owner.get(PAGE)
    token = re.search(r"/s/([\w.-]+)/poster\.png", owner.page)
    assert token
    assert alice.get(f"/s/{token[1]}/poster.png").status_code == 200
    alice.get(f"/s/{token[1]}")
    Reader(app).get(alice.own_link)
    alice.sign_in("13800138000")
    bought(brand, alice, 150)
    owner.get(PAGE)
    assert re.search(r"Poster · QR code 1 1 1 1", text(owner))


def test_its_links_stay_whose_they_are(brand: Brand, owner: Reader, store: Store) -> None:
    d = brand.deployment
    first = actions.open_store_links(d, "canton-1", by="olga")
    assert actions.open_store_links(d, "canton-1", by="olga") == first


def test_who_runs_a_store_sees_that_one_alone(app: Flask, brand: Brand, store: Store) -> None:
    manager = manager_of(app, brand)
    assert manager.get("/staff/store").status_code == 200
    assert manager.heading == "Canton One"
    assert manager.send("/staff/store/links").status_code == 303
    for page in (PAGE, "/staff/stores/ranking", "/staff/tree", "/staff/campaigns"):
        assert manager.get(page).status_code == 403


def test_an_unknown_store_has_no_page(owner: Reader) -> None:
    assert owner.get("/staff/stores/nowhere").status_code == 404


def test_the_brand_says_what_a_store_may_run_and_its_manager_runs_it(
    app: Flask, brand: Brand, owner: Reader, alice: Reader, store: Store
) -> None:
    limits = {"budget_max": "500", "days_max": "7", "running_max": "1"}
    owner.get(PAGE)
    assert "The brand has not said what this store may run by itself." in text(owner)
    assert owner.send(f"{PAGE}/limits", **{**limits, "days_max": "0"}).status_code == 422
    template = brand.campaign.slug
    assert owner.send(f"{PAGE}/limits", **limits, templates=template).status_code == 303
    owner.get(PAGE)
    assert f'name="templates" value="{template}" checked' in owner.page

    manager = manager_of(app, brand)
    today = brand.deployment.local_now().date().isoformat()
    asked = {"template": template, "title": "Ours", "starts_on": today, "days": "7"}
    for refused in ({"budget": "501"}, {"days": "8"}, {"starts_on": "2001-01-01"}, {"title": ""}):
        manager.get("/staff/store")
        sent = {**asked, "budget": "500", **refused}
        assert manager.send("/staff/store/campaigns", **sent).status_code == 422
    assert manager.send("/staff/store/campaigns", **asked, budget="500").status_code == 303
    manager.get("/staff/store")
    assert "Ours Running" in text(manager)
    assert manager.send("/staff/store/campaigns", **asked, budget="500").status_code == 422
    assert "more than the brand lets the store do" in text(manager)

    assert "Ours" in alice.get(brand.path(1)).text
    assert "Ours" not in alice.get(brand.path(150)).text


def test_a_manager_sets_no_limits(app: Flask, brand: Brand, store: Store) -> None:
    manager = manager_of(app, brand)
    manager.get("/staff/store")
    assert manager.send(f"{PAGE}/limits", budget_max="9").status_code == 403
    asked = {"template": brand.campaign.slug, "title": "Ours", "budget": "1", "days": "1"}
    assert manager.send("/staff/store/campaigns", **asked).status_code == 403


def manager_of(app: Flask, brand: Brand) -> Reader:
    actions.add_staff(
        brand.deployment,
        email="mei@brand.example",
        password=PASSWORD,
        role=Role.store_manager,
        store="canton-1",
    )
    return sign_in(Reader(app), "mei", then="/staff/store")
