"""The one way in for visits: through the stream where there is one, else into the database.

Every event has a number made once, and every effect of it a unique key: what arrives twice counts
once. What has been handed in outlives any process that is killed afterwards.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from referral.db import Database
from referral.errors import Unavailable
from referral.intake.events import Event, Ran, Visited
from referral.intake.storing import store
from referral.intake.stream import StreamAway, VisitStream
from referral.intake.together import Together
from referral.visits import Visit


class HasIntake(Protocol):
    @property
    def intake(self) -> "Intake": ...


class Intake:
    """Hands events in; those of several threads at a time as one."""

    def __init__(self, db: Database, stream: VisitStream | None) -> None:
        self._db = db
        self._stream = stream
        self._together = Together(self._send)

    def take(self, event: Event) -> bool:
        """Hand one event in. False when it is known to have been handed in before.

        Raises `Unavailable` when it is not.
        """
        transaction = self._db.joined
        if transaction is not None:
            return store(transaction, [event])[0]
        return self._together.hand_in(event)

    def _send(self, events: Sequence[Event]) -> Sequence[bool]:
        if self._stream is None:
            return self._store(events)
        try:
            self._stream.add(events)
        except StreamAway:  # it may have got them all the same: then they come twice
            try:
                return self._store(events)
            except Unavailable:
                # What was only slow a moment ago is the one that is left.
                return self._try_again(self._stream, events)
        return [True] * len(events)

    def _store(self, events: Sequence[Event]) -> Sequence[bool]:
        return self._db.transact(lambda tx: store(tx, events))

    def _try_again(self, stream: VisitStream, events: Sequence[Event]) -> Sequence[bool]:
        try:
            stream.add(events, rested=True)
        except StreamAway:
            raise Unavailable() from None
        return [True] * len(events)


def hand_in(deployment: HasIntake, visit: Visit, customer: int | None = None) -> bool:
    """Hand a visit in. False when it is known to have been handed in before.

    `customer` is who is signed in on the visitor's browser, which may have lost its cookie and be
    a new visitor. Raises `Unavailable`.
    """
    return deployment.intake.take(Visited(visit, customer))


def note_ran(deployment: HasIntake, visitor: int, at: datetime) -> None:
    """Keep that a visitor's browser ran a page, though nobody may have looked at it."""
    deployment.intake.take(Ran(visitor, at))
