"""How visits get in, asked at most every few seconds, and as figures for Prometheus."""

import time
from collections.abc import Iterator, Sequence

import sqlalchemy as sa
from flask import current_app
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from referral.deployment import Deployment
from referral.errors import Problem
from referral.intake import parked
from referral.intake.health import Health
from referral.intake.health import health as ask
from referral.intake.stream import ShardFault, ShardState
from referral.web.context import deployment

SECONDS = 2.0
"""How long what was found is told before it is looked for again."""


def connect(extensions: dict[str, object]) -> None:
    """Forget what is known: another deployment is served from now on."""
    extensions["intake_health"] = (float("-inf"), None)
    extensions["intake_parked"] = (float("-inf"), None)


def health() -> Health:
    """How visits get in, as of the last few seconds."""
    looked_at, known = current_app.extensions["intake_health"]
    if isinstance(known, Health) and time.monotonic() - looked_at < SECONDS:
        return known
    found = ask(deployment().stream, deployment().waiting)
    current_app.extensions["intake_health"] = (time.monotonic(), found)
    return found


def parked_count() -> int | None:
    """How many events are parked, as of the last few seconds; None while the database is away."""
    looked_at, known = current_app.extensions["intake_parked"]
    if time.monotonic() - looked_at < SECONDS:
        return known if isinstance(known, int) else None
    found = _count(deployment())
    current_app.extensions["intake_parked"] = (time.monotonic(), found)
    return found


def _count(of: Deployment) -> int | None:
    try:
        with of.db.read() as tx:
            return parked.count_waiting(tx)
    except (Problem, sa.exc.SQLAlchemyError):
        return None


def figures() -> bytes:
    """Prometheus text. All processes share the stream, so that there is nothing to add up."""
    registry = CollectorRegistry()
    registry.register(_Figures())
    return generate_latest(registry)


class _Figures(Collector):
    def collect(self) -> Iterator[Metric]:
        count = parked_count()
        if count is not None:
            yield _gauge("parked_events", "Events that could not be stored.", count)
        found = health()
        if found.table is not None:
            table, age = found.table, found.table.oldest.total_seconds()
            yield _gauge("table_entries", "Entries that wait in the database.", table.entries)
            yield _gauge("table_oldest_seconds", "For how long the first of them has.", age)
            yield _gauge("table_workers", "1 while a worker stores them.", table.workers)
        if not found.is_streamed:
            return
        up = "1 while visits go through the stream, 0 while straight into the database."
        yield _gauge("stream_up", up, int(found.state is not None))
        if found.state is None:
            return
        state, worked = found.state, found.state.worked
        yield _gauge("waiting_entries", "Entries that are not stored yet.", state.entries)
        yield _gauge("pending_entries", "Of these, those that a worker has.", state.pending)
        oldest = state.oldest.total_seconds()
        yield _gauge("oldest_seconds", "For how long the first entry has been waiting.", oldest)
        if state.shards:
            yield from _shards(state.shards)
        if not state.is_heard:
            return
        yield _gauge("workers", "Workers that run.", state.workers)
        yield _counter("stored_events", "Events that workers stored.", worked.events)
        yield _counter("commits", "Transactions that stored them.", worked.commits)
        yield _counter("commit_seconds", "Time these took.", worked.commit_seconds)


def _shards(states: Sequence[ShardState]) -> Iterator[Metric]:
    """What is away is told as that, and not as empty."""
    away = sum(each.fault is not None for each in states)
    yield _gauge("shards_away", "Shards whose visits go straight into the database.", away)
    entries = GaugeMetricFamily(
        "referral_intake_shard_waiting_entries", "Entries of a shard.", labels=["shard"]
    )
    oldest = GaugeMetricFamily(
        "referral_intake_shard_oldest_seconds",
        "For how long the first entry of a shard has been waiting.",
        labels=["shard"],
    )
    for each in states:
        if each.fault is not ShardFault.away:
            entries.add_metric([str(each.number)], each.entries)
            oldest.add_metric([str(each.number)], each.oldest.total_seconds())
    yield entries
    yield oldest


def _gauge(name: str, words: str, value: float) -> Metric:
    return GaugeMetricFamily(f"referral_intake_{name}", words, value)


def _counter(name: str, words: str, value: float) -> Metric:
    return CounterMetricFamily(f"referral_intake_{name}", words, value)
