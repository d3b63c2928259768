"""The layout of a code a second time, written from docs/adr/0003-codes.md alone.

Slow and plain on purpose: its own AES-256 (FIPS 197), HKDF of the standard library's HMAC, numbers
written as strings of bits. It shares nothing with referral/codes.py, so that the two agreeing says
that the record is right, and that somebody else could read our bottles with it.
"""

import hashlib
import hmac

LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
INDEX_BITS, TAG_BITS = 37, 43


def key_id(secret: str) -> str:
    return hashlib.sha256(f"referral.key-id:{secret}".encode()).hexdigest()[:8]


def encode(secret: str, first: int, label: str, index: int, *, tag_bits: int = TAG_BITS) -> str:
    """The code of an index over all batches."""
    return spell(*fields(secret, first, label, index, tag_bits=tag_bits))


def fields(
    secret: str, first: int, label: str, index: int, *, tag_bits: int = TAG_BITS
) -> tuple[int, int]:
    """Masked index and tag, in the batch that begins at `first`."""
    tag = first_bits(derived(secret, f"code.tag.{first}.{label}"), index, tag_bits)
    return index ^ mask(secret, label, tag), tag


def mask(secret: str, label: str, tag: int) -> int:
    return first_bits(derived(secret, f"code.mask.{label}"), tag, INDEX_BITS)


def spell(hidden: int, tag: int) -> str:
    bits = f"{hidden:037b}{tag:043b}"
    return "".join(LETTERS[int(bits[at : at + 5], 2)] for at in range(0, len(bits), 5))


def unspell(text: str) -> tuple[int, int]:
    """Masked index and tag of a code."""
    bits = "".join(f"{LETTERS.index(letter):05b}" for letter in text)
    return int(bits[:INDEX_BITS], 2), int(bits[INDEX_BITS:], 2)


def first_bits(key: bytes, number: int, bits: int) -> int:
    block = aes256(key, number.to_bytes(16, "big"))
    return int(f"{int.from_bytes(block, 'big'):0128b}"[:bits], 2)


def derived(secret: str, purpose: str) -> bytes:
    """HKDF-SHA256 (RFC 5869) without salt, one block of output."""
    extracted = hmac.digest(bytes(32), secret.encode(), "sha256")
    return hmac.digest(extracted, f"referral.{purpose}".encode() + b"\1", "sha256")


def _times(a: int, b: int) -> int:
    """Product in GF(2^8) modulo x^8 + x^4 + x^3 + x + 1."""
    product = 0
    while b:
        product ^= a * (b & 1)
        a = (a << 1) ^ (0x11B * (a >> 7))
        b >>= 1
    return product


def _substitute(byte: int) -> int:
    inverse = next((x for x in range(256) if _times(byte, x) == 1), 0)
    doubled = inverse << 8 | inverse
    return 0x63 ^ inverse ^ ((doubled >> 7 ^ doubled >> 6 ^ doubled >> 5 ^ doubled >> 4) & 0xFF)


SBOX = [_substitute(byte) for byte in range(256)]
TWICE = [_times(byte, 2) for byte in range(256)]


def _round_keys(key: bytes) -> list[bytes]:
    words = [key[at : at + 4] for at in range(0, 32, 4)]
    for at in range(8, 60):
        last = words[-1]
        if at % 8 == 0:
            last = bytes(SBOX[byte] for byte in last[1:] + last[:1])
            last = bytes([last[0] ^ 1 << (at // 8 - 1)]) + last[1:]
        elif at % 8 == 4:
            last = bytes(SBOX[byte] for byte in last)
        words.append(_add(words[-8], last))
    return [b"".join(words[at : at + 4]) for at in range(0, 60, 4)]


def _add(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))


def _mix(column: bytes) -> bytes:
    total = column[0] ^ column[1] ^ column[2] ^ column[3]
    following = column[1:] + column[:1]
    return bytes(
        byte ^ total ^ TWICE[byte ^ after] for byte, after in zip(column, following, strict=True)
    )


def aes256(key: bytes, block: bytes) -> bytes:
    first, *rest = _round_keys(key)
    state = _add(block, first)
    for number, round_key in enumerate(rest, start=1):
        state = bytes(SBOX[state[(5 * at) % 16]] for at in range(16))  # and the rows shifted
        if number < len(rest):
            state = b"".join(_mix(state[at : at + 4]) for at in range(0, 16, 4))
        state = _add(state, round_key)
    return state
