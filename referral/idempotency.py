"""Answers of the API kept by `Idempotency-Key`, so that a repeated POST does nothing twice.

The mark that a request is in flight is committed first; the answer is stored in the transaction of
the request's own effect. A process that dies in between leaves a mark without an effect, which may
be taken over after `IN_FLIGHT_MAX`. A mark is known by the time it was made: one that was only
slow finds its mark taken over when it wants to store its answer, and its effect is rolled back.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral.crypto import KeyRing, LostKey
from referral.db import Base, insert_new
from referral.errors import N_, Conflict, InvalidInput

KEY_LENGTH_MAX = 200
IN_FLIGHT_MAX = timedelta(seconds=60)
KEPT_FOR = timedelta(hours=24)


class IdempotentAnswer(Base):
    __tablename__ = "idempotent_answers"

    api_key_id: Mapped[int] = mapped_column(sa.ForeignKey("api_keys.id"), primary_key=True)
    key: Mapped[str] = mapped_column(sa.String(KEY_LENGTH_MAX), primary_key=True)
    request_hash: Mapped[str] = mapped_column(sa.String(64))
    """Keyed: a short request, such as one with a phone number, could be guessed from a plain one.
    Where it is the plain digest, the answer is plain as well: so earlier versions kept both."""
    started_at: Mapped[datetime]
    status: Mapped[int | None] = mapped_column(sa.Integer)
    body: Mapped[str | None] = mapped_column(sa.Text)
    """Encrypted: there are people's details in it, and codes that are worth something."""


class IdempotencyMismatch(InvalidInput):
    slug = "idempotency-mismatch"
    title = N_("This Idempotency-Key was used for another request.")
    advice = N_("Use a new key for every request, and the same key only to repeat one.")


class InFlight(Conflict):
    slug = "in-flight"
    title = N_("The same request is still being worked on.")
    advice = N_("Wait a moment and send it again with the same key.")


@dataclass(frozen=True)
class StoredAnswer:
    status: int
    body: str


def begin(
    tx: Session, keys: KeyRing, api_key_id: int, key: str, digest: str, now: datetime
) -> StoredAnswer | None:
    """Mark a request as in flight, or return the answer it got before.

    `digest` is the same for the same request only. Raises `IdempotencyMismatch` for another request
    under the same key, `InFlight`.
    """
    this = (IdempotentAnswer.api_key_id == api_key_id, IdempotentAnswer.key == key)
    tx.execute(
        sa.delete(IdempotentAnswer).where(*this, IdempotentAnswer.started_at < now - KEPT_FOR)
    )
    hashes = keys.blind_indexes("request", digest)
    row = {"api_key_id": api_key_id, "key": key, "request_hash": hashes[0], "started_at": now}
    if insert_new(tx, IdempotentAnswer, row):
        return None
    found = tx.scalars(sa.select(IdempotentAnswer).where(*this).with_for_update()).one_or_none()
    if found is None:
        raise InFlight()  # let go of in this very moment
    if found.request_hash not in {*hashes, digest}:
        raise IdempotencyMismatch()
    if found.status is not None:
        is_plain = found.request_hash == digest
        return StoredAnswer(found.status, _read(keys, found.body or "", is_plain))
    if now - found.started_at < IN_FLIGHT_MAX:
        raise InFlight()
    found.started_at, found.request_hash = now, hashes[0]
    return None


def _read(keys: KeyRing, body: str, is_plain: bool) -> str:
    if is_plain:
        return body
    try:
        return keys.decrypt(body)
    except LostKey:
        # It was done, so it must not be done again, though nobody can say how it was answered.
        raise IdempotencyMismatch() from None


def finish(
    tx: Session,
    keys: KeyRing,
    api_key_id: int,
    key: str,
    answer: StoredAnswer,
    started_at: datetime,
) -> None:
    """Store the answer, in the transaction of the effect it reports.

    `started_at` is the `now` that the request began with. Raises `InFlight` when another process
    has taken the request over since then; the effect must not be committed.
    """
    result: sa.CursorResult[Any] = tx.execute(  # type: ignore[assignment]
        sa.update(IdempotentAnswer)
        .where(*_own_mark(api_key_id, key, started_at))
        .values(status=answer.status, body=keys.encrypt(answer.body))
    )
    if result.rowcount != 1:
        raise InFlight()


def abandon(tx: Session, api_key_id: int, key: str, started_at: datetime) -> None:
    """Let go of a request that had no effect and may be tried again."""
    tx.execute(sa.delete(IdempotentAnswer).where(*_own_mark(api_key_id, key, started_at)))


def sweep(tx: Session, now: datetime) -> int:
    """Drop answers that are no longer replayed. Returns how many."""
    old = sa.delete(IdempotentAnswer).where(IdempotentAnswer.started_at < now - KEPT_FOR)
    result: sa.CursorResult[Any] = tx.execute(old)  # type: ignore[assignment]
    return result.rowcount


def _own_mark(api_key_id: int, key: str, started_at: datetime) -> list[sa.ColumnElement[bool]]:
    return [
        IdempotentAnswer.api_key_id == api_key_id,
        IdempotentAnswer.key == key,
        IdempotentAnswer.started_at == started_at,
        IdempotentAnswer.status.is_(None),
    ]
