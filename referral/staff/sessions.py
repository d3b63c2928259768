"""Staff sessions: browsers that are signed in to the console, each of which can be ended.

A browser keeps a random secret in its cookie, of which only the SHA-256 is stored. A session ends
twelve hours after it began, however busy somebody is, or before: at sign-out, by hand, and when the
member's password or role is changed or the member is switched off.
"""

import hashlib
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral.db import Base, RowId, insert_new
from referral.staff.members import StaffMember

LIFETIME = timedelta(hours=12)
USE_KEPT_EVERY = timedelta(minutes=5)
"""The last use is written down no more often than this: nobody needs it to the second."""
KEPT = timedelta(days=90)
"""How long a session that is over can still be looked at; with it goes where it was from."""
BROWSER_LENGTH_MAX = 60
BLOCK_LENGTH_MAX = 45


class How(StrEnum):
    """What a member proved to be who he is with."""

    password = "password"  # noqa: S105 - the word itself
    invitation = "invitation"
    totp = "totp"
    recovery = "recovery"
    passkey = "passkey"
    oidc = "oidc"


class End(StrEnum):
    """Why a session ended before its time."""

    signed_out = "signed_out"
    by_hand = "by_hand"
    password = "password"  # noqa: S105 - the word itself
    role = "role"
    off = "off"


class StaffSession(Base):
    __tablename__ = "staff_sessions"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    staff_id: Mapped[int] = mapped_column(sa.ForeignKey("staff.id"), index=True)
    secret_hash: Mapped[str] = mapped_column(sa.String(64), unique=True)
    how: Mapped[str] = mapped_column(sa.String(20))
    browser: Mapped[str] = mapped_column(sa.String(BROWSER_LENGTH_MAX))
    """What it says it is, coarsely, such as ``Chrome, Windows``."""
    block: Mapped[str] = mapped_column(sa.String(BLOCK_LENGTH_MAX))
    """The network it began from, coarsely, such as ``203.0.113.0/24``."""
    begun_at: Mapped[datetime]
    used_at: Mapped[datetime]
    """The last use, give or take `USE_KEPT_EVERY`."""
    ends_at: Mapped[datetime] = mapped_column(index=True)
    ended_at: Mapped[datetime | None]
    why: Mapped[str | None] = mapped_column(sa.String(20))


def begin(tx: Session, staff_id: int, *, how: How, browser: str, block: str, now: datetime) -> str:
    """Begin a session. Returns its secret, which is kept nowhere else than in the cookie."""
    secret = secrets.token_urlsafe(32)
    row = {
        "staff_id": staff_id,
        "secret_hash": _hashed(secret),
        "how": how,
        "browser": browser[:BROWSER_LENGTH_MAX],
        "block": block[:BLOCK_LENGTH_MAX],
        "begun_at": now,
        "used_at": now,
        "ends_at": now + LIFETIME,
    }
    insert_new(tx, StaffSession, row)
    return secret


def current(tx: Session, secret: str, now: datetime) -> tuple[StaffMember, StaffSession] | None:
    """Whose session a secret is, as the member stands now; None when it is over or nobody's."""
    found = tx.execute(
        sa.select(StaffMember, StaffSession)
        .join(StaffSession, StaffSession.staff_id == StaffMember.id)
        .where(
            StaffSession.secret_hash == _hashed(secret),
            StaffSession.ended_at.is_(None),
            StaffSession.ends_at > now,
            StaffMember.disabled_at.is_(None),
        )
    ).one_or_none()
    return (found[0], found[1]) if found else None


def is_use_due(session: StaffSession, now: datetime) -> bool:
    """Whether its last use is to be written down again."""
    return now - session.used_at >= USE_KEPT_EVERY


def note_use(tx: Session, session_id: int, now: datetime) -> None:
    _change(tx, StaffSession.id == session_id, StaffSession.used_at < now, used_at=now)


def end(tx: Session, session_id: int, why: End, now: datetime) -> bool:
    """End one. Returns whether it was still running."""
    return _end(tx, StaffSession.id == session_id, why=why, now=now) == 1


def end_all(tx: Session, staff_id: int, why: End, now: datetime, *, but: int | None = None) -> int:
    """End all of a member's sessions, `but` one of them. Returns how many were still running."""
    other = [StaffSession.id != but] if but is not None else []
    return _end(tx, StaffSession.staff_id == staff_id, *other, why=why, now=now)


def running(tx: Session, staff_id: int, now: datetime) -> Sequence[StaffSession]:
    """A member's sessions that are not over, the one used last first."""
    of = sa.select(StaffSession).where(StaffSession.staff_id == staff_id, *_is_running(now))
    return tx.scalars(of.order_by(StaffSession.used_at.desc(), StaffSession.id.desc())).all()


def session_by_id(tx: Session, session_id: int) -> StaffSession | None:
    return tx.get(StaffSession, session_id)


def sweep(tx: Session, now: datetime) -> int:
    """Drop what has been over for long. Returns how many."""
    is_old = StaffSession.ends_at < now - KEPT
    return tx.connection().execute(sa.delete(StaffSession).where(is_old)).rowcount


def _is_running(now: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    return (StaffSession.ended_at.is_(None), StaffSession.ends_at > now)


def _end(tx: Session, *which: sa.ColumnElement[bool], why: End, now: datetime) -> int:
    return _change(tx, *which, *_is_running(now), ended_at=now, why=why)


def _change(tx: Session, *which: sa.ColumnElement[bool], **values: object) -> int:
    tx.flush()
    change = sa.update(StaffSession).where(*which).values(**values)
    return tx.connection().execute(change).rowcount


def _hashed(secret: str) -> str:
    """It is random, so a fast hash will do."""
    return hashlib.sha256(secret.encode()).hexdigest()
