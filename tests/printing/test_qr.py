"""QR codes: two independent readers get the exact address back out of each."""

import io
import re

import numpy as np
import pytest
import qrcode
import zxingcpp
from PIL import Image
from qrcode.constants import ERROR_CORRECT_M, ERROR_CORRECT_Q
from qrcode.util import QRData

from referral.crypto import KeyRing
from referral.links import Link, LinkCodec
from referral.printing import qr
from tests.scanners import picture, read_back

GTIN, CODE = "06901234567892", "QYR3YJM72YYZMGDA"
CONSTANTS = {"M": ERROR_CORRECT_M, "Q": ERROR_CORRECT_Q}
TOKEN = LinkCodec(KeyRing(["a-key-for-the-tests-only"])).token(Link(7, 2**62, 41))
ADDRESSES = [
    "https://brand.example/01/06901234567892/21/QYR3YJM72YYZMGDA",
    f"https://brand.example/s/{TOKEN}",
    f"http://127.0.0.1:8000/s/{TOKEN}",
    f"https://{'long.' * 20}brand.example/some/path/s/{TOKEN}",
]


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_qr_code_is_read_back_to_the_address(address: str) -> None:
    assert read_back(qr.qr_png(address)) == {address}


def test_a_qr_code_has_its_quiet_zone() -> None:
    opened = picture(qr.qr_png(ADDRESSES[0])).convert("L")
    quiet = qr.QR_BORDER * qr.QR_MODULE_PIXELS
    dark = np.argwhere(np.asarray(opened) == 0)
    assert dark.min(axis=0).tolist() == [quiet, quiet]
    assert (dark.max(axis=0) + 1).tolist() == [opened.height - quiet, opened.width - quiet]


@pytest.mark.parametrize("address", ADDRESSES[:2])
def test_the_vector_form_draws_the_same_modules(address: str) -> None:
    """Drawn here from its path: the SVG holds one square per dark module."""
    svg = qr.qr_svg(address).decode()
    assert svg.startswith(("<?xml", "<svg"))
    matrix = qr.qr_of_address(address).get_matrix()
    squares = re.findall(r"M(\d+(?:\.\d+)?),(\d+(?:\.\d+)?)H", svg)
    assert len(squares) == sum(dark for row in matrix for dark in row)
    side = max(float(x) for x, _ in squares) / (len(matrix) - 1 - qr.QR_BORDER)
    drawn = np.full((len(matrix), len(matrix)), 255, np.uint8)
    for x, y in squares:
        drawn[round(float(y) / side), round(float(x) / side)] = 0
    buffer = io.BytesIO()
    Image.fromarray(drawn).resize([len(matrix) * 10] * 2, Image.Resampling.NEAREST).save(
        buffer, "PNG"
    )
    assert read_back(buffer.getvalue()) == {address}


def printed(scheme: str, host: str, code: str = CODE) -> str:
    return qr.printed_address(f"https://{host}", scheme, GTIN, code)


@pytest.mark.parametrize(
    "base_url, scheme, begins",
    [
        ("https://brand.example", "https", "https://BRAND.EXAMPLE/01/"),
        ("https://brand.example", "HTTPS", "HTTPS://BRAND.EXAMPLE/01/"),
        ("https://Brand.example:8443", "https", "https://BRAND.EXAMPLE:8443/01/"),
        ("http://127.0.0.1:8000", "https", "http://127.0.0.1:8000/01/"),
        ("http://127.0.0.1:8000", "HTTPS", "HTTP://127.0.0.1:8000/01/"),
        ("https://brand.example/Packs", "HTTPS", "HTTPS://BRAND.EXAMPLE/Packs/01/"),
    ],
)
def test_the_printed_address_is_in_capitals(base_url: str, scheme: str, begins: str) -> None:
    """But for a path, in which capitals are other letters."""
    assert qr.printed_address(base_url, scheme, GTIN, CODE) == f"{begins}{GTIN}/21/{CODE}"


@pytest.mark.parametrize("scheme, host", [("https", "brand.co.uk"), ("HTTPS", "scan.brand.asia")])
def test_a_printed_address_fits_version_3(scheme: str, host: str) -> None:
    """A host of 11 characters with a small scheme, of 15 in capitals throughout; not one more."""
    assert len(host) == {"https": 11, "HTTPS": 15}[scheme]
    assert qr.version_of(printed(scheme, host), "M") == 3
    assert qr.version_of(printed(scheme, f"x{host}"), "M") == 4
    assert qr.version_of(printed(scheme, host), "Q") == 4
    assert qr.modules_of(printed(scheme, host)).shape == (29, 29)
    assert qr.modules_of(printed(scheme, host), "Q").shape == (33, 33)


@pytest.mark.parametrize("level", qr.LEVELS)
@pytest.mark.parametrize("scheme", ["https", "HTTPS"])
def test_a_code_is_the_generators_own(scheme: str, level: qr.Level) -> None:
    """The mask that is found in one go is the one that weighing them one by one finds."""
    masks = set()
    for number in range(40):
        address = printed(scheme, "brand.co.uk"[: 3 + number % 9], f"{number * 7919:016}")
        found = qr.qr_of_address(address, level)
        theirs = qrcode.QRCode(error_correction=CONSTANTS[level], border=qr.QR_BORDER)
        cut = len("https") if scheme == "https" else 0
        if cut:
            theirs.add_data(QRData(address[:cut]))
        theirs.add_data(QRData(address[cut:]))
        theirs.make()
        assert found.get_matrix() == theirs.get_matrix()
        masks.add(found.mask_pattern)
    assert len(masks) > 4


@pytest.mark.parametrize("level", qr.LEVELS)
@pytest.mark.parametrize("address", [printed("https", "brand.co.uk"), *ADDRESSES[:2]])
def test_both_levels_are_read_back(address: str, level: qr.Level) -> None:
    png = qr.qr_png(address, level)
    assert read_back(png) == {address}
    (found,) = zxingcpp.read_barcodes(picture(png).convert("RGB"))
    assert found.ec_level == level


@pytest.mark.parametrize("level", qr.LEVELS)
def test_runs_cover_the_dark_modules_once(level: qr.Level) -> None:
    modules = qr.modules_of(ADDRESSES[0], level)
    drawn = np.zeros(modules.shape, dtype=int)
    runs = list(qr.runs_of(modules))
    for left, top, width, height in runs:
        drawn[top : top + height, left : left + width] += 1
    assert (drawn == modules).all()
    assert len(runs) < modules.sum() / 2
    assert (0, 0, 1, 7) not in runs, "a finder begins with a row of seven"
    assert (0, 0, 7, 1) in runs


def test_a_text_that_is_no_printed_address_has_its_code_too() -> None:
    for text in ("", "x", "1", "HELLO WORLD", "你好 HTTPS://BRAND.EXAMPLE", "é" * 300):
        modules = qr.modules_of(text)
        assert len(modules) == 17 + 4 * qr.version_of(text)
    assert read_back(qr.qr_png("from HANGZHOU WITH TEA to you")) == {
        "from HANGZHOU WITH TEA to you"
    }
