"""Inside WeChat in a real browser: the card of a forward, and signing in.

WeChat's script is answered for by one that does what the real one does with a page: it looks at
the signature as WeChat's servers would, says "ready" even after a refusal, and sets a card only
for a page that was let in.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from playwright.sync_api import BrowserContext, Page, expect

from referral import actions, people
from referral.config import Config
from referral.deployment import Deployment, open_deployment
from referral.links import Channel, Link
from referral.people import Identity
from referral.visits import Kind, VisitRow
from referral.wechat import SDK, sign
from tests.conftest import Contexts
from tests.servers import ServiceProcess
from tests.web.conftest import Brand, make_brand
from tests.wechat.fake import FakeWechat

pytestmark = pytest.mark.browser

ANDROID = (
    "Mozilla/5.0 (Linux; Android 14; Pixel 8 Build/UQ1A; wv) AppleWebKit/537.36 (KHTML, like Gecko)"
    " Version/4.0 Chrome/126.0.0.0 Mobile Safari/537.36 XWEB/1260117 MMWEBSDK/20240501"
    " MicroMessenger/8.0.50.2701(0x28003255) WeChat/arm64 Weixin NetType/WIFI Language/zh_CN"
)
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like "
    "Gecko) Mobile/15E148 MicroMessenger/8.0.53(0x18003531) NetType/WIFI Language/zh_CN"
)
SCRIPT = """
window.cards = {};
window.wx = (() => {
  let state = 0, letIn = false, waiting = [], refused = () => {};
  const set = (name) => (card) => {
    if (letIn) { window.cards[name] = card; (card.success || (() => {}))({}); }
    else setTimeout(() => (card.fail || (() => {}))({ errMsg: "permission denied" }), 0);
  };
  return {
    config: (given) => window.checkedByWechat(given).then((good) => {
      letIn = good;
      state = 1;
      waiting.splice(0).forEach((call) => call());
      if (!good) refused({ errMsg: "config:invalid signature" });
    }),
    ready: (call) => { if (state) call(); else waiting.push(call); },
    error: (call) => { refused = call; },
    updateAppMessageShareData: set("friend"),
    updateTimelineShareData: set("moments"),
  };
})();
"""


@pytest.fixture
def there() -> Iterator[FakeWechat]:
    with FakeWechat() as server:
        yield server


@pytest.fixture
def now(config: Config) -> Iterator[Deployment]:
    """On the real clock, as the running server is."""
    opened = open_deployment(config)
    yield opened
    opened.db.close()


@pytest.fixture
def brand(now: Deployment) -> Brand:
    return make_brand(now)


@pytest.fixture
def server(
    brand: Brand, live_server: Callable[..., ServiceProcess], there: FakeWechat
) -> ServiceProcess:
    return live_server(
        REFERRAL_WECHAT_APP_ID=there.app_id,
        REFERRAL_WECHAT_SECRET=there.secret,
        REFERRAL_WECHAT_API=there.url,
        REFERRAL_WECHAT_OPEN=there.url,
        no_proxy="*",
    )


def in_wechat(
    context: BrowserContext, there: FakeWechat, goes_by: Callable[[Page], str]
) -> list[bool]:
    """Make a context WeChat's; `goes_by` is the address it takes a page to have."""
    checks: list[bool] = []

    def check(source: dict[str, Any], given: dict[str, Any]) -> bool:
        assert given["appId"] == there.app_id
        expected = sign(
            there.ticket, goes_by(source["page"]), given["nonceStr"], given["timestamp"]
        )
        checks.append(given["signature"] == expected)
        return checks[-1]

    context.expose_binding("checkedByWechat", check)
    context.route(SDK, lambda route: route.fulfill(body=SCRIPT, content_type="text/javascript"))
    return checks


def cards(page: Page) -> dict[str, dict[str, str]]:
    for _ in range(100):
        found: dict[str, dict[str, str]] = page.evaluate("() => window.cards || {}")
        if len(found) == 2:
            return found
        page.wait_for_timeout(50)
    raise AssertionError(f"the card is not set: {found}")


def alices_link(brand: Brand, server: ServiceProcess) -> str:
    deployment = brand.deployment
    alice, _ = actions.add_customer(deployment, [people.phone("13800138000")], None)
    link = actions.make_link(deployment, "spring", alice, Channel.copy)
    return f"{server.url}/s/{deployment.links.token(link)}?from=groupmessage"


@pytest.mark.parametrize(
    "agent, is_by_landing, refusals",
    [(ANDROID, False, 0), (IPHONE, True, 0), (IPHONE, False, 1), (ANDROID, True, 1)],
    ids=["android", "iphone", "iphone otherwise", "android otherwise"],
)
def test_a_forward_shows_the_card_and_carries_the_readers_own_link(
    brand: Brand,
    server: ServiceProcess,
    phone: Contexts,
    there: FakeWechat,
    agent: str,
    is_by_landing: bool,
    refusals: int,
) -> None:
    landing = alices_link(brand, server)
    context = phone("en-SG", user_agent=agent)
    checks = in_wechat(context, there, lambda page: landing if is_by_landing else page.url)
    page = context.new_page()
    page.goto(landing)
    own = page.locator("link[data-own-link]").get_attribute("href")
    assert page.url == own != landing
    found = cards(page)
    assert checks == [False] * refusals + [True]
    assert found["friend"]["title"] == found["moments"]["title"] == "Spring together"
    assert "points" in found["friend"]["desc"]

    read = brand.deployment.links.read
    bobs = read(own.rpartition("/")[2])
    assert bobs
    for card, channel in (("friend", Channel.wechat), ("moments", Channel.moments)):
        shared = found[card]["link"]
        assert shared.startswith(f"{server.url}/s/")
        assert read(shared.rpartition("/")[2]) == bobs.through(channel)
        assert found[card]["imgUrl"].startswith(f"{server.url}/")

    # Carol opens what Bob sent: one hop on, and it is known where it was sent.
    carol = phone("zh-CN", user_agent=IPHONE).new_page()
    carol.goto(f"{found['friend']['link']}?from=singlemessage")
    carols = read(carol.url.rpartition("/")[2])
    assert isinstance(carols, Link)
    assert carols.hop == bobs.hop + 1
    with brand.deployment.db.read() as tx:
        channels = tx.scalars(
            sa.select(VisitRow.channel).where(VisitRow.kind == Kind.open).order_by(VisitRow.at)
        ).all()
    assert channels == [Channel.copy.name, Channel.wechat.name]


def test_without_its_script_a_forward_still_carries_the_link(
    brand: Brand, server: ServiceProcess, phone: Contexts, there: FakeWechat
) -> None:
    context = phone("en-SG", user_agent=ANDROID)
    context.route(SDK, lambda route: route.abort())
    page = context.new_page()
    page.goto(alices_link(brand, server))
    assert page.url == page.locator("link[data-own-link]").get_attribute("href")
    expect(page.locator("[data-in-wechat]")).to_be_visible()


def test_elsewhere_nothing_of_wechat_is_loaded(
    brand: Brand, server: ServiceProcess, phone: Contexts, there: FakeWechat
) -> None:
    asked: list[str] = []
    page = phone("en-SG").new_page()
    page.on("request", lambda request: asked.append(request.url))
    page.goto(alices_link(brand, server))
    page.wait_for_load_state("networkidle")
    assert asked
    assert all(address.startswith(server.url) for address in asked)
    assert not any("wechat" in address for address in asked)


def test_a_reader_signs_in_with_one_tap(
    brand: Brand, server: ServiceProcess, phone: Contexts, there: FakeWechat
) -> None:
    context = phone("en-SG", user_agent=ANDROID)
    in_wechat(context, there, lambda page: page.url)
    page = context.new_page()
    page.goto(f"{server.url}/me")
    page.locator("[name=agree]").check()
    page.locator("[data-wechat-sign-in]").click()
    expect(page.locator("h1")).to_have_text("Hello")
    assert page.url.partition("#")[0] == f"{server.url}/me"
    assert there.calls["access_token"] == 1
    with brand.deployment.db.read() as tx:
        assert list(tx.scalars(sa.select(Identity.kind))) == ["wechat"]
    page.go_back()
    page.goto(f"{server.url}/me")
    expect(page.locator("h1")).to_have_text("Hello")
