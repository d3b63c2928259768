"""The fingerprint of a package: which codes of its range are left out of it.

About one code in 500 is, chosen by a key and the package's id. A list that leaked from a package
has none of those, whatever was done to its order and columns; a list from elsewhere has one in 500
of them. Adding codes would take codes the supplier does not have, and leaving more out hides
nothing.
"""

import math

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from referral.crypto import KeyRing

LEFT_OUT_ONE_IN = 500
_LEFT_OUT_BELOW = np.uint64(2**64 // LEFT_OUT_ONE_IN)

Indexes = npt.NDArray[np.int64]


class Fingerprint:
    """Raises `KeyError` when the key of that id is not listed."""

    def __init__(self, keys: KeyRing, key_id: str, package_id: str) -> None:
        key = keys.derive(f"print-package.{package_id}", key_id)
        # Single blocks, used as a pseudorandom function: ECB is AES itself.
        self._context = Cipher(algorithms.AES(key), modes.ECB()).encryptor()  # noqa: S305

    def left_out(self, indexes: Indexes) -> npt.NDArray[np.bool_]:
        """Which of these indexes of the batch the package has not."""
        blocks = np.zeros((len(indexes), 2), dtype=">u8")
        blocks[:, 1] = indexes
        ciphered = self._context.update(blocks.tobytes())
        firsts = np.frombuffer(ciphered, dtype=">u8")[::2].astype(np.uint64)
        return np.asarray(firsts < _LEFT_OUT_BELOW)


def odds_of_chance(codes: int, left_out: int) -> float:
    """How likely a list from elsewhere has at most so many left-out codes among `codes`.

    `codes` are different codes of the package's range. The binomial distribution: what one key
    leaves out has nothing to do with the list. 1.0 from what is to be expected on.
    """
    share = 1 / LEFT_OUT_ONE_IN
    if left_out >= codes * share:
        return 1.0
    every = [
        math.lgamma(codes + 1)
        - math.lgamma(found + 1)
        - math.lgamma(codes - found + 1)
        + found * math.log(share)
        + (codes - found) * math.log1p(-share)
        for found in range(left_out + 1)
    ]
    return min(1.0, math.fsum(map(math.exp, every)))
