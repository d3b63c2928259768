"""Pictures: QR codes, and posters that carry one."""

import io
import unicodedata
from functools import cache, lru_cache
from importlib.resources import as_file, files
from typing import Any

import qrcode
from PIL import Image, ImageDraw, ImageFont
from qrcode.constants import ERROR_CORRECT_M
from qrcode.image.svg import SvgPathImage

QR_BORDER = 4
"""The quiet zone, in modules."""
QR_MODULE_PIXELS = 10

POSTERS_KEPT = 128
"""A poster takes a moment of work and is asked for again by everybody it is sent to."""
POSTER_SIZE = (1080, 1620)
POSTER_MARGIN = 96
_POSTER_QR_SIDE = 560
_INK, _QUIET, _PAPER, _ACCENT = (24, 38, 32), (92, 106, 99), (250, 247, 240), (19, 94, 66)


def qr(text: str) -> qrcode.QRCode[Any]:
    """A QR code at level M."""
    code = qrcode.QRCode(
        error_correction=ERROR_CORRECT_M, border=QR_BORDER, box_size=QR_MODULE_PIXELS
    )
    code.add_data(text)
    code.make(fit=True)
    return code


def qr_svg(text: str) -> bytes:
    return bytes(qr(text).make_image(image_factory=SvgPathImage).to_string())


def qr_png(text: str) -> bytes:
    return _png(_qr_picture(text))


@lru_cache(maxsize=POSTERS_KEPT)
def poster(*, brand: str, title: str, invitation: str, hint: str, url: str) -> bytes:
    """A poster as PNG: brand, title, who invites, and the QR code of `url`.

    Texts are set in a typeface that has Chinese; what it lacks, such as emoji, is left out.
    """
    width, height = POSTER_SIZE
    picture = Image.new("RGB", POSTER_SIZE, _PAPER)
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 0, width, 640), fill=_ACCENT)
    _write(draw, settable(brand), bottom=154, size=44, lines=1, fill=_PAPER)
    _write(draw, settable(title), bottom=580, size=92, lines=3, fill=_PAPER)
    _write(draw, settable(invitation), bottom=800, size=44, lines=2, fill=_INK)
    side, left, top = _POSTER_QR_SIDE, (width - _POSTER_QR_SIDE) // 2, 860
    draw.rounded_rectangle((left - 24, top - 24, left + side + 24, top + side + 24), 24, "white")
    code = _qr_picture(url, within=side)
    inset = (side - code.width) // 2
    picture.paste(code, (left + inset, top + inset))
    text = settable(hint)
    draw.text((width / 2, height - 104), text, font=_font(36), fill=_QUIET, anchor="mm")
    return _png(picture)


def _qr_picture(text: str, *, within: int | None = None) -> Image.Image:
    """A QR code whose modules are all of one size: as large as fits, or the usual one."""
    matrix = qr(text).get_matrix()
    pixels = QR_MODULE_PIXELS if within is None else max(1, within // len(matrix))
    picture = Image.new("1", (len(matrix), len(matrix)), 1)
    picture.putdata([not dark for row in matrix for dark in row])
    side = len(matrix) * pixels
    return picture.resize((side, side), Image.Resampling.NEAREST)


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()


def _write(
    draw: ImageDraw.ImageDraw,
    text: str,
    *,
    bottom: int,
    size: int,
    lines: int,
    fill: tuple[int, int, int],
) -> None:
    """Set a text in at most so many lines above `bottom`: smaller when long, cut when very long."""
    room = POSTER_SIZE[0] - 2 * POSTER_MARGIN
    for smaller in (size, size * 3 // 4, size // 2):
        font = _font(smaller)
        broken = _broken(text, font, room)
        if len(broken) <= lines:
            break
    shown = broken[:lines]
    if len(broken) > lines:
        shown[-1] = shown[-1][:-1] + "…"
    step = smaller * 4 // 3
    for number, line in enumerate(shown):
        top = bottom - (len(shown) - number) * step
        draw.text((POSTER_MARGIN, top), line, font=font, fill=fill)


def _broken(text: str, font: ImageFont.FreeTypeFont, room: int) -> list[str]:
    """Lines that fit: broken at spaces where there are some, between any characters in Chinese."""
    lines, line = [], ""
    for letter in text:
        if font.getlength(line + letter) <= room:
            line += letter
            continue
        head, space, tail = line.rpartition(" ")
        if space and letter.isascii() and letter != " ":
            lines.append(head)
            line = tail + letter
        else:
            lines.append(line)
            line = letter.strip()
    return [*lines, line] if line else lines


def settable(text: str) -> str:
    """What the typeface has pictures of: empty for a text in emoji or in Arabic alone."""
    # Composed first: a letter with its accent has a picture, the accent alone is left out.
    composed = unicodedata.normalize("NFC", text)
    return "".join(letter for letter in composed if _has_picture(letter)).strip()


@lru_cache(maxsize=8192)
def _has_picture(letter: str) -> bool:
    # Controls, and marks that have no picture without their letter.
    if unicodedata.category(letter)[0] in "CM":
        return False
    return _drawn(letter) != _box()


@cache
def _box() -> tuple[tuple[int, int], bytes]:
    """What is drawn for a character the typeface lacks: this one is none, so no typeface has it."""
    return _drawn("\uffff")


def _drawn(letter: str) -> tuple[tuple[int, int], bytes]:
    """A character's picture: its size and its pixels."""
    mask = _font(44).getmask(letter)
    return mask.size, bytes(mask)


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    with as_file(files("pylopdf_fonts_zh_cn") / "NotoSansSC-Regular.otf") as path:
        return ImageFont.truetype(str(path), size)
