"""The typefaces of what is printed: they have Latin, Greek, Cyrillic and Chinese, and no emoji.

Chinese has two sets of shapes: in Taiwan and Hong Kong many characters are drawn otherwise than on
the mainland, and a comma stands in the middle of its square. A text is set in the shapes of its
language where that typeface has all of it.
"""

import re
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, lru_cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import Literal

from PIL import ImageFont

Shapes = Literal["SC", "TC"]
"""Of the mainland, or of Taiwan and Hong Kong."""

_FILES = {
    "SC": ("pylopdf_fonts_zh_cn", "NotoSansSC-Regular.otf"),
    "TC": ("pylopdf_fonts_zh_tw", "NotoSansTC-Regular.otf"),
}
_EM = 44
"""At how many pixels it is looked whether a character has a picture."""


@contextmanager
def typeface_file(shapes: Shapes = "SC") -> Iterator[Path]:
    """Where the typeface lies, for as long as it is read."""
    package, name = _FILES[shapes]
    with as_file(files(package) / name) as path:
        yield path


@cache
def font_of(size: int, shapes: Shapes = "SC") -> ImageFont.FreeTypeFont:
    """The typeface for a picture. `size` is in pixels."""
    with typeface_file(shapes) as path:
        return ImageFont.truetype(str(path), size)


def shapes_of(text: str, lang: str) -> Shapes:
    """The shapes of a language for a text that is `settable`.

    Those of Taiwan lack what is written on the mainland only, and one text keeps to one typeface.
    """
    return "TC" if lang == "zh-Hant" and all(_has_picture(c, "TC") for c in text) else "SC"


_NOT_FIRST = frozenset(
    "，。、；：？！）】》〉」』〕〗”’％‰℃·‧・～…—〜ー々〻!%),.:;?]}»›°′″¢﹐﹑﹒﹔﹕﹖﹗．］｝"
)
"""What never begins a line, in Chinese or beside it."""
_NOT_LAST = frozenset("（【《〈「『〔〖“‘［｛([{«‹＃#￥¥$€£№＠@")
"""What never ends one."""
_TOGETHER = frozenset("—…")
"""What comes in pairs that are not parted."""


def lines_of(text: str, font: ImageFont.FreeTypeFont, room: float) -> list[str]:
    """Lines that fit: broken at spaces where there are some, between characters in Chinese.

    No line begins with a closing mark or ends with an opening one, unless a single word is wider
    than the room and has to be broken anywhere.
    """
    lines, line, width = [], "", 0.0
    for word in _fitting(text, font, room):
        if line and width + _width(word.rstrip(" "), font) > room:
            lines.append(line.rstrip(" "))
            line, width = "", 0.0
        line += word
        width += _width(word, font)
    line = line.rstrip(" ")
    return [*lines, line] if line else lines


def even_lines(text: str, font: ImageFont.FreeTypeFont, room: float) -> list[str]:
    """As few lines as `lines_of` needs, as even as they get, and rather broken after a comma."""
    count = len(lines_of(text, font, room))
    if count < 2:
        return lines_of(text, font, room)
    words = _fitting(text, font, room)
    widths = [_width(word, font) for word in words]
    target = sum(widths) / count
    # What is left to pay, and where the line ends, for a line that begins at a word.
    best: list[dict[int, tuple[float, int]]] = [{} for _ in words]
    best.append({0: (0.0, 0)})
    for begin in reversed(range(len(words))):
        width = 0.0
        for end in range(begin + 1, len(words) + 1):
            last = words[end - 1].rstrip(" ")
            if width + _width(last, font) > room and end > begin + 1:
                break
            width += widths[end - 1]
            uneven = ((width - target) / target) ** 2
            for more, (cost, _) in best[end].items():
                if more >= count:
                    continue
                paid = uneven + cost + (_cost_of_ending(last) if more else 0)
                if paid < best[begin].get(more + 1, (float("inf"), 0))[0]:
                    best[begin][more + 1] = (paid, end)
    lines, begin = [], 0
    for more in range(count, 0, -1):
        end = best[begin][more][1]
        lines.append("".join(words[begin:end]).rstrip(" "))
        begin = end
    return lines


_PAUSES = frozenset("，。、；：？！）》」』”…,.;:?!)")


def _cost_of_ending(word: str) -> float:
    """What it costs to end a line there: nothing at a pause; within a phrase as much as being off
    by a fifth of the width, within a word by nearly half of it."""
    if word[-1] in _PAUSES:
        return 0
    return 0.2 if word[-1] == "-" else 0.04


@lru_cache(maxsize=16_384)
def _width(word: str, font: ImageFont.FreeTypeFont) -> float:
    return font.getlength(word)


def _fitting(text: str, font: ImageFont.FreeTypeFont, room: float) -> list[str]:
    """The words of a text; those that are wider than the room in parts that are not."""
    parts = []
    for word in _words(text):
        rest = word
        while len(rest) > 1 and _width(rest.rstrip(" "), font) > room:
            head = _head(rest, font, room)
            parts.append(rest[:head])
            rest = rest[head:]
        parts.append(rest)
    return parts


def _head(word: str, font: ImageFont.FreeTypeFont, room: float) -> int:
    """How many characters of a word that is too wide fit, one at least."""
    low, high = 1, len(word)
    while high - low > 1:
        middle = (low + high) // 2
        if font.getlength(word[:middle]) <= room:
            low = middle
        else:
            high = middle
    return low


def _words(text: str) -> Iterator[str]:
    """The parts between which a line may end, each with the spaces after it."""
    begun = ""
    text = " ".join(text.split())
    for letter, following in zip(text, [*text, ""][1:], strict=True):
        begun += letter
        if following and _may_part(begun, following):
            yield begun
            begun = ""
    if begun:
        yield begun


def _may_part(begun: str, right: str) -> bool:
    """Whether a line may end after what has begun, before the letter that follows."""
    left = begun.rstrip(" ")[-1:]
    if right == " " or right in _NOT_FIRST or left in _NOT_LAST:
        return False
    if begun[-1] == " ":
        return True
    if left == right and left in _TOGETHER:
        return False
    is_hyphen = left == "-" and right.isalpha()
    return _is_wide(left) or _is_wide(right) or left in _TOGETHER or is_hyphen


@lru_cache(maxsize=8192)
def _is_wide(letter: str) -> bool:
    """Whether it is written in a square of its own, as Chinese is."""
    return unicodedata.east_asian_width(letter) in {"W", "F"}


_AS_EMOJI = re.compile(r".(?:\ufe0f\u20e3?|\u20e3)")
"""A sign that is written to be shown as an emoji, such as a digit on a key."""


def settable(text: str) -> str:
    """What the typeface has pictures of: empty for a text in emoji or in Arabic alone."""
    # Composed first: a letter with its accent has a picture, the accent alone is left out.
    composed = _AS_EMOJI.sub("", unicodedata.normalize("NFC", text))
    return "".join(letter for letter in composed if _has_picture(letter)).strip()


@lru_cache(maxsize=8192)
def _has_picture(letter: str, shapes: Shapes = "SC") -> bool:
    # Controls, and marks that have no picture without their letter.
    if unicodedata.category(letter)[0] in "CM":
        return False
    return _drawn(letter, shapes) != _box(shapes)


@cache
def _box(shapes: Shapes) -> tuple[tuple[int, int], bytes]:
    """What is drawn for a character the typeface lacks: this one is none, so no typeface has it."""
    return _drawn("\uffff", shapes)


def _drawn(letter: str, shapes: Shapes) -> tuple[tuple[int, int], bytes]:
    """A character's picture: its size and its pixels."""
    mask = font_of(_EM, shapes).getmask(letter)
    return mask.size, bytes(mask)
