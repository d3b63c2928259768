"""The console in a real browser: branches that open in place, and what axe finds."""

from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.conftest import Contexts
from tests.web.conftest import Brand
from tests.web.staff.conftest import PASSWORD

pytestmark = pytest.mark.browser
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
PAGES = (
    "orders",
    "coupons",
    "",
    "campaigns",
    "campaigns/spring",
    "campaigns/spring/ledger",
    "campaigns/spring/spread",
    "campaigns/spring/content",
    "campaigns/spring/terms",
    "new-campaign",
    "products",
    "batches",
    "batches/1",
    "batches/1?period=all",
    "batches/1/codes/1",
    "flags",
    "stores",
    "items",
    "new-item",
    "vouchers",
    "tree",
    "tree/1",
    "customers/1",
    "customers/2",
    "search",
)


def sign_in(page: Page, url: str) -> None:
    page.goto(f"{url}/staff/")
    page.get_by_label("E-mail address").fill("olga@brand.example")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")


def test_a_branch_opens_in_place_by_mouse_and_by_key(
    spread_brand: Brand, olga: None, live_server: Callable[..., Any], desktop: Contexts
) -> None:
    server = live_server()
    page = desktop("en-GB").new_page()
    sign_in(page, server.url)
    page.goto(f"{server.url}/staff/campaigns/spring")

    alice = page.get_by_role("button", name="Open the branch of Alice")
    expect(alice).to_have_attribute("aria-expanded", "false")
    alice.click()
    expect(alice).to_have_attribute("aria-expanded", "true")
    anonymous = page.get_by_role("button", name="Open the branch of Anonymous")
    expect(anonymous).to_be_visible()
    page.keyboard.press("ArrowDown")
    expect(anonymous).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(anonymous).to_have_attribute("aria-expanded", "true")
    expect(page.locator(".tree").get_by_role("link", name="Customer 2")).to_be_visible()
    page.keyboard.press("ArrowLeft")
    expect(anonymous).to_have_attribute("aria-expanded", "false")
    page.keyboard.press("ArrowLeft")
    expect(alice).to_be_focused()
    alice.press("Enter")
    expect(anonymous).to_be_hidden()
    assert page.url == f"{server.url}/staff/campaigns/spring"


def test_a_branch_opened_after_signing_out_asks_for_a_sign_in(
    spread_brand: Brand, olga: None, live_server: Callable[..., Any], desktop: Contexts
) -> None:
    server = live_server()
    context = desktop("en-GB")
    page = context.new_page()
    sign_in(page, server.url)
    page.goto(f"{server.url}/staff/tree")
    context.clear_cookies(name="referral_staff")
    page.get_by_role("button", name="Open the branch of Alice").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Staff sign-in")
    assert "/staff/tree" in page.url


# What a page looks like does not depend on the database.
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_every_page_is_accessible_and_fits(
    spread_brand: Brand, olga: None, live_server: Callable[..., Any], desktop: Contexts
) -> None:
    server = live_server()
    for width, scheme in ((1440, "light"), (390, "dark")):
        context = desktop("en-GB", viewport={"width": width, "height": 844}, color_scheme=scheme)
        page = context.new_page()
        sign_in(page, server.url)
        for path in PAGES:
            page.goto(f"{server.url}/staff/{path}")
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
            found = Axe().run(page, options=RULES).response["violations"]
            assert not [(rule["id"], [n["html"] for n in rule["nodes"]]) for rule in found], path
