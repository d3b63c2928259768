"""Members of staff as the console lists them."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral.reports.lists import PAGE
from referral.staff import StaffMember, StaffSession, invitations, members_of
from referral.stores import Store


@dataclass(frozen=True)
class MemberLine:
    member: StaffMember
    store: Store | None
    sessions: int
    """How many browsers the member is signed in with."""
    used_at: datetime | None
    """When he was last seen; None for never, or not for long."""
    invited_until: datetime | None


@dataclass(frozen=True)
class Members:
    rows: list[MemberLine]
    next: str | None
    """The address that the following page begins behind; None on the last."""


def members(tx: Session, now: datetime, *, after: str = "", limit: int = PAGE) -> Members:
    """By their addresses."""
    found = members_of(tx, after=after, limit=limit + 1)
    rows = list(found[:limit])
    return Members(_lines(tx, rows, now), rows[-1].email if len(found) > limit else None)


def line_of(tx: Session, member: StaffMember, now: datetime) -> MemberLine:
    return _lines(tx, [member], now)[0]


def _lines(tx: Session, rows: list[StaffMember], now: datetime) -> list[MemberLine]:
    ids = [member.id for member in rows]
    is_running = sa.and_(StaffSession.ended_at.is_(None), StaffSession.ends_at > now)
    seen = sa.select(
        StaffSession.staff_id,
        sa.func.count().filter(is_running).label("sessions"),
        sa.func.max(StaffSession.used_at).label("used_at"),
    ).where(StaffSession.staff_id.in_(ids))
    used = {row.staff_id: row for row in tx.execute(seen.group_by(StaffSession.staff_id))}
    of_stores = sa.select(Store).where(Store.id.in_([m.store_id for m in rows if m.store_id]))
    stores = {store.id: store for store in tx.scalars(of_stores)}
    waiting = invitations.waiting(tx, ids, now)
    return [
        MemberLine(
            member,
            stores.get(member.store_id) if member.store_id else None,
            used[member.id].sessions if member.id in used else 0,
            used[member.id].used_at if member.id in used else None,
            waiting.get(member.id),
        )
        for member in rows
    ]
