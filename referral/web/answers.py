"""Answers: counted for `/metrics`, and told in the log, a line each.

Those given ahead of Flask are so a few at once, some milliseconds later: done for each, it takes a
tenth of the page's time. Of a process that is killed the last ones are missing.
"""

import logging
import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache, lru_cache
from threading import Lock
from typing import TextIO

import structlog
from prometheus_client import Counter, Histogram
from structlog.tracebacks import ExceptionDictTransformer

from referral.chance import random_bytes
from referral.soon import Soon

log = structlog.get_logger()

TELL_SECONDS = 0.05
"""How long an answer ahead of Flask waits to be told with others."""
WAITING_MAX = 5_000
"""How many wait at most. Further ones wait for a log that takes no more."""

LINES_AT_ONCE = 16
"""So few that a pipe takes them whole (POSIX: 4,096 bytes on Linux), between those of others."""

REQUESTS = Counter(
    "referral_requests_total", "Requests answered.", ["endpoint", "method", "status"]
)
SECONDS = Histogram("referral_request_seconds", "Time to answer a request.", ["endpoint"])


def new_request_id() -> str:
    return random_bytes(8).hex()


def note(endpoint: str, method: str, status: int, seconds: float) -> None:
    """Count an answer of Flask's, and tell it."""
    _count(endpoint, method, status, seconds)
    if endpoint != "static":
        # The endpoint and not the path: codes and share links are in paths.
        log.info("request", endpoint=endpoint, method=method, status=status, ms=_ms(seconds))


def note_page(endpoint: str, seconds: float, request_id: str) -> None:
    """Have a page that was given ahead of Flask counted and told, in a moment."""
    _waiting.append((endpoint, seconds, request_id, time.time_ns()))
    _soon.ask()
    if len(_waiting) > WAITING_MAX:
        settle()


def settle() -> None:
    """Count and tell now what waits to be."""
    with _telling:
        lines = [_told(*_waiting.popleft()) for _ in range(len(_waiting))]
        with suppress(OSError, ValueError):  # of a log that is gone: pages go on
            for start in range(0, len(lines), LINES_AT_ONCE):
                _files[-1].write("".join(lines[start : start + LINES_AT_ONCE]))
                _files[-1].flush()


_waiting: deque[tuple[str, float, str, int]] = deque()
_telling = Lock()
_soon = Soon(settle, seconds=TELL_SECONDS, name="answers")


def _told(endpoint: str, seconds: float, request_id: str, at: int) -> str:
    """As structlog would tell it, in a third of the time; none of this needs quoting."""
    _count(endpoint, "GET", 200, seconds)
    second, rest = divmod(at, 1_000_000_000)
    return (
        f'{{"request_id": "{request_id}", "endpoint": "{endpoint}", "method": "GET", '
        f'"status": 200, "ms": {_ms(seconds)}, "event": "request", "level": "info", '
        f'"timestamp": "{_second(second)}.{rest // 1_000:06}Z"}}\n'
    )


def _count(endpoint: str, method: str, status: int, seconds: float) -> None:
    count, observe = _figures_of(endpoint, method, status)
    count()
    observe(seconds)


@cache
def _figures_of(
    endpoint: str, method: str, status: int
) -> tuple[Callable[[], None], Callable[[float], None]]:
    """What counts such answers. Looking them up takes longer than counting."""
    return REQUESTS.labels(endpoint, method, status).inc, SECONDS.labels(endpoint).observe


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)


@lru_cache(2)
def _second(since_epoch: int) -> str:
    return f"{datetime.fromtimestamp(since_epoch, UTC):%Y-%m-%dT%H:%M:%S}"


_files: list[TextIO] = [sys.stderr]
"""Where the log goes: what was standard error when an app was connected."""


def configure_log() -> None:
    """Have the log written to standard error, as JSON, a line for each event."""
    settle()
    _files[:] = [sys.stderr]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            # Without local variables: they hold phone numbers and one-time codes.
            structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False)),
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )
