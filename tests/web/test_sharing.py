"""The share part of a page in a real browser: what is a share, and what goes with the link."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from playwright.sync_api import Page, expect

from referral import actions
from referral.clock import HeldClock
from referral.deployment import Deployment
from referral.links import Channel, Link
from referral.visits import Kind, VisitRow
from tests.conftest import Contexts
from tests.scanners import read_back
from tests.web.conftest import Brand

pytestmark = [
    pytest.mark.browser,
    # What a page does does not depend on the database.
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
]


@pytest.fixture
def clock() -> HeldClock:
    """The campaign has to run by the clock of the service, which is another process."""
    return HeldClock(datetime.now(UTC))


WORDS = "“Spring together”: if you buy and claim one, we both get points."
SHEET = """
window.handed = [];
Object.defineProperty(navigator, "share", {configurable: true, value: (data) => {
  window.handed.push(data);
  const fault = %s;
  return fault ? Promise.reject(fault) : Promise.resolve();
}});
"""
CLIPBOARD = """
window.copied = [];
Object.defineProperty(navigator, "clipboard", {configurable: true, value: {
  writeText: (text) => %s,
}});
"""
TAKES = "(window.copied.push(text), Promise.resolve())"
REFUSES = "Promise.reject(new DOMException('no', 'NotAllowedError'))"


def open_link(brand: Brand, site: str, phone: Contexts, *scripts: str) -> Page:
    """A reader's page, in a browser that has what the scripts say it has."""
    page = phone("en-GB").new_page()
    for script in scripts:
        page.add_init_script(script)
    token = brand.deployment.links.token(Link(brand.campaign.id, 7))
    page.goto(f"{site}/s/{token}")
    return page


def shares(deployment: Deployment) -> list[str]:
    """The channels of the shares that were counted."""
    asked = sa.select(VisitRow.channel).where(VisitRow.kind == Kind.share).order_by(VisitRow.at)
    with deployment.db.read() as tx:
        return list(tx.scalars(asked))


def reported(page: Page, act: Callable[[], None]) -> None:
    with page.expect_response(lambda answer: answer.url.endswith("/share")) as answer:
        act()
    assert answer.value.status == 200


def channel_of(deployment: Deployment, url: str) -> Channel:
    link = deployment.links.read(url.rpartition("/s/")[2])
    assert link is not None
    return link.channel


def test_what_was_handed_to_the_sheet_is_a_share(brand: Brand, site: str, phone: Contexts) -> None:
    page = open_link(brand, site, phone, SHEET % "null")
    reported(page, page.get_by_role("button", name="Share").click)
    (handed,) = page.evaluate("window.handed")
    assert handed["text"] == WORDS
    assert channel_of(brand.deployment, handed["url"]) is Channel.sheet
    assert shares(brand.deployment) == ["sheet"]


def test_a_sheet_that_is_closed_again_is_no_share(brand: Brand, site: str, phone: Contexts) -> None:
    closed = SHEET % "new DOMException('closed', 'AbortError')"
    page = open_link(brand, site, phone, closed, CLIPBOARD % TAKES)
    page.get_by_role("button", name="Share").click()
    reported(page, page.get_by_role("button", name="Copy").click)
    assert len(page.evaluate("window.handed")) == 1
    assert shares(brand.deployment) == ["copy"]


def test_where_there_is_no_sheet_after_all_the_link_is_copied(
    brand: Brand, site: str, phone: Contexts
) -> None:
    broken = SHEET % "new DOMException('no', 'NotAllowedError')"
    page = open_link(brand, site, phone, broken, CLIPBOARD % TAKES)
    reported(page, page.get_by_role("button", name="Share").click)
    expect(page.locator("[data-said]")).to_have_text("Copied, with the words above")
    assert shares(brand.deployment) == ["copy"]


def test_the_words_that_say_who_benefits_are_copied_with_the_link(
    brand: Brand, site: str, phone: Contexts
) -> None:
    page = open_link(brand, site, phone, CLIPBOARD % TAKES)
    reported(page, page.get_by_role("button", name="Copy").click)
    (copied,) = page.evaluate("window.copied")
    words, _, url = copied.partition("\n")
    assert words == WORDS
    assert url == page.locator("#own-link").input_value()
    assert channel_of(brand.deployment, url) is Channel.copy


def test_what_could_not_be_copied_is_no_share_until_it_is_copied_by_hand(
    brand: Brand, site: str, phone: Contexts
) -> None:
    refused = "document.execCommand = () => false;"
    page = open_link(brand, site, phone, CLIPBOARD % REFUSES, refused)
    page.get_by_role("button", name="Copy").click()
    expect(page.locator("[data-said]")).to_have_text("Press and hold the link to copy it")
    assert shares(brand.deployment) == []
    selected = page.evaluate("document.activeElement.id + getSelection().toString()")
    assert selected.startswith("own-link")
    reported(page, lambda: page.keyboard.press("Control+c"))
    assert shares(brand.deployment) == ["copy"]


def test_an_old_browser_copies_too(brand: Brand, site: str, phone: Contexts) -> None:
    command = (
        "document.execCommand = (name) => {"
        " window.seen = [name, document.activeElement.value]; return true; };"
    )
    none = "Object.defineProperty(navigator, 'clipboard', {value: undefined});"
    page = open_link(brand, site, phone, none, command)
    reported(page, page.get_by_role("button", name="Copy").click)
    name, text = page.evaluate("window.seen")
    assert name == "copy"
    assert text.startswith(WORDS)
    assert page.locator("textarea").count() == 0


def test_a_poster_is_opened_in_place_with_her_name_if_she_ticks_it(
    brand: Brand, site: str, phone: Contexts
) -> None:
    page = phone("en-GB").new_page()
    page.goto(f"{site}/sign-in")
    page.locator("[name=contact]").fill("13800138000")
    page.locator("[name=agree]").check()
    page.locator("main form button[type=submit]").first.click()
    code = page.locator(".demo .mono").inner_text()
    page.locator("[name=code]").fill("".join(filter(str.isdigit, code)))
    page.locator("main form button[type=submit]").first.click()
    expect(page.locator("h1")).to_contain_text("Hello")
    assert page.locator("[data-name-tick]").count() == 0, "without a name there is nothing to tick"
    actions.rename(brand.deployment, 1, "Alice")
    page.reload()

    reported(page, page.get_by_text("Poster picture").click)
    assert shares(brand.deployment) == ["poster"]
    picture = page.locator("[data-poster] img")
    expect(picture).to_be_visible()
    tick = page.get_by_label("With my name")
    expect(tick).not_to_be_checked()
    without = page.request.get(f"{site}{picture.get_attribute('src')}").body()
    with page.expect_response(lambda answer: "name=1" in answer.url) as answer:
        tick.check()
    named = answer.value.body()
    assert named != without
    assert read_back(named) == read_back(without)
    assert page.evaluate("document.querySelector('[data-poster]').href").endswith("name=1")
    tick.uncheck()
    expect(picture).not_to_have_attribute("src", page.url)
    assert "name=1" not in str(picture.get_attribute("src"))
