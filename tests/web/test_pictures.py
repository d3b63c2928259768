"""Cards, campaign pictures and posters at their addresses, and what a chat app reads of a page."""

import html
import io
import re
from html.parser import HTMLParser
from urllib.parse import urlsplit

import pytest
from flask import Flask
from PIL import Image

from referral import actions, pictures
from referral.campaigns import Campaign, Draft
from referral.clock import HeldClock
from referral.deployment import Deployment
from referral.links import Link
from referral.printing import posters
from tests.photos import photo_file
from tests.readers import Reader
from tests.scanners import read_back
from tests.web.conftest import RULES, Brand

WHATSAPP = "WhatsApp/2.24.10 A"
FETCHERS = {
    "WhatsApp": WHATSAPP,
    "Telegram": "TelegramBot (like TwitterBot)",
    "X": "Twitterbot/1.0",
    "Facebook": "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
    "LINE": "facebookexternalhit/1.1;line-poker/1.0",
    "Slack": "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
    "iMessage": "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_11_1) AppleWebKit/601.2.4 (KHTML, like "
    "Gecko) Version/9.0.1 Safari/601.2.4 facebookexternalhit/1.1 Facebot Twitterbot/1.0",
    "WeChat": "Mozilla/5.0 (Linux; Android 9) AppleWebKit/537.36 WeChatShareExtension/8.0",
}
CONTENT = {
    "zh-Hans": {"title": "请朋友喝一瓶", "body": "冷泡十二小时，不加糖。\n\n第二段。"},
    "en": {"title": "A bottle & a “friend”", "body": "Brewed <cold>, twelve hours.\n\nMore."},
}


class Head(HTMLParser):
    """A page's head, as a fetcher reads it."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.meta: dict[str, list[str]] = {}
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        name = given.get("property") or given.get("name")
        if tag == "meta" and name:
            self.meta.setdefault(name, []).append(str(given.get("content")))

    def __getitem__(self, name: str) -> str:
        (value,) = self.meta[name]
        return value


@pytest.fixture
def picture(deployment: Deployment) -> str:
    return actions.add_picture(deployment, pictures.made_ready(photo_file())).sha256


@pytest.fixture
def campaign(brand: Brand, picture: str) -> Campaign:
    """A campaign with a picture and texts in two languages."""
    told = {"slug": "tea", "title": "Tea", "budget": 9000, "rules": RULES, "picture": picture}
    draft = Draft.model_validate({**told, "content": CONTENT, "gtins": [brand.product.gtin]})
    actions.add_campaign(brand.deployment, draft)
    return actions.publish_campaign(brand.deployment, "tea")


def link_of(deployment: Deployment, campaign: Campaign) -> str:
    return f"/s/{deployment.links.token(Link(campaign.id, 7))}"


def head_for(app: Flask, path: str, agent: str, lang: str = "") -> Head:
    headers = {"User-Agent": agent} | ({"Accept-Language": lang} if lang else {})
    answer = app.test_client().get(path, headers=headers)
    assert answer.status_code == 200
    return Head(answer.text)


# What a chat app reads


@pytest.mark.parametrize("agent", FETCHERS.values(), ids=FETCHERS)
def test_every_fetcher_finds_the_card(
    app: Flask, deployment: Deployment, campaign: Campaign, agent: str
) -> None:
    path = link_of(deployment, campaign)
    head = head_for(app, path, agent)
    assert head["og:title"] == "请朋友喝一瓶"
    assert head["og:description"] == head["description"] == "冷泡十二小时，不加糖。"
    assert head["og:url"] == f"http://localhost{path}", "the card leads to the link that was shared"
    assert head["og:type"] == "website"
    assert head["og:site_name"] == "Referral"
    assert head["og:locale"] == "zh_CN"
    assert head.meta["og:locale:alternate"] == ["en_US"]
    assert head["twitter:card"] == "summary_large_image"
    assert head["og:image:alt"] == "Referral · 请朋友喝一瓶 · Cold Brew Tea"
    image = app.test_client().get(urlsplit(head["og:image"]).path, headers={"User-Agent": agent})
    assert head["og:image"].startswith("http://localhost/")
    assert (image.status_code, image.mimetype) == (200, head["og:image:type"])
    size = Image.open(io.BytesIO(image.data)).size
    assert size == (1200, 630) == (int(head["og:image:width"]), int(head["og:image:height"]))
    assert len(image.data) < 300_000
    assert "Set-Cookie" not in image.headers


@pytest.mark.parametrize(
    "asked, locale, title",
    [
        ("", "zh_CN", "请朋友喝一瓶"),  # the brand's language
        ("en-US,en;q=0.9", "en_US", "A bottle & a “friend”"),
        ("zh-TW", "zh_CN", "请朋友喝一瓶"),  # the nearest there is, and named as what it is
        ("fr", "zh_CN", "请朋友喝一瓶"),
    ],
)
def test_the_card_is_in_the_language_that_is_asked_for(
    app: Flask, deployment: Deployment, campaign: Campaign, asked: str, locale: str, title: str
) -> None:
    head = head_for(app, link_of(deployment, campaign), WHATSAPP, asked)
    assert (head["og:locale"], head["og:title"]) == (locale, title)


def test_facebook_gets_each_language_it_asks_for(
    app: Flask, deployment: Deployment, campaign: Campaign
) -> None:
    agent = {"User-Agent": FETCHERS["Facebook"], "X-Facebook-Locale": "en_US"}
    page = app.test_client().get(link_of(deployment, campaign), headers=agent).text
    assert Head(page)["og:locale"] == "en_US"
    assert Head(page).meta["og:locale:alternate"] == ["zh_CN"]


def test_a_campaign_without_texts_has_a_card_all_the_same(app: Flask, brand: Brand) -> None:
    head = head_for(app, link_of(brand.deployment, brand.campaign), WHATSAPP)
    assert head["og:title"] == "Spring together"
    assert head["og:description"]
    assert "og:locale:alternate" not in head.meta
    assert app.test_client().get(urlsplit(head["og:image"]).path).status_code == 200


def test_a_long_description_is_cut_between_words(app: Flask, brand: Brand) -> None:
    told = {"slug": "long", "title": "Long", "budget": 9000, "rules": RULES}
    content = {
        "en": {"title": "L", "body": "word " * 100},
        "zh-Hans": {"title": "L", "body": "茶" * 300},
    }
    actions.add_campaign(brand.deployment, Draft.model_validate({**told, "content": content}))
    path = link_of(brand.deployment, actions.publish_campaign(brand.deployment, "long"))
    assert re.fullmatch(r"(word )*word…", head_for(app, path, WHATSAPP, "en")["og:description"])
    assert head_for(app, path, WHATSAPP, "zh")["og:description"] == "茶" * 120 + "…"


# Addresses that are kept


def test_a_card_is_kept_for_good_until_it_changes(
    app: Flask, deployment: Deployment, campaign: Campaign
) -> None:
    client = app.test_client()
    path = urlsplit(head_for(app, link_of(deployment, campaign), WHATSAPP)["og:image"]).path
    answer = client.get(path)
    assert answer.cache_control.public
    assert answer.cache_control.immutable
    assert answer.cache_control.max_age == 365 * 86_400
    again = client.get(path, headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    older = client.get(re.sub(r"\w{12}\.jpg", "0" * 12 + ".jpg", path))
    assert older.data == answer.data, "what stands in chats shows the newest"
    assert older.cache_control.max_age == 3600
    assert not older.cache_control.immutable


def test_a_card_is_the_same_for_everybody(
    app: Flask, deployment: Deployment, campaign: Campaign
) -> None:
    links = [f"/s/{deployment.links.token(Link(campaign.id, sharer))}" for sharer in (7, 8)]
    assert len({head_for(app, link, WHATSAPP)["og:image"] for link in links}) == 1


@pytest.mark.parametrize(
    "path",
    [
        "/cards/none/en.0.jpg",
        "/cards/tea/fr.0.jpg",
        "/cards/draft/en.0.jpg",
        "/cards/draft/square.0.jpg",
        "/cards/%00/en.0.jpg",
        "/pictures/none.jpg",
        f"/pictures/{'0' * 64}.jpg",
    ],
)
def test_what_is_not_published_has_no_card(
    app: Flask, deployment: Deployment, campaign: Campaign, path: str
) -> None:
    draft = {"slug": "draft", "title": "Secret", "budget": 1}
    actions.add_campaign(deployment, Draft.model_validate(draft))
    assert app.test_client().get(path).status_code == 404


def test_a_card_outlives_its_campaign(
    app: Flask, deployment: Deployment, campaign: Campaign, clock: HeldClock
) -> None:
    path = urlsplit(head_for(app, link_of(deployment, campaign), WHATSAPP)["og:image"]).path
    clock.advance(days=200)
    assert app.test_client().get(path).status_code == 200


def test_the_square_card(app: Flask, deployment: Deployment, campaign: Campaign) -> None:
    answer = app.test_client().get("/cards/tea/square.0.jpg")
    assert Image.open(io.BytesIO(answer.data)).size == (400, 400)


def test_a_campaigns_picture_is_on_its_page(
    app: Flask, deployment: Deployment, campaign: Campaign, bob: Reader
) -> None:
    bob.get(link_of(deployment, campaign))
    found = re.search(r'<img class="picture" src="([^"]+)"', bob.page)
    assert found
    answer = bob.get(found[1])
    assert answer.mimetype == "image/jpeg"
    assert answer.cache_control.immutable
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


# Posters


def poster_paths(reader: Reader) -> tuple[str, str | None]:
    """Without her name and, where there is a tick for it, with it."""
    without = re.search(r'href="([^"]+)" data-poster>', reader.page)
    named = re.search(r'data-with="([^"]+)"', reader.page)
    assert without
    return html.unescape(without[1]), html.unescape(named[1]) if named else None


def drawn(monkeypatch: pytest.MonkeyPatch) -> list[tuple[posters.Poster, str]]:
    """What posters are made of from now on."""
    made: list[tuple[posters.Poster, str]] = []
    draw = posters.poster

    def note(shown: posters.Poster, *, invitation: str, url: str) -> bytes:
        made.append((shown, invitation))
        return draw(shown, invitation=invitation, url=url)

    monkeypatch.setattr(posters, "poster", note)
    return made


def test_a_poster_has_the_campaigns_words_and_picture(
    deployment: Deployment, campaign: Campaign, bob: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = drawn(monkeypatch)
    bob.get(link_of(deployment, campaign))
    without, named = poster_paths(bob)
    assert named is None, "nobody knows a name of his"
    png = bob.get(without).data
    assert read_back(png) == {
        f"http://localhost{urlsplit(without).path.removesuffix('/poster.png')}"
    }
    ((shown, invitation),) = made
    assert (shown.title, shown.lead) == ("A bottle & a “friend”", "Brewed <cold>, twelve hours.")
    assert shown.motif is not None
    assert shown.motif.sha256 == campaign.picture
    assert shown.note == "If you buy and claim one, we both get points."
    assert invitation == "A friend invites you"


def test_a_poster_opened_by_itself_may_be_laid_out_and_a_drawing_may_run_nothing(
    deployment: Deployment, campaign: Campaign, bob: Reader
) -> None:
    bob.get(link_of(deployment, campaign))
    without, _named = poster_paths(bob)
    policy = "Content-Security-Policy"
    said = bob.get(without).headers[policy]
    assert "default-src 'none'; style-src 'unsafe-inline';" in said
    drawing = bob.get(without.partition("/poster.png")[0] + "/qr.svg")
    assert drawing.mimetype == "image/svg+xml"
    assert "unsafe-inline" not in drawing.headers[policy]
    assert "script-src 'nonce-" in drawing.headers[policy]


@pytest.mark.parametrize("name", ["🍵", "👨‍👩‍👧🇨🇳", "1️⃣❤️"])
def test_a_name_of_emoji_alone_leaves_the_poster_to_a_friend(
    brand: Brand, alice: Reader, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    made = drawn(monkeypatch)
    alice.sign_in("13800138000")
    alice.send("/me/name", name=name)
    alice.get("/me")
    without, named = poster_paths(alice)
    assert named is None, "there is no poster with a name to choose"
    assert alice.get(f"{without}&name=1").status_code == 200
    assert made[0][1] == "A friend invites you"


def test_her_name_is_on_her_poster_only_if_she_likes(
    brand: Brand, alice: Reader, bob: Reader, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = drawn(monkeypatch)
    alice.sign_in("13800138000")
    actions.rename(brand.deployment, 1, "Alice")
    alice.get("/me")
    without, named = poster_paths(alice)
    assert named is not None
    alice.get(without)
    shown = alice.get(named)
    assert "Alice" not in made[0][1]
    assert made[1][1] == "Alice invites you"
    assert shown.cache_control.no_cache, "she may take another name"
    assert shown.cache_control.private

    # Nobody else makes one with her name, neither of her link nor of one below hers.
    link = without.partition("/poster")[0]
    bob.get(link)
    below, _none = poster_paths(bob)
    for path in (named, f"{below}&name=1"):
        bob.get(path)
        assert "Alice" not in made[-1][1]


def test_a_poster_is_asked_for_again_without_being_sent_again(
    deployment: Deployment, campaign: Campaign, bob: Reader
) -> None:
    path = f"{link_of(deployment, campaign)}/poster.png"
    first = bob.get(path)
    assert first.cache_control.private
    assert first.cache_control.max_age == 86_400
    assert bob.get(path, **{"If-None-Match": first.headers["ETag"]}).status_code == 304
