"""A device with passkeys, in software: makes what a browser sends for `static/passkeys.js`.

It follows WebAuthn byte for byte, so what is wrong with an answer is only what a test makes wrong.
"""

import base64
import hashlib
import json
import secrets
from dataclasses import dataclass, field
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

PRESENT, VERIFIED, HAS_KEY = 0x01, 0x04, 0x40


def text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@dataclass
class Device:
    """One device with one passkey, whose count rises with each use unless it does not count."""

    rp_id: str = "localhost"
    origin: str = "http://localhost"
    counts: bool = True
    flags: int = PRESENT | VERIFIED
    credential_id: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    count: int = 0
    user_handle: str = ""

    def __post_init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())

    def make(self, asked: dict[str, Any]) -> str:
        """What it answers when a passkey is to be made."""
        self.user_handle = asked["user"]["id"]
        told = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": self._data(new=True)})
        response = {
            "clientDataJSON": self._client("webauthn.create", asked["challenge"]),
            "attestationObject": text(told),
            "transports": ["internal", "smoke-signals"],
        }
        return self._answer(response)

    def sign(self, asked: dict[str, Any]) -> str:
        """What it answers when it is to sign in."""
        data = self._data()
        client = self._client("webauthn.get", asked["challenge"])
        hashed = hashlib.sha256(base64.urlsafe_b64decode(client + "==")).digest()
        signature = self._key.sign(data + hashed, ec.ECDSA(hashes.SHA256()))
        response = {
            "clientDataJSON": client,
            "authenticatorData": text(data),
            "signature": text(signature),
            "userHandle": self.user_handle,
        }
        return self._answer(response)

    def _answer(self, response: dict[str, Any]) -> str:
        own = text(self.credential_id)
        return json.dumps({"id": own, "rawId": own, "type": "public-key", "response": response})

    def _client(self, kind: str, challenge: str) -> str:
        said = {"type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": False}
        return text(json.dumps(said).encode())

    def _data(self, *, new: bool = False) -> bytes:
        self.count += self.counts
        flags = self.flags | (HAS_KEY if new else 0)
        data = hashlib.sha256(self.rp_id.encode()).digest() + bytes([flags])
        data += self.count.to_bytes(4, "big")
        if not new:
            return data
        point = self._key.public_key().public_numbers()
        x, y = point.x.to_bytes(32, "big"), point.y.to_bytes(32, "big")
        cose = cbor2.dumps({1: 2, 3: -7, -1: 1, -2: x, -3: y})
        size = len(self.credential_id).to_bytes(2, "big")
        return data + bytes(16) + size + self.credential_id + cose
