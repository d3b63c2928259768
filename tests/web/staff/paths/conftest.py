"""A brand in its first week, by the real clock: what browsers see is what is true now."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page

from referral import actions, people
from referral.deployment import Deployment
from referral.staff import Role
from tests.cast import Person, cast_of, publish
from tests.conftest import Contexts
from tests.rewarded import add_store
from tests.rollups.test_moments import scan
from tests.web.conftest import Brand, make_brand
from tests.web.staff.desk import LANGUAGES, STORE, Desk, Words, member, sign_in

ALICE = "13800138000"
NAMES = {"zh-CN": "李小梅", "en-GB": "Alice Lee"}


class LateClock:
    """The real time less `behind`: what is done by it was done some days ago."""

    behind = timedelta(days=5)

    def now(self) -> datetime:
        return datetime.now(UTC) - self.behind


@pytest.fixture
def clock() -> LateClock:
    return LateClock()


@pytest.fixture(params=LANGUAGES)
def says(request: pytest.FixtureRequest) -> Words:
    """The language that everybody in the test reads."""
    return Words(request.param)


@pytest.fixture
def first_week(clock: LateClock, deployment: Deployment, says: Words) -> Brand:
    """Five days ago five customers bought: Alice, whom she brought in, whom that one did, and two
    strangers. A second campaign began after that, and now is now."""
    d, brand = deployment, make_brand(deployment)
    alice, bob, charlie = cast_of(brand)
    scan(brand, alice, brand.batch, 0)
    for index, (buyer, sharer) in enumerate([(alice, None), (bob, alice), (charlie, bob)]):
        if sharer:
            buyer.open(sharer.link())
        buyer.claim(index)
    for index in (3, 4):
        Person(brand, people.email(f"stranger{index}@example.com")).claim(index)
    publish(
        d, slug="summer", title="Summer", rules=[{"when": "claim", "for": "person", "amount": 5}]
    )
    actions.rename(d, alice.customer, says.of(NAMES))
    actions.rate(d, 1, alice.customer, score=5, comment="Fresh")
    add_store(d, STORE)
    clock.behind = timedelta(0)
    actions.tally(d)
    actions.refresh_values(d)
    return brand


@pytest.fixture
def desk(first_week: Brand, site: str, desktop: Contexts, says: Words) -> Callable[[Role], Desk]:
    """A member of that role, who has just signed in."""

    def sit_down(role: Role) -> Desk:
        page = desktop(says.locale).new_page()
        sign_in(page, site, member(first_week.deployment, role))
        return Desk(page, site, says)

    return sit_down


@pytest.fixture
def customer(first_week: Brand, site: str, phone: Contexts, says: Words) -> Callable[[str], Page]:
    """A customer's own page on her phone, signed in with the code that the demo sender shows."""

    def pick_up(contact: str) -> Page:
        page = phone(says.locale).new_page()
        page.goto(f"{site}/sign-in?next=/me")
        page.locator("#contact").fill(contact)
        page.locator("[name=agree]").check()
        page.locator("main form button[type=submit]").first.click()
        code = page.locator("[data-demo-code]").inner_text()
        page.locator("[name=code]").fill("".join(filter(str.isdigit, code)))
        page.locator("main form button[type=submit]").first.click()
        page.wait_for_url(f"{site}/me")
        return page

    return pick_up
