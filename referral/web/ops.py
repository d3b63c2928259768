"""Operations: health, readiness, metrics, and one structured log line a request."""

import logging
import os
import secrets
import sys
import time

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
from structlog.tracebacks import ExceptionDictTransformer

from referral.db import migration_head, migration_of
from referral.deployment import Deployment
from referral.errors import Problem
from referral.reports import alarms
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


@ops.get("/healthz")
def healthz() -> Response:
    """This process answers."""
    return Response("ok\n", mimetype="text/plain")


@ops.get("/readyz")
def readyz() -> tuple[dict[str, str], int]:
    """Whether the database is there and migrated. Redis is reported; nothing fails without it."""
    checks = {"database": _database_state()}
    if deployment().config.redis_url:
        checks["redis"] = "ok" if deployment().limits.redis_answers() else "away"
    ready = checks["database"] == "ok"
    return {"status": "ready" if ready else "not ready", **checks}, 200 if ready else 503


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
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


def _count_alarms() -> None:
    if time.monotonic() < current_app.extensions["alarms_due"]:
        return
    current_app.extensions["alarms_due"] = time.monotonic() + ALARM_SECONDS
    try:
        with deployment().db.read() as tx:
            ALARMS.set(len(alarms.current(tx, now())))
    except (Problem, sa.exc.SQLAlchemyError):
        return  # the figures are asked for most when the database is away


def _begin() -> None:
    g.started = time.perf_counter()
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=secrets.token_hex(8))


def _finish(response: Response) -> Response:
    seconds = time.perf_counter() - g.get("started", time.perf_counter())
    endpoint = request.endpoint or "none"
    # Whoever asks chooses the method; each one known here would be a figure kept for good.
    method = request.method if request.method in METHODS else "other"
    REQUESTS.labels(endpoint, method, response.status_code).inc()
    SECONDS.labels(endpoint).observe(seconds)
    context = structlog.contextvars.get_contextvars()
    response.headers["X-Request-ID"] = context.get("request_id", "")
    if endpoint != "static":
        # The endpoint and not the path: codes and share links are in paths.
        log.info(
            "request",
            endpoint=endpoint,
            method=method,
            status=response.status_code,
            ms=round(seconds * 1000, 1),
        )
    return response


def _configure_logging() -> None:
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
