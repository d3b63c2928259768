"""Invitations: links of which each lets one member set a password, once, within a week."""

import hashlib
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral.db import Base, RowId
from referral.errors import N_, NotFound
from referral.staff.members import StaffMember

LIFETIME = timedelta(days=7)


class StaffInvitation(Base):
    __tablename__ = "staff_invitations"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    staff_id: Mapped[int] = mapped_column(sa.ForeignKey("staff.id"), index=True)
    secret_hash: Mapped[str] = mapped_column(sa.String(64), unique=True)
    """Of the link only the SHA-256 of what is random in it is kept."""
    by: Mapped[str] = mapped_column(sa.String(254))
    made_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    """Also brought forward when another one takes its place or the member is switched off."""
    used_at: Mapped[datetime | None]


class InvitationOver(NotFound):
    slug = "invitation-over"
    title = N_("This invitation does not work any more.")
    advice = N_("It is good once and for 7 days. Please ask an owner for a new one.")


def invite(tx: Session, staff_id: int, *, by: str, now: datetime) -> str:
    """A new invitation, in the place of those made before. Returns its secret, said this once."""
    withdraw(tx, staff_id, now)
    secret = secrets.token_urlsafe(24)
    row = StaffInvitation(
        staff_id=staff_id,
        secret_hash=_hashed(secret),
        by=by,
        made_at=now,
        ends_at=now + LIFETIME,
    )
    tx.add(row)
    tx.flush()
    return secret


def withdraw(tx: Session, staff_id: int, now: datetime) -> None:
    """End what invitations a member has."""
    open_ones = sa.update(StaffInvitation).where(
        StaffInvitation.staff_id == staff_id,
        StaffInvitation.used_at.is_(None),
        StaffInvitation.ends_at > now,
    )
    tx.flush()
    tx.connection().execute(open_ones.values(ends_at=now))


def invited(tx: Session, secret: str, now: datetime) -> StaffMember:
    """The member of an invitation that is good. Raises `InvitationOver`."""
    return _good(tx, secret, now, hold=False)[1]


def use(tx: Session, secret: str, now: datetime) -> StaffMember:
    """Use an invitation up. Raises `InvitationOver`."""
    invitation, member = _good(tx, secret, now, hold=True)
    invitation.used_at = now
    return member


def waiting(tx: Session, staff_ids: Sequence[int], now: datetime) -> dict[int, datetime]:
    """Until when members can take up their invitations, by their numbers."""
    open_ones = sa.select(StaffInvitation.staff_id, sa.func.max(StaffInvitation.ends_at)).where(
        StaffInvitation.staff_id.in_(staff_ids),
        StaffInvitation.used_at.is_(None),
        StaffInvitation.ends_at > now,
    )
    rows = tx.execute(open_ones.group_by(StaffInvitation.staff_id)).all()
    return {row[0]: row[1] for row in rows}


def _good(
    tx: Session, secret: str, now: datetime, *, hold: bool
) -> tuple[StaffInvitation, StaffMember]:
    wanted = (
        sa.select(StaffInvitation, StaffMember)
        .join(StaffMember, StaffMember.id == StaffInvitation.staff_id)
        .where(
            StaffInvitation.secret_hash == _hashed(secret),
            StaffInvitation.used_at.is_(None),
            StaffInvitation.ends_at > now,
            StaffMember.disabled_at.is_(None),
        )
    )
    if hold:
        wanted = wanted.with_for_update(of=StaffInvitation)
    found = tx.execute(wanted).one_or_none()
    if found is None:
        raise InvitationOver()
    return found[0], found[1]


def _hashed(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
