"""Pages made for one reader and filled in for others: each gets his own links and nobody else's."""

import re

import pytest
from flask import Flask

from referral.links import Link
from referral.people import new_visitor_id
from referral.web import kept, landing
from tests.readers import Reader
from tests.web.conftest import Brand

TOKENS = {"own": "A" * 22 + "." + "B" * 14, "opened": "C" * 22 + "." + "D" * 14}
_TOKEN = re.compile(r"/s/([\w-]{22}\.[\w-]{14})")


def test_a_page_is_filled_with_another_readers_texts() -> None:
    page = f"<a href=/s/{TOKENS['own']}>{TOKENS['opened']}</a><i>{TOKENS['own']}</i>"
    cut = kept.cut(page, TOKENS)
    assert cut is not None
    assert cut.filled(TOKENS) == page
    assert cut.filled({"own": "x", "opened": "y"}) == "<a href=/s/x>y</a><i>x</i>"


@pytest.mark.parametrize(
    ("page", "own"),
    [
        ("", {"own": "x", "opened": "x"}),
        ("&lt;", {"own": "<"}),
        (f"{TOKENS['own']} {TOKENS['opened']}", {"own": TOKENS["own"]}),
    ],
    ids=["which is which", "written in another way", "somebody's token is left"],
)
def test_a_page_that_might_show_somebody_elses_texts_is_not_kept(
    page: str, own: dict[str, str]
) -> None:
    assert kept.cut(page, own) is None


@pytest.fixture
def path(brand: Brand) -> str:
    link = Link(brand.campaign.id, new_visitor_id())
    return f"/s/{brand.deployment.links.token(link)}"


AGENTS = {
    "a phone": "Mozilla/5.0 (Linux; Android 14; Pixel 8) Chrome/130.0.0.0 Mobile Safari/537.36",
    "WeChat": "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) MicroMessenger/8.0.50",
}


@pytest.mark.parametrize("agent", AGENTS.values(), ids=AGENTS)
@pytest.mark.parametrize("lang", ["zh-CN", "en"])
def test_a_filled_page_is_what_would_have_been_made(
    app: Flask, brand: Brand, path: str, agent: str, lang: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = {"User-Agent": agent, "Accept-Language": lang}
    app.test_client().get(path, headers=headers)
    made = brand.deployment.showcase.find(brand.campaign.id)
    assert made is not None
    assert len(made.made) == 1, "the page is kept"

    second = app.test_client()
    filled = second.get(path, headers=headers)
    monkeypatch.setattr(landing, "PAGES_KEPT_MAX", 0)
    brand.deployment.showcase.forget()
    fresh = second.get(path, headers=headers)
    nonces = re.compile(r'nonce="[^"]+"|nonce-[\w-]+')
    assert nonces.sub("", filled.text) == nonces.sub("", fresh.text)
    policy = "Content-Security-Policy"
    assert nonces.sub("", filled.headers[policy]) == nonces.sub("", fresh.headers[policy])
    (nonce,) = set(re.findall(r'nonce="([^"]+)"', filled.text))
    assert f"nonce-{nonce}" in filled.headers[policy]


def test_nobody_finds_another_readers_links_on_his_page(
    app: Flask, brand: Brand, path: str
) -> None:
    opened = brand.deployment.links.read(path.removeprefix("/s/"))
    assert opened is not None
    readers: set[int] = {opened.visitor}
    for _ in range(4):
        page = app.test_client().get(path, headers={"User-Agent": AGENTS["a phone"]}).text
        links = [brand.deployment.links.read(token) for token in _TOKEN.findall(page)]
        on_it = {link.visitor for link in links if link} - {opened.visitor}
        assert len(on_it) == 1
        assert not on_it & readers
        readers |= on_it


def test_the_page_of_a_customer_is_hers_alone(app: Flask, brand: Brand, path: str) -> None:
    reader = Reader(app)
    reader.sign_in("13800138000")
    reader.get(path)
    shown = brand.deployment.showcase.find(brand.campaign.id)
    assert shown is not None
    assert shown.made == {}
