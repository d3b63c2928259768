"""Texts that people typed, as they are kept: no characters that are not seen, no stray spaces.

The one place for it. Control characters, marks that turn the direction of a text round and
characters without a picture make a text say something else than it shows; they are dropped.
"""

import re
import unicodedata
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

Language = Literal["zh-Hans", "zh-Hant", "en"]
"""What texts are written in."""

_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0")
"""Letters and marks by their class, which show nothing."""
_EMOJI = "\u00a9\u00ae\u203c-\u3299\U0001f000-\U0001faff"
# What joins or colours emoji shows nothing either, and is kept where it does that.
_STRAY_JOINER = re.compile(f"(?<![{_EMOJI}\ufe0f])\u200d|\u200d(?![{_EMOJI}])")
_STRAY_SELECTOR = re.compile(f"(?<![{_EMOJI}0-9#*])[\ufe00-\ufe0f]")
_IDEOGRAPH_SELECTOR = re.compile("[\U000e0100-\U000e01ef]")
_PILED_MARKS = re.compile("([\u0300-\u036f]{3})[\u0300-\u036f\u0489]+")
_SPACES = re.compile(" {2,}")
_EMPTY_LINES = re.compile("\n{3,}")


def one_line(text: str) -> str:
    """A text in one line."""
    return " ".join(_seen(text.replace("\n", " ")).split())


def paragraphs(text: str) -> str:
    """A text in several lines; exactly one empty line parts two paragraphs."""
    lines = _seen(text).split("\n")
    kept = "\n".join(_SPACES.sub(" ", line).strip() for line in lines)
    return _EMPTY_LINES.sub("\n\n", kept).strip()


def _seen(text: str) -> str:
    """What of a text is seen; line breaks as `\\n`, every other space as the ordinary one."""
    text = unicodedata.normalize("NFC", re.sub("\r\n?|[\u2028\u2029\x85]", "\n", text))
    kept = "".join(_shown(letter) for letter in text)
    kept = _STRAY_SELECTOR.sub("", _STRAY_JOINER.sub("", kept))
    return _PILED_MARKS.sub(r"\1", _IDEOGRAPH_SELECTOR.sub("", kept))


def _shown(letter: str) -> str:
    if letter in "\n\u200d":
        return letter
    if letter in _BLANK or not letter.isprintable():
        return " " if letter.isspace() else ""
    return letter


def _line(sent: Any) -> Any:
    return one_line(sent) if isinstance(sent, str) else sent


def _paragraphs(sent: Any) -> Any:
    return paragraphs(sent) if isinstance(sent, str) else sent


Line = Annotated[str, BeforeValidator(_line)]
"""A text as people read it, in one line."""
Paragraphs = Annotated[str, BeforeValidator(_paragraphs)]
"""A text as people read it, in paragraphs."""
