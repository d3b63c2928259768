"""Texts as they are set: what has a picture, in which shapes, and where a line may end."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from referral.printing import typeface
from referral.printing.typeface import even_lines, font_of, lines_of, settable, shapes_of

FAMILY = "👨‍👩‍👧"
FONT = font_of(40)
ROOM = 300.0


@pytest.mark.parametrize(
    "text, settable",
    [
        ("小明 & Zoë", "小明 & Zoë"),
        ("Zoe\u0308", "Zoë"),
        ("Ελληνικά кириллица 龍井", "Ελληνικά кириллица 龍井"),
        ("★ Tea™ 🍵", "★ Tea™"),
        (f"🍵{FAMILY}🇨🇳👍🏽", ""),
        ("1️⃣ ❤️ ©️", ""),
        ("No. 1 ①", "No. 1 ①"),
        ("عربى", ""),
        ("עברית", ""),
        ("ไทย", ""),
        ("हिन्दी", ""),
        ("한국", ""),
        ("\ud800\ue000\uffff\0\u202e", ""),
        (" \u3000 ", ""),
    ],
)
def test_what_the_typeface_has_pictures_of(text: str, settable: str) -> None:
    assert typeface.settable(text) == settable


@pytest.mark.parametrize(
    "text, lang, shapes",
    [
        ("請朋友喝一瓶，冷泡茶 500 ml", "zh-Hant", "TC"),
        ("請朋友喝一瓶", "zh-Hans", "SC"),
        ("雾桥 Mistbridge", "zh-Hant", "SC"),  # the shapes of Taiwan have no 雾
        ("Tea", "en", "SC"),
    ],
)
def test_traditional_chinese_has_its_own_shapes(text: str, lang: str, shapes: str) -> None:
    assert shapes_of(text, lang) == shapes


def test_a_comma_stands_where_its_language_has_it() -> None:
    """In the corner of its square on the mainland, in the middle of it in Taiwan."""
    mainland, taiwan = (drawn_at("，", lang) for lang in ("zh-Hans", "zh-Hant"))
    assert taiwan[0] > mainland[0] + 6, "further right"
    assert taiwan[1] < mainland[1] - 6, "and higher"


def drawn_at(text: str, lang: str) -> tuple[int, int, int, int]:
    picture = Image.new("L", (60, 60))
    font = font_of(40, shapes_of(text, lang))
    ImageDraw.Draw(picture).text((0, 0), text, 255, font)
    box = picture.getbbox()
    assert box is not None
    return box


CLOSING = "，。、；：？！）》」』”’…％,.!?)"
OPENING = "（《「『“‘(￥"
PARTS = st.sampled_from(
    [*"小明邀请你喝茶", *CLOSING, *OPENING, "tea", "Mistbridge", "500 ml", " ", "——", "……", "-"]
)


@given(st.lists(PARTS, max_size=60).map("".join))
def test_no_line_begins_with_a_closing_mark_or_ends_with_an_opening_one(text: str) -> None:
    # Marks in a row that fill a line by themselves have to be parted somewhere.
    widest = max((FONT.getlength(word.strip()) for word in typeface._words(text)), default=0)
    for broken in (lines_of, even_lines):
        lines = broken(text, FONT, ROOM)
        if widest <= ROOM:
            assert not [line for line in lines[1:] if line[0] in CLOSING]
            assert not [line for line in lines[:-1] if line[-1] in OPENING]
            assert not [1 for a, b in pairwise(lines) if a[-1] == b[0] and a[-1] in "—…"]


@given(st.text(st.sampled_from("小明喝茶，。（）a bcd-ef é——……12 "), max_size=80))
def test_every_letter_is_in_one_line_and_every_line_fits(text: str) -> None:
    for broken in (lines_of, even_lines):
        lines = broken(text, FONT, ROOM)
        assert "".join("".join(lines).split()) == "".join(text.split())
        assert all(FONT.getlength(line) <= ROOM + 1 for line in lines)
        assert all(line == line.strip() != "" for line in lines)


@given(st.text(st.sampled_from("小明喝茶，。（）a bcd-ef é——……12 "), max_size=80))
def test_even_lines_are_as_few(text: str) -> None:
    assert len(even_lines(text, FONT, ROOM)) == len(lines_of(text, FONT, ROOM))


@pytest.mark.parametrize(
    "text, lines",
    [
        # Not one character alone in the last line.
        ("请朋友喝一瓶冷泡", ["请朋友喝", "一瓶冷泡"]),
        # Rather after a comma.
        ("买一瓶扫一扫，一起得积分", ["买一瓶扫一扫，", "一起得积分"]),
        ("Buy one, and both of us win", ["Buy one,", "and both", "of us win"]),
        # Neither a number from its unit's word nor a word in its middle.
        ("Don’t stop", ["Don’t stop"]),
    ],
)
def test_lines_are_broken_where_a_reader_would(text: str, lines: list[str]) -> None:
    assert even_lines(text, FONT, 290 if text[0] != "B" else 180) == lines


def test_what_is_wider_than_the_room_is_broken_anywhere() -> None:
    for text in ("x" * 100, "，" * 30, "名" * 40):
        lines = lines_of(text, FONT, ROOM)
        assert "".join(lines) == text
        assert len(lines) > 2
    assert lines_of(settable("a"), FONT, 1) == ["a"]
