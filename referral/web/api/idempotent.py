"""The header ``Idempotency-Key``: a POST that is sent twice is done once and answered the same.

The mark that a request is in flight is committed on its own; then effect and answer are committed
together. So there is never an effect without its answer, nor an answer without its effect.
"""

import contextlib
import hashlib
from collections.abc import Callable

from flask import request
from sqlalchemy.orm import Session

from referral import idempotency
from referral.errors import Problem, TooMany
from referral.idempotency import KEY_LENGTH_MAX, InFlight, StoredAnswer
from referral.web.context import deployment
from referral.web.problems import invalid_field, problem_text

HEADER = "Idempotency-Key"
REPLAYED_HEADER = "Idempotent-Replayed"


def answer_once(
    api_key_id: int, body: bytes, work: Callable[[], StoredAnswer]
) -> tuple[StoredAnswer, bool]:
    """Do `work`, or find the answer it got before; and whether it was found.

    `work` may be run again when the database asks for it. What it refuses for good is an answer
    like any other; what may succeed later leaves no trace. Raises `InFlight`,
    `IdempotencyMismatch`, and what `work` raises.
    """
    key = _key()
    if key is None:
        return work(), False
    db, keys, started_at = deployment().db, deployment().keys, deployment().clock.now()
    digest = request_hash(request.method, request.path, body)
    before = db.transact(
        lambda tx: idempotency.begin(tx, keys, api_key_id, key, digest, started_at)
    )
    if before is not None:
        return before, True

    def finish(tx: Session, answer: StoredAnswer) -> StoredAnswer:
        idempotency.finish(tx, keys, api_key_id, key, answer, started_at)
        return answer

    try:
        return db.transact(lambda tx: finish(tx, work())), False
    except Exception as error:
        if isinstance(error, Problem) and is_final(error):
            refusal = StoredAnswer(error.status, problem_text(error))
            return db.transact(lambda tx: finish(tx, refusal)), False
        # Out of reach, the mark goes by itself when its time is over.
        with contextlib.suppress(Problem):
            db.transact(lambda tx: idempotency.abandon(tx, api_key_id, key, started_at))
        raise


def is_final(problem: Problem) -> bool:
    """Whether the same request would be refused again, as far as we can say."""
    return problem.status < 500 and not isinstance(problem, TooMany | InFlight)


def request_hash(method: str, path: str, body: bytes) -> str:
    """What makes two requests the same."""
    return hashlib.sha256(b"\n".join([method.encode(), path.encode(), body])).hexdigest()


def _key() -> str | None:
    key = request.headers.get(HEADER)
    if key is None:
        return None
    if not (0 < len(key) <= KEY_LENGTH_MAX and key.isascii() and key.isprintable()):
        raise invalid_field(HEADER, f"Send 1 to {KEY_LENGTH_MAX} printable ASCII characters.")
    return key
