"""Two things at the same moment, on a real database, without leaving it to luck."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from threading import Barrier
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral.db import Database

T = TypeVar("T")
WAIT_SECONDS = 30


def at_once(works: Sequence[Callable[[], T]]) -> list[T | Exception]:
    """Do all of these in threads that set off together; each one's result or what it raised."""
    barrier = Barrier(len(works))

    def run(work: Callable[[], T]) -> T:
        barrier.wait(WAIT_SECONDS)
        return work()

    with ThreadPoolExecutor(len(works)) as pool:
        futures = [pool.submit(run, work) for work in works]
        return [_outcome(future) for future in futures]


def overtaken(
    db: Database, first: Callable[[Session], T], second: Callable[[], Any]
) -> tuple[T | Exception, Any]:
    """Do `second` while `first` has done its work and not committed yet; the outcome of each.

    `first` commits once `second` is done or waits for what `first` holds.
    """
    with ThreadPoolExecutor(1) as pool:
        beside: list[Future[Any]] = []

        def work(tx: Session) -> T:
            result = first(tx)
            tx.flush()
            if not beside:
                beside.append(pool.submit(second))
                _until_blocked_or_done(db, beside[0])
            return result

        with ThreadPoolExecutor(1) as other:
            outcome = _outcome(other.submit(db.transact, work))
        return outcome, _outcome(beside[0])


def waiting(
    db: Database, first: Callable[[Session], Any], *others: Callable[[], Any]
) -> list[bool]:
    """Which of the others wait while `first` has done its work and not committed yet.

    Each begins once the one before it is done or waits. All of them are done in the end.
    """
    with ThreadPoolExecutor(len(others)) as pool:

        def work(tx: Session) -> list[Future[Any]]:
            first(tx)
            begun: list[Future[Any]] = []
            for other in others:
                already = sum(not each.done() for each in begun)
                begun.append(pool.submit(other))
                _until_blocked_or_done(db, begun[-1], already)
            waits.extend(not each.done() for each in begun)
            return begun

        waits: list[bool] = []
        for future in db.transact(work):
            future.result(WAIT_SECONDS)
    return waits


def _until_blocked_or_done(db: Database, future: Future[Any], already: int = 0) -> None:
    """Until it is done, or one more waits than did `already`."""
    if db.is_sqlite:
        return  # one writer at a time: the other one waits for the end of this transaction
    waiting = sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    deadline = time.monotonic() + WAIT_SECONDS
    with db.engine.connect() as connection:
        while time.monotonic() < deadline:
            if wait([future], timeout=0.005).done or connection.scalar(waiting) > already:
                return
    raise AssertionError("the other transaction neither ended nor waited for this one")


def _outcome(future: Future[T]) -> T | Exception:
    try:
        return future.result(WAIT_SECONDS)
    except Exception as error:
        return error
