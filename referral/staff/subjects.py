"""Whose account at the brand's own provider belongs to which member.

The first time, a member is known by the e-mail address that the provider has verified; from then on
by the provider's own number for him (the subject), whatever his address becomes: an address that is
given to somebody else there opens nothing here.
"""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral.db import Base, insert_new
from referral.errors import N_, Problem
from referral.staff.members import StaffMember

ISSUER_LENGTH_MAX = 255
SUBJECT_LENGTH_MAX = 255


class StaffSubject(Base):
    __tablename__ = "staff_subjects"
    __table_args__ = (sa.UniqueConstraint("staff_id", "issuer"),)

    issuer: Mapped[str] = mapped_column(sa.String(ISSUER_LENGTH_MAX), primary_key=True)
    subject: Mapped[str] = mapped_column(sa.String(SUBJECT_LENGTH_MAX), primary_key=True)
    staff_id: Mapped[int] = mapped_column(sa.ForeignKey("staff.id"))
    bound_at: Mapped[datetime]


@dataclass(frozen=True)
class Person:
    """Who somebody is, in a provider's word that was checked."""

    issuer: str
    subject: str
    email: str | None
    """Only one that the provider has verified."""
    used_second_factor: bool = False
    """Whether the provider says that it asked for one."""


class NotStaff(Problem):
    slug = "not-staff"
    status = 403
    title = N_("Nobody here has the e-mail address of your account.")
    advice = N_("Please ask an owner to add you, with the address that you sign in with there.")


class EmailNotVerified(Problem):
    slug = "email-not-verified"
    status = 403
    title = N_("Your account has no e-mail address that was verified.")
    advice = N_("Please have it verified there first, or sign in with your password.")


class BoundToAnother(Problem):
    slug = "bound-to-another"
    status = 403
    title = N_("Your e-mail address belongs to another account there than before.")
    advice = N_("Please sign in with your password and unlink the one before, or ask an owner.")


def member_of(tx: Session, person: Person, now: datetime) -> StaffMember:
    """The member that a person is, bound to him from now on.

    Raises `EmailNotVerified`, `NotStaff`, `BoundToAnother`.
    """
    known = _bound(tx, person)
    if known is not None:
        return _if_in_service(known)
    if person.email is None:
        raise EmailNotVerified()
    # Some letters become another's in lower case: the sign for kelvin is not a k.
    email = person.email.lower() if person.email.isascii() else person.email
    member = _if_in_service(tx.scalar(sa.select(StaffMember).where(StaffMember.email == email)))
    row = {
        "issuer": person.issuer,
        "subject": person.subject,
        "staff_id": member.id,
        "bound_at": now,
    }
    if not insert_new(tx, StaffSubject, row):
        bound = _bound(tx, person)  # by the same sign-in in another tab
        if bound is None or bound.id != member.id:
            raise BoundToAnother()
    return member


def is_bound(tx: Session, person: Person) -> bool:
    """Whether somebody has signed in with this account before."""
    return _bound(tx, person) is not None


def bound_at(tx: Session, staff_id: int, issuer: str) -> datetime | None:
    """Since when a member signs in with an account there."""
    return tx.scalar(
        sa.select(StaffSubject.bound_at).where(
            StaffSubject.staff_id == staff_id, StaffSubject.issuer == issuer
        )
    )


def unbind(tx: Session, staff_id: int) -> bool:
    """Let a member be known by his e-mail address again. Returns whether he was bound."""
    of = sa.delete(StaffSubject).where(StaffSubject.staff_id == staff_id)
    return tx.connection().execute(of).rowcount > 0


def _bound(tx: Session, person: Person) -> StaffMember | None:
    of = sa.select(StaffMember).join(StaffSubject, StaffSubject.staff_id == StaffMember.id)
    return tx.scalar(
        of.where(StaffSubject.issuer == person.issuer, StaffSubject.subject == person.subject)
    )


def _if_in_service(member: StaffMember | None) -> StaffMember:
    if member is None or member.disabled_at is not None:
        raise NotStaff()
    return member
