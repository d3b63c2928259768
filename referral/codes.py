"""Codes: the identity of one package, computed from a key and never stored until it is scanned.

A code is 80 bits, written as 16 characters of Crockford's base32:

    37 bits  the package's index over all batches, put through a keyed permutation
    43 bits  an authentication tag under the batch's own key

The permutation hides order and volume from somebody holding a few bottles; only the tag makes a
code genuine. docs/adr/0003-codes.md has the bit budget and why a tag this short will do here.
"""

import hmac
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from referral.crypto import KeyRing
from referral.errors import N_, NotFound

LENGTH = 16
INDEX_BITS = 37
TAG_BITS = 43
INDEX_END = 1 << INDEX_BITS
"""One past the largest index over all batches: room for 1.37e11 packages."""

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_VALUES = {letter: value for value, letter in enumerate(ALPHABET)}
_FORGIVEN = str.maketrans({"O": "0", "I": "1", "L": "1"})
_DROPPED = {"Pd", "Zs", "Cc", "Cf"}
"""Dashes, spaces, tabs and line ends, and the invisible ones that copying picks up."""
_TYPED_LENGTH_MAX = 64
_GROUP = 4

_LEFT_BITS = 18
_RIGHT_BITS = INDEX_BITS - _LEFT_BITS
_ROUNDS = 10


class UnknownCode(NotFound):
    slug = "unknown-code"
    title = N_("We do not know this code.")
    advice = N_(
        "Please scan the code on the package again, or type it letter by letter. "
        "If it still is not found, ask where you bought the product."
    )


class MistypedCode(UnknownCode):
    """Not the shape of a code at all: saying so helps nobody guess."""

    slug = "mistyped-code"
    status = 400
    title = N_("This does not look like one of our codes.")
    advice = N_("A code has 16 letters and digits. Please compare it with the package.")


class Numbered(Protocol):
    """What the codec needs to know of a batch."""

    @property
    def id(self) -> int: ...
    @property
    def first_index(self) -> int:
        """The batch's first index over all batches."""
        ...

    @property
    def size(self) -> int: ...
    @property
    def key_id(self) -> str: ...


@dataclass(frozen=True)
class Code:
    """A genuine code: which batch it is of and its index in it, from 0."""

    batch_id: int
    index: int
    text: str

    @property
    def grouped(self) -> str:
        """For people: ``ABCD-EFGH-JKMN-PQRS``."""
        return "-".join(self.text[at : at + _GROUP] for at in range(0, LENGTH, _GROUP))


class Directory(Protocol):
    def find(self, global_index: int) -> Numbered | None:
        """The batch that owns an index over all batches."""
        ...


class CodeCodec:
    """Makes the code of an index, and finds the index of a code, without a database."""

    def __init__(self, keys: KeyRing) -> None:
        self._keys = keys
        self._permutations = {
            key_id: Permutation(keys.derive("code.permutation", key_id)) for key_id in keys.key_ids
        }

    def encode(self, batch: Numbered, index: int) -> Code:
        """Raises `IndexError` outside the batch, `KeyError` when the batch's key is lost."""
        if not 0 <= index < batch.size:
            raise IndexError(f"the batch has no index {index}")
        hidden = self._permutations[batch.key_id].hide(batch.first_index + index)
        tag = self._tag(batch.id, batch.key_id, batch.first_index + index)
        return Code(batch.id, index, _spell(hidden << TAG_BITS | tag))

    def decode(self, text: str, directory: Directory) -> Code:
        """The code in a text as scanned or typed. Raises `MistypedCode` or `UnknownCode`."""
        spelled = normalise(text)
        number = 0
        for letter in spelled:
            number = number << 5 | _VALUES[letter]
        hidden, tag = number >> TAG_BITS, number & ((1 << TAG_BITS) - 1)
        found: Code | None = None
        for key_id, permutation in self._permutations.items():
            global_index = permutation.reveal(hidden)
            batch = directory.find(global_index)
            owned = batch is not None and batch.key_id == key_id
            # A tag is computed for an index nobody owns as well, so that a guesser's clock does
            # not tell the one from the other.
            expected = self._tag(batch.id if batch and owned else 0, key_id, global_index)
            if hmac.compare_digest(expected.to_bytes(6), tag.to_bytes(6)) and batch and owned:
                found = Code(batch.id, global_index - batch.first_index, spelled)
        if found is None:
            raise UnknownCode()
        return found

    def _tag(self, batch_id: int, key_id: str, global_index: int) -> int:
        key = self._keys.derive(f"code.tag.{batch_id}", key_id)
        block = _aes_block(key, global_index.to_bytes(16))
        return int.from_bytes(block[:8]) >> (64 - TAG_BITS)


class Permutation:
    """A keyed permutation of the 37-bit indexes: an alternating Feistel network over AES."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def hide(self, index: int) -> int:
        return self._run(index, range(_ROUNDS))

    def reveal(self, hidden: int) -> int:
        return self._run(hidden, range(_ROUNDS - 1, -1, -1))

    def _run(self, value: int, rounds: Sequence[int]) -> int:
        left, right = value >> _RIGHT_BITS, value & ((1 << _RIGHT_BITS) - 1)
        for number in rounds:
            if number % 2:
                right ^= self._mix(number, left, _RIGHT_BITS)
            else:
                left ^= self._mix(number, right, _LEFT_BITS)
        return left << _RIGHT_BITS | right

    def _mix(self, number: int, half: int, bits: int) -> int:
        block = _aes_block(self._key, bytes([number]) + half.to_bytes(15))
        return int.from_bytes(block[:4]) >> (32 - bits)


def normalise(text: str) -> str:
    """The canonical spelling: upper case, no spaces or dashes, O read as 0, I and L as 1.

    Raises `MistypedCode` for anything that cannot be a code.
    """
    if len(text) > _TYPED_LENGTH_MAX:
        raise MistypedCode()
    plain = unicodedata.normalize("NFKC", text)  # Chinese keyboards write ＡＢ１２
    letters = "".join(c for c in plain if unicodedata.category(c) not in _DROPPED)
    spelled = letters.upper().translate(_FORGIVEN)
    if len(spelled) != LENGTH or any(letter not in _VALUES for letter in spelled):
        raise MistypedCode()
    return spelled


def _spell(number: int) -> str:
    return "".join(ALPHABET[number >> shift & 31] for shift in range(5 * (LENGTH - 1), -1, -5))


def _aes_block(key: bytes, block: bytes) -> bytes:
    """AES of one block: a pseudorandom function of 16 bytes."""
    return _cipher(key).encryptor().update(block)


@lru_cache(maxsize=4096)
def _cipher(key: bytes) -> Cipher[modes.ECB]:
    return Cipher(algorithms.AES(key), modes.ECB())  # noqa: S305 - single blocks, used as a PRF
