"""Operations: health, readiness, metrics, and one structured log line a request."""

import logging
import os
import secrets
import sys
import time

import sqlalchemy as sa
import structlog
from apiflask import APIFlask
from flask import Blueprint, Response, g, request
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector
from structlog.tracebacks import ExceptionDictTransformer

from referral.db import migration_head, migration_of
from referral.errors import Problem
from referral.web.context import deployment

ops = Blueprint("ops", __name__)
log = structlog.get_logger()

METHODS = {"GET", "HEAD", "POST", "OPTIONS"}

REQUESTS = Counter(
    "referral_requests_total", "Requests answered.", ["endpoint", "method", "status"]
)
SECONDS = Histogram("referral_request_seconds", "Time to answer a request.", ["endpoint"])


def set_up(app: APIFlask) -> None:
    _configure_logging()
    app.before_request(_begin)
    app.after_request(_finish)


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
    registry = REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


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
