"""A till in a real browser: a press is sent until it is answered, however the network behaves."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, Route, expect

from referral import actions
from referral.config import Config
from referral.deployment import Deployment, open_deployment
from referral.redemption import vouchers
from referral.redemption.tills import TillTokens
from tests.accessibility import violations
from tests.cast import cast_of, open_brand
from tests.conftest import SECRET_KEYS, Contexts, settings_of
from tests.rewarded import add_item, add_till, give
from tests.servers import ServiceProcess

pytestmark = pytest.mark.browser


@dataclass
class Store:
    """A store with a till, and a customer with plenty of points. One for all tests."""

    deployment: Deployment
    url: str
    customer: int
    numbers: Iterator[int]

    def voucher(self) -> str:
        """The address of a new one."""
        key = str(next(self.numbers))
        made = actions.redeem(self.deployment, self.customer, "cup", key=key).voucher
        code = vouchers.code_of(self.deployment.keys, made.seed, made.key_id)
        return f"{self.url}/v/{code}"

    def state(self, address: str) -> str:
        code = vouchers.read_code(address)
        with self.deployment.db.read() as tx:
            return vouchers.by_code(tx, self.deployment.keys, code).state

    def till_link(self, name: str = "east") -> str:
        """The link of a till at a store that is new."""
        till = add_till(self.deployment, f"{name}-{next(self.numbers)}")
        return f"{self.url}/till/{TillTokens(self.deployment.keys).token(till.id)}"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, _sqlite_template: Path) -> Iterator[Store]:
    folder = tmp_path_factory.mktemp("till")
    shutil.copyfile(_sqlite_template, folder / "referral.db")
    config = Config(
        f"sqlite:///{folder / 'referral.db'}", folder, SECRET_KEYS, base_url="http://localhost"
    )
    deployment = open_deployment(config)
    brand = open_brand(deployment)
    alice, _, _ = cast_of(brand)
    customer_id = alice.sign_in()
    actions.rename(deployment, customer_id, "小明")
    give(brand, customer_id, 100_000)
    add_item(deployment, stock=1000)
    server = ServiceProcess(settings_of(config)).start()
    yield Store(deployment, server.url, customer_id, count())
    server.kill()
    server.discard()
    deployment.db.close()


@pytest.fixture
def counter(store: Store, phone: Contexts) -> BrowserContext:
    """A phone at the till."""
    context = phone("en-GB")
    page = context.new_page()
    page.goto(store.till_link())
    expect(page).to_have_url(f"{store.url}/till")
    page.close()
    return context


def accept(page: Page) -> None:
    page.get_by_role("button", name="Accept the voucher").click()


def is_accepted(page: Page) -> None:
    expect(page.locator("h1")).to_have_text("Accepted: hand it over")
    expect(page.get_by_role("button", name="Accept the voucher")).to_be_hidden()


def test_a_press_without_a_network_is_confirmed_when_it_is_back(
    store: Store, counter: BrowserContext
) -> None:
    page, address = counter.new_page(), store.voucher()
    page.goto(address)
    counter.set_offline(True)
    accept(page)
    waiting = page.locator("[data-pending]")
    expect(waiting).to_contain_text("Not confirmed yet: do not hand anything over.")
    expect(page.locator("h1")).to_have_text("Thermos cup")
    assert store.state(address) == "issued"
    counter.set_offline(False)
    is_accepted(page)
    assert store.state(address) == "accepted"


def test_an_answer_that_is_lost_is_asked_for_again(store: Store, counter: BrowserContext) -> None:
    """The press arrives, and the network goes before its answer: the retry gets that answer."""
    page, lost = counter.new_page(), []

    def lose(route: Route) -> None:
        if not lost:
            lost.append(route.fetch().status)
            route.abort("connectionreset")
        else:
            route.continue_()

    page.route("**/accept", lose)
    page.goto(store.voucher())
    accept(page)
    is_accepted(page)
    assert lost == [200]


def test_what_another_network_answers_is_no_confirmation(
    store: Store, counter: BrowserContext
) -> None:
    """A hotel's sign-in page answers everything with 200."""
    page, address = counter.new_page(), store.voucher()
    page.route(
        "**/accept",
        lambda route: route.fulfill(status=200, content_type="text/html", body="<h1>Welcome</h1>"),
    )
    page.goto(address)
    accept(page)
    expect(page.locator("[data-pending]")).to_contain_text("do not hand anything over")
    assert store.state(address) == "issued"
    page.get_by_role("button", name="Stop trying").click()
    expect(page.locator("[data-pending]")).to_contain_text("Never confirmed.")
    page.unroute("**/accept")
    page.get_by_role("link", name="Look at the voucher again").click()
    expect(page.get_by_text("Not accepted yet")).to_be_visible()
    assert store.state(address) == "issued"


def test_a_pending_press_goes_on_when_the_till_is_opened_again(
    store: Store, counter: BrowserContext
) -> None:
    page, address = counter.new_page(), store.voucher()
    page.route("**/accept", lambda route: route.abort())
    page.goto(address)
    accept(page)
    expect(page.locator("[data-pending]")).to_be_visible()
    page.close()
    again = counter.new_page()
    again.goto(f"{store.url}/till")
    pending = again.locator("[data-pending]")
    expect(pending).to_contain_text("Accepted: hand it over")
    expect(pending).to_contain_text("Thermos cup · 小**")
    assert store.state(address) == "accepted"


def test_a_press_that_came_second_is_told_so(
    store: Store, counter: BrowserContext, phone: Contexts
) -> None:
    address = store.voucher()
    other = phone("en-GB")
    first, second = counter.new_page(), other.new_page()
    second.goto(store.till_link("west"))
    for page in (first, second):
        page.goto(address)
    accept(first)
    is_accepted(first)
    accept(second)
    expect(second.locator("h1")).to_have_text("This voucher was handed over already.")


def test_a_till_works_without_scripts(store: Store, phone: Contexts) -> None:
    page = phone("en-GB", java_script_enabled=False).new_page()
    page.goto(store.till_link())
    address = store.voucher()
    page.get_by_label("Code of the voucher").fill(address.rpartition("/")[2])
    page.get_by_role("button", name="Look it up").click()
    accept(page)
    is_accepted(page)


def sign_in(page: Page, url: str) -> None:
    """As the customer, with the code that the demo sender shows on the page."""
    page.goto(f"{url}/sign-in")
    page.locator("[name=contact]").fill("13800138000")
    page.locator("[name=agree]").check()
    page.locator("main form button[type=submit]").first.click()
    code = page.locator("[data-demo-code]").inner_text()
    page.locator("[name=code]").fill(code)
    page.locator("main form button[type=submit]").first.click()
    page.wait_for_url("**/me")


def test_a_customers_pages_are_sound_for_everybody(store: Store, phone: Contexts) -> None:
    page, address = phone("en-GB").new_page(), store.voucher()
    sign_in(page, store.url)
    problems = {}
    for path in ("/me/items", "/me/items/cup", "/me/vouchers"):
        page.goto(store.url + path)
        problems[path] = violations(page)
    page.goto(address)
    expect(page.get_by_text("Show this at the store to get it.")).to_be_visible()
    problems["voucher"] = violations(page)
    assert {path: found for path, found in problems.items() if found} == {}
    assert store.state(address) == "issued"


def test_the_pages_of_a_till_are_sound_for_everybody(
    store: Store, counter: BrowserContext, phone: Contexts
) -> None:
    page, address = counter.new_page(), store.voucher()
    problems: dict[str, list[Any]] = {}
    for path in (f"{store.url}/till", address):
        page.goto(path)
        problems[path] = violations(page)
    accept(page)
    is_accepted(page)
    problems["accepted"] = violations(page)
    page.goto(address)
    problems["second"] = violations(page)
    stranger = phone("zh-CN").new_page()
    for path in (f"{store.url}/till", store.voucher()):
        stranger.goto(path)
        problems[f"stranger {path}"] = violations(stranger)
    assert {path: found for path, found in problems.items() if found} == {}
