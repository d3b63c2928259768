"""An owner's main paths in a real browser, in Chinese and in English: who works here, and who did
what."""

from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from referral.deployment import Deployment
from referral.staff import Role, staff_by_email
from tests.conftest import Contexts
from tests.web.staff.conftest import PASSWORD
from tests.web.staff.desk import Desk, menu_of, sign_in

pytestmark = [
    pytest.mark.browser,
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
]
ANN = "ann@brand.example"


@pytest.fixture
def owner(desk: Callable[[Role], Desk]) -> Desk:
    return desk(Role.owner)


@pytest.fixture
def other(owner: Desk, desktop: Contexts) -> Desk:
    """Another browser, in which nobody has signed in."""
    return Desk(desktop(owner.says.locale).new_page(), owner.site, owner.says)


def test_who_is_invited_sets_a_password_and_works_in_the_role_given(
    owner: Desk, other: Desk, deployment: Deployment
) -> None:
    page, says = owner.page, owner.says
    owner.follow("/staff/members")
    owner.is_headed(says("Members"))
    owner.fill(email=ANN, name="Ann")
    owner.choose(role="analyst")
    owner.send("/staff/members")
    owner.is_headed("Ann")
    address = page.locator("#link").input_value()
    with deployment.db.read() as tx:
        invited = staff_by_email(tx, ANN)
    assert invited is not None
    other.open(urlsplit(address).path)
    other.is_headed(says("Welcome"))
    expect(other.page.locator("main")).to_contain_text(ANN)
    other.fill(password="short")
    other.page.locator("main form button[type=submit]").click()
    expect(other.page.locator("#password-error")).to_be_visible()
    other.fill(password=PASSWORD)
    other.page.locator("main form button[type=submit]").click()
    other.is_headed(says("Overview"))
    expect(other.page.locator(".account .who")).to_contain_text(says("Analyst"))
    other.page.locator(".account form button").click()
    other.page.wait_for_url("**/staff/sign-in**")
    sign_in(other.page, other.site, ANN)
    menu = menu_of(other.page)
    assert "/staff/exports" in menu
    assert not {"/staff/members", "/staff/audit"} & {*menu}
    other.open("/staff/members", status=403)
    other.is_refused()
    other.open(urlsplit(address).path, status=404)
    owner.open("/staff/members")
    row = page.locator("tbody tr").filter(has_text=ANN)
    expect(row).to_contain_text(says("Analyst"))
    expect(row.locator("td").last).to_have_text("1")


def test_who_is_signed_out_and_switched_off_is_out_at_the_next_click(
    owner: Desk, other: Desk, desk: Callable[[Role], Desk], deployment: Deployment
) -> None:
    page, says, hers = owner.page, owner.says, desk(Role.support)
    with deployment.db.read() as tx:
        found = staff_by_email(tx, "support@brand.example")
    assert found is not None
    member = f"/staff/members/{found.id}"
    owner.follow("/staff/members")
    owner.follow(member)
    owner.send(f"{member}/sessions")
    expect(page.locator("section[aria-labelledby=sessions-title] .blank")).to_have_text(
        says("Signed in nowhere.")
    )
    hers.page.locator('.menu a[href="/staff/orders"]').click()
    hers.is_headed(says("Staff sign-in"))
    hers.page.locator("[name=email]").fill(found.email)
    hers.page.locator("[name=password]").fill(PASSWORD)
    hers.page.locator("main button[type=submit]").first.click()
    hers.is_headed(says("Orders"))
    owner.send(f"{member}/off")
    owner.is_told("Switched off: this member is signed out everywhere and not let in again.")
    hers.page.locator('.menu a[href="/staff/complaints"]').click()
    hers.is_headed(says("Staff sign-in"))
    hers.page.locator("[name=email]").fill(found.email)
    hers.page.locator("[name=password]").fill(PASSWORD)
    hers.page.locator("main button[type=submit]").first.click()
    expect(hers.page.locator("main [role=alert]")).to_be_visible()
    with deployment.db.read() as tx:
        switched = staff_by_email(tx, found.email)
    assert switched is not None
    assert switched.disabled_at is not None
    _is_in_the_log(owner, found.subject, found.email)


def _is_in_the_log(owner: Desk, subject: str, email: str) -> None:
    """The audit log has all of it, and its search finds it."""
    page, says = owner.page, owner.says
    owner.follow("/staff/audit")
    owner.is_headed(says("Audit log"))
    rows = page.locator("table.log tbody tr")
    owner.fill(subject=subject)
    page.locator("main form[role=search] button").click()
    page.wait_for_url("**subject=**")
    for message in ("Member switched off", "Session ended", "Signed in", "Member added"):
        expect(rows.filter(has_text=says(message)).first).to_be_visible()
    owner.choose(action="member switched off")
    page.locator("main form[role=search] button").click()
    page.wait_for_url("**action=member**")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("owner@brand.example")
    owner.fill(by=email)
    page.locator("main form[role=search] button").click()
    expect(page.locator("main .blank")).to_have_text(says("Nothing is found."))
