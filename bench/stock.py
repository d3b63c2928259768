"""Batches and keys for benchmarks that need no database."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from referral.crypto import KeyRing


@dataclass(frozen=True)
class Stock:
    """A batch, as far as the codec needs to know it."""

    id: int
    first_index: int
    size: int
    key_id: str
    labels: str


class Shelf:
    """Batches found as `referral.batches.BatchDirectory` finds them."""

    def __init__(self, stocks: Sequence[Stock]) -> None:
        self._stocks = stocks
        self._firsts = [stock.first_index for stock in stocks]
        self.end = stocks[-1].first_index + stocks[-1].size if stocks else 0

    def look_again(self) -> None:
        """Nothing is ever added."""

    def find(self, global_index: int) -> Stock | None:
        at = bisect_right(self._firsts, global_index) - 1
        if at < 0:
            return None
        stock = self._stocks[at]
        return stock if global_index < stock.first_index + stock.size else None


def key_ring(count: int) -> KeyRing:
    return KeyRing([f"secret-key-number-{number}-for-benchmarks" for number in range(count)])
