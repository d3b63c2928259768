"""Typed texts: what is kept is what is seen."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from referral.texts import one_line, paragraphs


@pytest.mark.parametrize(
    "typed, kept",
    [
        ("  春茶　上市  ", "春茶 上市"),
        ("a\r\nb\tc\u2028d", "a b c d"),
        ("红\u200b包\ufeff", "红包"),
        ("safe\u202egnp.exe\u202c", "safegnp.exe"),
        ("a\u2066b\u2069\u200e\u200f\u061c", "ab"),
        ("a\0b\x07c\x1bd", "abcd"),
        ("soft\u00adhyphen", "softhyphen"),
        ("ㅤ\u3164\u2800\u115f", ""),
        ("e\u0301te\u0301", "été"),
        ("z" + "\u0335\u0336\u0337\u0338" * 40, "z\u0335\u0336\u0337"),
        ("👩‍👩‍👧 ❤️ 1️⃣ 🧑🏽‍🚀", "👩‍👩‍👧 ❤️ 1️⃣ 🧑🏽‍🚀"),
        ("a\u200db\ufe0f", "ab"),
        ("字\U000e0100", "字"),
        ("tag\U000e0041\U000e007f", "tag"),
        ("\ue000private", "private"),
        ("100 %s %(x)s <b>", "100 %s %(x)s <b>"),
    ],
)
def test_what_is_not_seen_is_dropped(typed: str, kept: str) -> None:
    assert one_line(typed) == kept
    assert paragraphs(typed).replace("\n", " ") == kept


def test_one_empty_line_parts_two_paragraphs() -> None:
    typed = "\n\n 一 \r\n二\r\n \r\n\r\n　\n三\u2029四\n"
    assert paragraphs(typed) == "一\n二\n\n三\n四"


@given(st.text())
def test_cleaning_twice_is_cleaning_once(text: str) -> None:
    assert one_line(one_line(text)) == one_line(text)
    assert paragraphs(paragraphs(text)) == paragraphs(text)
    assert "\n" not in one_line(text)
    assert "\n\n\n" not in paragraphs(text)
