"""Staff accounts and API keys: who may work with the console and the API."""

import hashlib
import hmac
import secrets
import threading
from datetime import datetime
from enum import StrEnum
from functools import cache

import sqlalchemy as sa
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral.db import Base, Database, RowId, insert_new
from referral.errors import N_, Conflict, InvalidInput, Problem, TooMany
from referral.people import email as email_contact

PASSWORD_LENGTH_MIN = 10
PASSWORD_LENGTH_MAX = 200
API_KEY_PREFIX = "rk_"
TURN_SECONDS = 1.0
"""How long a sign-in waits for its turn. Short: the thread it waits in could serve a page."""

_hasher = PasswordHasher()
_turn = threading.Lock()


class Role(StrEnum):
    owner = "owner"
    analyst = "analyst"


class Right(StrEnum):
    read = "read"
    """See products, batches, campaigns, trees and the ledger."""
    change = "change"
    """Create and change them."""
    sign_off = "sign_off"
    """Answer by name for what the brand pays beyond the ordinary."""


RIGHTS: dict[Role, frozenset[Right]] = {
    Role.owner: frozenset({Right.read, Right.change, Right.sign_off}),
    Role.analyst: frozenset({Right.read}),
}


class StaffMember(Base):
    __tablename__ = "staff"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    email: Mapped[str] = mapped_column(sa.String(254), unique=True)
    password_hash: Mapped[str] = mapped_column(sa.String(200))
    role: Mapped[str] = mapped_column(sa.String(12))
    created_at: Mapped[datetime]

    def may(self, right: Right) -> bool:
        return right in RIGHTS[Role(self.role)]


class ApiKey(Base):
    """A key of the API. Only its SHA-256 is kept: it is random, so a fast hash will do."""

    __tablename__ = "api_keys"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(80))
    key_hash: Mapped[str] = mapped_column(sa.String(64), unique=True)
    created_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


class StaffExists(Conflict):
    slug = "staff-exists"
    title = N_("There is an account with this e-mail address already.")


class WeakPassword(InvalidInput):
    slug = "weak-password"
    title = N_("This password is too short.")
    advice = N_("Use at least 10 characters; a few words are fine.")


class WrongPassword(Problem):
    slug = "wrong-password"
    status = 403
    title = N_("E-mail address or password is not right.")
    advice = N_("Please try again.")


class NotAllowed(Problem):
    slug = "not-allowed"
    status = 403
    title = N_("Your role does not allow this.")
    advice = N_("Please ask an owner of the account.")


def add_staff(tx: Session, *, email: str, password: str, role: Role, now: datetime) -> None:
    """Raises `BadContact`, `WeakPassword`, `StaffExists`."""
    if not PASSWORD_LENGTH_MIN <= len(password) <= PASSWORD_LENGTH_MAX:
        raise WeakPassword()
    row = {
        "email": email_contact(email).value,
        "password_hash": _hasher.hash(password),
        "role": role,
        "created_at": now,
    }
    if not insert_new(tx, StaffMember, row):
        raise StaffExists()


def check_password(db: Database, email: str, password: str) -> StaffMember:
    """Compare a password, when no other one of this process is being compared.

    Raises `WrongPassword`, for an unknown address as well, and `TooMany` when others take too long.
    """
    with db.read() as tx:
        member = tx.scalar(sa.select(StaffMember).where(StaffMember.email == email.strip().lower()))
    # Out here: a comparison takes long, on purpose, and no connection should wait for it.
    if not _turn.acquire(timeout=TURN_SECONDS):
        raise TooMany(retry_after=max(1, round(TURN_SECONDS)))
    try:
        _hasher.verify(
            member.password_hash if member else _nobody(), password[:PASSWORD_LENGTH_MAX]
        )
    except (VerificationError, InvalidHashError):
        raise WrongPassword() from None
    finally:
        _turn.release()
    if member is None:
        raise WrongPassword()
    return member


@cache
def _nobody() -> str:
    """Compared against when there is no such account, so that the time taken does not tell."""
    return _hasher.hash("nobody has this password")


def staff_by_id(tx: Session, staff_id: int) -> StaffMember | None:
    return tx.get(StaffMember, staff_id)


def new_api_key() -> str:
    return API_KEY_PREFIX + secrets.token_urlsafe(32)


def add_api_key(tx: Session, *, name: str, key: str, now: datetime) -> None:
    insert_new(tx, ApiKey, {"name": name, "key_hash": _key_hash(key), "created_at": now})


def api_key_id(tx: Session, key: str) -> int | None:
    """The id of a key that is in force."""
    wanted = _key_hash(key)
    row = tx.execute(
        sa.select(ApiKey.id, ApiKey.key_hash).where(
            ApiKey.key_hash == wanted, ApiKey.revoked_at.is_(None)
        )
    ).one_or_none()
    return row.id if row is not None and hmac.compare_digest(row.key_hash, wanted) else None


def has_api_key_named(tx: Session, name: str) -> bool:
    """Whether a key of this name was ever made."""
    return tx.scalar(sa.select(sa.exists().where(ApiKey.name == name))) or False


def _key_hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
