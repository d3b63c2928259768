"""Guessing: when checking codes stops, because too many were tried that do not exist.

Wrong codes are counted per customer, or per block of addresses where nobody is signed in, and per
batch that they come close to. Who is over the limit gets no answer about genuine codes either: a
guesser would go on seeing hits. Nothing of this reads or writes the database.

The counts are in Redis or, without it, in this process's memory. What is paused is remembered in
memory, so checking a genuine code costs no round trip; another process learns of it at the next
wrong code that the same customer or block tries there.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil
from threading import Lock

from referral.clock import Clock
from referral.crypto import KeyRing, keyed_hash
from referral.errors import N_, TooMany
from referral.limits import DAY, HOUR, MINUTE, RedisCounters
from referral.places import address_block

SUBJECTS_MAX = 100_000
"""How many counts, and how many pauses, one process remembers."""
NO_BATCH = 0
ALONE_MAX = 5
"""How many new devices at a fresh code a process lets through without counting them anywhere."""


@dataclass(frozen=True)
class Pace:
    """From `times` wrong codes in `seconds` on, checking pauses until those seconds are over."""

    name: str
    times: int
    seconds: int


BY_CUSTOMER = Pace("wrong-codes", 50, HOUR)
# A carrier has thousands of phones behind one block, and some of them are typed on.
BY_BLOCK = Pace("wrong-codes-block", 1_000, 10 * MINUTE)
# Whoever wants a batch's readers to have to sign in must send fourteen wrong codes a second.
BY_BATCH = Pace("wrong-codes-batch", 50_000, HOUR)

# Of one code: a household, a table, a shop's counter. Beyond that it is a script, or a picture of
# the code that went round, and says no more about the package.
NEW_DEVICES = Pace("new-devices", 50, DAY)


class CheckingPaused(TooMany):
    slug = "checking-paused"
    title = N_("We cannot check codes for you right now.")
    advice = N_("Many codes that do not exist were tried. Please try again a little later.")


class SignInToCheck(TooMany):
    slug = "sign-in-to-check"
    title = N_("We cannot check codes for everybody right now.")
    advice = N_(
        "Many codes that do not exist were tried, perhaps by others in your network. "
        "Please sign in and scan again, or try a little later."
    )


@dataclass(frozen=True)
class _Subject:
    """Whose wrong codes are counted. `key` is its pace and a keyed hash."""

    pace: Pace
    key: str


class Guessing:
    def __init__(self, redis: RedisCounters, keys: KeyRing, clock: Clock) -> None:
        self._redis = redis
        self._clock = clock
        self._key = keys.derive("guessing")
        self._counts = _Counts()
        self._askers = _Pauses()
        self._batches = _Pauses()
        self._at_fresh: dict[str, int] = {}

    @property
    def pauses_somebody(self) -> bool:
        """Whether `may_check` may refuse anybody at all at this moment."""
        return bool(self._askers.ends)

    def may_check(self, customer: int | None, address: str | None) -> None:
        """To be asked before a code is read. Raises `CheckingPaused`, `SignInToCheck`.

        A signed-in customer is limited by what he tries himself, whatever his network does.
        """
        if self._askers.ends:
            self._refuse(self._askers.ends.get(self._asker(customer, address).key), customer)

    def may_check_batch(self, batch_id: int, customer: int | None) -> None:
        """To be asked before a genuine code is answered for. Raises `SignInToCheck`."""
        if self._batches.ends and customer is None:
            self._refuse(self._batches.ends.get(self._batch(batch_id).key), customer)

    def wrong_code(self, customer: int | None, address: str | None, near_batch: int | None) -> None:
        """Count a wrong code. Raises as `may_check` does when there were too many before it.

        While any batch is paused, every wrong code of an anonymous reader is refused in the same
        words as that batch's genuine ones, wherever it lands: else an answer would tell a hit, or
        where batches begin and end.
        """
        now = self._clock.now()
        asker, batch = self._asker(customer, address), self._batch(near_batch or NO_BATCH)
        # Both are counted whatever the code comes close to, so that each takes as long.
        of_asker, of_batch = self._count([asker, batch], now)
        if of_asker >= asker.pace.times:
            self._askers.add(asker.key, _end(asker.pace, now), now)
        if of_batch >= batch.pace.times and near_batch is not None:
            self._batches.add(batch.key, _end(batch.pace, now), now)
        if of_asker > asker.pace.times:
            self._refuse(_end(asker.pace, now), customer)
        if self._batches.ends and customer is None:
            self._refuse(max(self._batches.ends.values()), customer)

    def is_crowd(self, batch_id: int, index: int, address: str, *, is_fresh: bool = False) -> bool:
        """Count a device that has not been here before, at one code. Whether there were too many.

        A browser that keeps no cookie is a new device every time it asks. `is_fresh`: no device is
        known to have been at this code, so that the first ones are let through in each process.
        """
        where = f"{batch_id}|{index}|{address_block(address)}"
        if is_fresh and self._is_let_through(where):
            return False
        subject = self._subject(NEW_DEVICES, where)
        return self._count([subject], self._clock.now())[0] > NEW_DEVICES.times

    def _is_let_through(self, where: str) -> bool:
        times = self._at_fresh.get(where, 0)
        if len(self._at_fresh) >= SUBJECTS_MAX:
            self._at_fresh.clear()
        if times < ALONE_MAX:
            self._at_fresh[where] = times + 1
        return times < ALONE_MAX

    def tried(self, customer: int) -> int:
        """How many wrong codes a customer tried within the hour, as far as this process knows: it
        learns of what was tried elsewhere at the next wrong code here."""
        subject = self._subject(BY_CUSTOMER, str(customer))
        return self._counts.known(f"{subject.key}|{_window(BY_CUSTOMER, self._clock.now())}")

    def _asker(self, customer: int | None, address: str | None) -> _Subject:
        if customer is None:
            return self._subject(BY_BLOCK, address_block(address or ""))
        return self._subject(BY_CUSTOMER, str(customer))

    def _batch(self, batch_id: int) -> _Subject:
        return self._subject(BY_BATCH, str(batch_id))

    def _subject(self, pace: Pace, who: str) -> _Subject:
        return _Subject(pace, f"{pace.name}|{keyed_hash(self._key, who)[:32]}")

    def _count(self, subjects: list[_Subject], now: datetime) -> list[int]:
        """Count one for each; returns how many there are of each in its window."""
        keys = [f"{s.key}|{_window(s.pace, now)}" for s in subjects]
        kept = {key: s.pace.seconds for key, s in zip(keys, subjects, strict=True)}
        counted = self._redis.add(kept) or [0] * len(keys)
        ends = [_end(s.pace, now) for s in subjects]
        return [self._counts.add(*one, now) for one in zip(keys, counted, ends, strict=True)]

    def _refuse(self, until: datetime | None, customer: int | None) -> None:
        """Raise if that time is still to come."""
        left = (until - self._clock.now()).total_seconds() if until else 0
        if left > 0:
            problem = SignInToCheck if customer is None else CheckingPaused
            raise problem(retry_after=ceil(left))


def _window(pace: Pace, now: datetime) -> int:
    return int(now.timestamp()) // pace.seconds


def _end(pace: Pace, now: datetime) -> datetime:
    return datetime.fromtimestamp((_window(pace, now) + 1) * pace.seconds, UTC)


class _Counts:
    """The last known counts, so that they go on from there when Redis is away or was emptied."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._known: dict[str, tuple[int, datetime]] = {}

    def add(self, key: str, counted: int, end: datetime, now: datetime) -> int:
        """Count one more, or take over what Redis has `counted`."""
        with self._lock:
            if key not in self._known and len(self._known) >= SUBJECTS_MAX:
                self._make_room(now)
            count = max(counted, self._known.get(key, (0, end))[0] + 1)
            self._known[key] = count, end
        return count

    def known(self, key: str) -> int:
        found = self._known.get(key)
        return found[0] if found else 0

    def _make_room(self, now: datetime) -> None:
        """Forget what is over and then whoever tried least."""
        current = [(known, key) for key, known in self._known.items() if known[1] > now]
        current.sort(reverse=True)
        self._known = {key: known for known, key in current[: SUBJECTS_MAX // 2]}


class _Pauses:
    """Until when checking is paused, by subject. Read without a lock: it is replaced as a whole."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.ends: Mapping[str, datetime] = {}

    def add(self, key: str, end: datetime, now: datetime) -> None:
        if self.ends.get(key) == end:
            return
        with self._lock:
            current = {k: until for k, until in self.ends.items() if until > now}
            if len(current) < SUBJECTS_MAX:
                self.ends = {**current, key: end}
