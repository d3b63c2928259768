"""Operations: health, readiness, metrics, and one structured log line a request."""

import logging
import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from typing import TextIO, cast

import sqlalchemy as sa
import structlog
from apiflask import APIFlask
from flask import Blueprint, Response, current_app, g, request
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector
from sqlalchemy.orm import Session
from structlog.tracebacks import ExceptionDictTransformer

from referral.chance import random_bytes
from referral.db import migration_head, migration_of
from referral.deployment import Deployment
from referral.errors import Problem
from referral.reports import alarms, cases, risk_health
from referral.reports.risk_health import Health
from referral.web import intake_figures
from referral.web.context import deployment, now

ops = Blueprint("ops", __name__)
log = structlog.get_logger()

METHODS = {"GET", "HEAD", "POST", "OPTIONS"}

REQUESTS = Counter(
    "referral_requests_total", "Requests answered.", ["endpoint", "method", "status"]
)
SECONDS = Histogram("referral_request_seconds", "Time to answer a request.", ["endpoint"])
UNKNOWN_CODES = Counter("referral_unknown_codes_total", "Codes tried that do not exist.")
DEAD_LINKS = Counter(
    "referral_dead_links_total", "Share links opened that lead nowhere, by why.", ["fault"]
)
ALARMS = Gauge(
    "referral_alarms",
    "Batches and products at which too many unknown codes are tried.",
    multiprocess_mode="mostrecent",
)
VERDICTS = Gauge(
    "referral_verdicts",
    "Verdicts on purchases of the last 24 hours, by what was decided.",
    ["decision"],
    multiprocess_mode="mostrecent",
)
CASES = Gauge("referral_cases", "Cases by state.", ["state"], multiprocess_mode="mostrecent")
RULES_WELL = Gauge(
    "referral_risk_rules_well",
    "1 while the risk rules judge known facts as they must and every reward has a verdict.",
    multiprocess_mode="mostrecent",
)
LAST_VERDICT = Gauge(
    "referral_last_verdict_timestamp_seconds",
    "When the last verdict was given.",
    multiprocess_mode="mostrecent",
)
RISK_SECONDS = 10.0
"""How long what was found of the risk rules is told before it is looked for again."""
ALARM_SECONDS = 60.0
"""How long the number of alarms is told before it is counted again: that takes a few queries."""


def set_up(app: APIFlask) -> None:
    app.before_request(_begin)
    app.after_request(_finish)


def connect(app: APIFlask, opened: Deployment) -> None:
    _configure_logging()
    opened.misses.on_miss = UNKNOWN_CODES.inc
    opened.dead_links.on_count = lambda fault: DEAD_LINKS.labels(fault.value).inc()
    app.extensions["alarms_due"] = float("-inf")
    app.extensions["risk_health"] = (float("-inf"), None)
    intake_figures.connect(app.extensions)


@ops.get("/healthz")
def healthz() -> Response:
    """This process answers."""
    return Response("ok\n", mimetype="text/plain")


@ops.get("/readyz")
def readyz() -> tuple[dict[str, str], int]:
    """Whether the database is there and migrated, the risk rules are alive, and visits get in.

    Redis is reported; nothing fails without it.
    """
    checks = {"database": _database_state()}
    rules = _risk_health() if checks["database"] == "ok" else None
    if checks["database"] == "ok":
        checks["risk_rules"] = "cannot be asked"
    if rules is not None:
        checks["risk_rules"] = "ok" if rules.ok else rules.words
        checks["last_verdict"] = (
            f"{rules.last_verdict:%Y-%m-%dT%H:%M:%SZ}" if rules.last_verdict else "none yet"
        )
    if deployment().config.redis_url:
        checks["redis"] = "ok" if deployment().limits.redis_answers() else "away"
    intake = intake_figures.health()
    checks["intake"] = intake.words
    ready = checks["database"] == "ok" and rules is not None and rules.ok and not intake.faults
    return {"status": "ready" if ready else "not ready", **checks}, 200 if ready else 503


def _risk_health() -> Health | None:
    """What is known of the risk rules, looked for every few seconds; None when that fails."""
    looked_at, known = current_app.extensions["risk_health"]
    if time.monotonic() - looked_at < RISK_SECONDS:
        return cast(Health | None, known)
    try:
        with deployment().db.read() as tx:
            known = risk_health.health(tx, deployment().keys)
    except (Problem, sa.exc.SQLAlchemyError):
        known = None
    current_app.extensions["risk_health"] = (time.monotonic(), known)
    return cast(Health | None, known)


def _database_state() -> str:
    try:
        with deployment().db.read() as tx:
            tx.execute(sa.select(1))
            current = migration_of(tx)
    except Problem:
        return "away"
    return "ok" if current == migration_head() else "not migrated"


@ops.get("/metrics")
def metrics() -> Response:
    """Prometheus text; summed over all worker processes when the server set them up for it."""
    _count_alarms()
    registry = REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)
    said = generate_latest(registry) + intake_figures.figures()
    return Response(said, content_type=CONTENT_TYPE_LATEST)


def _count_alarms() -> None:
    if time.monotonic() < current_app.extensions["alarms_due"]:
        return
    current_app.extensions["alarms_due"] = time.monotonic() + ALARM_SECONDS
    try:
        with deployment().db.read() as tx:
            ALARMS.set(len(alarms.current(tx, now())))
            _count_verdicts(tx)
    except (Problem, sa.exc.SQLAlchemyError):
        return  # the figures are asked for most when the database is away


def _count_verdicts(tx: Session) -> None:
    for decision, count in risk_health.decisions(tx, now() - timedelta(days=1)).items():
        VERDICTS.labels(decision).set(count)
    for state, count in cases.counts(tx).items():
        CASES.labels(state).set(count)
    found = risk_health.health(tx, deployment().keys)
    RULES_WELL.set(found.ok)
    if found.last_verdict:
        LAST_VERDICT.set(found.last_verdict.timestamp())


def new_request_id() -> str:
    return random_bytes(8).hex()


def _begin() -> None:
    g.started = time.perf_counter()
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=new_request_id())


def _finish(response: Response) -> Response:
    seconds = time.perf_counter() - g.get("started", time.perf_counter())
    endpoint = request.endpoint or "none"
    # Whoever asks chooses the method; each one known here would be a figure kept for good.
    method = request.method if request.method in METHODS else "other"
    context = structlog.contextvars.get_contextvars()
    response.headers["X-Request-ID"] = context.get("request_id", "")
    note_answer(endpoint, method, response.status_code, seconds)
    return response


def note_answer(
    endpoint: str, method: str, status: int, seconds: float, *, request_id: str | None = None
) -> None:
    """Count an answer, and write its line in the log: `request_id` of one ahead of Flask."""
    count, observe = _figures_of(endpoint, method, status)
    count()
    observe(seconds)
    if endpoint == "static":
        return
    # The endpoint and not the path: codes and share links are in paths.
    ms = round(seconds * 1000, 1)
    if request_id is None:
        log.info("request", endpoint=endpoint, method=method, status=status, ms=ms)
    else:  # the same line, in a third of the time; none of this needs quoting
        second, rest = divmod(time.time_ns(), 1_000_000_000)
        _write(
            f'{{"request_id": "{request_id}", "endpoint": "{endpoint}", "method": "{method}", '
            f'"status": {status}, "ms": {ms}, "event": "request", "level": "info", '
            f'"timestamp": "{_second(second)}.{rest // 1_000:06}Z"}}\n'
        )


@cache
def _figures_of(
    endpoint: str, method: str, status: int
) -> tuple[Callable[[], None], Callable[[float], None]]:
    """What counts such answers. Looking them up takes longer than counting."""
    return REQUESTS.labels(endpoint, method, status).inc, SECONDS.labels(endpoint).observe


@lru_cache(2)
def _second(since_epoch: int) -> str:
    return f"{datetime.fromtimestamp(since_epoch, UTC):%Y-%m-%dT%H:%M:%S}"


def _write(line: str) -> None:
    file = _log_files[-1]
    file.write(line)
    file.flush()


_log_files: list[TextIO] = []
"""Where the log goes: what was standard error when an app was connected."""


def _configure_logging() -> None:
    _log_files[:] = [sys.stderr]
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
