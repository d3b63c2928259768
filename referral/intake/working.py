"""The worker: takes events out of the stream and stores them, many at once."""

import logging
import os
import secrets
import socket
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from threading import Event as Flag

from referral.clock import Clock
from referral.db import Database
from referral.errors import Unavailable
from referral.intake.events import Event, UnreadableEvents, decode
from referral.intake.heartbeats import Heart, Told, Worked
from referral.intake.parked import park, park_body
from referral.intake.storing import store
from referral.intake.stream import Entry, StreamAway, VisitStream
from referral.spread import counters

log = logging.getLogger(__name__)

ENTRIES_AT_ONCE = 1_000
WAIT = timedelta(seconds=1)
"""How long to wait for entries while there are none."""
ABANDONED_AFTER = timedelta(seconds=30)
"""So long after a worker was given an entry, another one takes it: no commit takes as long."""
LOOK_SECONDS = 5.0
"""How often entries of workers that died are looked for."""
DEAD_AFTER = timedelta(hours=1)
TRIES_MAX = 5
"""How often an entry is given out before its events are parked."""
REST_SECONDS = 0.5
"""The pause while Redis or the database is away."""


class Worker:
    """One of any number; each has a name of its own."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        stream: VisitStream,
        *,
        abandoned_after: timedelta = ABANDONED_AFTER,
        name: str | None = None,
    ) -> None:
        self.worked = Worked()
        self._db = db
        self._clock = clock
        self._stream = stream
        self._reader = stream.reader(name or _own_name())
        self._started = time.monotonic()
        self._committed: float | None = None
        self._abandoned_after = abandoned_after
        self._looked_at = float("-inf")
        self._stop = Flag()

    def stop(self) -> None:
        """Let `run` end after what it is at."""
        self._stop.set()

    def run(self) -> None:
        """Work until told to stop, whatever goes away and comes back meanwhile."""
        begun = False
        with self._heart():
            while not self._stop.is_set():
                try:
                    if not begun:
                        self._reader.begin()
                        begun = True
                    self.step(WAIT)
                except (StreamAway, Unavailable):  # what it was at is given out again
                    self._stop.wait(REST_SECONDS)
        self._reader.close()

    def drain(self) -> None:
        """Work until nothing waits that can be worked off. Raises `StreamAway`, `Unavailable`."""
        with self._heart():
            self._reader.begin()
            while self.step(timedelta(0)):
                pass
            self._fold()

    def step(self, wait: timedelta) -> int:
        """Work off what is there. Returns how many entries. Raises `StreamAway`."""
        entries = self._abandoned() or self._reader.new(ENTRIES_AT_ONCE, wait)
        if entries:
            self._work_off(entries)
            self._fold()
        return len(entries)

    def _abandoned(self) -> list[Entry]:
        if time.monotonic() - self._looked_at < LOOK_SECONDS:
            return []
        entries = self._reader.abandoned(self._abandoned_after, ENTRIES_AT_ONCE)
        if not entries:  # else there may be more
            self._looked_at = time.monotonic()
            self._reader.forget_the_dead(DEAD_AFTER)
        return entries

    def _work_off(self, entries: Sequence[Entry]) -> None:
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
        good = [entry for entry in entries if entry.id in read]
        try:
            self._store([event for events in read.values() for event in events])
        except Unavailable:
            raise
        except Exception:
            good = [entry for entry in good if self._store_alone(read[entry.id])]
        self._reader.done([*hopeless, *good])

    def _store(self, events: Sequence[Event]) -> None:
        """Raises `Unavailable` only when told to stop: else it waits for the database."""
        if not events:
            return
        begun = time.monotonic()
        while True:
            try:
                self._db.transact(lambda tx: store(tx, events))
                break
            except Unavailable:
                if self._stop.wait(REST_SECONDS):
                    raise
        self._committed = time.monotonic()
        self.worked.events += len(events)
        self.worked.commits += 1
        self.worked.commit_seconds += self._committed - begun

    def _heart(self) -> Heart:
        return self._stream.heart(self._reader.name, self._told)

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
        self._reader.done([entry])

    def _fold(self) -> None:
        """Bring the counters of the spread up to date, as far as nobody else is at it."""
        try:
            while self._db.transact(counters.fold) == counters.FOLD_MAX:
                pass
        except Unavailable:
            pass  # the notes wait


def _own_name() -> str:
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
