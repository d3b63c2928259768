"""Keys and what is done with them: derivation, personal fields at rest, blind indexes, tokens.

Every key used anywhere is derived with HKDF-SHA256 from one of the configured secret keys and a
purpose, so that no two uses ever share one. Only primitives of the `cryptography` package.
"""

import base64
import functools
import hashlib
import hmac
from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from itsdangerous import BadSignature, Signer
from itsdangerous.signer import HMACAlgorithm

KEY_BYTES = 32


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
    """Signs short byte strings into URL-safe tokens: itsdangerous, a purpose, rotatable keys.

    `tag_bytes` truncates the SHA-256 HMAC. Checking happens here only, online and limited, so
    10 bytes (2^-80 a guess, RFC 2104's floor) are plenty where an address must stay short.
    """

    def __init__(self, keys: KeyRing, purpose: str, *, tag_bytes: int = 32) -> None:
        algorithm = _TruncatedHMAC(tag_bytes)
        self._signers = [
            # The key is derived for this purpose already, so Signer need not derive it again.
            (Signer(key, sep=".", key_derivation="none", algorithm=algorithm), key_id)
            for key, key_id in zip(keys.derive_all(f"token.{purpose}"), keys.key_ids, strict=True)
        ]

    def sign(self, payload: bytes) -> str:
        signer, _ = self._signers[0]
        return signer.sign(encode_base64(payload)).decode()

    def unsign(self, token: str) -> tuple[bytes, str] | None:
        """The payload and the id of the key that signed it, or None for anything not ours."""
        if not token.isascii():
            return None
        for signer, key_id in self._signers:
            try:
                payload = signer.unsign(token)
                # itsdangerous reads several spellings of one tag; there is to be one token only.
                decode_base64(token.rpartition(".")[2].encode())
                return decode_base64(payload), key_id
            except (BadSignature, ValueError):
                continue
        return None

    def tag(self, payload: bytes, key_id: str) -> str:
        """What the key of that id puts behind the separator for a payload."""
        signer = next(signer for signer, its_id in self._signers if its_id == key_id)
        return signer.get_signature(encode_base64(payload)).decode()


class _TruncatedHMAC(HMACAlgorithm):
    def __init__(self, tag_bytes: int) -> None:
        super().__init__(hashlib.sha256)
        self._tag_bytes = tag_bytes

    def get_signature(self, key: bytes, value: bytes) -> bytes:
        return hmac.digest(key, value, "sha256")[: self._tag_bytes]


def encode_base64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


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
