"""Limits: how often something may be tried, counted in Redis or, without it, in the database.

Each limit is a function that says its rate in words. Subjects are stored as keyed hashes only.
Limits on wrong codes are in referral/guessing.py.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral.clock import Clock
from referral.crypto import KeyRing, keyed_hash
from referral.db import Base, Database, run, upsert
from referral.errors import TooMany
from referral.redis_server import ERRORS, RedisServer

REDIS_TIMEOUT_SECONDS = 0.25
REDIS_REST_SECONDS = 1.0
"""How long Redis is left alone after it failed."""

MINUTE, HOUR, DAY = 60, 3600, 86_400


class LimitCounter(Base):
    """How often a subject has spent a limit in one window."""

    __tablename__ = "limit_counters"

    key: Mapped[str] = mapped_column(sa.String(120), primary_key=True)
    count: Mapped[int] = mapped_column(sa.Integer)
    expires_at: Mapped[datetime] = mapped_column(index=True)


@dataclass(frozen=True)
class Limit:
    """`times` in `seconds`. `closed` ones are counted in the database when Redis is away; others
    let everything pass then."""

    name: str
    times: int
    seconds: int
    closed: bool


@dataclass(frozen=True)
class Spent:
    """One try that was counted, and where."""

    key: str
    seconds: int
    in_redis: bool


class RedisCounters:
    """Counters in Redis, when one is configured; left alone for a moment after it failed."""

    def __init__(self, url: str | None) -> None:
        self._resting_until = 0.0
        seconds = REDIS_TIMEOUT_SECONDS
        self._redis = (
            RedisServer(url, timeout=seconds, connect_timeout=seconds, tries=2) if url else None
        )

    @property
    def is_configured(self) -> bool:
        return self._redis is not None

    def add(self, keys: Mapping[str, int], by: int = 1) -> list[int] | None:
        """Add to counters, given with how many seconds each is kept, in one round trip.

        Returns where each stands, or None when Redis is away.
        """
        if self._redis is None or time.monotonic() < self._resting_until:
            return None
        try:
            # Not one transaction: in a Cluster each may be kept elsewhere.
            pipeline = self._redis.client.pipeline(transaction=False)
            for key, seconds in keys.items():
                pipeline.incrby(f"limit|{key}", by)
                pipeline.expire(f"limit|{key}", seconds)
            counted: list[Any] = pipeline.execute()
            return [int(count) for count in counted[::2]]
        except ERRORS:
            self._resting_until = time.monotonic() + REDIS_REST_SECONDS
            return None

    def answers(self) -> bool:
        """Whether Redis, if one is configured, is there: of a Cluster every part."""
        return self._redis is None or self._redis.answers()

    def mistake(self) -> str | None:
        """What the address gets wrong: "It is ..."; None where nothing is known to be."""
        return None if self._redis is None else self._redis.mistake()


class Limits:
    def __init__(self, db: Database, keys: KeyRing, clock: Clock, redis_url: str | None) -> None:
        self._db = db
        self._clock = clock
        self._key = keys.derive("limits")
        self.redis = RedisCounters(redis_url)

    # 5 one-time codes for one phone or e-mail from one browser in 10 minutes
    def code_request(self, contact: str, visitor: int) -> None:
        self._spend(Limit("code-request", 5, 10 * MINUTE, closed=True), f"{visitor}|{contact}")

    # 15 one-time codes for one phone or e-mail in 10 minutes, over all browsers: each one costs
    def code_request_contact(self, contact: str) -> None:
        self._spend(Limit("code-request-contact", 15, 10 * MINUTE, closed=True), contact)

    # 600 one-time codes for one address in 10 minutes: carriers put thousands behind one
    def code_request_address(self, address: str) -> None:
        self._spend(Limit("code-request-address", 600, 10 * MINUTE, closed=True), address)

    # 20 wrong one-time codes for one phone or e-mail from one browser an hour
    def sign_in(self, contact: str, visitor: int) -> Spent:
        return self._spend(Limit("sign-in", 20, HOUR, closed=True), f"{visitor}|{contact}")

    # 300 wrong one-time codes from one address an hour, whatever browsers they come from
    def sign_in_address(self, address: str) -> Spent:
        return self._spend(Limit("sign-in-address", 300, HOUR, closed=True), address)

    # 200 claims by one customer a day
    def claim(self, customer: int) -> None:
        self._spend(Limit("claim", 200, DAY, closed=True), str(customer))

    # 60 ratings and changes of them by one customer an hour
    def rating(self, customer: int) -> None:
        self._spend(Limit("rating", 60, HOUR, closed=True), str(customer))

    # 10 complaints and replies by one customer a day: each one takes somebody's time
    def complaint(self, customer: int) -> None:
        self._spend(Limit("complaint", 10, DAY, closed=True), str(customer))

    # 100 complaints and replies from one address an hour: carriers put thousands behind one
    def complaint_address(self, address: str) -> None:
        self._spend(Limit("complaint-address", 100, HOUR, closed=True), address)

    # 10 failed staff sign-ins for one e-mail from one address in 10 minutes
    def staff_sign_in(self, email: str, address: str) -> Spent:
        limit = Limit("staff-sign-in", 10, 10 * MINUTE, closed=True)
        return self._spend(limit, f"{address}|{email}")

    # 30 times that one member of staff sees somebody's whole number or address an hour
    def see_contacts(self, staff_id: int) -> None:
        self._spend(Limit("see-contacts", 30, HOUR, closed=True), str(staff_id))

    # 60 staff sign-ins from one address in 10 minutes: each password compared takes a processor
    def staff_sign_in_address(self, address: str) -> None:
        self._spend(Limit("staff-sign-in-address", 60, 10 * MINUTE, closed=True), address)

    # 10 wrong codes of one member's app an hour, and as many wrong recovery codes: it takes years
    # to guess one of those that are good at a moment
    def second_factor(self, staff_id: int, kind: str) -> Spent:
        return self._spend(Limit("second-factor", 10, HOUR, closed=True), f"{kind}|{staff_id}")

    # 30 wrong voucher codes from one till or customer an hour
    def voucher(self, who: str) -> Spent:
        return self._spend(Limit("voucher", 30, HOUR, closed=True), who)

    # 300 wrong voucher codes from one address an hour, where nobody is signed in
    def voucher_address(self, address: str) -> Spent:
        return self._spend(Limit("voucher-address", 300, HOUR, closed=True), address)

    # 300 look-ups of coupons that there are not, with one key of the API, an hour
    def coupon_lookup(self, api_key: int) -> Spent:
        return self._spend(Limit("coupon-lookup", 300, HOUR, closed=True), str(api_key))

    # 60 lists of a campaign's draws for one address an hour: they are long
    def draw_table(self, address: str) -> None:
        self._spend(Limit("draw-table", 60, HOUR, closed=False), address)

    # 1,200 engagements and shares from one visitor an hour
    def beacon(self, visitor: int) -> None:
        self._spend(Limit("beacon", 1200, HOUR, closed=False), str(visitor))

    def give_back(self, spent: Spent) -> None:
        """Take back a try that did not fail, where only failures are limited.

        It was counted beforehand all the same, so that many at the same moment are all counted.
        """
        if spent.in_redis:
            self.redis.add({spent.key: spent.seconds}, by=-1)
        else:
            self._db.transact(lambda tx: run(tx, _TAKE_BACK, spent=spent.key))

    def _spend(self, limit: Limit, subject: str) -> Spent:
        """Count one try. Raises `TooMany` when the window's tries are used up."""
        now = self._clock.now()
        window = int(now.timestamp()) // limit.seconds
        ends = datetime.fromtimestamp((window + 1) * limit.seconds, UTC)
        key = f"{limit.name}|{window}|{keyed_hash(self._key, subject)[:32]}"
        counted = self.redis.add({key: limit.seconds})
        count = counted[0] if counted else None
        spent = Spent(key, limit.seconds, in_redis=count is not None)
        if count is None and (limit.closed or not self.redis.is_configured):
            count = self._count_in_database(key, ends)
        if count is not None and count > limit.times:
            raise TooMany(retry_after=max(1, int((ends - now).total_seconds())))
        return spent

    def _count_in_database(self, key: str, ends: datetime) -> int:
        row = {"key": key, "count": 1, "expires_at": ends}

        def work(tx: Session) -> int:
            count_one = upsert(tx, LimitCounter, _one_more, returning="count")
            return int(run(tx, count_one, **row).scalar_one())

        return self._db.transact(work)

    def redis_answers(self) -> bool:
        """Whether Redis, if one is configured, is there."""
        return self.redis.answers()

    def sweep(self) -> int:
        """Drop counters whose window is over. Returns how many."""
        now = self._clock.now()

        def work(tx: Session) -> int:
            expired = sa.delete(LimitCounter).where(LimitCounter.expires_at <= now)
            return tx.connection().execute(expired).rowcount

        return self._db.transact(work)


_TAKE_BACK = (
    sa.update(LimitCounter)
    .where(LimitCounter.key == sa.bindparam("spent"))
    .values(count=LimitCounter.count - 1)
)


def _one_more(old: Any, new: Any) -> dict[str, Any]:
    return {"count": old["count"] + 1}
