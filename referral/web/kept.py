"""A page that differs between its readers in a few texts alone: made once, filled in for each."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from markupsafe import escape

_TOKEN = re.compile(r"[\w-]{22}\.[\w-]{14}(?![\w-])")
"""What a share link's token looks like."""


@dataclass(frozen=True)
class KeptPage:
    """A page cut at the texts that belong to one reader alone."""

    pieces: tuple[str, ...]
    """What all readers get, and after each but the last the name of a text of the reader's own."""

    @cached_property
    def _parts(self) -> list[bytes]:
        return [piece.encode() for piece in self.pieces]

    @cached_property
    def _names(self) -> tuple[str, ...]:
        return self.pieces[1::2]

    def sent(self, own: Mapping[str, str]) -> bytes:
        """As `filled`, as it is sent."""
        texts = {name: text.encode() for name, text in own.items()}
        parts = self._parts.copy()
        parts[1::2] = [texts[name] for name in self._names]
        return b"".join(parts)

    def filled(self, own: Mapping[str, str]) -> str:
        parts = list(self.pieces)
        parts[1::2] = [own[name] for name in parts[1::2]]
        return "".join(parts)


def cut(page: str, own: Mapping[str, str]) -> KeptPage | None:
    """A page as it can be kept for other readers; `own` are its reader's texts by their names.

    None when it cannot: two of the texts are the same, so that nobody knows which one stands
    where, or something that looks like a share link's token is left in it.
    """
    names = {text: name for name, text in own.items()}
    if len(names) != len(own) or any(escape(text) != text for text in names):
        return None
    pieces = re.split("({})".format("|".join(map(re.escape, names))), page)
    if any(_TOKEN.search(piece) for piece in pieces[::2]):
        return None
    pieces[1::2] = [names[text] for text in pieces[1::2]]
    return KeptPage(tuple(pieces))
