"""Keys and what is done with them: derivation, personal fields at rest, blind indexes, tokens.

Every key used anywhere is derived with HKDF-SHA256 from one of the configured secret keys and a
purpose, so that no two uses ever share one. Only primitives of the `cryptography` package.
"""

import base64
import binascii
import functools
import hashlib
import hmac
from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES = 32
_URL_SAFE = bytes.maketrans(b"+/", b"-_")


class KeyRing:
    """The configured secret keys, oldest first. All verify and decrypt; the newest signs."""

    def __init__(self, secret_keys: Sequence[str]) -> None:
        if not secret_keys:
            raise ValueError("at least one secret key is needed")
        self._secrets = {
            hashlib.sha256(b"referral.key-id:" + key.encode()).hexdigest()[:8]: key.encode()
            for key in secret_keys
        }
        self.key_ids = tuple(reversed(self._secrets))
        """Short public names of the keys, newest first: stored beside what a key made."""
        self._fields = MultiFernet(
            [Fernet(base64.urlsafe_b64encode(key)) for key in self.derive_all("personal-field")]
        )

    @property
    def newest(self) -> str:
        return self.key_ids[0]

    def derive(self, purpose: str, key_id: str | None = None, *, length: int = KEY_BYTES) -> bytes:
        """A key for one purpose. Raises `KeyError` for a key that is no longer listed."""
        return _hkdf(self._secrets[key_id or self.newest], purpose, length)

    def derive_all(self, purpose: str) -> list[bytes]:
        """The purpose's key under every secret, newest first."""
        return [self.derive(purpose, key_id) for key_id in self.key_ids]

    def encrypt(self, text: str) -> str:
        """Encrypt one personal field for storage."""
        return self._fields.encrypt(text.encode()).decode()

    def decrypt(self, stored: str) -> str:
        """Raises `LostKey` when the key that encrypted it is no longer listed."""
        try:
            return self._fields.decrypt(stored.encode()).decode()
        except InvalidToken:
            raise LostKey from None

    def decrypt_if_any(self, stored: str | None) -> str | None:
        return None if stored is None else self.decrypt(stored)

    def blind_indexes(self, purpose: str, value: str) -> list[str]:
        """Keyed hashes a value may be stored under, newest first; the first is the one to store.

        They let an encrypted field be looked up and kept unique without being readable.
        """
        return [keyed_hash(key, value) for key in self.derive_all(f"blind-index.{purpose}")]


class LostKey(Exception):
    """The secret key that made a stored value is not among the configured ones."""


class TokenSigner:
    """Signs short byte strings into URL-safe tokens: for one purpose, with rotatable keys.

        base64 of the payload . base64 of the HMAC-SHA256 of that text, as itsdangerous has it

    `tag_bytes` truncates the HMAC. Checking happens here only, online and limited, so 10 bytes
    (2^-80 a guess, RFC 2104's floor) are plenty where an address must stay short.
    """

    def __init__(self, keys: KeyRing, purpose: str, *, tag_bytes: int = 32) -> None:
        self._tag_bytes = tag_bytes
        self._keyed = {
            key_id: _Keyed(key)
            for key, key_id in zip(keys.derive_all(f"token.{purpose}"), keys.key_ids, strict=True)
        }
        self._newest = self._keyed[keys.newest]

    def sign(self, payload: bytes) -> str:
        text = encode_base64(payload)
        return f"{text.decode()}.{encode_base64(self._tag(self._newest, text)).decode()}"

    def sign_many(self, payloads: Sequence[bytes]) -> list[str]:
        """As `sign`, of payloads of one size; faster than one by one."""
        texts = _encode_each(payloads)
        digest, size = self._newest.digest, self._tag_bytes
        tags = [digest(text)[:size] for text in texts]
        signed = zip(texts, _encode_each(tags), strict=True)
        return [(text + b"." + tag).decode() for text, tag in signed]

    def unsign(self, token: str) -> tuple[bytes, str] | None:
        """The payload and the id of the key that signed it, or None for anything not ours."""
        payload, dot, tag = token.rpartition(".")
        if not dot or not token.isascii():
            return None
        text, given = payload.encode(), tag.encode()
        for key_id, keyed in self._keyed.items():
            # Compared as texts, because there is to be one spelling of a token only.
            if hmac.compare_digest(encode_base64(self._tag(keyed, text)), given):
                try:
                    return decode_base64(text), key_id
                except ValueError:
                    return None
        return None

    def tag(self, payload: bytes, key_id: str) -> str:
        """What the key of that id puts behind the separator for a payload."""
        return encode_base64(self._tag(self._keyed[key_id], encode_base64(payload))).decode()

    def _tag(self, keyed: "_Keyed", text: bytes) -> bytes:
        return keyed.digest(text)[: self._tag_bytes]


class _Keyed:
    """HMAC-SHA256 (RFC 2104) under one key, of which both hashes are kept as they are before the
    text: every other way takes two to four times as long, most of it for the key."""

    def __init__(self, key: bytes) -> None:
        block = key.ljust(hashlib.sha256().block_size, b"\0")
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block)).copy
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in block)).copy

    def digest(self, text: bytes) -> bytes:
        inner, outer = self._inner(), self._outer()
        inner.update(text)
        outer.update(inner.digest())
        return outer.digest()


def encode_base64(data: bytes) -> bytes:
    return binascii.b2a_base64(data, newline=False).translate(_URL_SAFE, b"=")


def _encode_each(data: Sequence[bytes]) -> list[bytes]:
    """`encode_base64` of each of some data of one size."""
    size = len(data[0])
    whole = -(-size // 3) * 3
    padded = [each.ljust(whole, b"\0") for each in data]
    text = binascii.b2a_base64(b"".join(padded), newline=False).translate(_URL_SAFE)
    step, length = whole // 3 * 4, -(-size * 8 // 6)
    return [text[at : at + length] for at in range(0, len(text), step)]


def decode_base64(text: bytes) -> bytes:
    """Raises `ValueError` for text that is not the one canonical spelling of its bytes."""
    data = base64.b64decode(text + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    if encode_base64(data) != text:
        raise ValueError("not canonical base64")
    return data


def keyed_hash(key: bytes, value: str) -> str:
    """HMAC-SHA256 in hexadecimal."""
    return hmac.digest(key, value.encode(), "sha256").hex()


@functools.lru_cache(maxsize=4096)
def _hkdf(secret: bytes, purpose: str, length: int) -> bytes:
    return HKDF(hashes.SHA256(), length, salt=None, info=f"referral.{purpose}".encode()).derive(
        secret
    )
