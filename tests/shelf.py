"""Secret keys and batches for what tests the codec, which needs no database."""

from collections.abc import Sequence
from dataclasses import dataclass

from referral.codes import INDEX_END, Labels
from referral.crypto import KeyRing
from tests import reference_codes

OLD, NEW = "an-older-key-for-the-tests-only", "the-newest-key-for-the-tests-only"
KEYS = KeyRing([OLD, NEW])
SECRETS = {reference_codes.key_id(secret): secret for secret in (OLD, NEW)}


@dataclass(frozen=True)
class Run:
    """A batch, as far as the codec needs to know it."""

    id: int
    first_index: int
    size: int
    key_id: str = KEYS.newest
    labels: str = Labels.pair


class Shelf:
    def __init__(self, runs: Sequence[Run]) -> None:
        self._runs = runs
        self.end = max((run.first_index + run.size for run in runs), default=0)

    def look_again(self) -> None:
        """Nothing is ever added."""

    def find(self, global_index: int) -> Run | None:
        for run in self._runs:
            if run.first_index <= global_index < run.first_index + run.size:
                return run
        return None


SMALL = Run(1, 0, 700, labels=Labels.single)
LARGE = Run(2, 700, 10_000_000, KEYS.key_ids[1])
MIDDLE = Run(3, 20_000_000, 2_000_000)
LAST = Run(4, INDEX_END - 300, 300)
RUNS = (SMALL, LARGE, MIDDLE, LAST)
SHELF = Shelf(RUNS)
