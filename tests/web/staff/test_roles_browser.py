"""Each role's way through the console in a real browser, in Chinese and in English."""

import pytest
from playwright.sync_api import Page, expect

from referral import actions
from referral.deployment import Deployment
from referral.staff import Role
from tests.conftest import Contexts
from tests.web.conftest import Brand
from tests.web.staff.conftest import PASSWORD

pytestmark = [
    pytest.mark.browser,
    # What a page looks like does not depend on the database.
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
]

LANGUAGES = {"zh-CN": "zh-Hans", "en-GB": "en"}
MENU = {
    Role.owner: 20,
    Role.marketer: 18,
    Role.analyst: 18,
    Role.support: 17,
    Role.store_manager: 1,
}
"""How many pages stand in the menu of each."""


def member(deployment: Deployment, role: Role) -> str:
    store = "east" if role is Role.store_manager else None
    address = f"{role}@brand.example"
    actions.add_staff(deployment, email=address, password=PASSWORD, role=role, store=store)
    return address


def sign_in(page: Page, url: str, address: str) -> None:
    page.goto(f"{url}/staff/sign-in")
    page.locator("[name=email]").fill(address)
    page.locator("[name=password]").fill(PASSWORD)
    page.locator("main button[type=submit]").first.click()
    page.wait_for_url(lambda there: "sign-in" not in there)


def menu_of(page: Page) -> list[str]:
    return [link.get_attribute("href") or "" for link in page.locator(".menu a").all()]


@pytest.mark.parametrize("locale", LANGUAGES)
@pytest.mark.parametrize("role", Role)
def test_everything_in_a_roles_menu_opens(
    busy_brand: Brand, site: str, desktop: Contexts, role: Role, locale: str
) -> None:
    address = member(busy_brand.deployment, role)
    page = desktop(locale).new_page()
    sign_in(page, site, address)
    found = menu_of(page)
    assert len(found) == MENU[role], found
    for path in found:
        answer = page.goto(f"{site}{path}")
        assert answer, path
        assert answer.ok, path
        expect(page.locator("html")).to_have_attribute("lang", LANGUAGES[locale])
        expect(page.locator(".menu a[aria-current]")).to_have_count(1)
        expect(page.locator("h1")).to_have_count(1)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
