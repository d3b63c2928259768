"""Inside WeChat: signatures for its script, what a page allows there, and signing in."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from urllib.parse import quote, urlsplit

import pytest
import requests
import sqlalchemy as sa
from flask import Flask

from referral.clock import HeldClock
from referral.config import Config, WechatSettings
from referral.deployment import Deployment
from referral.links import Channel
from referral.people import Consent, Identity
from referral.wechat import SDK, sign
from tests.readers import PHONE, Reader
from tests.servers import free_port
from tests.web.conftest import PER_FRIEND, Brand
from tests.wechat.fake import FakeWechat

SAFARI = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like "
    "Gecko) Version/18.1 Mobile/15E148 Safari/604.1"
)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that the developer's machine uses knows nothing of the servers started here."""
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def there() -> Iterator[FakeWechat]:
    with FakeWechat() as server:
        yield server


@pytest.fixture
def config(config: Config, there: FakeWechat) -> Config:
    settings = WechatSettings(
        there.app_id, there.secret, there.url, there.url, "MP_verify_aBcDeFgH12345678.txt"
    )
    return replace(config, wechat=settings)


@pytest.fixture
def plain(config: Config, make_app: Callable[[Config], Flask]) -> Reader:
    """A reader of a brand that has no account at WeChat."""
    return Reader(make_app(replace(config, wechat=None)))


@pytest.fixture
def make_app(clock: HeldClock) -> Iterator[Callable[[Config], Flask]]:
    from referral import create_app
    from referral.deployment import open_deployment

    opened: list[Deployment] = []

    def make(config: Config) -> Flask:
        opened.append(open_deployment(config, clock=clock))
        return create_app(deployment=opened[-1])

    yield make
    for deployment in opened:
        deployment.db.close()


# Signatures


def ask(reader: Reader, address: str, **headers: str) -> tuple[int, dict[str, object]]:
    answer = reader.get(f"/wechat/signature?url={quote(address, safe='')}", **headers)
    return answer.status_code, answer.json if answer.is_json else {}


def test_a_page_of_ours_is_signed(deployment: Deployment, alice: Reader, there: FakeWechat) -> None:
    address = "http://localhost/s/abc?from=singlemessage&a=%E8%8C%B6"
    status, made = ask(alice, f"{address}#top", **{"Sec-Fetch-Site": "same-origin"})
    assert status == 200
    assert set(made) == {"appId", "timestamp", "nonceStr", "signature"}
    assert made["appId"] == there.app_id
    expected = sign(there.ticket, address, made["nonceStr"], made["timestamp"])
    assert made["signature"] == expected
    answer = alice.get(f"/wechat/signature?url={quote(address)}")
    assert answer.headers["Cache-Control"] == "private, max-age=60"
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize(
    "address",
    [
        "",
        "http://localhost",
        "http://localhost.evil.example/",
        "http://localhost@evil.example/",
        "http://localhost:81/",
        "https://localhost/",
        "//localhost/",
        "http://localhost/ a",
        "http://localhost/茶",
        "http://localhost/\n",
        "http://localhost/" + "a" * 2000,
    ],
)
def test_no_other_page_is(
    deployment: Deployment, alice: Reader, there: FakeWechat, address: str
) -> None:
    assert ask(alice, address)[0] == 422
    assert not there.calls


def test_nor_is_one_for_another_site(deployment: Deployment, alice: Reader) -> None:
    for header in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}):
        assert ask(alice, "http://localhost/", **header)[0] == 422


def test_a_base_address_is_compared_as_browsers_write_it(
    config: Config, make_app: Callable[[Config], Flask]
) -> None:
    reader = Reader(make_app(replace(config, base_url="https://Brand.Example:443")))
    assert ask(reader, "https://brand.example/s/abc")[0] == 200
    assert ask(reader, "http://brand.example/s/abc")[0] == 422


def test_while_wechat_gives_nothing_there_is_no_signature_and_no_error(
    deployment: Deployment, alice: Reader, there: FakeWechat
) -> None:
    there.answer_next("getticket", 45009)
    for _ in range(3):
        answer = alice.get("/wechat/signature?url=http://localhost/")
        assert (answer.status_code, answer.headers["Cache-Control"]) == (204, "no-store")
    assert there.calls["getticket"] == 1


def test_without_an_account_there_is_nothing_of_wechat(brand: Brand, plain: Reader) -> None:
    assert ask(plain, "http://localhost/")[0] == 404
    assert plain.get("/MP_verify_aBcDeFgH12345678.txt").status_code == 404
    assert plain.get("/sign-in/wechat/back?code=1&state=2").status_code == 404
    answer = plain.get("/sign-in")
    assert "wechat" not in plain.page
    assert "form-action 'self';" in answer.headers["Content-Security-Policy"]
    answer = plain.get(brand.path(1))
    assert "wechat.js" not in plain.page
    assert "qq.com" not in answer.headers["Content-Security-Policy"]
    plain.get("/privacy")
    assert "load nothing from other companies and" in plain.page
    assert "WeChat" not in plain.page


# Pages


def test_wechats_script_is_allowed_on_pages_to_share_and_in_wechat_only(
    brand: Brand, app: Flask, alice: Reader
) -> None:
    def policy(reader: Reader, path: str) -> str:
        return reader.get(path).headers["Content-Security-Policy"]

    shared = policy(alice, brand.path(1))
    assert re.search(rf"script-src 'nonce-[\w-]+' {re.escape(SDK)};", shared)
    assert "unsafe" not in shared
    link = alice.own_link
    assert SDK in policy(alice, link)
    for path in ("/", "/sign-in", "/c", "/privacy", "/s/nothing"):
        assert "qq.com" not in policy(alice, path), path
    for agent in (SAFARI, f"{PHONE} wxwork/4.1"):
        elsewhere = Reader(app, agent=agent)
        assert "qq.com" not in policy(elsewhere, link)
        assert "wechat.js" not in elsewhere.page


def test_the_card_leads_to_the_readers_own_link(brand: Brand, alice: Reader, bob: Reader) -> None:
    alice.get(brand.path(1))
    bob.get(alice.own_link)
    [tag] = re.findall(r"<script[^>]*wechat\.js[^>]*>", bob.page)
    card = dict(re.findall(r'data-(\w+)="([^"]*)"', tag))
    assert card["title"] == "Spring together"
    assert "points" in card["text"]
    assert card["sdk"] == SDK
    assert card["picture"].startswith("http://localhost/")
    own = brand.deployment.links.read(bob.own_link.removeprefix("/s/"))
    assert own
    for name, channel in (("link", Channel.wechat), ("moments", Channel.moments)):
        assert card[name].startswith("http://localhost/s/")
        link = brand.deployment.links.read(card[name].rpartition("/")[2])
        assert link == own.through(channel)
    assert bob.page.index("wechat.js") < bob.page.index("share.js"), "it sees the address first"
    picture = alice.get(card["picture"])
    assert picture.mimetype in {"image/jpeg", "image/png"}


def test_the_domain_is_shown_to_be_the_brands(deployment: Deployment, alice: Reader) -> None:
    answer = alice.get("/MP_verify_aBcDeFgH12345678.txt")
    assert (answer.status_code, answer.data) == (200, b"aBcDeFgH12345678")
    assert alice.get("/MP_verify_somebodyElses1.txt").status_code == 404


def test_the_privacy_notice_says_what_wechat_learns(deployment: Deployment, alice: Reader) -> None:
    alice.get("/privacy")
    assert "load a script of WeChat" in alice.page
    assert "load nothing from other companies and" not in alice.page
    assert "the number it knows you by" in alice.page


# Signing in


def to_wechat(reader: Reader, *, then: str = "/me", page: str = "/sign-in") -> str:
    """Press the button; where that leads is WeChat's page."""
    reader.get(f"{page}?next={quote(then)}" if page == "/sign-in" else page)
    answer = reader.send("/sign-in/wechat", agree="yes", next=then)
    assert answer.status_code == 303, reader.page
    return str(answer.location)


def through_wechat(address: str) -> str:
    """What a reader does at WeChat, and the path it sends him back to."""
    answer = requests.get(address.partition("#")[0], allow_redirects=False, timeout=5)
    assert answer.status_code == 302, "WeChat shows an error instead"
    target = urlsplit(answer.headers["Location"])
    assert target.netloc == "localhost"
    return f"{target.path}?{target.query}"


def sign_in(reader: Reader, *, then: str = "/me", page: str = "/sign-in") -> int:
    answer = reader.get(through_wechat(to_wechat(reader, then=then, page=page)))
    if answer.status_code == 302 or answer.status_code == 303:
        reader.get(answer.location)
    return answer.status_code


def customers(deployment: Deployment) -> list[tuple[int, str]]:
    """Whose identities there are, and of what kind."""
    with deployment.db.read() as tx:
        rows = tx.execute(sa.select(Identity.customer_id, Identity.kind).order_by(Identity.id))
        return [(row.customer_id, row.kind) for row in rows]


def test_a_reader_signs_in_with_wechat_and_goes_on(
    brand: Brand, alice: Reader, there: FakeWechat
) -> None:
    alice.get(brand.path(1))
    answer = alice.get("/sign-in")
    assert "Sign in with WeChat" in alice.page
    assert f"form-action 'self' {there.url};" in answer.headers["Content-Security-Policy"]
    before = alice.cookie("referral_visitor")
    assert sign_in(alice, then=brand.path(1)) == 303
    assert alice.heading == "Genuine."
    assert before
    assert alice.cookie("referral_visitor") == before
    assert customers(brand.deployment) == [(1, "wechat")]
    with brand.deployment.db.read() as tx:
        [consent] = tx.scalars(sa.select(Consent))
    assert (consent.customer_id, consent.purpose) == (1, "service")
    alice.claim(brand.path(1))
    assert alice.heading == "It is yours"


def test_the_same_person_is_the_same_customer(
    brand: Brand, app: Flask, alice: Reader, there: FakeWechat
) -> None:
    sign_in(alice)
    elsewhere = Reader(app)
    there.unionid = "uAlice"
    sign_in(elsewhere)
    there.openid = "oAlice-at-the-brands-other-account"
    sign_in(Reader(app))
    assert {customer for customer, _ in customers(brand.deployment)} == {1}
    there.openid, there.unionid = "oBob", "uBob"
    sign_in(Reader(app))
    assert {customer for customer, _ in customers(brand.deployment)} == {1, 2}


def test_what_wechat_calls_somebody_is_stored_encrypted(
    brand: Brand, alice: Reader, there: FakeWechat
) -> None:
    sign_in(alice)
    with brand.deployment.db.read() as tx:
        [stored] = tx.scalars(sa.select(Identity))
    assert there.openid not in stored.value_encrypted + stored.blind_index
    assert brand.deployment.keys.decrypt(stored.value_encrypted) == there.openid


def test_whoever_brought_a_reader_in_is_credited(
    brand: Brand, alice: Reader, bob: Reader, there: FakeWechat
) -> None:
    sign_in(alice)
    alice.claim(brand.path(1))
    there.openid = "oBob"
    bob.get(alice.own_link)
    sign_in(bob)
    bob.claim(brand.path(2))
    alice.get("/me")
    assert f"{PER_FRIEND}" in alice.page
    assert brand.metrics().referred_customers == 1


def test_a_second_person_on_the_phone_gets_another_visitor(
    brand: Brand, alice: Reader, there: FakeWechat
) -> None:
    sign_in(alice)
    before = alice.cookie("referral_visitor")
    alice.send("/sign-out")
    there.openid = "oBob"
    sign_in(alice)
    assert alice.cookie("referral_visitor") != before


def test_it_asks_for_consent_first(
    deployment: Deployment, alice: Reader, there: FakeWechat
) -> None:
    alice.get("/sign-in")
    answer = alice.send("/sign-in/wechat", contact="13800138000")
    assert answer.status_code == 422
    assert "agree" in alice.page
    assert f"form-action 'self' {there.url};" in answer.headers["Content-Security-Policy"]
    assert not there.calls


def test_a_forged_form_begins_nothing(deployment: Deployment, alice: Reader) -> None:
    assert alice.post("/sign-in/wechat", {"agree": "yes"}).status_code == 400


def test_it_leads_nowhere_else_afterwards(deployment: Deployment, alice: Reader) -> None:
    for target in ("//evil.example", "https://evil.example/", "/\\evil.example"):
        back = through_wechat(to_wechat(alice, then=target))
        assert alice.get(back).location == "/me"
        alice.get("/me")
        alice.send("/sign-out")


def test_an_answer_is_taken_once(deployment: Deployment, app: Flask, alice: Reader) -> None:
    back = through_wechat(to_wechat(alice))
    kept = alice.cookie("referral_session")
    assert alice.get(back).status_code == 303
    assert alice.get(back).location == "/me", "the way back through the browser's history"
    # A cookie kept from before brings the state back, but not the code.
    assert kept
    thief = Reader(app)
    thief.set_cookie("referral_session", kept)
    assert thief.get(back).status_code == 403
    assert thief.get("/me").status_code == 302


def test_an_answer_belongs_to_the_browser_that_asked(
    deployment: Deployment, alice: Reader, bob: Reader, there: FakeWechat
) -> None:
    """Nobody is made to sign in as somebody else by a link."""
    back = through_wechat(to_wechat(alice))
    assert bob.get(back).status_code == 403
    to_wechat(bob)
    assert bob.get(back).status_code == 403
    assert bob.heading == "Sign in"
    assert "not finished, or is over already" in bob.page
    assert not customers(deployment)
    assert there.calls["access_token"] == 0, "nothing is asked of WeChat for a stranger"


def test_altered_and_missing_answers_are_refused(
    deployment: Deployment, alice: Reader, there: FakeWechat
) -> None:
    for change in (
        lambda back: back[:-1],
        lambda back: f"{back}0",
        lambda back: re.sub(r"state=\w+", "state=%E8%8C%B6", back),
        lambda back: re.sub(r"state=\w+", "", back),
        lambda back: re.sub(r"code=\w+", "", back),
        lambda back: "/sign-in/wechat/back",
    ):
        back = change(through_wechat(to_wechat(alice)))
        assert alice.get(back).status_code == 403, back
        assert alice.heading == "Sign in"
    assert there.calls["access_token"] == 0
    back = re.sub(r"code=\w+", "code=made-up", through_wechat(to_wechat(alice)))
    assert alice.get(back).status_code == 403


def test_who_says_no_is_asked_again_kindly(
    deployment: Deployment, alice: Reader, there: FakeWechat
) -> None:
    there.declines = True
    assert sign_in(alice, then="/rules/spring") == 403
    assert "press the button again" in alice.page
    assert 'name="next" value="/rules/spring"' in alice.page
    there.declines = False
    answer = alice.send("/sign-in/wechat", agree="yes", next="/me")
    assert alice.get(through_wechat(answer.location)).status_code == 303


def test_an_answer_that_comes_late_is_refused(
    deployment: Deployment, alice: Reader, clock: HeldClock
) -> None:
    back = through_wechat(to_wechat(alice))
    clock.advance(minutes=11)
    assert alice.get(back).status_code == 403


def test_a_preview_is_no_person(deployment: Deployment, alice: Reader, there: FakeWechat) -> None:
    there.is_snapshot = True
    assert sign_in(alice) == 403
    assert "Use full service" in alice.page
    assert not customers(deployment)


def test_while_wechat_is_away_there_is_another_way(
    deployment: Deployment, alice: Reader, there: FakeWechat
) -> None:
    there.answer_next("access_token", -1, b"")
    for _ in range(2):
        assert sign_in(alice) == 503
        assert "use your phone number or e-mail" in alice.page
        assert alice.heading == "Sign in"
    alice.sign_in("13800138000")
    assert customers(deployment) == [(1, "phone")]


def test_guessing_at_codes_ends_and_outages_do_not_count(
    deployment: Deployment, alice: Reader, there: FakeWechat, clock: HeldClock
) -> None:
    clock.set(clock.now().replace(minute=0, second=0))
    limits, address = deployment.limits, "127.0.0.1"
    for _ in range(299):
        limits.sign_in_address(address)
    there.answer_next("access_token", -1)
    assert sign_in(alice) == 503
    there.answer_next("access_token", 40029)
    assert sign_in(alice) == 403
    assert sign_in(alice) == 429
    assert there.calls["access_token"] == 2


# Beside a phone number


def test_a_customer_adds_wechat_to_what_she_is_known_by(
    brand: Brand, app: Flask, alice: Reader, there: FakeWechat
) -> None:
    alice.sign_in("13800138000")
    answer = alice.get("/me")
    assert "Use WeChat to sign in" in alice.page
    assert f"form-action 'self' {there.url};" in answer.headers["Content-Security-Policy"]
    assert sign_in(alice, page="/me") == 303
    assert customers(brand.deployment) == [(1, "phone"), (1, "wechat")]
    assert "Use WeChat to sign in" not in alice.page
    elsewhere = Reader(app)
    sign_in(elsewhere)
    assert customers(brand.deployment) == [(1, "phone"), (1, "wechat")]


def test_it_is_offered_in_wechat_only(brand: Brand, app: Flask) -> None:
    reader = Reader(app, agent=SAFARI)
    reader.get("/sign-in")
    assert "WeChat" not in reader.page
    reader.sign_in("13800138000")
    assert "WeChat" not in reader.page


def test_another_customers_wechat_is_not_taken_over(
    brand: Brand, alice: Reader, bob: Reader, there: FakeWechat
) -> None:
    sign_in(alice)
    bob.sign_in("13800138001")
    assert sign_in(bob, page="/me") == 409
    assert bob.heading == "Your WeChat account belongs to another customer here."
    assert customers(brand.deployment) == [(1, "wechat"), (2, "phone")]
    assert bob.get("/me").status_code == 200, "he is signed in as before"


def test_an_answer_for_one_customer_is_not_the_next_ones(
    brand: Brand, alice: Reader, there: FakeWechat
) -> None:
    """Alice presses the button, signs out, and Bob signs in before the answer comes."""
    alice.sign_in("13800138000")
    back = through_wechat(to_wechat(alice, page="/me"))
    state = re.search(r"state=\w+", back)
    alice.get("/me")
    alice.send("/sign-out")
    alice.sign_in("13800138001")
    assert state
    answer = alice.get(back)
    assert answer.location == "/me"
    assert customers(brand.deployment) == [(1, "phone"), (2, "phone")]


def test_wechat_not_there_at_all_stops_no_page(
    config: Config, make_app: Callable[[Config], Flask], brand: Brand
) -> None:
    assert config.wechat
    gone = replace(config.wechat, api=f"http://127.0.0.1:{free_port()}")
    reader = Reader(make_app(replace(config, wechat=gone)))
    assert reader.get(brand.path(1)).status_code == 200
    assert "wechat.js" in reader.page
    assert ask(reader, "http://localhost/")[0] == 204
    assert sign_in(reader) == 503
    reader.sign_in("13800138000")
    assert reader.get("/me").status_code == 200


# A page that was left open


def test_a_page_signed_in_long_ago_confirms_before_wechat_is_added(
    deployment: Deployment, alice: Reader, there: FakeWechat, clock: HeldClock
) -> None:
    alice.sign_in("13800138000")
    clock.advance(minutes=31)
    alice.get("/me")
    answer = alice.send("/sign-in/wechat", next="/me")
    assert (answer.status_code, answer.location) == (303, "/me/contact")
    assert not there.calls
    assert customers(deployment) == [(1, "phone")]


def test_another_wechat_account_does_not_take_a_page_that_was_left_open(
    deployment: Deployment, alice: Reader, there: FakeWechat, clock: HeldClock
) -> None:
    sign_in(alice)
    clock.advance(days=1)
    own = there.openid
    there.openid = "oSomebodyElse"
    assert sign_in(alice, page="/me/contact", then="/me/contact") == 409
    assert customers(deployment) == [(1, "wechat")]
    there.openid = own
    assert sign_in(alice, page="/me/contact", then="/me/contact") == 303
    assert 'name="contact"' in alice.page
