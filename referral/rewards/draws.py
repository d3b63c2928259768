"""Lucky draws that anybody can check: the seed is promised before and told after.

When a campaign is published, it makes a seed and shows its SHA-256; every draw's number follows
from the seed and the draw's ticket; when the campaign is over, the seed is shown, and the numbers
can be computed again.
"""

import hashlib
import hmac
import secrets
from collections.abc import Sequence

from referral.crypto import KeyRing
from referral.errors import N_, Conflict
from referral.rewards.evaluation import Roll, no_luck
from referral.rewards.rules import MILLION, Odds, Rule

SEED_BYTES = 32
_FAIR = 2**64 // MILLION * MILLION
"""Numbers from here on would favour the small ones."""


class DrawChanged(Conflict):
    slug = "draw-changed"
    title = N_("A draw stays as it was published.")
    advice = N_("What was drawn by other odds could not be checked. Add another draw, or wait.")


def check_unchanged(old: Sequence[Rule], new: Sequence[Rule]) -> None:
    """Raises `DrawChanged` where a lucky draw has gone or has other odds."""
    amounts = {rule.id: rule.amount for rule in new}
    for rule in old:
        if isinstance(rule.amount, Odds) and amounts.get(rule.id) != rule.amount:
            raise DrawChanged(f"{rule.id} cannot be changed.")


def new_seed() -> bytes:
    return secrets.token_bytes(SEED_BYTES)


def commitment(seed: bytes) -> str:
    """What is shown of a seed before: its SHA-256, in hex."""
    return hashlib.sha256(seed).hexdigest()


def promised(keys: KeyRing) -> tuple[str, str]:
    """A new seed, encrypted to be kept, and its commitment."""
    seed = new_seed()
    return keys.encrypt(seed.hex()), commitment(seed)


def seed_of(keys: KeyRing, encrypted: str) -> bytes:
    """Raises `LostKey`."""
    return bytes.fromhex(keys.decrypt(encrypted))


def roll_of(keys: KeyRing, encrypted: str | None) -> Roll:
    """The numbers of a campaign's draws by its kept seed, if it has one. Raises `LostKey`."""
    return no_luck if encrypted is None else roller(seed_of(keys, encrypted))


def roller(seed: bytes) -> Roll:
    """The numbers of a campaign's draws: HMAC-SHA256 of the ticket under the seed, read 8 bytes at
    a time until one lies below the largest multiple of a million, modulo a million."""

    def roll(ticket: str) -> int:
        block = hmac.digest(seed, ticket.encode(), "sha256")
        while True:
            for start in range(0, len(block), 8):
                number = int.from_bytes(block[start : start + 8], "big")
                if number < _FAIR:
                    return number % MILLION
            block = hashlib.sha256(block).digest()

    return roll
