"""Codes: the identity of one package, computed from a key and never stored until it is scanned.

A code is 80 bits, written as 16 characters of Crockford's base32:

    37 bits  the package's index over all batches, masked
    43 bits  an authentication tag over that index, under the batch's own key

The mask is made from the tag (a synthetic IV, Rogaway and Shrimpton 2006), so that neither order
nor volume shows; only the tag makes a code genuine. docs/adr/0003-codes.md has the bit budget and
why a tag this short will do here.
"""

import hmac
import re
import threading
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms, modes

from referral.crypto import KeyRing
from referral.errors import N_, NotFound

LENGTH = 16
INDEX_BITS = 37
TAG_BITS = 43
INDEX_END = 1 << INDEX_BITS
"""One past the largest index over all batches: room for 1.37e11 packages."""

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_SHAPE = re.compile(f"[{ALPHABET}]{{{LENGTH}}}")
_PYTHONS = str.maketrans(ALPHABET, "0123456789abcdefghijklmnopqrstuv")
"""To the digits that `int(..., 32)` reads."""
_FORGIVEN = str.maketrans({"O": "0", "I": "1", "L": "1"})
_DROPPED = {"Pd", "Zs", "Cc", "Cf"}
"""Dashes, spaces, tabs and line ends, and the invisible ones that copying picks up."""
_TYPED_LENGTH_MAX = 64
_STRANGE_MAX = 3
_GROUP = 4
_BATCHES_KEPT_MAX = 4096

Numbers = npt.NDArray[np.uint64]


class Label(StrEnum):
    """Which of a package's codes: the one that claims (`inner`, under the cap, and the only one
    of a product with a single label), or the one for looking before buying (`outer`)."""

    inner = "inner"
    outer = "outer"


class Labels(StrEnum):
    """What a package carries: one code, or a pair of them from one index."""

    single = "single"
    pair = "pair"


def carries(labels: str, label: Label) -> bool:
    """Whether a package with these labels, as its batch stores them, has that one."""
    return label == Label.inner or labels == Labels.pair


class UnknownCode(NotFound):
    slug = "unknown-code"
    title = N_("We do not know this code.")
    advice = N_(
        "Please scan the code on the package again, or type it letter by letter. "
        "If it still is not found, ask where you bought the product."
    )

    near_batch: int | None = None
    """The batch it would be of if its tag were right. For statistics; never told to anybody."""


class MistypedCode(UnknownCode):
    """Not the shape of a code at all: saying so helps nobody guess."""

    slug = "mistyped-code"
    status = 400
    title = N_("This does not look like one of our codes.")
    advice = N_("A code has 16 letters and digits. Please compare it with the package.")

    def __init__(self, *, read: int = 0, strange: str = "") -> None:
        super().__init__(read=read, strange=strange)
        self.read = read
        """How many characters there were, without spaces and dashes."""
        self.strange = strange
        """The first few of them that no code has, such as U."""


class Numbered(Protocol):
    """What the codec needs to know of a batch."""

    @property
    def id(self) -> int: ...
    @property
    def first_index(self) -> int:
        """The batch's first index over all batches. Its key is named by it."""
        ...

    @property
    def size(self) -> int: ...
    @property
    def key_id(self) -> str: ...
    @property
    def labels(self) -> str: ...


@dataclass(frozen=True)
class Code:
    """A genuine code: which batch it is of and its index in it, from 0."""

    batch_id: int
    index: int
    text: str
    label: Label = Label.inner

    @property
    def grouped(self) -> str:
        """For people: ``ABCD-EFGH-JKMN-PQRS``."""
        return grouped(self.text)


def grouped(text: str) -> str:
    """A code as people read it, in groups of four."""
    return "-".join(text[at : at + _GROUP] for at in range(0, len(text), _GROUP))


class Directory(Protocol):
    def find(self, global_index: int) -> Numbered | None:
        """The batch that owns an index over all batches."""
        ...

    @property
    def end(self) -> int:
        """Where the next batch will begin."""
        ...

    def look_again(self) -> None:
        """There is a batch that is not in the directory yet."""
        ...


class CodeCodec:
    """Makes the code of an index, and finds the index of a code, without a database.

    `tag_bits` is for tests: a tag short enough to be hit shows that it is looked at.
    """

    def __init__(self, keys: KeyRing, *, tag_bits: int = TAG_BITS) -> None:
        self._tag_bits = tag_bits
        self._ciphers = _CiphersOfThread(keys)

    def encode(self, batch: Numbered, index: int, label: Label = Label.inner) -> Code:
        """Raises `IndexError` outside the batch, `ValueError` for a label its packages do not
        have, `KeyError` when the batch's key is lost."""
        _check(batch, index, index + 1, label)
        ciphers = self._ciphers.by_label[label, batch.key_id]
        global_index = batch.first_index + index
        tag = _cut(ciphers.of_tags(batch.first_index), global_index, self._tag_bits)
        hidden = global_index ^ _cut(ciphers.of_masks, tag, INDEX_BITS)
        number = hidden << TAG_BITS | tag
        text = "".join(ALPHABET[number >> shift & 31] for shift in range(5 * LENGTH - 5, -1, -5))
        return Code(batch.id, index, text, label)

    def encode_many(
        self, batch: Numbered, start: int, end: int, label: Label = Label.inner
    ) -> npt.NDArray[np.bytes_]:
        """The texts of a half-open range of codes, shape (end - start,), 16 bytes each.

        Best in pieces of some ten thousand, which stay in the processor's cache. Raises as
        `encode` does.
        """
        _check(batch, start, end, label)
        ciphers = self._ciphers.by_label[label, batch.key_id]
        indexes = np.arange(batch.first_index + start, batch.first_index + end, dtype=np.uint64)
        tags = _cut_many(ciphers.of_tags(batch.first_index), indexes, self._tag_bits)
        return _spell_many(indexes ^ _cut_many(ciphers.of_masks, tags, INDEX_BITS), tags)

    def decode(self, text: str, directory: Directory) -> Code:
        """The code in a text as scanned or typed. Raises `MistypedCode` or `UnknownCode`."""
        spelled = normalise(text)
        number = int(spelled.translate(_PYTHONS), 32)
        hidden, tag = number >> TAG_BITS, number & ((1 << TAG_BITS) - 1)
        found: Code | None = None
        near: int | None = None
        is_newer, end = False, directory.end
        # All are tried, and a tag is computed for an index nobody owns as well, so that a
        # guesser's clock does not tell one wrong code from another. It is the tag that the next
        # batch would have: where that is right, another process has just issued it.
        for ciphers in self._ciphers.by_label.values():
            global_index = hidden ^ _cut(ciphers.of_masks, tag, INDEX_BITS)
            batch = directory.find(global_index)
            if batch and not (
                batch.key_id == ciphers.key_id and carries(batch.labels, ciphers.label)
            ):
                batch = None
            of_tags = ciphers.of_tags(batch.first_index if batch else end)
            expected = _cut(of_tags, global_index, self._tag_bits)
            is_right = hmac.compare_digest(expected.to_bytes(6), tag.to_bytes(6))
            if batch and is_right:
                found = Code(batch.id, global_index - batch.first_index, spelled, ciphers.label)
            elif batch:
                near = batch.id
            elif is_right and global_index >= end:
                is_newer = True
        if found is None and is_newer:
            directory.look_again()
            if directory.end != end:
                return self.decode(spelled, directory)
        if found is None:
            unknown = UnknownCode()
            unknown.near_batch = near
            raise unknown
        return found

    def indexes_in(
        self, texts: npt.NDArray[np.bytes_], batch: Numbered, label: Label = Label.inner
    ) -> npt.NDArray[np.int64]:
        """The index of each text in the batch; -1 for what is no code of it with that label.

        `texts` has shape (n,) and holds canonical spellings: the letters of `ALPHABET` only.
        """
        hidden, tags, whole = _read_many(texts)
        return np.where(whole, self.indexes_of(hidden, tags, batch, label), -1)

    def indexes_of(
        self, hidden: Numbers, tags: Numbers, batch: Numbered, label: Label = Label.inner
    ) -> npt.NDArray[np.int64]:
        """As `indexes_in`, of codes given as their two fields: masked index and tag."""
        if not carries(batch.labels, label):
            return np.full(len(tags), -1)
        ciphers = self._ciphers.by_label[label, batch.key_id]
        indexes = hidden ^ _cut_many(ciphers.of_masks, tags, INDEX_BITS)
        genuine = _cut_many(ciphers.of_tags(batch.first_index), indexes, self._tag_bits) == tags
        places = indexes.astype(np.int64) - batch.first_index
        return np.where(genuine & (places >= 0) & (places < batch.size), places, -1)


class _Ciphers:
    """One label's under one secret key: that of its masks, and one for each batch's tags."""

    def __init__(self, keys: KeyRing, label: Label, key_id: str) -> None:
        self.label = label
        self.key_id = key_id
        self.of_masks = _cipher(keys.derive(f"code.mask.{label}", key_id))
        self._keys = keys
        self._of_tags: dict[int, CipherContext] = {}

    def of_tags(self, first_index: int) -> CipherContext:
        """That of the batch which begins there."""
        known = self._of_tags.get(first_index)
        if known is None:
            if len(self._of_tags) >= _BATCHES_KEPT_MAX:
                self._of_tags.clear()
            key = self._keys.derive(f"code.tag.{first_index}.{self.label}", self.key_id)
            known = self._of_tags[first_index] = _cipher(key)
        return known


class _CiphersOfThread(threading.local):
    """Kept, because one takes longer to set up than a hundred blocks take to pass; a thread's
    own, because one can be used by one caller at a time. Only whole blocks go through them, so
    nothing is left in between.
    """

    def __init__(self, keys: KeyRing) -> None:
        # Outer labels last: should one text ever be genuine twice, decoding keeps the last, and
        # the outer label is the one that pays nothing.
        self.by_label = {
            (label, key_id): _Ciphers(keys, label, key_id)
            for label in Label
            for key_id in keys.key_ids
        }


def _cipher(key: bytes) -> CipherContext:
    # Single blocks, used as a pseudorandom function: ECB is AES itself.
    return Cipher(algorithms.AES(key), modes.ECB()).encryptor()  # noqa: S305


def _cut(cipher: CipherContext, value: int, bits: int) -> int:
    """The first bits of the enciphered number."""
    return int.from_bytes(cipher.update(value.to_bytes(16))[:8]) >> (64 - bits)


def _cut_many(cipher: CipherContext, values: Numbers, bits: int) -> Numbers:
    blocks = np.zeros((len(values), 2), dtype=">u8")
    blocks[:, 1] = values
    enciphered = np.frombuffer(cipher.update(blocks.view(np.uint8).ravel().data), dtype=">u8")
    return enciphered[::2].astype(np.uint64) >> np.uint64(64 - bits)


def _check(batch: Numbered, start: int, end: int, label: Label) -> None:
    if not 0 <= start <= end <= batch.size:
        raise IndexError(f"the batch has no indexes {start} to {end}")
    if not carries(batch.labels, label):
        raise ValueError(f"the batch's packages have no {label} label")


def normalise(text: str) -> str:
    """The canonical spelling: upper case, no spaces or dashes, O read as 0, I and L as 1.

    Raises `MistypedCode` for anything that cannot be a code.
    """
    if len(text) > _TYPED_LENGTH_MAX:
        raise MistypedCode(read=len(text))
    if not text.isascii() or not text.isalnum():
        plain = unicodedata.normalize("NFKC", text)  # Chinese keyboards write ＡＢ１２
        text = "".join(c for c in plain if unicodedata.category(c) not in _DROPPED)
    spelled = text.upper().translate(_FORGIVEN)
    if not _SHAPE.fullmatch(spelled):
        raise MistypedCode(read=len(spelled), strange=_strange(spelled))
    return spelled


def _strange(spelled: str) -> str:
    """The first characters that no code has, each once, fit to be shown."""
    strange = dict.fromkeys(c for c in spelled if c not in ALPHABET)
    return "".join(c if c.isprintable() else "\ufffd" for c in list(strange)[:_STRANGE_MAX])


# Many codes at once: 80 bits as two halves of 40, each of four pairs of letters

_HALF_BITS = 5 * LENGTH // 2
_HALF = np.uint64((1 << _HALF_BITS) - 1)
_PAIR_BITS = 10
_PAIR = np.uint64((1 << _PAIR_BITS) - 1)
_PAIR_SHIFTS = [np.uint64(shift) for shift in range(_HALF_BITS - _PAIR_BITS, -1, -_PAIR_BITS)]
_TAG_HIGH_BITS = np.uint64(TAG_BITS - _HALF_BITS)
"""How many bits of the tag stand in the first half, behind the masked index."""
_TAG_HIGH = np.uint64((1 << int(_TAG_HIGH_BITS)) - 1)

_LETTERS = np.frombuffer(ALPHABET.encode(), dtype=np.uint8)
_PAIRS = np.stack([np.repeat(_LETTERS, 32), np.tile(_LETTERS, 32)], axis=1).view(np.uint16).ravel()
"""The two letters of every number of ten bits, as one machine word."""
_NO_PAIR = 1 << _PAIR_BITS
_PAIR_VALUES = np.full(1 << 16, _NO_PAIR, dtype=np.uint16)
_PAIR_VALUES[_PAIRS] = np.arange(len(_PAIRS))


def _spell_many(hidden: Numbers, tags: Numbers) -> npt.NDArray[np.bytes_]:
    halves = (hidden << _TAG_HIGH_BITS | tags >> np.uint64(_HALF_BITS), tags & _HALF)
    # take() is several times as fast as [] here, with the signed indexes it needs anyway.
    words = [
        _PAIRS.take((half >> shift & _PAIR).view(np.int64))
        for half in halves
        for shift in _PAIR_SHIFTS
    ]
    return np.stack(words, axis=1).view(f"S{LENGTH}").ravel()


def _read_many(texts: npt.NDArray[np.bytes_]) -> tuple[Numbers, Numbers, npt.NDArray[np.bool_]]:
    """The masked index and the tag of each text, and whether it has the shape of a code."""
    words = np.ascontiguousarray(texts, dtype=f"S{LENGTH}").view(np.uint16)
    pairs = _PAIR_VALUES.take(words).reshape(-1, LENGTH // 2)
    whole = np.all(pairs < _NO_PAIR, axis=1)
    if texts.dtype.itemsize > LENGTH:  # what is too long was cut above
        whole &= np.strings.str_len(texts) == LENGTH
    first, second = _join(pairs[:, : LENGTH // 4]), _join(pairs[:, LENGTH // 4 :])
    return first >> _TAG_HIGH_BITS, (first & _TAG_HIGH) << np.uint64(_HALF_BITS) | second, whole


def _join(pairs: npt.NDArray[np.uint16]) -> Numbers:
    half = np.zeros(len(pairs), dtype=np.uint64)
    for column, shift in zip(pairs.T, _PAIR_SHIFTS, strict=True):
        half |= (column.astype(np.uint64) & _PAIR) << shift
    return half
