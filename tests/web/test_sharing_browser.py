"""Opening links in a real browser: whose link is in the address bar, and who counts as a person.

One service for all tests, and a campaign of its own for each.
"""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa
from playwright.sync_api import BrowserContext, Page, Response, expect
from werkzeug.serving import make_server
from werkzeug.wrappers import Response as Answer

from referral.batches import Batch
from referral.campaigns import Campaign
from referral.config import Config
from referral.deployment import Deployment, open_deployment
from referral.links import Channel, Link
from referral.people import Visitor
from referral.reports import campaigns as figures
from referral.spread import SpreadNode
from referral.visits import Kind, VisitRow
from tests.cast import GTIN, add_product, issue, publish
from tests.conftest import SECRET_KEYS, Contexts, settings_of
from tests.servers import ServiceProcess
from tests.web.test_wechat_browser import ANDROID as WECHAT

pytestmark = pytest.mark.browser

SHARER = 7
"""The visitor whose links are opened. Nobody knows more of him."""
PATIENCE_MS = 5_000


@dataclass
class Service:
    deployment: Deployment
    url: str
    batch: Batch
    numbers: Iterator[int]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, _sqlite_template: Path) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("opening")
    database = folder / "referral.db"
    shutil.copyfile(_sqlite_template, database)
    config = Config(f"sqlite:///{database}", folder, SECRET_KEYS, base_url="http://localhost")
    deployment = open_deployment(config)
    add_product(deployment)
    batch = issue(deployment)
    server = ServiceProcess(settings_of(config)).start()
    yield Service(deployment, server.url, batch, count())
    server.kill()
    server.discard()
    deployment.db.close()


@dataclass
class Shared:
    """A campaign, and what came of its links."""

    service: Service
    campaign: Campaign

    def link(self, visitor: int = SHARER) -> str:
        link = Link(self.campaign.id, visitor, None, 0, Channel.copy)
        return f"{self.service.url}/s/{self.service.deployment.links.token(link)}"

    def behind(self, address: str) -> Link:
        """What the link in an address carries."""
        assert urlsplit(address).path.startswith("/s/"), address
        link = self.service.deployment.links.read(urlsplit(address).path.removeprefix("/s/"))
        assert link is not None, address
        return link

    def metrics(self) -> figures.Metrics:
        with self.service.deployment.db.read() as tx:
            return figures.metrics(tx, self.campaign)

    def counted(self) -> tuple[int, int, int, int]:
        """Fetches, opens, visitors and engagements."""
        found = self.metrics()
        return found.fetches, found.opens, found.visitors, found.engagements

    def spread(self) -> dict[int, tuple[int | None, int]]:
        """Of each visitor: below whom, and at which hop."""
        columns = (SpreadNode.visitor_id, SpreadNode.parent_id, SpreadNode.hop)
        mine = sa.select(*columns).where(SpreadNode.campaign_id == self.campaign.id)
        with self.service.deployment.db.read() as tx:
            return {row.visitor_id: (row.parent_id, row.hop) for row in tx.execute(mine)}

    def channels(self) -> list[str]:
        opened = sa.select(VisitRow.channel).where(
            VisitRow.campaign_id == self.campaign.id, VisitRow.kind == Kind.open
        )
        with self.service.deployment.db.read() as tx:
            return list(tx.scalars(opened.order_by(VisitRow.at)))

    def has_run(self, visitor: int) -> bool:
        with self.service.deployment.db.read() as tx:
            ran = tx.scalar(sa.select(Visitor.ran_at).where(Visitor.id == visitor))
        return ran is not None


@pytest.fixture
def shared(service: Service) -> Shared:
    slug = f"spring-{next(service.numbers)}"
    return Shared(service, publish(service.deployment, slug=slug))


def own_link(page: Page) -> str:
    return page.locator("link[data-own-link]").get_attribute("href") or ""


def is_report(name: str) -> Callable[[Response], bool]:
    return lambda answer: urlsplit(answer.url).path.endswith(f"/{name}")


def eventually(page: Page, holds: Callable[[], bool]) -> bool:
    """Whether something comes to hold, such as a report that is still on its way."""
    for _ in range(PATIENCE_MS // 50):
        if holds():
            return True
        page.wait_for_timeout(50)
    return False


def open_and_look(context: BrowserContext, address: str) -> Page:
    """Open a link and look at its page until it has said so."""
    page = context.new_page()
    with page.expect_response(is_report("seen")):
        page.goto(address)
    return page


# Whose link it is


def test_a_forward_of_a_forward_of_what_is_in_the_address_bar_is_traced(
    shared: Shared, phone: Contexts
) -> None:
    """Three people who never sign in, each forwarding what the browser shows."""
    address, seen = shared.link(), []
    for hop in (1, 2, 3):
        page = phone("en-GB").new_page()
        page.goto(address)
        assert page.url != address, "the address was the sharer's"
        mine = shared.behind(page.url)
        assert (mine.hop, mine.channel) == (hop, Channel.address)
        assert shared.behind(own_link(page)) == mine
        for control in page.locator("[data-own-field], [data-sheet]").all():
            carried = control.get_attribute("value") or control.get_attribute("data-url") or ""
            assert shared.behind(carried).visitor == mine.visitor
        address = page.url
        seen.append(mine.visitor)
    ann, ben, cat = seen
    assert shared.spread() == {
        SHARER: (None, 0),
        ann: (SHARER, 1),
        ben: (ann, 2),
        cat: (ben, 3),
    }


def test_reopening_ones_own_link_bends_nothing(shared: Shared, phone: Contexts) -> None:
    context = phone("en-GB")
    page = open_and_look(context, shared.link())
    own, before = page.url, shared.spread()
    again = context.new_page()
    again.goto(own)
    expect(again.locator(".from")).to_have_text("This is your own link")
    assert again.url == own
    assert shared.spread() == before
    assert shared.metrics().visitors == 1


def test_two_tabs_are_one_person(shared: Shared, phone: Contexts) -> None:
    context = phone("en-GB")
    other = shared.link(visitor=8)
    tabs = [context.new_page(), context.new_page()]
    tabs[0].goto(shared.link(), wait_until="commit")
    tabs[1].goto(other, wait_until="commit")
    for tab in tabs:
        tab.wait_for_load_state()
    mine = {shared.behind(tab.url) for tab in tabs}
    assert len(mine) == 1, "the link that came first made it"
    (link,) = mine
    assert shared.spread()[link.visitor] == (SHARER, 1)
    assert shared.metrics().visitors == 1


def test_inside_wechat_it_is_the_same(shared: Shared, phone: Contexts) -> None:
    page = phone("zh-CN", user_agent=WECHAT).new_page()
    page.goto(f"{shared.link()}?from=groupmessage")
    assert shared.behind(page.url).hop == 1
    assert urlsplit(page.url).query == ""
    assert shared.counted()[:3] == (0, 1, 1)
    assert shared.channels() == ["copy"]


def test_coming_back_keeps_the_link_and_counts_nobody_twice(
    shared: Shared, phone: Contexts
) -> None:
    page = open_and_look(phone("en-GB"), shared.link())
    own, spread = page.url, shared.spread()
    for _ in range(2):
        page.goto(f"{shared.service.url}/privacy")
        page.go_back()
        assert page.url == own
        assert shared.behind(own_link(page)) == shared.behind(own)
    assert shared.spread() == spread
    _, _, visitors, engagements = shared.counted()
    assert (visitors, engagements) == (1, 1)


def test_a_page_kept_for_coming_back_takes_its_address_again(
    shared: Shared, phone: Contexts
) -> None:
    """Browsers that keep a whole page show it again without asking us or running its scripts."""
    page = phone("en-GB").new_page()
    page.goto(shared.link())
    own = page.url
    page.evaluate("history.replaceState(null, '', '/s/elsewhere')")
    page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))")
    assert page.url == own
    assert shared.metrics().opens == 1


# Who is a person


HIDDEN = "Object.defineProperty(document, 'visibilityState', {get: () => 'hidden'});"


@pytest.mark.parametrize(
    "left",
    [
        HIDDEN + "document.dispatchEvent(new Event('visibilitychange'))",
        "dispatchEvent(new Event('pagehide'))",
    ],
    ids=["hidden", "closed"],
)
def test_a_page_that_is_left_at_once_has_run_and_was_not_seen(
    shared: Shared, phone: Contexts, left: str
) -> None:
    """Only told that it is left: what a page sends when it really is calls itself headless here."""
    page = phone("en-GB").new_page()
    page.add_init_script(f"addEventListener('load', () => {{ {left} }})")
    page.goto(shared.link())
    mine = shared.behind(page.url).visitor
    assert eventually(page, lambda: shared.has_run(mine))
    page.wait_for_timeout(1_100)
    assert shared.metrics().engagements == 0


def test_without_scripts_the_link_is_his_own_and_a_picture_proves_it(
    shared: Shared, phone: Contexts
) -> None:
    page = phone("en-GB", java_script_enabled=False).new_page()
    with page.expect_response(is_report("ran.gif")) as picture:
        page.goto(shared.link())
    assert picture.value.status == 200
    mine = shared.behind(own_link(page))
    assert mine.hop == 1
    canonical = page.locator("link[rel=canonical]").get_attribute("href") or ""
    assert shared.behind(canonical) == mine
    assert shared.has_run(mine.visitor)
    assert page.locator("[data-own-field]").input_value()


def test_a_scan_page_says_that_it_was_seen_and_keeps_its_address(
    shared: Shared, phone: Contexts
) -> None:
    deployment = shared.service.deployment
    code = deployment.codes.encode(shared.service.batch, 1)
    address = f"{shared.service.url}/01/{GTIN}/21/{code.text}"
    page = open_and_look(phone("en-GB"), address)
    assert page.url == address
    assert shared.counted() == (0, 0, 0, 1)
    assert shared.behind(own_link(page)).hop == 0


# Fetched before anybody wants to see it


def test_a_page_fetched_ahead_becomes_the_readers_when_it_is_shown(
    shared: Shared, phone: Contexts
) -> None:
    """The first answer is one that was fetched ahead; from then on the browser asks itself."""
    page = phone("en-GB").new_page()
    asked: list[str] = []

    def fetch_ahead(route: Any) -> None:
        asked.append(route.request.url)
        first = len(asked) == 1
        headers = {**route.request.headers, **({"Purpose": "prefetch"} if first else {})}
        route.continue_(headers=headers)

    page.route("**/s/*", fetch_ahead)
    with page.expect_response(is_report("seen")):
        page.goto(shared.link())
    assert shared.behind(page.url).hop == 1
    assert asked == [shared.link()] * 2, "asked for anew once"
    assert shared.counted() == (1, 1, 1, 1)


def test_a_page_that_comes_as_fetched_ahead_again_and_again_is_left_alone(
    shared: Shared, phone: Contexts
) -> None:
    page = phone("en-GB", extra_http_headers={"Purpose": "prefetch"}).new_page()
    page.goto(shared.link())
    page.wait_for_timeout(500)
    assert shared.metrics().fetches == 2
    assert page.url == shared.link()


@pytest.mark.parametrize("rule", ["prefetch", "prerender"])
def test_a_real_browser_fetches_ahead_and_shows_it_later(
    shared: Shared, phone: Contexts, rule: str
) -> None:
    """A page elsewhere tells the browser to fetch the link; the reader follows it afterwards."""
    link = shared.link()
    with Elsewhere(link, rule) as elsewhere:
        page = phone("en-GB").new_page()
        page.goto(elsewhere.url)
        if not eventually(page, lambda: shared.metrics().fetches > 0):
            pytest.skip("this browser fetches nothing ahead")
        assert shared.counted() == (1, 0, 0, 0)
        with page.expect_response(is_report("seen")):
            page.get_by_role("link").click()
        assert shared.behind(page.url).hop == 1
        assert shared.counted() == (1, 1, 1, 1)


class Elsewhere:
    """A page of another site that has a link fetched ahead."""

    def __init__(self, link: str, rule: str) -> None:
        rules = f'{{"{rule}":[{{"urls":["{link}"],"eagerness":"immediate"}}]}}'
        page = f'<script type="speculationrules">{rules}</script><a href="{link}">it</a>'
        self._server = make_server("127.0.0.1", 0, Answer(page, mimetype="text/html"))
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        self._thread = Thread(target=self._server.serve_forever)

    def __enter__(self) -> "Elsewhere":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
