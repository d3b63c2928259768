"""The console in a real browser: branches that open in place, and what axe finds."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from flask import Flask
from playwright.sync_api import Page, expect

from referral import actions
from referral.clock import HeldClock
from referral.config import Config
from referral.deployment import Deployment
from referral.links import Channel, visitor_name
from referral.staff import Role, staff_by_email, totp
from tests.accessibility import violations
from tests.conftest import Contexts
from tests.staff.test_totp import code_of
from tests.web.conftest import Brand, served
from tests.web.staff.conftest import PASSWORD, add_member
from tests.web.staff.pages import OF_A_STORE, PAGES, WAY_IN

pytestmark = pytest.mark.browser
on_one_database = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""What a page looks like does not depend on the database."""
wide_and_narrow = pytest.mark.parametrize(
    ("width", "scheme"), [(1440, "light"), (390, "dark")], ids=["wide", "narrow"]
)


def give_password(page: Page, url: str, name: str) -> None:
    page.goto(f"{url}/staff/")
    page.get_by_label("E-mail address").fill(f"{name}@brand.example")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()


def sign_in(page: Page, url: str) -> None:
    give_password(page, url, "olga")
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


def wrong_with(page: Page, address: str) -> list[object]:
    """Go to a page: it is there under its own address, fits the window, and axe finds nothing."""
    answer = page.goto(address)
    assert answer, address
    assert answer.status in (200, 422), address
    assert answer.request.redirected_from is None, address
    found: list[object] = list(violations(page))
    if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
        found.append("wider than the window")
    return [address, *found] if found else []


@on_one_database
@wide_and_narrow
@pytest.mark.parametrize("about", PAGES)
def test_every_page_is_accessible_and_fits(
    full_brand: Brand,
    olga: None,
    site: str,
    desktop: Contexts,
    about: str,
    width: int,
    scheme: str,
) -> None:
    context = desktop("en-GB", viewport={"width": width, "height": 844}, color_scheme=scheme)
    page = context.new_page()
    sign_in(page, site)
    alice = actions.make_link(full_brand.deployment, "spring", 1, Channel.copy).visitor
    paths = [path.format(alice=visitor_name(alice)) for path in PAGES[about]]
    assert [found for path in paths if (found := wrong_with(page, f"{site}/staff/{path}"))] == []


@on_one_database
@wide_and_narrow
def test_a_stores_own_page_is_accessible_and_fits(
    full_brand: Brand, site: str, desktop: Contexts, width: int, scheme: str
) -> None:
    d, mo = full_brand.deployment, "mo@brand.example"
    actions.add_staff(d, email=mo, password=PASSWORD, role=Role.store_manager, store="east")
    context = desktop("en-GB", viewport={"width": width, "height": 844}, color_scheme=scheme)
    page = context.new_page()
    give_password(page, site, "mo")
    expect(page.get_by_role("heading", level=1)).to_have_text("East Store")
    for path in OF_A_STORE:
        assert wrong_with(page, f"{site}/staff/{path}") == []


@on_one_database
@wide_and_narrow
def test_the_way_in_is_accessible_and_fits(
    app: Flask,
    config: Config,
    deployment: Deployment,
    olga: None,
    desktop: Contexts,
    width: int,
    scheme: str,
) -> None:
    d = replace(deployment, clock=HeldClock(datetime.now(UTC)))
    add_member(d, "sam", Role.support)
    with d.db.read() as tx:
        sam = staff_by_email(tx, "sam@brand.example")
    assert sam
    key = totp.offer(d.keys, sam.id, d.clock.now()).secret
    actions.add_totp(d, sam, key, code_of(key, d))
    ann = "ann@brand.example"
    _, secret = actions.invite_staff(d, email=ann, role=Role.analyst, by="tests")
    context = desktop("en-GB", viewport={"width": width, "height": 844}, color_scheme=scheme)
    page = context.new_page()
    strict = replace(config, second_factor_roles=frozenset({Role.owner}))
    with served(app, strict, "127.0.0.1") as site:
        first, needed, second, invitation = (f"{site}/staff/{path}" for path in WAY_IN)
        assert wrong_with(page, first) == []
        for name, step in (("olga", needed), ("sam", second)):
            give_password(page, site, name)
            page.wait_for_url(f"{step}**")
            assert wrong_with(page, step) == []
            context.clear_cookies()
        assert wrong_with(page, invitation.format(secret=secret)) == []


@on_one_database
def test_the_whole_menu_is_seen_on_a_laptop(
    full_brand: Brand, olga: None, site: str, desktop: Contexts
) -> None:
    page = desktop("en-GB", viewport={"width": 1440, "height": 900}).new_page()
    sign_in(page, site)
    *_, last = page.locator(".menu a").all()
    below = page.locator(".account").bounding_box()
    box = last.bounding_box()
    assert box
    assert below
    assert box["y"] + box["height"] <= below["y"]


@on_one_database
@pytest.mark.parametrize(
    ("path", "button"),
    [("credits", "Approve"), ("money/budgets", None), ("complaints", None), ("orders", None)],
)
def test_a_row_of_a_list_is_seen_whole_on_a_phone(
    full_brand: Brand, olga: None, site: str, desktop: Contexts, path: str, button: str | None
) -> None:
    page = desktop("en-GB", viewport={"width": 390, "height": 844}).new_page()
    sign_in(page, site)
    page.goto(f"{site}/staff/{path}")
    row = page.locator("tbody tr").first
    shown = row.get_by_role("button", name=button) if button else row.locator("td").last
    box = shown.bounding_box()
    assert box
    assert box["x"] + box["width"] <= 390
    expect(page.locator(".scroll").first).to_have_js_property("scrollLeft", 0)
    assert page.locator(".scroll").first.evaluate("e => e.scrollWidth <= e.clientWidth")


@on_one_database
def test_paper_is_white_and_has_no_menu(
    full_brand: Brand, olga: None, site: str, desktop: Contexts
) -> None:
    page = desktop("en-GB", color_scheme="dark").new_page()
    sign_in(page, site)
    page.goto(f"{site}/staff/money/accounting?month=2026-03")
    ink = "getComputedStyle(document.querySelector('h1')).color"
    on_screen = page.evaluate(ink)
    page.emulate_media(media="print")
    expect(page.get_by_role("navigation", name="Console")).to_be_hidden()
    expect(page.get_by_role("button")).to_have_count(0)
    expect(page.get_by_role("cell", name="Brand").first).to_be_visible()
    assert page.evaluate(ink) == "rgb(19, 32, 26)" != on_screen
