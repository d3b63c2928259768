"""Operations: health, readiness and metrics; every answer of Flask's is noted."""

import os
import time
from datetime import timedelta
from typing import cast

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
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector
from sqlalchemy.orm import Session

from referral.db import migration_head, migration_of
from referral.deployment import Deployment
from referral.errors import Problem
from referral.reports import alarms, cases, risk_health
from referral.reports.risk_health import Health
from referral.web import answers, intake_figures
from referral.web.context import deployment, now

ops = Blueprint("ops", __name__)

METHODS = {"GET", "HEAD", "POST", "OPTIONS"}

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
    answers.configure_log()
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
    answers.settle()
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


def _begin() -> None:
    g.started = time.perf_counter()
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=answers.new_request_id())


def _finish(response: Response) -> Response:
    seconds = time.perf_counter() - g.get("started", time.perf_counter())
    endpoint = request.endpoint or "none"
    # Whoever asks chooses the method; each one known here would be a figure kept for good.
    method = request.method if request.method in METHODS else "other"
    context = structlog.contextvars.get_contextvars()
    response.headers["X-Request-ID"] = context.get("request_id", "")
    answers.note(endpoint, method, response.status_code, seconds)
    return response
