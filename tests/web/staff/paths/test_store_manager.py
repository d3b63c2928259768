"""The main paths of who runs a store in a real browser, in Chinese and in English."""

from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from referral import actions
from referral.campaigns import CampaignState, of_stores
from referral.deployment import Deployment
from referral.redemption import vouchers
from referral.staff import Role
from referral.stores import store_by_slug
from tests.conftest import Contexts
from tests.rewarded import add_item, add_store, give, states
from tests.web.conftest import Brand
from tests.web.staff.desk import STORE, Desk
from tests.web.staff.paths.conftest import ALICE

pytestmark = [
    pytest.mark.browser,
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
]
PAGE = "/staff/store"
SOLD_HERE, SOLD_ELSEWHERE = 20, 200
"""Packages, by the numbers of their codes."""


@pytest.fixture
def manager(first_week: Brand, desk: Callable[[Role], Desk]) -> Desk:
    """Her store got codes of its own, and may copy the brand's campaign once, for 500 points."""
    d, batch = first_week.deployment, first_week.batch.id
    with d.db.read() as tx:
        store = store_by_slug(tx, STORE)
    actions.assign_range(d, batch, {"store_id": store.id}, start=10, end=100, by="tests")
    actions.set_store_limits(
        d, STORE, templates=["spring"], budget_max=500, days_max=7, running_max=1, by="tests"
    )
    add_store(d, "west")
    return desk(Role.store_manager)


def test_who_runs_a_store_sees_that_one_alone(manager: Desk) -> None:
    page, says = manager.page, manager.says
    page.wait_for_url(f"**{PAGE}")
    manager.is_headed("East Store")
    expect(page.locator(".menu a")).to_have_text([says("My store")])
    expect(page.locator("#find")).to_have_count(0)
    refused = ("stores/west", "stores/west/tills", "stores", "campaigns/spring", "customers/1")
    for path in refused:
        manager.open(f"/staff/{path}", status=403)
        manager.is_refused()
        expect(page.locator("main")).not_to_contain_text("West Store")
    manager.link("/staff/").click()
    manager.is_headed("East Store")
    manager.forge("/staff/stores/west/links")
    manager.is_refused()


def test_a_campaign_of_the_store_is_published_within_the_brands_limits(
    first_week: Brand, manager: Desk, phone: Contexts, deployment: Deployment
) -> None:
    page, says = manager.page, manager.says
    form = manager.form(f"{PAGE}/campaigns")
    title = says.of({"zh-CN": "东门周末", "en-GB": "East weekend"})
    expect(form.locator("[name=template] option")).to_have_text(["Spring together"])
    manager.fill(title=title, days="7", budget="501")
    manager.send(f"{PAGE}/campaigns")
    expect(page.locator("#budget-error")).to_be_visible()
    expect(page.locator("[name=title]")).to_have_value(title)
    manager.fill(budget="500")
    manager.send(f"{PAGE}/campaigns")
    manager.is_told("“%(name)s” is published.", name=title)
    row = page.locator("#campaigns tbody tr").filter(has_text=title)
    expect(row).to_contain_text(says("Running"))
    expect(row.locator("td").last).to_have_text("500")
    with deployment.db.read() as tx:
        store = store_by_slug(tx, STORE)
        (campaign,) = of_stores.campaigns_of(tx, store.id, 5)
        assert (campaign.state, campaign.budget) == (CampaignState.published, 500)
    manager.fill(title="2", budget="1")
    manager.send(f"{PAGE}/campaigns")
    expect(page.locator("#campaigns .notice.bad")).to_contain_text(
        says("This is more than the brand lets the store do.")
    )
    scanned = phone(says.locale).new_page()
    for index, is_seen in ((SOLD_HERE, 1), (SOLD_ELSEWHERE, 0)):
        scanned.goto(f"{manager.site}{first_week.path(index)}")
        expect(scanned.get_by_text(title).first).to_be_visible(visible=bool(is_seen))


def test_its_poster_is_printed_and_who_comes_by_it_is_counted(
    first_week: Brand, manager: Desk, phone: Contexts
) -> None:
    page, says = manager.page, manager.says
    manager.send(f"{PAGE}/links")
    row = page.locator("#posters tbody tr").filter(has_text="Spring together")
    expect(row.locator("td.num")).to_have_text(["0", "0", "0", "0"])
    poster, code = row.locator("td.whole a").all()
    expect(poster).to_have_text(says("Poster"))
    expect(code).to_have_text(says("QR code"))
    address = row.locator("small.mono").inner_text()
    poster.click()
    page.wait_for_url("**/poster.png?**")
    picture = page.locator("img")
    assert picture.evaluate("each => each.complete && each.naturalHeight > each.naturalWidth")
    reader = phone(says.locale).new_page()
    reader.goto(f"{manager.site}{urlsplit(address).path}")
    expect(reader.locator("h1")).to_contain_text("Spring together")
    reader.goto(f"{manager.site}/me")
    manager.open(PAGE)
    expect(row.locator("td.num").first).to_have_text("1")


def test_what_its_till_hands_over_is_counted_on_its_page(
    first_week: Brand, manager: Desk, customer: Callable[[str], Page], phone: Contexts
) -> None:
    page, says, d = manager.page, manager.says, first_week.deployment
    add_item(d)
    give(first_week, 1, 100)
    made = actions.redeem(d, 1, "cup", key="press").voucher
    handed = page.locator(".stats .stat").filter(has_text=says("handed over at its tills"))
    expect(handed.locator("dd")).to_contain_text("0")
    hers = customer(ALICE)
    hers.goto(f"{manager.site}/me/vouchers")
    title = says.of({"zh-CN": "保温杯", "en-GB": "Thermos cup"})
    expect(hers.locator("main")).to_contain_text(title)
    page.get_by_role("link", name=says("Tills"), exact=True).click()
    page.locator("#name").fill("Counter 1")
    page.get_by_role("button", name=says("Add"), exact=True).click()
    address = page.get_by_label(says("Till link")).input_value()
    counter = phone(says.locale).new_page()
    counter.goto(address)
    counter.wait_for_url("**/till")
    counter.goto(f"{manager.site}/v/{vouchers.code_of(d.keys, made.seed, made.key_id)}")
    expect(counter.locator("h1")).to_have_text(title)
    counter.get_by_role("button", name=says("Accept the voucher")).click()
    expect(counter.locator("h1")).to_have_text(says("Accepted: hand it over"))
    assert states(d) == ["accepted"]
    manager.open(PAGE)
    expect(handed.locator("dd")).to_contain_text("1")
