"""Codes of an app (RFC 6238), as a second factor: six digits, another one every 30 seconds.

A code is accepted once: the database remembers the step of the last one and takes later ones only.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pyotp
import sqlalchemy as sa
from pyotp.exceptions import OTPVerificationError
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral.crypto import KeyRing, LostKey
from referral.db import Base, insert_new
from referral.errors import N_, Conflict, Problem

DIGITS = 6
STEPS_ASIDE = 1
"""How many steps an app's clock may be early or late."""
OFFER_LIFETIME = timedelta(hours=1)
"""How long a page with a new secret may stay open before the first code."""
_CODE = re.compile(rf"[0-9]{{{DIGITS}}}")


class Totp(Base):
    """The secret that a member's app makes codes of."""

    __tablename__ = "staff_totp"

    staff_id: Mapped[int] = mapped_column(
        sa.ForeignKey("staff.id"), primary_key=True, autoincrement=False
    )
    secret_encrypted: Mapped[str] = mapped_column(sa.Text)
    last_step: Mapped[int] = mapped_column(sa.BigInteger)
    """Of the last code that was accepted: neither it nor an earlier one is good again."""
    added_at: Mapped[datetime]


class WrongCode(Problem):
    slug = "wrong-second-factor"
    status = 403
    title = N_("This code is not right, or was used before.")
    advice = N_("Please take the next one that your app shows.")


class TotpExists(Conflict):
    slug = "totp-exists"
    title = N_("Your account asks for codes of an app already.")
    advice = N_("To use another app, remove this one first.")


class OfferOver(Problem):
    slug = "totp-offer-over"
    status = 403
    title = N_("This page was open for too long.")
    advice = N_("Please scan the new QR code below.")


@dataclass(frozen=True)
class Offer:
    """A new secret that nobody uses yet."""

    secret: str
    sealed: str
    """The same for the form that the first code comes back with: nothing is stored before."""


def offer(keys: KeyRing, staff_id: int, now: datetime) -> Offer:
    secret = pyotp.random_base32()
    return Offer(secret, keys.encrypt(f"totp|{staff_id}|{int(now.timestamp())}|{secret}"))


def offered(keys: KeyRing, staff_id: int, sealed: str, now: datetime) -> Offer:
    """The offer that was made to a member. Raises `OfferOver`."""
    try:
        kind, of, at, secret = keys.decrypt(sealed).split("|")
        age = now - datetime.fromtimestamp(int(at), UTC)
    except (LostKey, ValueError):
        raise OfferOver() from None
    if kind != "totp" or of != str(staff_id) or age > OFFER_LIFETIME:
        raise OfferOver()
    return Offer(secret, sealed)


def address(secret: str, *, member: str, issuer: str) -> str:
    """What the QR code for an app says."""
    return pyotp.TOTP(secret).provisioning_uri(name=member, issuer_name=issuer)


def add(tx: Session, keys: KeyRing, staff_id: int, secret: str, code: str, now: datetime) -> None:
    """Keep a secret, once its first code is there. Raises `WrongCode`, `TotpExists`."""
    row = {
        "staff_id": staff_id,
        "secret_encrypted": keys.encrypt(secret),
        "last_step": _step_of(secret, code, now),
        "added_at": now,
    }
    if not insert_new(tx, Totp, row):
        raise TotpExists()


def use(tx: Session, keys: KeyRing, staff_id: int, code: str, now: datetime) -> None:
    """Accept a code, once. Raises `WrongCode`, for a member without an app as well."""
    encrypted = tx.scalar(sa.select(Totp.secret_encrypted).where(Totp.staff_id == staff_id))
    if encrypted is None:
        raise WrongCode()
    step = _step_of(keys.decrypt(encrypted), code, now)
    later = sa.update(Totp).where(Totp.staff_id == staff_id, Totp.last_step < step)
    if tx.connection().execute(later.values(last_step=step)).rowcount != 1:
        raise WrongCode()


def remove(tx: Session, staff_id: int) -> bool:
    """Returns whether there was one."""
    return tx.connection().execute(sa.delete(Totp).where(Totp.staff_id == staff_id)).rowcount == 1


def _step_of(secret: str, code: str, now: datetime) -> int:
    """The step that a code is of. Raises `WrongCode`."""
    digits = code.replace(" ", "")
    if not _CODE.fullmatch(digits):
        raise WrongCode()
    try:
        return pyotp.TOTP(secret).verify_and_get_timecode(
            digits, for_time=int(now.timestamp()), valid_window=STEPS_ASIDE
        )
    except OTPVerificationError:
        raise WrongCode() from None
