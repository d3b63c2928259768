"""Campaigns over the API: what readers see of one is edited at any time, its terms are not."""

from typing import Any

import pytest

from referral import actions
from referral.deployment import Deployment
from referral.pictures import made_ready
from tests.photos import photo_file
from tests.web.api.conftest import PRODUCT, Api, problem

SPRING: dict[str, Any] = {
    "slug": "spring",
    "title": "Spring",
    "budget": 1000,
    "rules": [{"when": "claim", "for": "person", "amount": 20}],
    "content": {"en": {"title": "Spring tea", "body": "Cold.", "share_text": ""}},
    "buy_url": "https://shop.example/",
    "touch": "last",
}
EDIT = "/campaigns/spring/content"


@pytest.fixture
def spring(api: Api) -> Api:
    """An API with a campaign that runs."""
    api.made("/products", PRODUCT)
    api.made("/campaigns", SPRING)
    api.made("/campaigns/spring/publish")
    return api


def test_what_is_left_out_stays_and_null_takes_away(spring: Api) -> None:
    before = spring.get("/campaigns/spring").json
    assert (before["touch"], before["landing"], before["findings"]) == ("last", "page", [])
    after = spring.made(EDIT, {"video_url": "https://video.example/1", "buy_url": None})
    assert after == {**before, "video_url": "https://video.example/1", "buy_url": None}
    assert spring.get("/campaigns/spring").json == after
    after = spring.made(EDIT, {"content": {"zh-Hans": {"title": "春茶"}}})
    assert sorted(after["content"]) == ["en", "zh-Hans"]
    after = spring.made(EDIT, {"content": {"en": None}, "title": "Tea", "organiser": "Tea Co"})
    assert sorted(after["content"]) == ["zh-Hans"]
    assert (after["title"], after["organiser"]) == ("Tea", "Tea Co")
    assert spring.made(EDIT, {"content": None})["content"] == {}


def test_pictures_are_named_by_their_hash(spring: Api, deployment: Deployment) -> None:
    hashes = [
        actions.add_picture(deployment, made_ready(photo_file(600, 500, seed=seed))).sha256
        for seed in (1, 2, 3)
    ]
    after = spring.made(EDIT, {"picture": hashes[0], "more_pictures": hashes[1:]})
    assert [after["picture"], *after["more_pictures"]] == hashes
    unknown = spring.post(EDIT, {"more_pictures": [hashes[0], "0" * 64]})
    assert problem(unknown) == (422, "unknown-picture")


def test_terms_are_not_content(spring: Api) -> None:
    for field, value in (("budget", 5), ("rules", []), ("touch", "first"), ("slug", "x")):
        assert problem(spring.post(EDIT, {field: value})) == (422, "invalid-input")


@pytest.mark.parametrize(
    "body, field",
    [
        ({"title": None}, "title"),
        ({"title": "\u200b"}, "title"),
        ({"landing": "redirect", "buy_url": None}, ""),
        ({"video_url": "http://video.example"}, "video_url"),
        ({"content": {"en": {"title": ""}}}, "content.en.title"),
        ({"content": {"fr": {"title": "x"}}}, "content.fr"),
        ({"more_pictures": ["x"]}, "more_pictures.0"),
    ],
)
def test_what_is_wrong_is_named(spring: Api, body: dict[str, Any], field: str) -> None:
    answer = spring.post(EDIT, body)
    assert problem(answer) == (422, "invalid-input")
    assert answer.json["errors"][0]["field"].startswith(field)


def test_a_shop_that_is_not_listed_is_refused(spring: Api) -> None:
    assert problem(spring.post(EDIT, {"landing": "redirect"})) == (422, "shop-not-listed")
    drafted = {**SPRING, "slug": "other", "landing": "redirect"}
    assert problem(spring.post("/campaigns", drafted)) == (422, "shop-not-listed")


def test_punished_words_are_said_of_a_draft_and_keep_it_from_readers(spring: Api) -> None:
    bad = {"en": {"title": "Tea", "body": "Share this page and get 20 points."}}
    finding = {
        "field": "content.en.body",
        "words": "Share this page and get 20 points",
        "kind": "paid-sharing",
    }
    drafted = spring.made("/campaigns", {**SPRING, "slug": "bad", "content": bad})
    assert finding.items() <= drafted["findings"][0].items()
    refused = spring.post("/campaigns/bad/publish")
    assert problem(refused) == (422, "punished-wording")
    assert finding.items() <= refused.json["findings"][0].items()
    assert {"rule", "instead"} <= set(refused.json["findings"][0])
    assert spring.get("/campaigns/bad").json["state"] == "draft"

    before = spring.get("/campaigns/spring").json
    refused = spring.post(EDIT, {"content": bad})
    assert problem(refused) == (422, "punished-wording")
    assert spring.get("/campaigns/spring").json == before
    spring.made("/campaigns/bad/content", {"content": {"en": {"title": "Tea", "body": "Cold."}}})
    assert spring.made("/campaigns/bad/publish")["state"] == "published"


def test_an_unknown_campaign_has_no_content(api: Api) -> None:
    assert problem(api.post("/campaigns/autumn/content", {})) == (404, "unknown-campaign")
