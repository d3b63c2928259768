"""Passkeys in a real browser, whose authenticator is Chromium's own virtual one."""

from collections.abc import Iterator
from dataclasses import replace

import pyotp
import pytest
from flask import Flask
from playwright.sync_api import BrowserContext, CDPSession, Page, expect

from referral.config import Config, OidcSettings
from tests.accessibility import violations
from tests.conftest import Contexts
from tests.staff.provider import FakeProvider
from tests.web.conftest import served
from tests.web.staff.conftest import PASSWORD

pytestmark = pytest.mark.browser


@pytest.fixture
def there() -> Iterator[FakeProvider]:
    with FakeProvider() as started:
        yield started


@pytest.fixture
def console(app: Flask, config: Config, olga: None, there: FakeProvider) -> Iterator[str]:
    """The console at a name: browsers keep no passkeys for an address of digits."""
    oidc = OidcSettings(there.issuer, there.client_id, there.secret)
    with served(app, replace(config, oidc=oidc), "localhost") as address:
        yield f"{address}/staff"


def device(context: BrowserContext, page: Page) -> tuple[CDPSession, str]:
    """Give a browser an authenticator that says yes to everything."""
    session = context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    added = session.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    return session, added["authenticatorId"]


def give_password(page: Page, console: str) -> None:
    page.goto(f"{console}/sign-in")
    page.get_by_label("E-mail address").fill("olga@brand.example")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()


def add_passkey(page: Page, console: str, name: str) -> None:
    page.goto(f"{console}/account/security")
    page.get_by_label("Name of the new passkey").fill(name)
    page.get_by_role("button", name="Add a passkey").click()


def sign_out(page: Page, console: str) -> None:
    page.goto(f"{console}/account/security")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Staff sign-in")


def test_a_passkey_is_added_signs_in_and_is_removed(console: str, desktop: Contexts) -> None:
    context = desktop("en-GB")
    page = context.new_page()
    session, authenticator = device(context, page)
    give_password(page, console)
    add_passkey(page, console, "Office computer")
    expect(page.get_by_role("listitem").filter(has_text="-")).to_have_count(10)
    page.get_by_role("link", name="I have kept them").click()
    expect(page.get_by_text("Office computer")).to_be_visible()

    sign_out(page, console)
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
    kept = session.send("WebAuthn.getCredentials", {"authenticatorId": authenticator})
    assert [each["rpId"] for each in kept["credentials"]] == ["localhost"]

    # It is there already, so the device makes no other one.
    add_passkey(page, console, "Again")
    expect(page.get_by_role("alert")).to_have_text(
        "This device has a passkey for your account already."
    )

    # The password alone is not enough any more; the passkey is the second step, and the proof.
    sign_out(page, console)
    give_password(page, console)
    expect(page.get_by_role("heading", level=1)).to_have_text("Second step")
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
    page.goto(f"{console}/account/security")
    page.get_by_role("button", name="Remove").click()
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Signing in")
    page.get_by_role("button", name="Remove").click()
    expect(page.get_by_text("The passkey “Office computer” was removed.")).to_be_visible()

    sign_out(page, console)
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page.get_by_role("alert").first).to_contain_text("This passkey could not be checked.")
    give_password(page, console)
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")


def test_a_copy_of_a_passkey_is_refused(console: str, desktop: Contexts) -> None:
    context = desktop("en-GB")
    page = context.new_page()
    session, authenticator = device(context, page)
    give_password(page, console)
    add_passkey(page, console, "Key")
    expect(page.get_by_role("heading", level=1)).to_have_text("Recovery codes")
    sign_out(page, console)
    where = {"authenticatorId": authenticator}
    copied = session.send("WebAuthn.getCredentials", where)["credentials"][0]
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
    sign_out(page, console)
    session.send("WebAuthn.clearCredentials", where)
    session.send("WebAuthn.addCredential", {**where, "credential": copied})
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page.get_by_role("alert").first).to_contain_text("This passkey could not be checked.")


def test_a_browser_that_stops_says_so(console: str, desktop: Contexts) -> None:
    context = desktop("en-GB")
    page = context.new_page()
    session, authenticator = device(context, page)
    session.send(
        "WebAuthn.setUserVerified", {"authenticatorId": authenticator, "isUserVerified": False}
    )
    give_password(page, console)
    add_passkey(page, console, "Key")
    expect(page.get_by_role("alert")).to_contain_text("the browser stopped")
    expect(page.get_by_role("button", name="Add a passkey")).to_be_enabled()


def test_single_sign_on_leads_there_and_back(console: str, desktop: Contexts) -> None:
    page = desktop("en-GB").new_page()
    page.goto(f"{console}/sign-in")
    page.get_by_role("link", name="Single sign-on").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("width", "scheme", "locale"), [(1440, "light", "en-GB"), (390, "dark", "zh-CN")]
)
def test_the_pages_are_accessible_and_fit(
    console: str, desktop: Contexts, width: int, scheme: str, locale: str
) -> None:
    context = desktop(locale, viewport={"width": width, "height": 844}, color_scheme=scheme)
    page = context.new_page()
    device(context, page)

    def check() -> None:
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), page.url
        assert violations(page) == [], page.url

    page.goto(f"{console}/sign-in")
    check()
    page.locator("#email").fill("olga@brand.example")
    page.locator("#password").fill(PASSWORD)
    page.locator("form:has(#password) button").click()
    page.wait_for_url(f"{console}/")
    page.goto(f"{console}/account/security")
    check()
    page.goto(f"{console}/account/totp")
    page.locator("details.appkey summary").click()
    check()
    key = page.locator("details.appkey .mono").inner_text().replace(" ", "")
    page.locator("#code").fill("000000x")
    page.locator("form:has(#code) button").click()
    expect(page.locator("#code")).to_have_attribute("aria-invalid", "true")
    check()
    page.locator("#code").fill(pyotp.TOTP(key).now())
    page.locator("form:has(#code) button").click()
    expect(page.get_by_role("listitem").filter(has_text="-")).to_have_count(10)
    check()
    page.goto(f"{console}/account/security")
    page.locator("#name").fill("A rather long name for a key that is kept in the office's safe")
    page.locator("form[data-passkey=add] button").click()
    expect(page.locator(".keys li")).to_have_count(1)
    check()
    page.goto(f"{console}/confirm")
    check()
    context.clear_cookies(name="referral_staff")
    page.goto(f"{console}/sign-in")
    page.locator("#email").fill("olga@brand.example")
    page.locator("#password").fill(PASSWORD)
    page.locator("form:has(#password) button").click()
    page.wait_for_url(f"{console}/sign-in/second**")
    check()
    page.goto(f"{console}/sign-in/second?recovery=1")
    check()
