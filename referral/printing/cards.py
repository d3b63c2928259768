"""Cards: the pictures a chat app shows beside a link. One a campaign and language, with no code.

The wide one is what Open Graph's `og:image` is made for; the square one is what WeChat shows.
"""

import hashlib
import io
from dataclasses import dataclass
from functools import lru_cache

from PIL import Image, ImageDraw

from referral.printing.canvas import (
    BRAND,
    WHITE,
    Motif,
    Style,
    cap,
    initial_of,
    rings,
    scallops,
    set_text,
)

WIDE = (1200, 630)
SQUARE = (400, 400)
BYTES_MAX = 300_000
"""WhatsApp shows no larger ones."""
CARDS_KEPT = 64
DRAWN = 1
"""Raised when cards are drawn otherwise, so that new ones have new addresses."""

_MARGIN = 72
_TEXT_ROOM = 560
_PICTURE = (520, 630)
_TOOTH = 30
_PALE = (209, 226, 218)
_TITLES = Style(92, 44, height=340, is_bold=True)
_NAMES = Style(32, 28, height=44)
_PRODUCTS = Style(32, 28, height=88)
_QUALITIES = (88, 80, 70, 60, 45, 30)


@dataclass(frozen=True)
class Card:
    """What a card shows. Equal cards are made once."""

    brand: str
    title: str
    lang: str
    product: str = ""
    motif: Motif | None = None

    @property
    def square_version(self) -> str:
        """The same of the square card, which has no words."""
        return _digest(self.brand, self._motif_hash)

    @property
    def version(self) -> str:
        """Changes with everything that is drawn: a card's address can be kept for good."""
        return _digest(self.brand, self.title, self.lang, self.product, self._motif_hash)

    @property
    def _motif_hash(self) -> str | None:
        return self.motif.sha256 if self.motif else None


def _digest(*shown: str | None) -> str:
    return hashlib.sha256(repr((DRAWN, *shown)).encode()).hexdigest()[:12]


@lru_cache(maxsize=CARDS_KEPT)
def wide(card: Card) -> bytes:
    """A card of 1200 x 630 pixels as JPEG: the words on the left, the picture on the right."""
    picture = Image.new("RGB", WIDE, BRAND)
    if card.motif:
        left = WIDE[0] - _PICTURE[0]
        picture.paste(card.motif.cover(_PICTURE), (left, 0))
        edge = scallops(WIDE[1], _TOOTH).transpose(Image.Transpose.ROTATE_270)
        picture.paste(BRAND, (left, 0), edge)
    else:
        centre = (WIDE[0] - 250, WIDE[1] // 2)
        rings(picture, centre, 2.0)
        cap(picture, centre, 116, initial_of(card.brand))
    draw = ImageDraw.Draw(picture)
    bottom = WIDE[1] - _MARGIN
    brand = set_text(card.brand, _NAMES, _TEXT_ROOM, card.lang)
    brand.draw(draw, _MARGIN, _MARGIN - 8, WHITE)
    product = set_text(card.product, _PRODUCTS, _TEXT_ROOM, card.lang)
    product.draw(draw, _MARGIN, bottom + 8 - product.height, _PALE)
    title = set_text(card.title, _TITLES, _TEXT_ROOM, card.lang)
    top, end = _MARGIN + brand.height, bottom - product.height
    title.draw(draw, _MARGIN, top + (end - top - title.height) // 2, WHITE)
    return _jpeg(picture)


@lru_cache(maxsize=CARDS_KEPT)
def square(brand: str, motif: Motif | None) -> bytes:
    """The campaign's picture, or the brand's initial on a crown cap, 400 x 400 pixels as JPEG."""
    if motif:
        return _jpeg(motif.cover(SQUARE))
    picture = Image.new("RGB", SQUARE, BRAND)
    centre = (SQUARE[0] // 2, SQUARE[1] // 2)
    rings(picture, centre, 1.6)
    cap(picture, centre, 104, initial_of(brand))
    return _jpeg(picture)


def _jpeg(picture: Image.Image) -> bytes:
    """As good as fits; letters keep their colours' edges."""
    for quality in _QUALITIES:
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=quality, subsampling=0, optimize=True)
        if buffer.tell() <= BYTES_MAX:
            break
    return buffer.getvalue()
