"""What readers see of a campaign, as checked data."""

from typing import Any

import pytest
from pydantic import ValidationError

from referral.campaigns.content import CampaignContent, texts_of

HASH = "0" * 64


def content(**fields: Any) -> CampaignContent:
    return CampaignContent.model_validate({"title": "Tea", **fields})


@pytest.mark.parametrize(
    "fields, words",
    [
        ({"title": "\u200b\u3164 "}, "title"),
        ({"content": {"en": {"title": "\u202e"}}}, "title"),
        ({"video_url": "http://video.example/1"}, "https"),
        ({"video_url": "javascript:alert(1)"}, "video_url"),
        ({"video_url": "https://user:secret@video.example/1"}, "no user"),
        ({"video_url": "https://video.example/" + "x" * 500}, "500"),
        ({"buy_url": "https://shop.example@evil.example/"}, "no user"),
        ({"more_pictures": [HASH] * 6}, "more_pictures"),
        ({"more_pictures": ["../../etc/passwd"]}, "more_pictures"),
        ({"landing": "elsewhere", "buy_url": "https://shop.example"}, "landing"),
        ({"landing": "redirect"}, "needs a buy_url"),
        ({"rules": []}, "rules"),
    ],
)
def test_it_rejects_content_that_makes_no_sense(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        content(**fields)


def test_texts_are_cleaned_wherever_they_come_from() -> None:
    made = content(
        title=" 春\u200b茶\u202e ",
        organiser="某某\r\n茶业",
        content={
            "en": {"title": "Tea\0", "body": "a\r\n \r\n\r\nb\u2066", "share_text": "x\u2028y"}
        },
    )
    assert (made.title, made.organiser) == ("春茶", "某某 茶业")
    assert made.content["en"].model_dump() == {
        "title": "Tea",
        "body": "a\n\nb",
        "share_text": "x y",
    }


def test_a_picture_is_shown_once_among_the_further_ones() -> None:
    other = "1" * 64
    made = content(picture=HASH, more_pictures=[other, HASH, other])
    assert made.more_pictures == [other, HASH]
    assert made.pictures() == [HASH, other, HASH]


def test_every_text_has_its_field_s_name() -> None:
    assert texts_of("t", "o", {"en": {"title": "a", "body": "b"}}) == {
        "title": "t",
        "organiser": "o",
        "content.en.title": "a",
        "content.en.body": "b",
    }
