"""The console in a real browser: branches that open in place, and what axe finds."""

from urllib.parse import urlencode

import pytest
from playwright.sync_api import Page, expect

from tests.accessibility import violations
from tests.cast import GTIN
from tests.conftest import Contexts
from tests.web.conftest import Brand
from tests.web.staff.conftest import PASSWORD
from tests.web.staff.test_forecasts import FORM as FORECAST

pytestmark = pytest.mark.browser
PAGES = (
    "orders",
    "orders/2",
    "coupons",
    "coupons/tea",
    "coupon",
    "coupon/1",
    "",
    "campaigns",
    "campaigns/spring",
    "campaigns/spring/ledger",
    "campaigns/spring/spread",
    "campaigns/spring/content",
    "campaigns/spring/terms",
    "campaigns/spring/forecast",
    f"campaigns/spring/forecast?{urlencode(FORECAST)}",
    "campaigns/spring/dry-run",
    "new-campaign",
    "products",
    f"products/{GTIN}",
    "batches",
    "batches/1",
    "batches/1?period=all",
    "batches/1/codes/1",
    "flags",
    "cases",
    "cases/5",
    "stores",
    "stores/east/tills",
    "items",
    "items/cup",
    "new-item",
    "vouchers",
    "intake",
    "vouchers/1",
    "tree",
    "tree/1",
    "customers/1/tree/picture",
    "campaigns/spring/spread/picture",
    "customers/1",
    "customers/2",
    "quadrants",
    "segments",
    "segment?purchases_least=1",
    "search",
)


def sign_in(page: Page, url: str) -> None:
    page.goto(f"{url}/staff/")
    page.get_by_label("E-mail address").fill("olga@brand.example")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")


def test_a_branch_opens_in_place_by_mouse_and_by_key(
    spread_brand: Brand, olga: None, site: str, desktop: Contexts
) -> None:
    page = desktop("en-GB").new_page()
    sign_in(page, site)
    page.goto(f"{site}/staff/campaigns/spring")

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
    assert page.url == f"{site}/staff/campaigns/spring"


def test_a_branch_opened_after_signing_out_asks_for_a_sign_in(
    spread_brand: Brand, olga: None, site: str, desktop: Contexts
) -> None:
    context = desktop("en-GB")
    page = context.new_page()
    sign_in(page, site)
    page.goto(f"{site}/staff/tree")
    context.clear_cookies(name="referral_staff")
    page.get_by_role("button", name="Open the branch of Alice").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Staff sign-in")
    assert "/staff/tree" in page.url


# What a page looks like does not depend on the database.
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
def test_every_page_is_accessible_and_fits(
    busy_brand: Brand, olga: None, site: str, desktop: Contexts, width: int, scheme: str
) -> None:
    context = desktop("en-GB", viewport={"width": width, "height": 844}, color_scheme=scheme)
    page = context.new_page()
    sign_in(page, site)
    for path in PAGES:
        answer = page.goto(f"{site}/staff/{path}")
        assert answer, path
        assert answer.ok, path
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
        assert violations(page) == [], path
