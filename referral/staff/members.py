"""Staff accounts: who may work with the console."""

import threading
from datetime import datetime
from functools import cache

import sqlalchemy as sa
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral.db import Base, Database, RowId, insert_new
from referral.errors import N_, Conflict, InvalidInput, Problem, TooMany
from referral.people import email as email_contact
from referral.staff.roles import RIGHTS, Right, Role

PASSWORD_LENGTH_MIN = 10
PASSWORD_LENGTH_MAX = 200
TURN_SECONDS = 1.0
"""How long a sign-in waits for its turn. Short: the thread it waits in could serve a page."""

_hasher = PasswordHasher()
_turn = threading.Lock()


class StaffMember(Base):
    __tablename__ = "staff"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    email: Mapped[str] = mapped_column(sa.String(254), unique=True)
    password_hash: Mapped[str] = mapped_column(sa.String(200))
    role: Mapped[str] = mapped_column(sa.String(12))
    created_at: Mapped[datetime]

    def may(self, right: Right) -> bool:
        return right in RIGHTS[Role(self.role)]


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
