"""The worker: takes events out of the stream and out of the table of those that wait, and stores
them, many at once."""

import logging
import os
import secrets
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import timedelta
from threading import Event as Flag

from sqlalchemy.orm import Session

from referral.clock import Clock
from referral.db import Database
from referral.errors import Unavailable
from referral.intake.events import Event, UnreadableEvents, decode
from referral.intake.heartbeats import Heart, Told, Worked
from referral.intake.parked import park, park_body
from referral.intake.storing import store
from referral.intake.stream import Entry, StreamAway, StreamReader, VisitStream
from referral.intake.waiting import WaitingReader, WaitingTable
from referral.spread import counters

log = logging.getLogger(__name__)

ENTRIES_AT_ONCE = 8_000
"""Of the stream, an event each: what a transaction costs is shared by so many."""
ROWS_AT_ONCE = 1_000
"""Of the table, whose rows hold several events: on SQLite pages wait meanwhile."""
WAIT = timedelta(seconds=1)
"""How long to wait for entries while there are none."""
FOLD_AFTER = 2 * ENTRIES_AT_ONCE
"""While there is more to take, the spread's counters are brought up to date after so many events:
who has many below him is counted up once for all of them. Else after all there was."""
FOLD_AT_ONCE = 20_000
"""How many notes on the spread are worked off in one transaction: nobody waits for a worker."""
ABANDONED_AFTER = timedelta(seconds=30)
"""So long after a worker was given an entry, another one takes it: no commit takes as long."""
LOOK_SECONDS = 5.0
"""How often entries of workers that died are looked for."""
DEAD_AFTER = timedelta(hours=1)
TRIES_MAX = 5
"""How often an entry is given out before its events are parked."""
ALONE_FROM = 3
"""An entry that is given out for the third time is worked off alone, and later too: one of those
that were together may be what workers die of."""
REST_SECONDS = 0.5
"""The pause while Redis or the database is away."""


class _Source:
    """Where entries are taken from, and when this worker has last looked at what."""

    def __init__(self, reader: StreamReader | WaitingReader) -> None:
        self.reader = reader
        self.most = ENTRIES_AT_ONCE if isinstance(reader, StreamReader) else ROWS_AT_ONCE
        """How many entries are taken at once."""
        self.unfolded = 0
        """How many events of it were stored since the spread's counters were brought up to date."""
        self.is_begun = False
        self.looked_at = float("-inf")
        self.rests_until = float("-inf")
        """It was away a moment ago, and is left alone."""


class Worker:
    """One of any number; each has a name of its own.

    It works off the stream, if there is one, and the table, whose entries one worker at a time is
    given.
    """

    def __init__(
        self,
        db: Database,
        clock: Clock,
        stream: VisitStream | None,
        table: WaitingTable | None = None,
        *,
        abandoned_after: timedelta = ABANDONED_AFTER,
        name: str | None = None,
    ) -> None:
        self.worked = Worked()
        self._db = db
        self._clock = clock
        self._stream = stream
        self._name = name or _own_name()
        self._sources = [
            _Source(each.reader(self._name)) for each in (stream, table) if each is not None
        ]
        self._started = time.monotonic()
        self._committed: float | None = None
        self._abandoned_after = abandoned_after
        self._stop = Flag()

    def stop(self) -> None:
        """Let `run` end after what it is at."""
        self._stop.set()

    def close(self) -> None:
        """Let go of the table and of all connections."""
        for source in self._sources:
            source.reader.close()

    def run(self) -> None:
        """Work until told to stop, whatever goes away and comes back meanwhile."""
        with self._heart():
            while not self._stop.is_set():
                is_there = [self._took_one(source) for source in self._awake()]
                if not any(is_there):
                    self._stop.wait(REST_SECONDS)
            if any(source.unfolded for source in self._sources):
                self._fold()
        self.close()

    def drain(self) -> None:
        """Work until nothing waits that can be worked off. Raises `StreamAway`, `Unavailable`."""
        with self._heart():
            # The table first: it can be worked off also while Redis is away.
            for source in reversed(self._sources):
                while self._step(source, timedelta(0)):
                    pass
            self._fold()

    def step(self, wait: timedelta) -> int:
        """Work off what is there. Returns how many entries. Raises `StreamAway`, `Unavailable`."""
        return sum(self._step(source, wait) for source in self._sources)

    def _awake(self) -> list[_Source]:
        now = time.monotonic()
        return [source for source in self._sources if source.rests_until <= now]

    def _took_one(self, source: _Source) -> bool:
        """Work off what one source has; it is waited for at the first of them. Whether it is
        there at all."""
        try:
            self._step(source, WAIT if source is self._awake()[0] else timedelta(0))
        except (StreamAway, Unavailable):  # what it was at is given out again
            source.rests_until = time.monotonic() + REST_SECONDS
            return False
        return True

    def _step(self, source: _Source, wait: timedelta) -> int:
        if not source.is_begun:
            source.reader.begin()
            source.is_begun = True
        entries = self._abandoned(source) or source.reader.new(source.most, wait)
        before = self.worked.events
        if entries:
            for together in _parted(entries):
                self._work_off(source.reader, together)
        source.unfolded += self.worked.events - before
        is_all = len(entries) < source.most
        if source.unfolded >= FOLD_AFTER or (source.unfolded and is_all):
            self._fold()
        return len(entries)

    def _abandoned(self, source: _Source) -> list[Entry]:
        if time.monotonic() - source.looked_at < LOOK_SECONDS:
            return []
        entries = source.reader.abandoned(self._abandoned_after, source.most)
        if not entries:  # else there may be more
            source.looked_at = time.monotonic()
            source.reader.forget_the_dead(DEAD_AFTER)
        return entries

    def _work_off(self, reader: StreamReader | WaitingReader, entries: Sequence[Entry]) -> None:
        hopeless = [entry for entry in entries if entry.deliveries > TRIES_MAX]
        for entry in hopeless:
            self._park(entry, f"given out {entry.deliveries} times, never stored")
        read: dict[str, list[Event]] = {}
        for entry in entries:
            if entry.deliveries <= TRIES_MAX:
                try:
                    read[entry.id] = decode(entry.data)
                except UnreadableEvents as error:
                    self._park_unread(entry, str(error))
                    hopeless.append(entry)
        good = [entry for entry in entries if entry.id in read]
        reader.done([*hopeless, *self._stored_of(good, read)])

    def _stored_of(
        self, entries: Sequence[Entry], read: Mapping[str, Sequence[Event]]
    ) -> Sequence[Entry]:
        """Store entries, and return those that are stored. One that cannot be is found by halves,
        so that the others are not held up until somebody takes them for abandoned."""
        try:
            self._store([event for entry in entries for event in read[entry.id]])
        except Unavailable:
            raise
        except Exception:
            if len(entries) == 1:
                return entries if self._store_alone(read[entries[0].id]) else ()
            middle = len(entries) // 2
            halves = entries[:middle], entries[middle:]
            return [entry for half in halves for entry in self._stored_of(half, read)]
        return entries

    def _store(self, events: Sequence[Event]) -> None:
        """Raises `Unavailable` only when told to stop: else it waits for the database."""
        if not events:
            return
        begun = time.monotonic()
        while True:
            try:
                self._db.transact(lambda tx: store(tx, events, in_turn=True))
                break
            except Unavailable:
                if self._stop.wait(REST_SECONDS):
                    raise
        self._committed = time.monotonic()
        self.worked.events += len(events)
        self.worked.commits += 1
        self.worked.commit_seconds += self._committed - begun

    def _heart(self) -> AbstractContextManager[Heart | None]:
        if self._stream is None:  # that it holds the table says that it is there
            return nullcontext()
        return self._stream.heart(self._name, self._told)

    def _told(self) -> Told:
        now, committed = time.monotonic(), self._committed
        return Told(
            replace(self.worked),
            runs_for=now - self._started,
            last_commit=None if committed is None else now - committed,
        )

    def _store_alone(self, events: Sequence[Event]) -> bool:
        """Each for itself, so that no event fails because of another. Whether all are stored; the
        entry is given out again otherwise."""
        is_whole = True
        for event in events:
            try:
                self._store([event])
            except Unavailable:
                raise
            except Exception:
                log.exception("an event cannot be stored")
                is_whole = False
        return is_whole

    def _park(self, entry: Entry, reason: str) -> None:
        try:
            events = decode(entry.data)
        except UnreadableEvents as error:
            self._park_unread(entry, str(error))
            return
        now = self._clock.now()
        self.worked.parked += self._db.transact(lambda tx: park(tx, events, reason, now))

    def _park_unread(self, entry: Entry, reason: str) -> None:
        now = self._clock.now()
        self.worked.parked += self._db.transact(lambda tx: park_body(tx, entry.data, reason, now))

    def _fold(self) -> None:
        """Bring the counters of the spread up to date, as far as nobody else is at it."""
        try:
            while self._db.transact(_fold_much) == FOLD_AT_ONCE:
                pass
        except Unavailable:
            pass  # the notes wait
        for source in self._sources:
            source.unfolded = 0


def _fold_much(tx: Session) -> int:
    return counters.fold(tx, FOLD_AT_ONCE)


def _parted(entries: Sequence[Entry]) -> Iterator[Sequence[Entry]]:
    """Those that are worked off together, then one after the other those that come again and again.

    These in one order and then in the other, so that both those before and those behind what a
    worker dies of have their turn.
    """
    alone = [entry for entry in entries if entry.deliveries >= ALONE_FROM]
    if len(alone) < len(entries):
        yield [entry for entry in entries if entry.deliveries < ALONE_FROM]
    if alone and alone[0].deliveries % 2 == 0:
        alone.reverse()
    for entry in alone:
        yield [entry]


def _own_name() -> str:
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
