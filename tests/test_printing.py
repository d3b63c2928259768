"""Pictures: two independent readers get the exact address back out of each."""

import io
import re

import cv2
import numpy as np
import pytest
import zxingcpp
from PIL import Image

from referral import printing
from referral.crypto import KeyRing
from referral.links import Link, LinkCodec

TOKEN = LinkCodec(KeyRing(["a-key-for-the-tests-only"])).token(Link(7, 2**62, 41))
ADDRESSES = [
    "https://brand.example/01/06901234567892/21/QYR3YJM72YYZMGDA",
    f"https://brand.example/s/{TOKEN}",
    f"http://127.0.0.1:8000/s/{TOKEN}",
    f"https://{'long.' * 20}brand.example/some/path/s/{TOKEN}",
]
FAMILY = "👨‍👩‍👧"


def picture(png: bytes) -> Image.Image:
    opened = Image.open(io.BytesIO(png))
    opened.load()
    assert opened.format == "PNG"
    return opened


def read_back(png: bytes) -> set[str]:
    """What zxing and OpenCV read, each on its own.

    Of OpenCV's two detectors the one by markers: the other misses one good code in a hundred.
    """
    opened = picture(png).convert("RGB")
    zxing = [found.text for found in zxingcpp.read_barcodes(opened)]
    opencv, *_ = cv2.QRCodeDetectorAruco().detectAndDecode(np.asarray(opened)[:, :, ::-1])
    assert len(zxing) == 1
    return {*zxing, opencv}


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_qr_code_is_read_back_to_the_address(address: str) -> None:
    assert read_back(printing.qr_png(address)) == {address}


def test_a_qr_code_has_its_quiet_zone() -> None:
    opened = picture(printing.qr_png(ADDRESSES[0])).convert("L")
    quiet = printing.QR_BORDER * printing.QR_MODULE_PIXELS
    dark = np.argwhere(np.asarray(opened) == 0)
    assert dark.min(axis=0).tolist() == [quiet, quiet]
    assert (dark.max(axis=0) + 1).tolist() == [opened.height - quiet, opened.width - quiet]


@pytest.mark.parametrize("address", ADDRESSES[:2])
def test_the_vector_form_draws_the_same_modules(address: str) -> None:
    """Drawn here from its path: the SVG holds one square per dark module."""
    svg = printing.qr_svg(address).decode()
    assert svg.startswith(("<?xml", "<svg"))
    matrix = printing.qr(address).get_matrix()
    squares = re.findall(r"M(\d+(?:\.\d+)?),(\d+(?:\.\d+)?)H", svg)
    assert len(squares) == sum(dark for row in matrix for dark in row)
    side = max(float(x) for x, _ in squares) / (len(matrix) - 1 - printing.QR_BORDER)
    drawn = np.full((len(matrix), len(matrix)), 255, np.uint8)
    for x, y in squares:
        drawn[round(float(y) / side), round(float(x) / side)] = 0
    buffer = io.BytesIO()
    Image.fromarray(drawn).resize([len(matrix) * 10] * 2, Image.Resampling.NEAREST).save(
        buffer, "PNG"
    )
    assert read_back(buffer.getvalue()) == {address}


def test_all_modules_of_a_posters_code_are_of_one_size() -> None:
    """In the first row: it begins with the seven dark modules of a finder pattern."""
    for address in ADDRESSES:
        grey = np.asarray(picture(poster(url=address)).convert("L"))
        dark = grey[860:1420, 260:820] < 128
        first_row = dark[dark.any(axis=1).argmax()]
        stretches = np.diff(np.flatnonzero(np.diff(first_row.astype(int))))
        module, rest = divmod(int(stretches[0]), 7)
        assert rest == 0
        assert (stretches % module == 0).all()


def poster(**texts: str) -> bytes:
    words = {
        "brand": "Referral",
        "title": "Spring together",
        "invitation": "Alice invites you",
        "hint": "Press and hold, or scan",
        "url": ADDRESSES[1],
    }
    return printing.poster(**{**words, **texts})


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_posters_code_is_read_back_to_the_address(address: str) -> None:
    png = poster(url=address)
    assert picture(png).size == printing.POSTER_SIZE
    assert read_back(png) == {address}


TEXTS = {
    "empty": "",
    "spaces": "   ",
    "Chinese": "小明邀请你一起来喝一杯冷萃茶，买一瓶，扫一扫，一起得积分",
    "traditional": "龍井茶與鐵觀音　歡迎品嚐",
    "a very long Chinese name": "名" * 500,
    "a very long word": "x" * 500,
    "many words": "tea and cake " * 50,
    "emoji": f"🍵{FAMILY}🇨🇳👍🏽 tea",
    "only emoji": f"🍵{FAMILY}",
    "other scripts": "Ελληνικά кириллица हिन्दी ไทย عربى עברית",
    "controls": "a\0b\nc\td\u202ee\u200df",
    "half a character": "\ud800x",
    "rare": "𠮷野家 𪚥",
    "combining": "e\u0301" * 50,
    "markup": "<b>&amp;</b>",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_poster_takes_any_text(text: str) -> None:
    png = poster(brand=text, title=text, invitation=text, hint=text)
    assert picture(png).size == printing.POSTER_SIZE
    assert read_back(png) == {ADDRESSES[1]}


def ink(png: bytes, left: int, top: int, right: int, bottom: int) -> int:
    """How many different colours a part of a picture has: one means nothing is drawn there."""
    part = picture(png).convert("RGB").crop((left, top, right, bottom))
    return len(part.getcolors(1 << 20) or [])


@pytest.mark.parametrize("text", ["Tea", "茶", "名" * 200, "word " * 80])
def test_texts_stay_inside_their_margins(text: str) -> None:
    png = poster(brand=text, title=text, invitation=text)
    width, _ = printing.POSTER_SIZE
    margin = printing.POSTER_MARGIN
    assert ink(png, margin, 200, width - margin, 620) > 1, "the title is there"
    for top, bottom in [(0, 630), (650, 820)]:
        assert ink(png, width - margin + 8, top, width, bottom) == 1
        assert ink(png, 0, top, margin - 8, bottom) == 1


def test_characters_without_a_picture_are_left_out_not_boxed() -> None:
    assert poster(title=f"Tea{FAMILY}🍵") == poster(title="Tea")


@pytest.mark.parametrize(
    "text, settable",
    [
        ("小明 & Zoë", "小明 & Zoë"),
        ("Zoe\u0308", "Zoë"),
        ("Ελληνικά кириллица 龍井", "Ελληνικά кириллица 龍井"),
        ("★ Tea™ 🍵", "★ Tea™"),
        (f"🍵{FAMILY}🇨🇳👍🏽", ""),
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
    assert printing.settable(text) == settable
