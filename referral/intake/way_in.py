"""The one way in for visits: into the stream, or into the table of those that wait, or stored
at once.

Every event has a number made once, and every effect of it a unique key: what arrives twice counts
once. What has been handed in outlives any process that is killed afterwards.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Protocol

from referral.db import Database
from referral.errors import Unavailable
from referral.intake.events import Event, Ran, Visited
from referral.intake.storing import store_at_once
from referral.intake.stream import StreamAway, VisitStream
from referral.intake.together import Together
from referral.intake.waiting import WaitingTable
from referral.visits import Visit


class HasIntake(Protocol):
    @property
    def intake(self) -> "Intake": ...


class Intake:
    """Hands events in: into the stream; without one into the table, and without either they are
    stored at once.

    Those of several threads at a time go as one into the database, which has to commit them, and
    into a Cluster, which has to copy them. One server takes each at once: to wait for the others
    would take longer.
    """

    def __init__(
        self, db: Database, stream: VisitStream | None, table: WaitingTable | None = None
    ) -> None:
        self._db = db
        self._stream = stream
        self._table = table
        self._into_database = Together(self._put_by)
        self._into_cluster = Together(self._add_parted)

    def take(self, event: Event) -> bool:
        """Hand one event in. False when it is known to have been handed in before.

        Raises `Unavailable` when it is not.
        """
        transaction = self._db.joined
        if transaction is not None:
            return store_at_once(transaction, [event])[0]
        if self._stream is None:
            return self._into_database.hand_in(event)
        if self._stream.is_cluster:
            return self._into_cluster.hand_in(event)
        return self.begin(event)()

    def begin(self, event: Event) -> Callable[[], bool]:
        """Hand one in; to be called on the same thread is what waits until it is in, and returns
        and raises as `take` does. The stream has the event meanwhile, and nobody waits for it."""
        stream = self._stream
        if stream is None or stream.is_cluster or self._db.joined is not None:
            return partial(bool, self.take(event))
        try:
            stream.begin([event])
        except StreamAway:
            return partial(bool, self._elsewhere(stream, event))
        return partial(self._finish, stream, event)

    def _finish(self, stream: VisitStream, event: Event) -> bool:
        try:
            stream.finish()
        except StreamAway:  # it may have got it all the same: then it comes twice
            return self._elsewhere(stream, event)
        return True

    def _elsewhere(self, stream: VisitStream, event: Event) -> bool:
        """An event that the stream is away for."""
        try:
            return self._into_database.hand_in(event)
        except Unavailable:
            return self._try_again(stream, [event])[0]

    def _add_parted(self, events: Sequence[Event]) -> Sequence[bool]:
        assert self._stream is not None, "a Cluster is a stream"
        answers = [True] * len(events)
        try:
            self._stream.add(events)
        except StreamAway as away:  # as above, of some of them
            left = away.left(len(events))
            others = self._without(self._stream, [events[position] for position in left])
            for position, answer in zip(left, others, strict=True):
                answers[position] = answer
        return answers

    def _without(self, stream: VisitStream, events: Sequence[Event]) -> Sequence[bool]:
        """Events that their part of the stream is away for."""
        try:
            return self._put_by(events)
        except Unavailable:
            # What was only slow a moment ago is the one that is left.
            return self._try_again(stream, events)

    def _put_by(self, events: Sequence[Event]) -> Sequence[bool]:
        """Into the database: for a worker, or stored at once."""
        if self._table is None:
            return self._store(events)
        self._table.add(events)
        return [True] * len(events)

    def _store(self, events: Sequence[Event]) -> Sequence[bool]:
        return self._db.transact(lambda tx: store_at_once(tx, events))

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


def begin(deployment: HasIntake, visit: Visit) -> Callable[[], bool]:
    """As `hand_in`, of nobody who is signed in; what is returned waits until the visit is in."""
    return deployment.intake.begin(Visited(visit))


def note_ran(deployment: HasIntake, visitor: int, at: datetime) -> None:
    """Keep that a visitor's browser ran a page, though nobody may have looked at it."""
    deployment.intake.take(Ran(visitor, at))
