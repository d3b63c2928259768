"""The list of a package as CSV, made many codes at a time.

Every row of a chunk has the same length, so a chunk is one rectangle of bytes, filled column by
column.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from referral.codes import LENGTH, CodeCodec, Numbered
from referral.packages.fingerprint import Fingerprint, Indexes
from referral.packages.order import Order

HEADER = b"index,code,url\n"
CHUNK = 1 << 13
"""How many codes are made at a time; small enough to stay in the processor's cache."""

Tell = Callable[[int, int], None]
"""Called with how many indexes are done, and of how many."""


@dataclass
class Tally:
    """What went by: how many codes, how many bytes, with which digest."""

    count: int = 0
    size: int = 0
    _digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)

    def add(self, data: bytes, count: int) -> None:
        self.count += count
        self.size += len(data)
        self._digest.update(data)

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()


@dataclass(frozen=True)
class Chunk:
    """Some rows: their indexes in the batch, their codes and the lines."""

    end: int
    """One past the last index that was looked at; the codes before it may be left out."""
    indexes: Indexes
    codes: npt.NDArray[np.bytes_]
    lines: bytes


@dataclass(frozen=True)
class Rows:
    """The rows of an order's range, without those that the fingerprint leaves out."""

    codec: CodeCodec
    batch: Numbered
    order: Order
    fingerprint: Fingerprint | None

    def chunks(self, start: int, end: int) -> Iterator[Chunk]:
        """What of the order lies between two indexes, in order."""
        address = self.order.address.encode()
        for low, high in pieces(start, end):
            indexes = np.arange(low, high)
            codes = self.codec.encode_many(self.batch, low, high, self.order.label)
            if self.fingerprint is not None:
                kept = ~self.fingerprint.left_out(indexes)
                indexes, codes = indexes[kept], codes[kept]
            yield Chunk(high, indexes, codes, _lines(indexes, codes, address))

    def address(self, index: int) -> str:
        """What is printed on the package of that index."""
        return self.order.address + self.codec.encode(self.batch, index, self.order.label).text

    def kept(self, low: int, high: int) -> Indexes:
        """Which indexes from `low` up to `high` are in the package."""
        indexes = np.arange(low, high)
        if self.fingerprint is None:
            return indexes
        return indexes[~self.fingerprint.left_out(indexes)]


def pieces(start: int, end: int) -> Iterator[tuple[int, int]]:
    """A range in pieces of at most `CHUNK` indexes that are all written with as many digits."""
    while start < end:
        high = min(end, start + CHUNK, 10 ** len(str(start)))
        yield start, high
        start = high


def _lines(indexes: Indexes, codes: npt.NDArray[np.bytes_], address: bytes) -> bytes:
    if len(indexes) == 0:
        return b""
    digits = len(str(indexes[0]))
    row = [
        ("digits", np.uint8, (digits,)),
        ("comma", "S1"),
        ("code", f"S{LENGTH}"),
        ("address", f"S{len(address) + 1}"),
        ("url_code", f"S{LENGTH}"),
        ("end", "S1"),
    ]
    lines = np.empty(len(indexes), dtype=row)
    rest = indexes
    for place in range(digits - 1, -1, -1):
        rest, digit = np.divmod(rest, 10)
        lines["digits"][:, place] = digit + ord("0")
    lines["comma"] = b","
    lines["code"] = codes
    lines["address"] = b"," + address
    lines["url_code"] = codes
    lines["end"] = b"\n"
    return lines.tobytes()
