"""Posters: pictures that invite, with the QR code of a share link.

All posters of a campaign in a language differ in their lower part only. What they have in common
is drawn once, in a palette, so that a poster takes no more than a line of text, a code and the
writing of a file. The palette's first colours are a scale from paper to ink, in which texts are
drawn straight; the picture has the others.
"""

import io
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

from referral.printing.canvas import (
    BRAND,
    INK,
    PAPER,
    WHITE,
    Block,
    Motif,
    Style,
    cap,
    initial_of,
    rings,
    scallops,
    set_text,
)
from referral.printing.qr import qr_picture

POSTERS_KEPT = 48
"""A poster takes a moment of work and is asked for again by everybody it is sent to."""
BACKGROUNDS_KEPT = 12
POSTER_SIZE = (1080, 1620)
POSTER_MARGIN = 80

_WIDTH, _HEIGHT = POSTER_SIZE
_ROOM = _WIDTH - 2 * POSTER_MARGIN
_HEAD = 660
"""How high the picture is: about as photographs are taken, 3 : 2."""
_TOOTH = 36
_QR_SIDE = 460
_QR_FRAME = 4
_QR_LEFT = _WIDTH - POSTER_MARGIN - _QR_SIDE - _QR_FRAME
_QR_TOP = _HEIGHT - POSTER_MARGIN - _QR_SIDE - _QR_FRAME
_SIDE_ROOM = _QR_LEFT - _QR_FRAME - 40 - POSTER_MARGIN
"""For what stands beside the code."""
_WORDS_TOP, _WORDS_HEIGHT = 706, 346

_BRANDS = Style(40, 32, height=56)
_TITLES = Style(84, 44, height=222, is_bold=True)
_LEADS = Style(36, 36, height=144)
_INVITATIONS = Style(52, 36, height=210, is_bold=True)
_NOTES = Style(34, 30, height=180)
_HINTS = Style(30, 26, height=88)

_STEPS = 24
"""How many colours the scale from paper to ink has: enough for letters without jagged edges."""
_PAPER, _INK, _WHITE = 0, _STEPS - 1, _STEPS
_SOFT_SHARE = 0.66
_FIRST_OF_PICTURE = _STEPS + 1


@dataclass(frozen=True)
class Poster:
    """What the posters of a campaign in one language have in common."""

    brand: str
    title: str
    lang: str
    lead: str = ""
    """What it is about, below the title as far as there is room."""
    hint: str = ""
    """What to do with the code."""
    note: str = ""
    """What the sharer has of it, where she has something."""
    motif: Motif | None = None


@lru_cache(maxsize=POSTERS_KEPT)
def poster(shown: Poster, *, invitation: str, url: str) -> bytes:
    """A poster as PNG: the campaign's picture and words, who invites, and the QR code of `url`.

    What the typefaces have no picture of, such as emoji, is left out.
    """
    picture = _background(shown).copy()
    invites = set_text(invitation, _INVITATIONS, _SIDE_ROOM, shown.lang)
    note = set_text(shown.note, _NOTES, _SIDE_ROOM, shown.lang)
    gap = 20 if note.lines else 0
    top = _QR_TOP + (_QR_SIDE - _hint(shown).height - invites.height - gap - note.height) // 2
    top = max(top, _QR_TOP - _QR_FRAME)
    _write(picture, invites, POSTER_MARGIN, top)
    _write(picture, note, POSTER_MARGIN, top + invites.height + gap, _SOFT_SHARE)
    code = qr_picture(url, within=_QR_SIDE)
    inset = (_QR_SIDE - code.width) // 2
    dark = code.convert("L").point([255] + [0] * 255)
    picture.paste(_INK, (_QR_LEFT + inset, _QR_TOP + inset), dark)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=2)
    return buffer.getvalue()


@lru_cache(maxsize=BACKGROUNDS_KEPT)
def _background(shown: Poster) -> Image.Image:
    """Everything but who invites and her code."""
    head = _head(shown)
    colours = _colours_of(head)
    picture = Image.new("P", POSTER_SIZE, _PAPER)
    picture.putpalette(_palette(colours))
    indexes = np.asarray(head.quantize(palette=_as_palette(colours)))
    picture.paste(Image.fromarray(indexes + np.uint8(_FIRST_OF_PICTURE)), (0, 0))
    below = scallops(_WIDTH, _TOOTH).point([0] * 255 + [255])
    picture.paste(_PAPER, (0, _HEAD - _TOOTH // 2), below)
    title = set_text(shown.title, _TITLES, _ROOM, shown.lang)
    lead = set_text(shown.lead, _leads_below(title), _ROOM, shown.lang)
    gap = 16 if lead.lines else 0
    top = _WORDS_TOP + (_WORDS_HEIGHT - title.height - gap - lead.height) // 2
    _write(picture, title, POSTER_MARGIN, top)
    _write(picture, lead, POSTER_MARGIN, top + title.height + gap, _SOFT_SHARE)
    frame = (_QR_LEFT, _QR_TOP, _QR_LEFT + _QR_SIDE - 1, _QR_TOP + _QR_SIDE - 1)
    draw = ImageDraw.Draw(picture)
    draw.rounded_rectangle(_wider(frame, _QR_FRAME), 24, fill=_WHITE)
    hint = _hint(shown)
    _write(picture, hint, POSTER_MARGIN, frame[3] + _QR_FRAME - hint.height, _SOFT_SHARE)
    return picture


def _head(shown: Poster) -> Image.Image:
    """The campaign's picture with the brand's name on it, down to a cap's edge."""
    size = (_WIDTH, _HEAD)
    if shown.motif:
        head = shown.motif.cover(size)
        head.paste((0, 0, 0), mask=_shade(size))
    else:
        head = Image.new("RGB", size, BRAND)
        centre = (_WIDTH // 2, _HEAD // 2 + 30)
        rings(head, centre, 2.2)
        cap(head, centre, 150, initial_of(shown.brand))
    edge = scallops(_WIDTH, _TOOTH)
    head.paste(PAPER, (0, _HEAD - _TOOTH // 2), edge)
    brand = set_text(shown.brand, _BRANDS, _ROOM, shown.lang)
    brand.draw(ImageDraw.Draw(head), POSTER_MARGIN, 56, WHITE)
    return head


def _shade(size: tuple[int, int]) -> Image.Image:
    """Darkness from above, on which a name in white can be read over any picture."""
    down = np.clip(1 - np.arange(size[1]) / 240, 0, 1) ** 1.4 * 0.62
    return Image.fromarray(np.repeat((down * 255).astype(np.uint8)[:, None], size[0], axis=1))


def _leads_below(title: Block) -> Style:
    return Style(_LEADS.size, _LEADS.least, min(_LEADS.height, _WORDS_HEIGHT - title.height - 16))


def _hint(shown: Poster) -> Block:
    return set_text(shown.hint, _HINTS, _SIDE_ROOM, shown.lang)


def _wider(box: tuple[int, int, int, int], by: int) -> tuple[int, int, int, int]:
    return (box[0] - by, box[1] - by, box[2] + by, box[3] + by)


# Colours


def _colours_of(head: Image.Image) -> list[int]:
    """Colours for the picture: found in a small copy, which takes little time."""
    found = head.reduce(8).quantize(256 - _FIRST_OF_PICTURE - 3, method=Image.Quantize.MAXCOVERAGE)
    return [*BRAND, *WHITE, *PAPER, *(found.getpalette() or [])][: 3 * (256 - _FIRST_OF_PICTURE)]


def _palette(colours: list[int]) -> list[int]:
    scale = np.linspace(PAPER, INK, _STEPS).round().astype(int)
    return [*scale.ravel().tolist(), *WHITE, *colours]


def _as_palette(colours: list[int]) -> Image.Image:
    picture = Image.new("P", (1, 1))
    picture.putpalette(colours)
    return picture


def _write(picture: Image.Image, block: Block, left: int, top: int, darkest: float = 1.0) -> None:
    """Set a block in the scale from paper to ink."""
    if not block.lines:
        return
    area = Image.new("L", (_WIDTH - left, block.height), 0)
    block.draw(ImageDraw.Draw(area), 0, 0, 255)
    scale = [round(value / 255 * darkest * _INK) for value in range(256)]
    picture.paste(area.point(scale), (left, top), area.point([0] + [255] * 255))
