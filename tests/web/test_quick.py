"""The quick answers ahead of Flask are what Flask would have answered."""

import re
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any, NoReturn

import pytest
import sqlalchemy as sa
from flask import Flask
from werkzeug.http import parse_cookie
from werkzeug.test import TestResponse

from referral import actions, create_app, intake, showcase
from referral.errors import Unavailable
from referral.links import Channel, Link
from referral.people import Customer, new_visitor_id
from referral.visits import VisitRow
from referral.web import quick
from referral.web.quick import Page
from tests.readers import Reader
from tests.web.conftest import Brand

PHONE = "Mozilla/5.0 (Linux; Android 14; Pixel 8) Chrome/130.0.0.0 Mobile Safari/537.36"
WECHAT = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) MicroMessenger/8.0.50"
OWN = re.compile(r"[\w-]{22}\.[\w-]{14}|nonce(=\"|-)[\w-]{22}")


@pytest.fixture
def answered(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each of the openings was answered ahead of Flask."""
    return told_of(monkeypatch, quick)


def handing_in(monkeypatch: pytest.MonkeyPatch, by: Callable[..., object]) -> None:
    """Let visits be handed in by this, whoever answers, and be in when it returns."""
    monkeypatch.setattr(intake, "hand_in", by)
    monkeypatch.setattr(
        intake, "begin", lambda *given: partial(bool, by(*given))
    )  # it is in by then


def told_of(monkeypatch: pytest.MonkeyPatch, quickly: ModuleType) -> list[bool]:
    """Whether each request that a module may answer ahead of Flask was, from now on."""
    real = quickly.page_for
    told: list[bool] = []

    def page_for(*given: Any) -> Page | None:
        page: Page | None = real(*given)
        told.append(page is not None)
        return page

    monkeypatch.setattr(quickly, "page_for", page_for)
    monkeypatch.setattr(showcase, "KEEP_SECONDS", 1e9)
    return told


def path_of(brand: Brand, **more: Any) -> str:
    link = Link(brand.campaign.id, new_visitor_id(), channel=Channel.copy, **more)
    return f"/s/{brand.deployment.links.token(link)}"


def as_it_is(response: TestResponse) -> tuple[Any, ...]:
    """An answer but for what is new in every one."""
    headers = {name: value for name, value in response.headers if name != "X-Request-ID"}
    cookie = re.sub(r"=[\w.-]+;", "=;", headers.pop("Set-Cookie", ""), count=1)
    cookie = re.sub(r"Expires=[^;]+", "", cookie)
    vary = set(headers.pop("Vary").split(", "))
    rest = OWN.sub("", str(sorted(headers.items())))
    return response.status_code, OWN.sub("", response.text), rest, cookie, vary


def get(app: Flask, path: str, headers: dict[str, str]) -> TestResponse:
    """As a browser of its own. The test client wants its cookies apart."""
    client = app.test_client()
    for name, cookie in parse_cookie(headers.get("Cookie")).items():
        client.set_cookie(name, cookie)
    return client.get(path, headers={k: v for k, v in headers.items() if k != "Cookie"})


HEADERS = {
    "a phone": {"User-Agent": PHONE, "Accept-Language": "zh-CN,zh;q=0.9,en;q=0.8"},
    "a phone in English": {"User-Agent": PHONE, "Accept-Language": "en-GB"},
    "a phone in Taiwan": {"User-Agent": PHONE, "Accept-Language": "fr,zh-TW;q=0.9"},
    "no language at all": {"User-Agent": PHONE},
    "WeChat": {"User-Agent": WECHAT, "Accept-Language": "zh-CN"},
    "who chose a language": {"User-Agent": PHONE, "Cookie": "referral_lang=zh-Hant"},
    "an odd cookie": {"User-Agent": PHONE, "Cookie": 'referral_lang=xx; referral_visitor="; a=b'},
}


@pytest.mark.parametrize("headers", HEADERS.values(), ids=HEADERS)
def test_a_quick_answer_is_the_same_answer(
    app: Flask, brand: Brand, headers: dict[str, str], answered: list[bool]
) -> None:
    path = path_of(brand)
    made, filled = get(app, path, headers), get(app, path, headers)
    assert answered == [False, True]
    assert as_it_is(made) == as_it_is(filled)


def test_who_comes_again_and_who_opens_his_own_link_get_the_same_answers(
    app: Flask, brand: Brand, answered: list[bool]
) -> None:
    path = path_of(brand)
    first, second = app.test_client(), app.test_client()
    for client in (first, second):
        page = client.get(path, headers=HEADERS["a phone"]).text
        own = brand.deployment.links.read(re.findall(r"/s/([\w-]{22}\.[\w-]{14})", page)[0])
        assert own is not None
        copied = brand.deployment.links.token(own.through(Channel.line))
        again = client.get(path, headers=HEADERS["a phone"])
        its_own = client.get(f"/s/{copied}", headers=HEADERS["a phone"])
        assert "Set-Cookie" not in its_own.headers
        assert again.status_code == 200
    assert answered == [False, True, False, True, True, True]


def test_a_customers_name_is_on_the_quick_page_too(
    app: Flask, brand: Brand, answered: list[bool]
) -> None:
    sharer = Reader(app)
    sharer.sign_in("13800138000")
    with brand.deployment.db.read() as tx:
        (number,) = tx.scalars(sa.select(Customer.id))
    actions.rename(brand.deployment, number, "小林")
    path = path_of(brand, customer=number)
    made = app.test_client().get(path, headers=HEADERS["a phone"])
    filled = app.test_client().get(path, headers=HEADERS["a phone"])
    assert "小林" in filled.text
    assert as_it_is(made) == as_it_is(filled)


NOT_QUICK = {
    "a query": ("?from=timeline", {}),
    "a crawler": ("", {"User-Agent": "Googlebot/2.1"}),
    "a prefetch": ("", {"Sec-Purpose": "prefetch"}),
    "Facebook": ("", {"X-Facebook-Locale": "en_GB"}),
    "a session": ("", {"Cookie": "referral_session=x"}),
}


@pytest.mark.parametrize(("query", "headers"), NOT_QUICK.values(), ids=NOT_QUICK)
def test_what_is_not_plain_is_left_to_flask(
    app: Flask, brand: Brand, query: str, headers: dict[str, str], answered: list[bool]
) -> None:
    path = path_of(brand)
    app.test_client().get(path, headers=HEADERS["a phone"])
    answered.clear()
    asked = {**HEADERS["a phone"], **headers}
    assert get(app, path + query, asked).status_code == 200
    assert not any(answered)


def test_other_methods_and_dead_links_are_left_to_flask(
    app: Flask, brand: Brand, answered: list[bool]
) -> None:
    path = path_of(brand)
    client = app.test_client()
    client.get(path, headers=HEADERS["a phone"])
    assert client.head(path, headers=HEADERS["a phone"]).status_code == 200
    assert client.post(path, headers=HEADERS["a phone"]).status_code == 405
    cut = path[:-1] + ("A" if path[-1] != "A" else "Q")
    assert client.get(cut, headers=HEADERS["a phone"]).status_code == 404
    assert not any(answered)


def test_every_opening_is_a_visit_of_a_new_reader_with_a_cookie_of_his_own(
    app: Flask, brand: Brand, answered: list[bool]
) -> None:
    path = path_of(brand)
    cookies = set()
    for _ in range(4):
        answer = app.test_client().get(path, headers=HEADERS["a phone"])
        cookies.add(answer.headers["Set-Cookie"].split(";")[0])
    assert answered == [False, True, True, True]
    assert len(cookies) == 4
    with brand.deployment.db.read() as tx:
        readers = tx.scalars(sa.select(VisitRow.visitor_id).where(VisitRow.kind == "open")).all()
    assert len(set(readers)) == 4


def test_it_is_counted_and_told_like_any_other(
    capsys: pytest.CaptureFixture[str], brand: Brand, answered: list[bool]
) -> None:
    app = create_app(deployment=brand.deployment)
    path = path_of(brand)
    counted = 'referral_requests_total{endpoint="share_links.landing",method="GET",status="200"}'

    def times() -> float:
        lines = app.test_client().get("/metrics").text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(counted))

    get(app, path, HEADERS["a phone"])
    before = times()
    answer = get(app, path, HEADERS["a phone"])
    assert (answered, times()) == ([False, True], before + 1)
    told = capsys.readouterr().err
    assert f'"request_id": "{answer.headers["X-Request-ID"]}"' in told
    assert path.removeprefix("/s/") not in told


def test_an_opening_that_could_not_be_handed_in_is_not_handed_in_by_flask_once_more(
    app: Flask, brand: Brand, answered: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, headers = path_of(brand), {"User-Agent": PHONE}
    get(app, path, headers)
    asked = []

    def away(*_arguments: Any) -> NoReturn:
        asked.append(1)
        raise Unavailable()

    with monkeypatch.context() as patched:
        handing_in(patched, away)
        answer = get(app, path, headers)
    assert (answer.status_code, len(asked)) == (503, 1)
    assert get(app, path, headers).status_code == 200
    assert answered[-1], "ahead of Flask"
