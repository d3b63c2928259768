"""What `referral doctor` says of how visits get in."""

from collections.abc import Iterator

from referral.cli.output import Check
from referral.deployment import Deployment
from referral.intake import parked
from referral.intake.health import LATE, Fault, Health, health, shards_away, waiting
from referral.intake.stream import StreamAway, VisitStream
from referral.intake.waiting import WaitingState

NAME = "visits"
START = "start `referral worker`, or `referral serve` without `--no-worker`"


def intake_checks(deployment: Deployment) -> Iterator[Check]:
    """The database has to be there."""
    found = health(deployment.stream, deployment.waiting)
    yield _getting_in(found)
    if found.is_streamed and found.table is not None and found.table.entries:
        yield _table(found.table)
    if deployment.stream is not None and not found.is_away:
        yield from _keeping(deployment.stream)
    with deployment.db.read() as tx:
        count = parked.count_waiting(tx)
    if count:
        events = "1 event" if count == 1 else f"{count:,} events"
        words = f"{events} could not be stored; see `referral parked list`, or /staff/intake"
        yield Check(NAME, True, words, alarm=True)


def _getting_in(found: Health) -> Check:
    if not found.is_waited:
        return Check(NAME, True, "go straight into the database")
    if not found.is_streamed and found.table is not None:
        return _table(found.table)
    if found.state is None:
        words = "Redis is away: they go straight into the database, which takes fewer of them"
        return Check(NAME, True, words, alarm=True)
    state = found.state
    workers = {0: "no worker runs", 1: "1 worker runs"}
    here = workers.get(state.workers, f"{state.workers:,} workers run")
    if not state.is_heard:
        here = "the node that knows of the workers is away"
    words = f"{waiting(state)}; {here}{shards_away(state)}"
    if not state.workers and state.is_heard:
        words = f"{waiting(state)}; {here}: {START}{shards_away(state)}"
        return Check(NAME, Fault.idle not in found.faults, words, not state.entries)
    if Fault.late in found.faults:
        words += "; start more, and look at the log of those that run"
    return Check(NAME, not found.faults, words, alarm=bool(state.faulty))


def _table(state: WaitingState) -> Check:
    """What waits in the database."""
    words = f"{waiting(state)}, in the database; "
    if not state.workers:
        return Check(NAME, not state.entries, f"{words}no worker runs: {START}", not state.entries)
    if state.oldest > LATE:
        return Check(NAME, False, f"{words}a worker runs; look at its log")
    return Check(NAME, True, f"{words}a worker runs")


def _keeping(stream: VisitStream) -> Iterator[Check]:
    """Settings of Redis that lose what waits."""
    try:
        keeping = stream.keeping()
    except StreamAway:
        return  # it went away this moment
    if keeping.appendonly is False:
        words = (
            "Redis does not write to its disk (appendonly no): if it crashes, the visits that wait "
            "are lost; set `appendonly yes` and `appendfsync everysec`"
        )
        yield Check(NAME, True, words, alarm=True)
    if keeping.eviction not in (None, "noeviction"):
        # The others drop only what has an end: the counts of limits.
        lost = "visits that wait" if keeping.eviction.startswith("allkeys") else "counts of limits"
        words = (
            f"Redis drops {lost} when its memory is full (maxmemory-policy {keeping.eviction}); "
            "set `maxmemory-policy noeviction`"
        )
        yield Check(NAME, True, words, alarm=True)
