"""QR codes: as modules, as SVG and as PNG, and the address that is printed on a package."""

import io
import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, Literal
from urllib.parse import urlsplit

import numpy as np
import qrcode
from numpy.typing import NDArray
from PIL import Image
from qrcode.constants import ERROR_CORRECT_M, ERROR_CORRECT_Q
from qrcode.image.svg import SvgPathImage
from qrcode.util import QRData

Level = Literal["M", "Q"]
"""Error correction: M mends 15 % of a code, Q 25 %, for caps and for curved or wet packs."""
LEVELS: tuple[Level, ...] = ("M", "Q")
QR_BORDER = 4
"""The quiet zone, in modules."""
QR_MODULE_PIXELS = 10

Modules = NDArray[np.bool_]
"""A square of modules, True where dark, without the quiet zone."""

_CONSTANT_OF = {"M": ERROR_CORRECT_M, "Q": ERROR_CORRECT_Q}
_DENSE_RUN = re.compile(rb"([0-9A-Z $%*+\-./:]{11,})")
"""What alphanumeric mode can write, at 5.5 bits a character in place of 8, where it is long enough
to win back what changing the mode there and back costs."""
_MASKS = 8


def printed_address(base_url: str, scheme: str, gtin: str, code: str) -> str:
    """The address on a package, in capitals so that a QR code of it stays small.

    `scheme` is "HTTPS" for capitals from the first letter on; "https" keeps the scheme small, for
    phones that do not open an address otherwise. A `base_url` of plain http stays one.
    """
    parts = urlsplit(base_url)
    kept = parts.scheme.upper() if scheme.isupper() else parts.scheme.lower()
    return f"{kept}://{parts.netloc.upper()}{parts.path}/01/{gtin}/21/{code}"


def version_of(text: str, level: Level = "M") -> int:
    """The smallest version that holds the text, 1 to 40; it has 17 + 4 * version modules a side."""
    return int(_unmade(text, level).best_fit())


def qr_of_address(text: str, level: Level = "M") -> qrcode.QRCode[Any]:
    """A QR code of the smallest version, in the segments that make it small.

    The mask is the one the generator would choose; all eight are weighed at once, which takes a
    fifth of its time.
    """
    code = _unmade(text, level)
    code.best_fit()
    code.mask_pattern = 0
    code.make(fit=False)
    plain = np.array(code.modules, dtype=np.bool_)
    code.mask_pattern = int(_penalties(plain ^ _trials(code.version, level)).argmin())
    code.make(fit=False)
    return code


def modules_of(text: str, level: Level = "M") -> Modules:
    return np.array(qr_of_address(text, level).modules, dtype=np.bool_)


def runs_of(modules: Modules) -> Iterator[tuple[int, int, int, int]]:
    """The dark modules as rectangles that do not overlap: left, top, width and height in modules.

    Neighbours are merged, along the row first, so that a picture of them shows no seams.
    """
    open_runs: dict[tuple[int, int], int] = {}
    for row, line in enumerate([*modules, np.zeros(len(modules), dtype=np.bool_)]):
        edges = np.flatnonzero(np.diff(line.astype(np.int8), prepend=0, append=0)).tolist()
        runs = set(zip(edges[::2], edges[1::2], strict=True))
        for left, right in sorted(open_runs.keys() - runs):
            top = open_runs.pop((left, right))
            yield left, top, right - left, row - top
        for run in runs:
            open_runs.setdefault(run, row)


def qr_svg(text: str, level: Level = "M") -> bytes:
    image = qr_of_address(text, level).make_image(image_factory=SvgPathImage)
    return bytes(image.to_string())


def qr_png(text: str, level: Level = "M") -> bytes:
    buffer = io.BytesIO()
    qr_picture(text, level=level).save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()


def qr_picture(text: str, *, level: Level = "M", within: int | None = None) -> Image.Image:
    """A QR code whose modules are all of one size: as large as fits, or the usual one."""
    matrix = qr_of_address(text, level).get_matrix()
    pixels = QR_MODULE_PIXELS if within is None else max(1, within // len(matrix))
    picture = Image.new("1", (len(matrix), len(matrix)), 1)
    picture.putdata([not dark for row in matrix for dark in row])
    side = len(matrix) * pixels
    return picture.resize((side, side), Image.Resampling.NEAREST)


def _unmade(text: str, level: Level) -> qrcode.QRCode[Any]:
    code = qrcode.QRCode(
        error_correction=_CONSTANT_OF[level], border=QR_BORDER, box_size=QR_MODULE_PIXELS
    )
    for segment in _segments(text):
        code.add_data(segment)
    return code


def _segments(text: str) -> Iterable[QRData]:
    for part in _DENSE_RUN.split(text.encode()):
        if part:
            yield QRData(part, check_data=False)  # in the densest mode that can write it


@cache
def _trials(version: int, level: Level) -> Modules:
    """What turns a finished code with mask 0 into the generator's trial with each mask.

    That does not depend on the data: a mask is laid over it, and what names the mask is left
    blank in a trial.
    """
    code = _unmade("", level)
    code.version = version
    code.makeImpl(False, 0)
    plain = np.array(code.modules, dtype=np.bool_)
    trials = []
    for mask in range(_MASKS):
        code.makeImpl(True, mask)
        trials.append(plain ^ np.array(code.modules, dtype=np.bool_))
    return np.array(trials)


def _penalties(trials: Modules) -> NDArray[np.int64]:
    """The four penalties of ISO/IEC 18004 for each trial, as the generator counts them."""
    both = np.concatenate([trials, trials.transpose(0, 2, 1)])  # rows, and columns as rows
    lines = (_long_runs(both) + 40 * _finder_lookalikes(both)).reshape(2, _MASKS).sum(axis=0)
    equal = trials[:, :, 1:] == trials[:, :, :-1]
    blocks = equal[:, 1:] & equal[:, :-1] & (trials[:, 1:, 1:] == trials[:, :-1, 1:])
    share = trials.mean(axis=(1, 2)) * 100
    unbalanced = (np.abs(share - 50) / 5).astype(np.int64) * 10
    return np.asarray(lines + 3 * blocks.sum(axis=(1, 2)) + unbalanced, dtype=np.int64)


def _long_runs(rows: Modules) -> NDArray[np.int64]:
    """Three for five modules of one colour in a row, and one for each that follows."""
    equal = rows[:, :, 1:] == rows[:, :, :-1]
    fives = equal[:, :, 3:] & equal[:, :, 2:-1] & equal[:, :, 1:-2] & equal[:, :, :-3]
    begun = fives[:, :, 1:] & ~fives[:, :, :-1]
    firsts = begun.sum(axis=(1, 2)) + fives[:, :, 0].sum(axis=1)
    return np.asarray(fives.sum(axis=(1, 2)) + 2 * firsts, dtype=np.int64)


def _finder_lookalikes(rows: Modules) -> NDArray[np.int64]:
    """How often 1:1:3:1:1 stands with four light modules before or after it."""
    size = rows.shape[2] - 10
    at = [rows[:, :, place : place + size] for place in range(11)]

    def found(pattern: str) -> Modules:
        wanted = [at[i] if dark == "1" else ~at[i] for i, dark in enumerate(pattern)]
        return np.asarray(np.logical_and.reduce(wanted))

    either = found("10111010000") | found("00001011101")
    return np.asarray(either.sum(axis=(1, 2)), dtype=np.int64)
