"""Which package a leaked list of codes came from."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
import numpy.typing as npt

from referral.batches import BatchDirectory
from referral.codes import LENGTH, CodeCodec, Label, UnknownCode
from referral.crypto import KeyRing
from referral.packages import PrintPackage
from referral.packages.fingerprint import Fingerprint, Indexes, odds_of_chance

READ_BYTES = 1 << 20
MOSTLY_BELOW = 1e-6
"""The odds of chance below which a list with a few left-out codes is for the most part from a
package: mixed with another list, that is."""

_RUN = re.compile(rb"(?<![0-9A-Za-z])[0-9A-Za-z]{4}(?:[- ]{0,3}[0-9A-Za-z]{4}){3,}(?![0-9A-Za-z])")
"""Groups of four behind one another: a code, or several, or one with a number beside it. Whatever
columns a list has and whatever stands between them: addresses end with their code."""
_BETWEEN = re.compile(rb"[- ]+")
_DROPPED = b"- "
_DASHES = {"Pd", "Zs"}
_UNSEEN = "Cf"
_SPELLED = bytes.maketrans(b"abcdefghijklmnopqrstuvwxyzOIL", b"ABCDEFGH1JK1MN0PQRSTUVWXYZ011")

Kind = tuple[int, Label]
"""A batch and one of its labels."""
Readings = tuple[bytes, ...]
"""What a place in a list may be read as, in the canonical spelling; only the tag of a code tells
which of them it is."""


@dataclass
class Leak:
    """The codes in a list: those that are genuine, each once, by what they are of."""

    indexes: dict[Kind, Indexes]
    unknown: int
    """How many different texts look like codes and are none of ours, however they are read."""

    @property
    def codes(self) -> int:
        return sum(map(len, self.indexes.values()))


class Fit(StrEnum):
    """What a list says of a package."""

    fits = "fits"
    """Not one of the codes it leaves out occurs."""
    in_part = "in part"
    """Far fewer of them occur than in a list from elsewhere: it is mixed with other codes."""
    unmarked = "unmarked"
    """The codes are of its range; it has no fingerprint to know it by."""
    no = "no"


@dataclass(frozen=True)
class Evidence:
    """How a leaked list and a package agree."""

    package: PrintPackage
    codes: int
    """How many different codes of the list are of the package's range."""
    left_out: int
    """How many of those the package does not have."""
    odds: float
    """How likely a list from elsewhere would have so few of them."""

    @property
    def fit(self) -> Fit:
        if self.package.supplier is None:
            return Fit.unmarked
        if self.left_out == 0:
            return Fit.fits
        return Fit.in_part if self.odds < MOSTLY_BELOW else Fit.no


def read_leak(path: Path, codec: CodeCodec, directory: BatchDirectory) -> Leak:
    """The codes in a text file of any columns, as codes or addresses. Raises `OSError`."""
    found: dict[Kind, list[Indexes]] = defaultdict(list)
    unknown: set[bytes] = set()
    for places in _places_in(path):
        texts = [text for readings in places for text in readings]
        rest = np.unique(np.array(texts, dtype=f"S{LENGTH}"))
        # A list is of few batches: each is tried on all that is left, the known ones first.
        for kind in list(found):
            rest = _take(codec, directory, rest, kind, found)
        unread = _unread(places, rest)
        while unread:
            readings = unread.pop()
            kinds = (_kind_of(codec, directory, text) for text in readings)
            another = next((kind for kind in kinds if kind), None)
            if another is None:
                unknown.add(readings[0])
            else:
                rest = _take(codec, directory, rest, another, found)
                unread = _unread(unread, rest)
    return Leak(
        {kind: np.unique(np.concatenate(each)) for kind, each in found.items()}, len(unknown)
    )


def _unread(places: Iterable[Readings], rest: npt.NDArray[np.bytes_]) -> list[Readings]:
    """The places of which no reading is a code; `rest` are the texts that are none so far."""
    if not len(rest):
        return []
    strange = set(rest.tolist())
    return [readings for readings in dict.fromkeys(places) if strange.issuperset(readings)]


def _places_in(path: Path) -> Iterator[list[Readings]]:
    """What looks like codes, some ten thousand at a time."""
    with path.open("rb") as file:
        rest = b""
        while data := file.read(READ_BYTES):
            block, line_end, rest = (rest + data).rpartition(b"\n")
            yield _places(block + line_end)
        yield _places(rest)


def _places(block: bytes) -> list[Readings]:
    found: list[Readings] = []
    for run in _RUN.findall(_plain(block)):
        text = run.translate(_SPELLED, _DROPPED)
        if len(text) == LENGTH:
            found.append((text,))
        else:
            found += _readings(run)
    return found


def _plain(block: bytes) -> bytes:
    """With every dash and space that `codes.normalise` drops as one of ASCII."""
    if block.isascii():
        return block
    text = unicodedata.normalize("NFKC", block.decode(errors="replace"))
    # The few different characters of a list, and not every one of them.
    strange = {ord(c): unicodedata.category(c) for c in set(text) if not c.isascii()}
    plain = {c: "-" if kind in _DASHES else "" for c, kind in strange.items() if _is_dropped(kind)}
    return text.translate(plain).encode()


def _is_dropped(category: str) -> bool:
    return category in _DASHES or category == _UNSEEN


def _readings(run: bytes) -> Iterator[Readings]:
    """The codes that a longer run may hold; those that overlap are readings of one place."""
    words = _BETWEEN.split(run)
    readings: list[bytes] = []
    reached = 0
    for first in range(len(words)):
        text, end = b"", first
        while end < len(words) and len(text) < LENGTH:
            text += words[end]
            end += 1
        if len(text) != LENGTH:
            continue
        if readings and first >= reached:
            yield tuple(readings)
            readings = []
        readings.append(text.translate(_SPELLED))
        reached = end
    if readings:
        yield tuple(readings)


def _kind_of(codec: CodeCodec, directory: BatchDirectory, text: bytes) -> Kind | None:
    try:
        code = codec.decode(text.decode(), directory)
    except UnknownCode:
        return None
    return code.batch_id, code.label


def _take(
    codec: CodeCodec,
    directory: BatchDirectory,
    texts: npt.NDArray[np.bytes_],
    kind: Kind,
    found: dict[Kind, list[Indexes]],
) -> npt.NDArray[np.bytes_]:
    """Move the codes of one batch and label from `texts` to `found`; returns the others."""
    batch_id, label = kind
    indexes = codec.indexes_in(texts, directory.batch(batch_id), label)
    is_of_it = indexes >= 0
    found[kind].append(indexes[is_of_it])
    return texts[~is_of_it]


def compare(
    leak: Leak, packages: Sequence[PrintPackage], keys: KeyRing, directory: BatchDirectory
) -> list[Evidence]:
    """What the list says of each package of which it has codes, what fits best first."""
    evidence = []
    for package in packages:
        indexes = leak.indexes.get((package.batch_id, Label(package.label)))
        if indexes is None:
            continue
        inside = indexes[(indexes >= package.start) & (indexes < package.end)]
        if not len(inside):
            continue
        left_out = 0
        if package.supplier is not None:
            key_id = directory.batch(package.batch_id).key_id
            left_out = int(Fingerprint(keys, key_id, package.id).left_out(inside).sum())
        odds = odds_of_chance(len(inside), left_out) if package.supplier else 1.0
        evidence.append(Evidence(package, len(inside), left_out, odds))
    order = list(Fit)
    return sorted(evidence, key=lambda each: (order.index(each.fit), each.odds, -each.codes))
