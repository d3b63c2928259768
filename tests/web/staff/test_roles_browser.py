"""Each role's way through the console in a real browser, in Chinese and in English."""

import pytest
from playwright.sync_api import expect

from referral.staff import Role
from tests.conftest import Contexts
from tests.web.conftest import Brand
from tests.web.staff.desk import LANGUAGES, member, menu_of, sign_in

pytestmark = [
    pytest.mark.browser,
    # What a page looks like does not depend on the database.
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
]

MENU = {
    Role.owner: 20,
    Role.marketer: 18,
    Role.analyst: 18,
    Role.support: 17,
    Role.store_manager: 1,
}
"""How many pages stand in the menu of each."""


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
