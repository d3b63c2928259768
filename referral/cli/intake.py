"""Taking visits in: the worker, parked events, and whether the rollups are what the visits say."""

import gc
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, islice

import click
from sqlalchemy.orm import Session

from referral import actions, rollups
from referral.cli.exports import exports_beside
from referral.cli.output import (
    BATCH_ID,
    BY,
    answer,
    check_migrated,
    json_option,
    opened,
    sentence,
)
from referral.cli.server import end_with_parent
from referral.db import one_moment
from referral.deployment import Deployment
from referral.errors import Problem, Unavailable
from referral.intake import parked
from referral.intake.stream import StreamAway
from referral.intake.working import Worker

DIFFERENCES_SHOWN = 20
PARKED_SHOWN = 100
RESPAWN_SECONDS = 1.0
AWAY_SECONDS = 1.0
"""How often a worker that begins looks whether the database has come back."""
STOP_SECONDS = 15.0
GARBAGE_OBJECTS = 500_000
"""So many more objects than were freed make a worker look for circles among them. What a batch
makes, it lets go of when it is done: looking through it meanwhile takes a third of its time."""


@click.command("worker")
@click.option("--once", is_flag=True, help="End when nothing waits any more.")
@click.option("--end-with", type=int, hidden=True, help="End when this parent process ends.")
def worker_command(once: bool, end_with: int | None) -> None:
    """Store the visits that wait, in the stream and in the database, and make the files that staff
    wait for. Any number may run, on any number of machines.

    With REFERRAL_INTAKE=direct visits are stored at once and files are made by the service itself.
    While the database or Redis is away it waits for them. SIGTERM ends it after what it is at;
    killed at any moment, it loses nothing.
    """
    with opened(migrated=once) as deployment:
        if deployment.waiting is None:
            raise click.ClickException(
                "Visits go straight into the database. Leave out REFERRAL_INTAKE to have them wait "
                "for a worker."
            )
        gc.freeze()
        gc.set_threshold(GARBAGE_OBJECTS)
        worker = Worker(deployment.db, deployment.clock, deployment.stream, deployment.waiting)
        stopping = threading.Event()

        def stop(*_signal: object) -> None:
            stopping.set()
            worker.stop()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        if end_with is not None:
            threading.Thread(target=end_with_parent, args=(end_with,), daemon=True).start()
        try:
            if once:
                worker.drain()
                actions.work_off_exports(deployment, stopping.is_set)
            elif _is_there(deployment, stopping):
                with exports_beside(deployment):
                    worker.run()
        except StreamAway:
            raise click.ClickException("Redis is away; check REFERRAL_REDIS_URL.") from None
        finally:
            worker.close()
    if once:
        click.echo(f"Stored {worker.worked.events:,} events, parked {worker.worked.parked:,}.")


def _is_there(deployment: Deployment, stopping: threading.Event) -> bool:
    """Wait for the database. Whether it came before the worker was to stop."""
    while not stopping.is_set():
        try:
            check_migrated(deployment)
            return True
        except Unavailable:
            stopping.wait(AWAY_SECONDS)
    return False


@contextmanager
def worker_beside() -> Iterator[None]:
    """A worker in a process of its own, replaced whenever it ends."""
    stopping = threading.Event()
    running: list[subprocess.Popen[bytes]] = []

    def mind() -> None:
        while not stopping.is_set():
            command = [sys.executable, "-m", "referral", "worker", "--end-with", str(os.getpid())]
            process = subprocess.Popen(command)
            running[:] = [process]
            process.wait()
            stopping.wait(RESPAWN_SECONDS)

    minder = threading.Thread(target=mind, daemon=True)
    minder.start()
    try:
        yield
    finally:
        stopping.set()
        for process in running:
            process.terminate()
        minder.join(STOP_SECONDS)


@click.command("recount")
@click.option("--check", is_flag=True, help="Only compare; exit 1 if anything differs.")
@json_option
def recount_command(check: bool, as_json: bool) -> None:
    """Count the visits themselves and put the hourly figures right, or compare them.

    What customers are worth is worked out anew as well. May run while visits come in.
    """
    if check:
        _compare(as_json)
        return
    with opened() as deployment:
        mended = deployment.db.transact(_recounted) + actions.recount_days(deployment)
        mended += actions.recount_tree(deployment)
        mended += actions.recount_money(deployment)
        values = actions.refresh_values(deployment, whole=True)
    words = f"Mended {mended:,} hourly figures, and the values of {values:,} customers."
    answer({"mended": mended, "values": values}, as_json, words)


def _recounted(tx: Session) -> int:
    one_moment(tx)
    return rollups.recount(tx) + rollups.mend_sums(tx)


def _compare(as_json: bool) -> None:
    with opened() as deployment, deployment.db.read() as tx:
        one_moment(tx)
        wrong = chain(
            rollups.differences(tx),
            rollups.sum_differences(tx),
            actions.days_differing(tx, deployment),
            actions.tree_differences(tx, deployment),
        )
        found = [str(each) for each in islice(wrong, DIFFERENCES_SHOWN)]
    words = "\n".join(found) or "The hourly figures are what the visits say."
    answer({"ok": not found, "differences": found}, as_json, words)
    if found:
        raise click.ClickException("The hourly figures are wrong; `referral recount` mends them.")


@click.group("parked")
def parked_group() -> None:
    """Events that could not be stored and were put aside."""


@parked_group.command("list")
@json_option
def parked_list(as_json: bool) -> None:
    """Show them, the oldest first, with what kind of error each met."""
    with opened() as deployment, deployment.db.read() as tx:
        found = parked.waiting(tx, limit=PARKED_SHOWN)
        total = parked.count_waiting(tx)
    items = [{"id": each.id, "at": each.at.isoformat(), "reason": each.reason} for each in found]
    lines = [f"{each['id']:>8}  {each['at']}  {each['reason']}" for each in items]
    if total > len(items):
        lines.append(f"... and {total - len(items):,} more.")
    words = "\n".join(lines) or "No events are parked."
    answer({"total": total, "items": items}, as_json, words)


@parked_group.command("replay")
@click.argument("ids", type=BATCH_ID, nargs=-1)
@json_option
def parked_replay(ids: tuple[int, ...], as_json: bool) -> None:
    """Store parked events after all: those named, or every one. Twice is once."""
    with opened() as deployment:
        stored = 0
        failed: dict[int, str] = {}
        for number in ids or _every_parked(deployment):
            try:
                stored += actions.replay_parked(deployment, number, by=BY)
            except Problem as problem:
                failed[number] = sentence(problem)
    lines = [f"Stored {stored:,} events.", *(f"{number}: {why}" for number, why in failed.items())]
    answer({"stored": stored, "failed": failed}, as_json, "\n".join(lines))
    if failed:
        raise click.ClickException(f"Events that cannot be stored yet: {len(failed):,}.")


@parked_group.command("discard")
@click.argument("ids", type=BATCH_ID, nargs=-1, required=True)
@json_option
def parked_discard(ids: tuple[int, ...], as_json: bool) -> None:
    """Give up parked events that nobody can read. Their text is kept, and who did it."""
    with opened() as deployment:
        done = 0
        failed: dict[int, str] = {}
        for number in ids:
            try:
                done += actions.discard_parked(deployment, number, by=BY)
            except Problem as problem:
                failed[number] = sentence(problem)
    lines = [f"Gave up {done:,} events.", *(f"{number}: {why}" for number, why in failed.items())]
    answer({"discarded": done, "failed": failed}, as_json, "\n".join(lines))
    if failed:
        raise click.ClickException(f"Events that were not given up: {len(failed):,}.")


def _every_parked(deployment: Deployment) -> Iterator[int]:
    last = 0
    while True:
        with deployment.db.read() as tx:
            numbers = [each.id for each in parked.waiting(tx, limit=PARKED_SHOWN, after=last)]
        if not numbers:
            return
        yield from numbers
        last = numbers[-1]
