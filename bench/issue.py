"""Issuing: from index to printable code, in memory, against a plain loop on the same core.

The plain loop is what one would write first: HMAC-SHA256 of the index, cut to 43 bits, beside the
index, in base32. It hides nothing, so it does less than our codes do.
"""

import base64
import hmac
from collections.abc import Iterator
from statistics import median

from bench.measure import Row, Work, in_turn, on_one_core, print_table, ratio
from bench.stock import Stock, key_ring
from referral.codes import INDEX_END, TAG_BITS, CodeCodec, Label, Labels

PIECE = 1 << 14
MANY = PIECE * 64
FEW = 1 << 14
KEY = bytes(range(32))
QUICK = {"MANY": PIECE, "FEW": 1 << 8}
PLAIN = "plain loop of HMAC-SHA256 and base32"


def rows() -> Iterator[Row]:
    keys = key_ring(1)
    codec = CodeCodec(keys)
    batch = Stock(1, 0, INDEX_END, keys.newest, Labels.pair)

    def bulk(label: Label) -> int:
        for start in range(0, MANY, PIECE):
            codec.encode_many(batch, start, start + PIECE, label)
        return MANY

    def single() -> int:
        for index in range(FEW):
            codec.encode(batch, index)
        return FEW

    works: dict[str, Work] = {
        PLAIN: plain,
        f"inner codes, {PIECE:,} at a time": lambda: bulk(Label.inner),
        f"outer codes, {PIECE:,} at a time": lambda: bulk(Label.outer),
        "one code at a time": single,
    }
    asked = ["", "10 x", "10 x", ""]
    seconds = in_turn(works)
    for (name, took), target in zip(seconds.items(), asked, strict=True):
        yield Row(
            f"issue: {name}",
            f"{1e-6 / median(took):.2f} million/s",
            f"{ratio(seconds[PLAIN], took):.1f} x the plain loop" if name != PLAIN else "",
            target,
        )


def plain() -> int:
    for index in range(FEW):
        digest = hmac.digest(KEY, index.to_bytes(16), "sha256")
        number = index << TAG_BITS | int.from_bytes(digest[:8]) >> (64 - TAG_BITS)
        base64.b32encode(number.to_bytes(10)).decode()
    return FEW


if __name__ == "__main__":
    on_one_core()
    print_table(rows())
