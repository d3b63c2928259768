"""Checking one code as somebody scanned it, with no database, against one HMAC-SHA256.

1,000 batches are in memory, spread over all secret keys and met in no order.
"""

import hmac
from collections.abc import Iterator, Sequence
from contextlib import suppress
from random import Random
from statistics import median

from bench.measure import Row, Work, in_turn, on_one_core, print_table, ratio
from bench.stock import Shelf, Stock, key_ring
from referral.codes import ALPHABET, LENGTH, CodeCodec, Label, Labels, UnknownCode

BATCHES = 1_000
SIZE = 100_000
CHECKS = 5_000
KEY, MESSAGE = bytes(range(32)), bytes(16)
MICROSECONDS_ASKED = 30
QUICK = {"BATCHES": 10, "CHECKS": 50}
HMAC = "one HMAC-SHA256, to compare with"


def rows() -> Iterator[Row]:
    works: dict[str, Work] = {HMAC: hmacs}
    for secrets in (1, 3):
        for name, work in checks(secrets):
            works[f"{name}, {secrets} secret key{'s' * (secrets > 1)}"] = work
    seconds = in_turn(works)
    for name, took in seconds.items():
        measured = f"{median(took) * 1e6:.1f} us"
        if name == HMAC:
            yield Row(f"check: {name}", measured)
            continue
        yield Row(
            f"check: {name}",
            measured,
            f"{ratio(took, seconds[HMAC]):.1f} HMACs",
            f"{MICROSECONDS_ASKED} us",
        )


def checks(secrets: int) -> Iterator[tuple[str, Work]]:
    keys = key_ring(secrets)
    codec = CodeCodec(keys)
    stocks = [
        Stock(number + 1, number * SIZE, SIZE, keys.key_ids[number % secrets], Labels.pair)
        for number in range(BATCHES)
    ]
    shelf = Shelf(stocks)
    dice = Random(secrets)  # noqa: S311 - what is drawn here is no secret
    for label in Label:
        places = [(dice.choice(stocks), dice.randrange(SIZE)) for _ in range(CHECKS)]
        texts = [codec.encode(stock, index, label).text for stock, index in places]
        yield f"genuine {label} code", work_of(codec, shelf, texts)
        # Whoever changes a genuine code's index lands in a batch, and costs what a scan costs.
        changed = [text[:5] + dice.choice(ALPHABET) + text[6:] for text in texts]
        yield f"{label} code with a slip", work_of(codec, shelf, changed)
    texts = ["".join(dice.choices(ALPHABET, k=LENGTH)) for _ in range(CHECKS)]
    yield "random code", work_of(codec, shelf, texts)


def work_of(codec: CodeCodec, shelf: Shelf, texts: Sequence[str]) -> Work:
    def work() -> int:
        for text in texts:
            with suppress(UnknownCode):
                codec.decode(text, shelf)
        return len(texts)

    return work


def hmacs() -> int:
    for _ in range(CHECKS):
        hmac.digest(KEY, MESSAGE, "sha256")
    return CHECKS


if __name__ == "__main__":
    on_one_core()
    print_table(rows())
