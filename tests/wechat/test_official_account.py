"""The official account: signatures, tickets and signing in, against a stand-in for WeChat."""

import logging
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
import requests
from structlog.testing import capture_logs

from referral.config import WechatSettings
from referral.deployment import Deployment
from referral.people import Contact, IdentityKind
from referral.wechat import (
    QUOTA_REST,
    OfficialAccount,
    WechatAway,
    WechatPreviewOnly,
    WechatSignInSpent,
    official_account,
    sign,
)
from referral.wechat.tickets import ASKING, REST, NotGiven
from tests.servers import free_port
from tests.wechat.fake import FakeWechat

BACK = "https://brand.example/sign-in/wechat/back"


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that the developer's machine uses knows nothing of the servers started here."""
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def there() -> Iterator[FakeWechat]:
    with FakeWechat() as server:
        yield server


@pytest.fixture
def settings(there: FakeWechat) -> WechatSettings:
    return WechatSettings(there.app_id, there.secret, api=there.url, open=there.url)


@pytest.fixture
def account(deployment: Deployment, settings: WechatSettings) -> OfficialAccount:
    return account_of(deployment, settings)


def account_of(deployment: Deployment, settings: WechatSettings) -> OfficialAccount:
    return OfficialAccount(settings, deployment.db, deployment.keys, deployment.clock)


# Signatures


def test_the_signature_is_the_one_of_wechats_documentation() -> None:
    ticket = (
        "sM4AOVdWfPE4DxkXGEs8VMCPGGVi4C3VM0P37wVUCFvkVAy_90u5h9nbSlYy3-Sl-HhTdfl2fzFy1AOcHKP7qg"
    )
    made = sign(ticket, "http://mp.weixin.qq.com?params=value", "Wm3WZYTPz0wzccnW", 1414587457)
    assert made == "0f9de62fce790f9a083d5c99e95740ceb90c27ed"


def test_a_page_is_signed_without_its_fragment(account: OfficialAccount, there: FakeWechat) -> None:
    made = account.signature("https://brand.example/s/abc?from=timeline#top")
    assert made is not None
    assert made.app_id == there.app_id
    live = "https://brand.example/s/abc?from=timeline"
    assert made.signature == sign(there.ticket, live, made.nonce, made.timestamp)
    again = account.signature(live)
    assert again is not None
    assert again.nonce != made.nonce
    assert there.calls == {"stable_token": 1, "getticket": 1}


# Tickets


def test_a_ticket_costs_two_calls(account: OfficialAccount, there: FakeWechat) -> None:
    given = account.new_ticket()
    assert (given.text, given.lifetime) == (there.ticket, timedelta(hours=2))
    assert there.calls == {"stable_token": 1, "getticket": 1}


@pytest.mark.parametrize("error", [40001, 40014, 42001])
def test_a_spent_token_is_renewed_once(
    account: OfficialAccount, there: FakeWechat, error: int
) -> None:
    there.answer_next("getticket", error)
    assert account.new_ticket().text == there.ticket
    assert there.calls == {"stable_token": 2, "getticket": 2}
    there.answer_next("getticket", error, error)
    with pytest.raises(NotGiven):
        account.new_ticket()
    assert there.calls == {"stable_token": 4, "getticket": 4}


def test_a_token_that_wechat_has_ended_gives_way_to_a_new_one(
    account: OfficialAccount, there: FakeWechat
) -> None:
    account.new_ticket()
    # Still handed out for a moment, and of no use any more.
    there.end_token_early()
    assert account.new_ticket().text == there.ticket
    assert there.calls == {"stable_token": 3, "getticket": 3}


@pytest.mark.parametrize(
    "call, error, rest",
    [
        ("stable_token", -1, REST),
        ("stable_token", 40013, REST),
        ("stable_token", 40125, REST),
        ("stable_token", 40164, REST),
        ("stable_token", 45009, QUOTA_REST),
        ("stable_token", 45011, REST),
        ("getticket", 45009, QUOTA_REST),
        ("getticket", -1, REST),
    ],
)
def test_what_wechat_refuses_is_not_asked_again_at_once(
    account: OfficialAccount, there: FakeWechat, call: str, error: int, rest: timedelta
) -> None:
    there.answer_next(call, error)
    with pytest.raises(NotGiven, match=f"error {error}") as refused:
        account.new_ticket()
    assert refused.value.rest == rest
    assert there.calls[call] == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"not http at all\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n<p>no</p>",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b'HTTP/1.1 200 OK\r\nContent-Length: 38\r\n\r\n{"access_token": 12, "expires_in": 720}',
        b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_an_answer_that_is_none_is_not_given(
    account: OfficialAccount, there: FakeWechat, answer: bytes
) -> None:
    there.answer_next("stable_token", answer)
    with pytest.raises(NotGiven, match="does not answer"):
        account.new_ticket()
    code = sent_back(account, there)["code"]
    there.answer_next("access_token", answer)
    with pytest.raises(WechatAway):
        account.person(code)
    assert set(there.calls) == {"stable_token", "authorize", "access_token"}


@pytest.mark.parametrize("seconds", [0, -5, 10**9, "7200", None])
def test_a_ticket_without_a_lifetime_is_not_one(
    account: OfficialAccount, there: FakeWechat, seconds: int
) -> None:
    there.lifetime = seconds
    with pytest.raises(NotGiven):
        account.new_ticket()


def test_without_wechat_there_is_no_signature_and_nothing_fails(
    deployment: Deployment, settings: WechatSettings
) -> None:
    nowhere = account_of(deployment, replace(settings, api=f"http://127.0.0.1:{free_port()}"))
    assert nowhere.signature("https://brand.example/") is None


def test_a_wechat_that_hangs_is_given_up(
    account: OfficialAccount, there: FakeWechat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(official_account, "TIMEOUT_SECONDS", 0.05)
    there.delay = 0.5
    with pytest.raises(NotGiven, match="does not answer"):
        account.new_ticket()
    with pytest.raises(WechatAway):
        account.person("any")


def test_asking_ends_before_another_process_asks() -> None:
    calls, parts = 4, 2  # two tokens and two tickets; a connection and an answer
    assert timedelta(seconds=calls * parts * official_account.TIMEOUT_SECONDS) < ASKING


# Signing in


def sent_back(account: OfficialAccount, there: FakeWechat, state: str = "s7a7e") -> dict[str, str]:
    """What a reader comes back with from WeChat's page."""
    page = account.sign_in_address(BACK, state)
    answer = requests.get(page.partition("#")[0], allow_redirects=False, timeout=5)
    assert answer.status_code == 302, "WeChat shows an error instead"
    target = answer.headers["Location"]
    assert target.startswith(f"{BACK}?")
    return dict(parse_qsl(urlsplit(target).query))


def test_the_reader_is_sent_to_wechat_with_what_it_wants_in_its_order(
    deployment: Deployment, there: FakeWechat
) -> None:
    settings = WechatSettings(there.app_id, there.secret)
    address = account_of(deployment, settings).sign_in_address(BACK, "s7a7e")
    assert address == (
        f"https://open.weixin.qq.com/connect/oauth2/authorize?appid={there.app_id}"
        "&redirect_uri=https%3A%2F%2Fbrand.example%2Fsign-in%2Fwechat%2Fback"
        "&response_type=code&scope=snsapi_base&state=s7a7e#wechat_redirect"
    )


def test_whoever_comes_back_is_named(account: OfficialAccount, there: FakeWechat) -> None:
    back = sent_back(account, there)
    assert back["state"] == "s7a7e"
    assert account.person(back["code"]) == [Contact(IdentityKind.wechat, there.openid)]
    there.unionid = "uAlice_everywhere"
    assert account.person(sent_back(account, there)["code"]) == [
        Contact(IdentityKind.wechat, there.openid),
        Contact(IdentityKind.wechat_union, "uAlice_everywhere"),
    ]


def test_a_code_is_good_once_and_for_a_while(account: OfficialAccount, there: FakeWechat) -> None:
    code = sent_back(account, there)["code"]
    account.person(code)
    late = sent_back(account, there)["code"]
    there.codes[late].is_expired = True
    for spent in (code, late, "made-up", "a&appid=wxanother", "茶"):
        with pytest.raises(WechatSignInSpent):
            account.person(spent)


def test_a_made_up_person_is_nobody(account: OfficialAccount, there: FakeWechat) -> None:
    there.is_snapshot = True
    with pytest.raises(WechatPreviewOnly):
        account.person(sent_back(account, there)["code"])


@pytest.mark.parametrize("error", [-1, 40013, 40125, 40164, 45011])
def test_what_is_no_fault_of_the_readers_is_told_apart(
    account: OfficialAccount, there: FakeWechat, error: int
) -> None:
    there.answer_next("access_token", error)
    with pytest.raises(WechatAway):
        account.person("any")


@pytest.mark.parametrize("openid", ["", "a b", "x" * 65, "a\nb", "茶"])
def test_a_name_that_cannot_be_one_is_not_taken(
    account: OfficialAccount, there: FakeWechat, openid: str
) -> None:
    there.openid = openid
    with pytest.raises(WechatAway):
        account.person(sent_back(account, there)["code"])


# Secrets


def test_the_secret_is_nowhere_to_be_read(
    deployment: Deployment,
    settings: WechatSettings,
    there: FakeWechat,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    account = account_of(deployment, settings)
    nowhere = account_of(deployment, replace(settings, api=f"http://127.0.0.1:{free_port()}"))
    account.signature("https://brand.example/")
    code = sent_back(account, there)["code"]
    account.person(code)
    failures: list[Exception] = []
    logs: list[object] = []
    for each, spent in ((account, code), (nowhere, "any")):
        there.answer_next("getticket", 45009)
        for call in (each.new_ticket, lambda each=each, spent=spent: each.person(spent)):
            with (
                capture_logs() as logged,  # an app made before may have taken the log elsewhere
                pytest.raises((NotGiven, WechatAway, WechatSignInSpent)) as failed,
            ):
                call()
            logs.append(logged)
            failures.append(failed.value)
    told = capfd.readouterr()
    written = "".join((caplog.text, told.out, told.err, repr(settings), repr(account)))
    written += repr(logs) + repr(replace(deployment.config, wechat=settings))
    for failure in failures:
        written += repr(failure) + str(failure)
        assert failure.__suppress_context__
    tokens = {t for t in there.tokens if t}
    assert tokens
    for secret in (there.secret, there.ticket, there.openid, code, *tokens):
        assert secret not in written
    for told_of in (r"errcode\W+45009", r"errcode\W+40163", r"error\W+ConnectionError"):
        assert re.search(told_of, written)


def test_only_the_call_to_wechat_itself_holds_the_secret(
    account: OfficialAccount, there: FakeWechat
) -> None:
    page = account.sign_in_address(BACK, "s7a7e")
    assert there.secret not in page
    assert parse_qs(urlsplit(page).query)["appid"] == [there.app_id]
