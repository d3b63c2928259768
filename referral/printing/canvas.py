"""What pictures for sharing are made of: the brand's colours, its shapes, and texts set to fit."""

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, ImageOps

from referral.printing.typeface import (
    Shapes,
    even_lines,
    font_of,
    lines_of,
    settable,
    shapes_of,
)

Colour = tuple[int, int, int]
Size = tuple[int, int]

BRAND: Colour = (12, 90, 69)
"""As `--brand` in static/site.css."""
INK: Colour = (19, 32, 26)
SOFT: Colour = (82, 96, 90)
PAPER: Colour = (250, 247, 240)
WHITE: Colour = (255, 255, 255)
LEADING = 1.32
"""From one line to the next, in sizes of the type: Chinese needs more of it than Latin."""
SIZE_STEP = 4
"""By how much a text that does not fit is set smaller."""
WORTH_A_LINE = 0.75
"""How much smaller a text may get to stand in one line instead of two."""


@dataclass(frozen=True)
class Motif:
    """A campaign's picture: named by its hash, read only when something is made with it."""

    sha256: str
    read: Callable[[], bytes] = field(compare=False, repr=False)

    def cover(self, size: Size) -> Image.Image:
        """The picture cut to a size. What matters in a picture is rather above its middle."""
        with Image.open(io.BytesIO(self.read())) as opened:
            opened.draft("RGB", size)
            return ImageOps.fit(opened.convert("RGB"), size, centering=(0.5, 0.45))


@dataclass(frozen=True)
class Style:
    """How a text is set, in pixels: as large as it fits into a height, from `size` to `least`."""

    size: int
    least: int
    height: int
    is_bold: bool = False

    def lines_at(self, size: int) -> int:
        """How many lines of a size there is room for, one at least."""
        return max(1, self.height // step_of(size))


def step_of(size: int) -> int:
    """From one line to the next."""
    return round(size * LEADING)


@dataclass(frozen=True)
class Block:
    """A text broken into lines, at the size at which it fits."""

    lines: tuple[str, ...]
    size: int
    lang: str
    is_bold: bool

    @property
    def step(self) -> int:
        return step_of(self.size)

    @property
    def height(self) -> int:
        return len(self.lines) * self.step

    def draw(self, draw: ImageDraw.ImageDraw, left: int, top: int, fill: int | Colour) -> None:
        """Lines below `top`, the first one's letters in the middle of its step."""
        stroke = self.size / 45 if self.is_bold else 0  # there is no bold cut of the typeface
        for number, line in enumerate(self.lines):
            font = font_of(self.size, shapes_of(line, self.lang))
            middle = top + round((number + 0.5) * self.step)
            draw.text((left, middle), line, fill, font, anchor="lm", stroke_width=stroke)


def set_text(text: str, style: Style, room: int, lang: str) -> Block:
    """A text in the fewest and evenest lines: smaller where it is long, cut where very long.

    What has no picture in the typefaces is left out.
    """
    text = settable(text)
    shapes = shapes_of(text, lang)
    # Far more than fits needs not be measured to the end.
    text = text[: 4 * style.lines_at(style.least) * room // style.least]
    size = _size_for(text, style, room, shapes)
    if size:
        lines = even_lines(text, font_of(size, shapes), room)
        return Block(tuple(lines), size, lang, style.is_bold)
    font = font_of(style.least, shapes)
    broken = lines_of(text, font, room)[: style.lines_at(style.least)]
    broken[-1] = _cut(broken[-1], font, room)
    return Block(tuple(broken), style.least, lang, style.is_bold)


def _size_for(text: str, style: Style, room: int, shapes: Shapes) -> int | None:
    """The largest size at which it fits, or a little less where it stands in one line then."""
    sizes = range(style.size, style.least - 1, -SIZE_STEP)
    lines = {size: len(lines_of(text, font_of(size, shapes), room)) for size in sizes}
    fitting = next((size for size in sizes if lines[size] <= style.lines_at(size)), None)
    if fitting is None:
        return None
    alone = next((size for size in sizes if lines[size] <= 1), 0)
    return alone if alone >= fitting * WORTH_A_LINE else fitting


def _cut(line: str, font: ImageFont.FreeTypeFont, room: int) -> str:
    """A line that ends with dots because more would follow."""
    while line and font.getlength(line + "…") > room:
        line = line[:-1]
    return line.rstrip("，。、；：,.;: ") + "…"


def initial_of(brand: str) -> str:
    """The letter a brand is known by; nothing for a brand in emoji alone."""
    return next((letter.upper() for letter in settable(brand) if letter.isalnum()), "")


# Shapes, as how much of each pixel they cover. Pillow's own have jagged edges.


def _distance(size: Size, centre: tuple[float, float]) -> NDArray[np.float32]:
    """How far each pixel's middle is from a point."""
    across = np.arange(size[0], dtype=np.float32) + 0.5 - centre[0]
    down = np.arange(size[1], dtype=np.float32) + 0.5 - centre[1]
    return np.asarray(np.hypot(across[None, :], down[:, None]), dtype=np.float32)


def _coverage(inside: NDArray[np.float32], strength: float = 1.0) -> Image.Image:
    """A mask out of how far each pixel lies inside a shape."""
    return Image.fromarray((np.clip(inside + 0.5, 0, 1) * (255 * strength)).astype(np.uint8))


_RINGS = ((58, 0.16), (84, 0.06), (120, 0.05), (170, 0.04), (238, 0.03), (320, 0.022))
"""Radius and strength of the rings on water behind a page's head; see static/site.css."""


def rings(picture: Image.Image, centre: tuple[float, float], scale: float) -> None:
    """Rings on water, lighter than what is there."""
    distance = _distance(picture.size, centre)
    light = np.zeros_like(distance)
    for radius, strength in _RINGS:
        light += np.clip(radius * scale - distance + 0.5, 0, 1) * strength
    picture.paste(WHITE, mask=Image.fromarray((light * 255).astype(np.uint8)))


def cap(picture: Image.Image, centre: tuple[int, int], radius: int, letter: str) -> None:
    """A crown cap in white with a letter on it."""
    side = int(radius * 2.5)
    distance = _distance((side, side), (side / 2, side / 2))
    across = np.arange(side, dtype=np.float32) + 0.5 - side / 2
    angle = np.arctan2(across[:, None], across[None, :])
    teeth = 21  # as many as a crown cap has
    inside = radius * (1 + 0.045 * np.cos(angle * teeth)) - distance
    left, top = centre[0] - side // 2, centre[1] - side // 2
    picture.paste(WHITE, (left, top), _coverage(inside.astype(np.float32)))
    ring = 1.2 - np.abs(distance - radius * 0.8)
    picture.paste(BRAND, (left, top), _coverage(ring, 0.35))
    if letter:
        font = font_of(round(radius * 0.9), shapes_of(letter, "zh-Hans"))
        draw = ImageDraw.Draw(picture)
        box = draw.textbbox((0, 0), letter, font=font, anchor="ls")
        at = (centre[0] - (box[0] + box[2]) / 2, centre[1] - (box[1] + box[3]) / 2)
        draw.text(at, letter, BRAND, font, anchor="ls", stroke_width=radius / 60)


@cache
def scallops(length: int, tooth: int) -> Image.Image:
    """A cap's edge along the bottom of a picture: a mask of what lies below it.

    It is `length` long; a tooth is `tooth` wide, and half as high.
    """
    half = tooth / 2
    across = (np.arange(length, dtype=np.float32) + 0.5 - length / 2) % tooth - half
    down = np.arange(tooth // 2, dtype=np.float32) + 0.5
    distance = np.hypot(across[None, :], down[:, None], dtype=np.float32)
    return _coverage(distance - half * 0.94)
