"""Vouchers: what a customer shows at a store to get an item, accepted once, ever.

A voucher's code is a MAC over a random seed, by a key of the deployment. The seed is kept and the
code is not: her page can show it as often as she likes, and whoever has only the database
can make no voucher out of it. It is found by a keyed hash.
"""

import hashlib
import hmac
import re
import secrets
import unicodedata
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral import people
from referral.codes import ALPHABET
from referral.crypto import KeyRing
from referral.db import Base, RowId, insert_new_id
from referral.errors import N_, Conflict, NotFound

CODE_LENGTH = 12
"""60 bits. Wrong ones are limited, and a voucher lives for weeks."""
UNDO_WITHIN = timedelta(hours=24)
REASON_LENGTH_MAX = 200
KEY_LENGTH_MAX = 64
SEED_BYTES = 16
_SHAPE = re.compile(f"[{ALPHABET}]{{{CODE_LENGTH}}}")
_FORGIVEN = str.maketrans("OIL", "011", " -_.·—–")
_IN_ADDRESS = re.compile(r"/v/([^/?#]+)")


class VoucherState(StrEnum):
    issued = "issued"
    accepted = "accepted"
    undone = "undone"
    expired = "expired"


class Voucher(Base):
    """A redemption, and what became of it."""

    __tablename__ = "vouchers"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    item_id: Mapped[int] = mapped_column(sa.ForeignKey("items.id"), index=True)
    customer_id: Mapped[int] = mapped_column(sa.ForeignKey("customers.id"), index=True)
    """Whose it is; changed when customers are merged."""
    unit: Mapped[str] = mapped_column(sa.String(60))
    amount: Mapped[int] = mapped_column(sa.BigInteger)
    """What was paid: points, or one right to the item."""
    entry_id: Mapped[int] = mapped_column(sa.ForeignKey("ledger_entries.id"), unique=True)
    """The ledger's entry that paid for it."""
    key: Mapped[str] = mapped_column(sa.String(64), unique=True)
    """A hash of the customer and of what the request named itself by, so that it is done once."""
    seed: Mapped[str] = mapped_column(sa.String(2 * SEED_BYTES))
    key_id: Mapped[str] = mapped_column(sa.String(8))
    """The secret key that makes the code out of the seed."""
    code_hash: Mapped[str] = mapped_column(sa.String(64), unique=True)
    state: Mapped[str] = mapped_column(sa.String(12))
    issued_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    accepted_at: Mapped[datetime | None]
    store_id: Mapped[int | None] = mapped_column(sa.ForeignKey("stores.id"))
    """Where it was accepted."""
    till_id: Mapped[int | None] = mapped_column(sa.ForeignKey("tills.id"), index=True)
    press: Mapped[str | None] = mapped_column(sa.String(KEY_LENGTH_MAX))
    """What the till named the press by that accepted it."""
    closed_at: Mapped[datetime | None]
    """When it was undone or expired."""
    reason: Mapped[str | None] = mapped_column(sa.String(REASON_LENGTH_MAX))
    """Why it was undone."""

    __table_args__ = (
        sa.CheckConstraint(
            "state IN ('issued', 'accepted', 'undone', 'expired')", name="state_known"
        ),
        sa.CheckConstraint(
            "(accepted_at IS NULL) = (till_id IS NULL) AND (till_id IS NULL) = (store_id IS NULL)",
            name="accepted_somewhere",
        ),
        sa.CheckConstraint(
            "(state <> 'accepted' OR accepted_at IS NOT NULL)"
            " AND (state NOT IN ('issued', 'expired') OR accepted_at IS NULL)",
            name="state_as_it_happened",
        ),
        sa.CheckConstraint("amount > 0", name="amount_positive"),
        sa.Index(None, "state", "expires_at"),
        sa.Index(None, "store_id", "accepted_at"),
    )

    @property
    def is_for_points(self) -> bool:
        return self.unit == "points"

    def can_be_used(self, now: datetime) -> bool:
        return self.state == VoucherState.issued and now < self.expires_at

    @property
    def undo_until(self) -> datetime:
        """Until when staff may undo it; not included."""
        return (self.accepted_at or self.issued_at) + UNDO_WITHIN

    @property
    def grouped_number(self) -> str:
        return f"#{self.id}"


class UnknownVoucher(NotFound):
    slug = "unknown-voucher"
    title = N_("There is no such voucher.")
    advice = N_("Please check the code, or scan it once more from the customer's own page.")


class HandedOver(Conflict):
    slug = "voucher-used"
    title = N_("This voucher was handed over already.")
    advice = N_("Each voucher is good for one item, once. Do not hand over another one.")


class VoucherUndone(Conflict):
    slug = "voucher-undone"
    title = N_("This voucher was undone.")
    advice = N_("What was paid for it went back. Do not hand anything over.")


class VoucherExpired(Conflict):
    slug = "voucher-expired"
    title = N_("This voucher has expired.")
    advice = N_("What was paid for it goes back by itself. Do not hand anything over.")


class OtherStore(Conflict):
    slug = "other-store"
    title = N_("This is handed over at another store.")
    advice = N_("Please tell the customer where; the voucher stays good there.")


class TooLateToUndo(Conflict):
    slug = "too-late-to-undo"
    title = N_("This can no longer be undone.")
    advice = N_("A redemption can be undone for 24 hours after it was made or handed over.")


def new_seed() -> str:
    return secrets.token_hex(SEED_BYTES)


def code_of(keys: KeyRing, seed: str, key_id: str) -> str | None:
    """The code that a seed stands for; None when the key is no longer among the configured."""
    try:
        key = keys.derive("voucher-code", key_id)
    except KeyError:
        return None
    bits = int.from_bytes(hmac.digest(key, bytes.fromhex(seed), "sha256")[:8], "big")
    return "".join(ALPHABET[bits >> 5 * place & 31] for place in range(CODE_LENGTH))


def grouped(code: str) -> str:
    """A code as it is read aloud and typed."""
    return "-".join(code[start : start + 4] for start in range(0, CODE_LENGTH, 4))


def read_code(typed: str) -> str | None:
    """The code in what was scanned or typed; None where there is none."""
    text = unicodedata.normalize("NFKC", typed).strip()
    found = _IN_ADDRESS.search(text)
    code = (found[1] if found else text).upper().translate(_FORGIVEN)
    return code if _SHAPE.fullmatch(code) else None


def key_of(customer_id: int, request: str) -> str:
    """What a redemption is kept unique by."""
    return hashlib.sha256(f"{customer_id}|{request}".encode()).hexdigest()


def add_voucher(
    tx: Session,
    keys: KeyRing,
    *,
    item_id: int,
    customer_id: int,
    unit: str,
    amount: int,
    entry_id: int,
    key: str,
    seed: str,
    expires_at: datetime,
    now: datetime,
) -> Voucher:
    """A voucher that was paid for by an entry of the ledger."""
    code = code_of(keys, seed, keys.newest)
    assert code is not None  # the newest key is always there
    row = {
        "item_id": item_id,
        "customer_id": customer_id,
        "unit": unit,
        "amount": amount,
        "entry_id": entry_id,
        "key": key,
        "seed": seed,
        "key_id": keys.newest,
        "code_hash": _hashes(keys, code)[0],
        "state": VoucherState.issued,
        "issued_at": now,
        "expires_at": expires_at,
    }
    voucher_id = insert_new_id(tx, Voucher, row)
    assert voucher_id is not None  # the customer is locked, and the seed is random
    return tx.get_one(Voucher, voucher_id)


def _hashes(keys: KeyRing, code: str) -> list[str]:
    return keys.blind_indexes("voucher", code)


def by_key(tx: Session, key: str) -> Voucher | None:
    return tx.scalar(sa.select(Voucher).where(Voucher.key == key))


def by_code(tx: Session, keys: KeyRing, code: str | None) -> Voucher:
    """Raises `UnknownVoucher`."""
    found = None
    if code is not None:
        found = tx.scalar(sa.select(Voucher).where(Voucher.code_hash.in_(_hashes(keys, code))))
    if found is None:
        raise UnknownVoucher()
    return found


def by_id(tx: Session, voucher_id: int, *, for_update: bool = False) -> Voucher:
    """Raises `UnknownVoucher`."""
    wanted = sa.select(Voucher).where(Voucher.id == voucher_id)
    if for_update:
        wanted = wanted.with_for_update(key_share=True).execution_options(populate_existing=True)
    voucher = tx.scalar(wanted)
    if voucher is None:
        raise UnknownVoucher()
    return voucher


def accept(
    tx: Session, voucher_id: int, *, till_id: int, store_id: int, press: str, now: datetime
) -> bool:
    """Accept a voucher that is still good; False when it is not, or not any more."""
    statement = (
        sa.update(Voucher)
        .where(Voucher.id == voucher_id, Voucher.state == VoucherState.issued)
        .where(Voucher.expires_at > now)
        .values(
            state=VoucherState.accepted,
            accepted_at=now,
            till_id=till_id,
            store_id=store_id,
            press=press,
        )
        .returning(Voucher.id)
        .execution_options(synchronize_session=False)
    )
    return tx.scalar(statement) is not None


def kept_count(tx: Session, customer_id: int, item_id: int) -> int:
    """How many of an item a customer has had for points and not given back."""
    mine = sa.select(sa.func.count()).where(
        Voucher.customer_id == customer_id,
        Voucher.item_id == item_id,
        Voucher.unit == "points",
        Voucher.state.in_([VoucherState.issued, VoucherState.accepted]),
    )
    return tx.scalar(mine) or 0


def due(tx: Session, now: datetime, *, after: int, limit: int) -> Sequence[int]:
    """The ids of vouchers that nobody used in time, in their order."""
    return tx.scalars(
        sa.select(Voucher.id)
        .where(Voucher.state == VoucherState.issued, Voucher.expires_at <= now)
        .where(Voucher.id > after)
        .order_by(Voucher.id)
        .limit(limit)
    ).all()


def hand_over(tx: Session, gone: int, kept: int) -> list[int]:
    """Make one customer's vouchers the other's, who is the same person. Returns their numbers."""
    return people.moved(tx, Voucher, gone, kept)
