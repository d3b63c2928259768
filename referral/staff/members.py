"""Staff accounts: who may work with the console."""

import threading
from collections.abc import Sequence
from datetime import datetime
from functools import cache

import sqlalchemy as sa
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral.db import Base, Database, RowId, insert_new_id, lock
from referral.errors import N_, Conflict, InvalidInput, NotFound, Problem, TooMany
from referral.people import email as email_contact
from referral.roles import RIGHTS, Right, Role

NAME_LENGTH_MAX = 80
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
    name: Mapped[str] = mapped_column(sa.String(NAME_LENGTH_MAX), default="")
    """What colleagues say; empty for none."""
    password_hash: Mapped[str | None] = mapped_column(sa.String(200))
    """None until the member has set a password, or for good where he signs in elsewhere."""
    role: Mapped[str] = mapped_column(sa.String(20))
    store_id: Mapped[int | None] = mapped_column(sa.ForeignKey("stores.id"))
    """The store of a store manager; None for everybody else."""
    created_at: Mapped[datetime]
    disabled_at: Mapped[datetime | None]
    """From then on the member is not let in."""

    @property
    def subject(self) -> str:
        """As the audit log names the member."""
        return subject_of(self.id)

    def may(self, right: Right) -> bool:
        return right in RIGHTS[Role(self.role)]


def subject_of(staff_id: int) -> str:
    return f"staff:{staff_id}"


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


class UnknownMember(NotFound):
    slug = "unknown-member"
    title = N_("There is no such member of staff.")


class LastOwner(Conflict):
    slug = "last-owner"
    title = N_("This is the last owner.")
    advice = N_("Make somebody else an owner first: without one nobody could let anybody in.")


class StoreOfManager(InvalidInput):
    slug = "store-of-manager"
    title = N_("A store manager has one store, and nobody else has any.")
    advice = N_("Choose the store together with the role.")


def add_staff(
    tx: Session,
    *,
    email: str,
    password: str | None,
    role: Role,
    store_id: int | None = None,
    name: str = "",
    now: datetime,
) -> int:
    """Add a member; without a password nobody gets in until one is set. Returns his number.

    Raises `BadContact`, `WeakPassword`, `StaffExists`, `StoreOfManager`.
    """
    _check_store(role, store_id)
    row = {
        "email": email_contact(email).value,
        "name": name,
        "password_hash": None if password is None else _hashed(password),
        "role": role,
        "store_id": store_id,
        "created_at": now,
    }
    staff_id = insert_new_id(tx, StaffMember, row)
    if staff_id is None:
        raise StaffExists()
    return staff_id


def hold_member(tx: Session, staff_id: int) -> StaffMember:
    """The member, whom nobody else changes meanwhile. Raises `UnknownMember`.

    All members are held at once: whether one is the last owner depends on the others.
    """
    lock(tx, "staff")
    member = tx.get(StaffMember, staff_id, with_for_update=True, populate_existing=True)
    if member is None:
        raise UnknownMember()
    return member


def change_role(tx: Session, member: StaffMember, role: Role, store_id: int | None) -> None:
    """Raises `LastOwner`, `StoreOfManager`."""
    _check_store(role, store_id)
    if role != Role.owner:
        _check_not_last(tx, member)
    member.role, member.store_id = role, store_id


def switch_off(tx: Session, member: StaffMember, now: datetime) -> None:
    """Raises `LastOwner`."""
    _check_not_last(tx, member)
    member.disabled_at = now


def set_password(member: StaffMember, password: str) -> None:
    """Raises `WeakPassword`."""
    member.password_hash = _hashed(password)


def _check_store(role: Role, store_id: int | None) -> None:
    if (role == Role.store_manager) != (store_id is not None):
        raise StoreOfManager()


def _check_not_last(tx: Session, member: StaffMember) -> None:
    if member.role != Role.owner or member.disabled_at is not None:
        return
    others = sa.exists().where(
        StaffMember.role == Role.owner,
        StaffMember.disabled_at.is_(None),
        StaffMember.password_hash.is_not(None),
        StaffMember.id != member.id,
    )
    if not tx.scalar(sa.select(others)):
        raise LastOwner()


def _hashed(password: str) -> str:
    if not PASSWORD_LENGTH_MIN <= len(password) <= PASSWORD_LENGTH_MAX:
        raise WeakPassword()
    return _hasher.hash(password)


def check_password(db: Database, email: str, password: str) -> StaffMember:
    """Compare a password, when no other one of this process is being compared.

    Raises `WrongPassword`, for an unknown address and somebody switched off as well, and `TooMany`
    when others take too long.
    """
    with db.read() as tx:
        member = staff_by_email(tx, email)
    # Out here: a comparison takes long, on purpose, and no connection should wait for it.
    if not _turn.acquire(timeout=TURN_SECONDS):
        raise TooMany(retry_after=max(1, round(TURN_SECONDS)))
    try:
        stored = member.password_hash if member else None
        _hasher.verify(stored or _nobody(), password[:PASSWORD_LENGTH_MAX])
    except (VerificationError, InvalidHashError):
        raise WrongPassword() from None
    finally:
        _turn.release()
    if member is None or stored is None or member.disabled_at is not None:
        raise WrongPassword()
    return member


@cache
def _nobody() -> str:
    """Compared against when there is no such account, so that the time taken does not tell."""
    return _hasher.hash("nobody has this password")


def staff_by_id(tx: Session, staff_id: int) -> StaffMember | None:
    return tx.get(StaffMember, staff_id)


def member_by_id(tx: Session, staff_id: int) -> StaffMember:
    """Raises `UnknownMember`."""
    member = staff_by_id(tx, staff_id)
    if member is None:
        raise UnknownMember()
    return member


def staff_by_email(tx: Session, email: str) -> StaffMember | None:
    return tx.scalar(sa.select(StaffMember).where(StaffMember.email == email.strip().lower()))


def members_of(tx: Session, *, after: str = "", limit: int) -> Sequence[StaffMember]:
    """Members by their addresses, from the one behind `after` on."""
    of = sa.select(StaffMember).where(StaffMember.email > after)
    return tx.scalars(of.order_by(StaffMember.email).limit(limit)).all()
