"""Events that could not be stored: put aside so that they hold up nobody, for staff to look at."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral import visits
from referral.db import Base, RowId
from referral.errors import N_, Conflict, NotFound
from referral.intake.events import Event, UnreadableEvents, Visited, decode, encode
from referral.intake.storing import store

REASON_LENGTH_MAX = 500


class ParkedEvent(Base):
    """One event, as it came out of the stream."""

    __tablename__ = "parked_events"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    body: Mapped[str] = mapped_column(sa.Text)
    reason: Mapped[str] = mapped_column(sa.String(REASON_LENGTH_MAX))
    """What kind of error it met. Nobody's data is in it."""
    at: Mapped[datetime]
    replayed_at: Mapped[datetime | None] = mapped_column(index=True)
    """When it was stored after all, or given up because nobody can read it."""


class UnknownParked(NotFound):
    slug = "unknown-parked-event"
    title = N_("There is no such parked event.")
    advice = N_("Look at the list again: it may have been stored in the meantime.")


class StillFails(Conflict):
    slug = "event-still-fails"
    title = N_("This event cannot be stored yet.")
    advice = N_("What is wrong with it has not changed. Tell whoever looks after the service.")


class IsReadable(Conflict):
    slug = "event-is-readable"
    title = N_("This event can be read.")
    advice = N_("Store it once the reason is gone. Only what nobody can read is given up.")


def park(tx: Session, events: Sequence[Event], reason: str, now: datetime) -> int:
    """Put events aside that are not stored yet, nor put aside. Returns how many."""
    numbers = [each.visit.event_id for each in events if isinstance(each, Visited)]
    known = visits.known_among(tx, numbers)
    left = [
        each for each in events if not isinstance(each, Visited) or each.visit.event_id not in known
    ]
    return sum(park_body(tx, encode([event]), reason, now) for event in left)


def park_body(tx: Session, body: bytes, reason: str, now: datetime) -> bool:
    """Put aside what may not even be an event.

    False when it waits already: whoever put it aside was killed before he could say so.
    """
    text = body.decode("utf-8", errors="backslashreplace").replace("\0", "\\0")
    waits = sa.select(ParkedEvent.id).where(
        ParkedEvent.replayed_at.is_(None), ParkedEvent.body == text
    )
    if tx.scalar(waits.limit(1)) is not None:
        return False
    tx.add(ParkedEvent(body=text, reason=reason[:REASON_LENGTH_MAX], at=now))
    return True


def waiting(tx: Session, *, limit: int, after: int = 0) -> list[ParkedEvent]:
    """Parked events that have not been stored since, the oldest first; those `after` a number."""
    of_them = sa.select(ParkedEvent).where(
        ParkedEvent.replayed_at.is_(None), ParkedEvent.id > after
    )
    return list(tx.scalars(of_them.order_by(ParkedEvent.id).limit(limit)))


def count_waiting(tx: Session) -> int:
    every: Any = sa.select(sa.func.count()).where(ParkedEvent.replayed_at.is_(None))
    return int(tx.scalar(every) or 0)


def replay(tx: Session, parked_id: int, now: datetime) -> bool:
    """Store a parked event. False when it was already.

    Raises `UnknownParked`, and whatever storing it raises.
    """
    parked = _locked(tx, parked_id)
    if parked.replayed_at is not None:
        return False
    store(tx, decode(parked.body.encode()))
    parked.replayed_at = now
    return True


def discard(tx: Session, parked_id: int, now: datetime) -> bool:
    """Give up a parked event that nobody can read; its text is kept. False when it was already.

    Raises `UnknownParked`, `IsReadable`.
    """
    parked = _locked(tx, parked_id)
    if parked.replayed_at is not None:
        return False
    if is_readable(parked):
        raise IsReadable()
    parked.replayed_at = now
    return True


def is_readable(parked: ParkedEvent) -> bool:
    try:
        decode(parked.body.encode())
    except UnreadableEvents:
        return False
    return True


def _locked(tx: Session, parked_id: int) -> ParkedEvent:
    """Raises `UnknownParked`."""
    parked = tx.get(ParkedEvent, parked_id, with_for_update=True)
    if parked is None:
        raise UnknownParked()
    return parked
