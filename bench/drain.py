"""Workers draining a full stream into PostgreSQL, rollups and counters of the spread included.

The stream holds what a campaign brings that goes round: see `MIX`. Readers open links of readers
before them, the later ones more often, so there are long chains and a few sharers with most of the
others below them. The workers are processes of the service as they are; the time is from their
first commit until the stream is empty and the counters are up to date. They, PostgreSQL and Valkey
share all the machine's cores: two workers can be quicker only as far as there are cores left.
PostgreSQL has the settings of deploy/postgresql.conf, with less memory.
"""

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from bench.measure import Row, on_every_core
from bench.open import SECRET, brand
from referral.intake.events import Event, Visited
from referral.intake.stream import VisitStream
from referral.links import Channel
from referral.people import new_visitor_id
from referral.visits import Kind, Visit, engagement_id, new_event_id

ROUNDS = 5
VISITS = 128_000
"""Of what a worker takes at once, a whole number for each of two."""
QUICK = {"ROUNDS": 1, "VISITS": 800}
SETTINGS = Path(__file__).resolve().parent.parent / "deploy" / "postgresql.conf"
WORKERS = (1, 2)
ASKED = {1: "15,000 a second", 2: "1.8 of one"}
TIMEOUT_SECONDS = 600.0
MIX = {"new reader": 40, "his page ran": 34, "comes again": 10, "shares": 6, "machine": 10}
"""Of a hundred visits."""
REGIONS = ("CN-31", "CN-44", "CN-11", "SG", "MY", None)
CHANNELS = (Channel.wechat, Channel.copy, Channel.poster, Channel.unknown)


def rows() -> Iterator[Row]:
    try:
        from tests.servers import PostgresServer, ValkeyServer
    except ImportError:  # the servers for tests come with the tests
        return
    rates: dict[int, list[float]] = {workers: [] for workers in WORKERS}
    busy: dict[int, list[float]] = {workers: [] for workers in WORKERS}
    with ExitStack() as stack:
        stack.enter_context(on_every_core())
        folder = Path(stack.enter_context(TemporaryDirectory(ignore_cleanup_errors=True)))
        server = stack.enter_context(PostgresServer(fsync=True, settings=settings_of_postgres()))
        valkey = stack.enter_context(ValkeyServer(appendonly=True))
        settings = {
            "REFERRAL_REDIS_URL": valkey.url,
            "REFERRAL_DATA_DIR": str(folder),
            "REFERRAL_SECRET_KEYS": SECRET,
        }
        stream = VisitStream(valkey.url)
        for number in range(ROUNDS):
            for workers in WORKERS:
                url = server.create_database(f"drain_{number}_{workers}")
                brand(url, folder)
                fill(stream, VISITS, seed=number)
                took, cores = drained(stream, workers, {**settings, "REFERRAL_DATABASE_URL": url})
                rates[workers].append(VISITS / took)
                busy[workers].append(cores)
    for workers, found in rates.items():
        share = median(one / alone for one, alone in zip(found, rates[1], strict=True))
        cores = f"{median(busy[workers]):.2f} cores busy"
        compared = cores if workers == 1 else f"{share:.2f} of one, {cores}"
        what = f"drain: {workers} worker{'s' if workers > 1 else ''}, PostgreSQL"
        yield Row(what, f"{median(found):,.0f} visits a second", compared, ASKED[workers])


def settings_of_postgres() -> Mapping[str, str]:
    lines = (line.partition("#")[0].partition("=") for line in SETTINGS.read_text().splitlines())
    said = {name.strip(): value.strip() for name, _, value in lines if value}
    return {**said, "shared_buffers": "1GB"}


def fill(stream: VisitStream, visits: int, seed: int) -> None:
    """Put visits into the stream, as one server gets them: each an entry."""
    for event in campaign_visits(visits, seed):
        stream.add([event])


def campaign_visits(visits: int, seed: int) -> Sequence[Event]:
    """What comes in of one campaign, in its order; a thousand a second."""
    chance = random.Random(seed)  # noqa: S311 - a benchmark
    now = datetime.now(UTC) - timedelta(milliseconds=visits)
    hops = {new_visitor_id(): 0}
    sharers, readers = list(hops), list(hops)
    made: list[Event] = []
    names, weights = tuple(MIX), tuple(MIX.values())
    for _ in range(visits):
        now += timedelta(milliseconds=1)
        what = chance.choices(names, weights)[0]
        sharer = sharers[int(len(sharers) * chance.random() ** 0.5)]
        visitor = chance.choice(readers)
        if what == "new reader":
            visitor = new_visitor_id()
            hops[visitor] = min(hops[sharer] + 1, 255)
            readers.append(visitor)
            if chance.random() < 0.2:
                sharers.append(visitor)
        elif what == "his page ran":
            visitor = readers[-1]
        made.append(Visited(_visit(chance, what, now, visitor, sharer, hops[sharer] + 1)))
    return made


def _visit(
    chance: random.Random, what: str, at: datetime, visitor: int, sharer: int, hop: int
) -> Visit:
    region, channel = chance.choice(REGIONS), chance.choice(CHANNELS)
    if what == "his page ran":
        number = engagement_id(visitor, 1, at)
        return Visit(Kind.engagement, at, number, visitor, 1, channel=channel, region=region)
    if what == "shares":
        return Visit(Kind.share, at, new_event_id(), visitor, 1, channel=channel, region=region)
    if what == "machine":
        return Visit(
            Kind.fetch, at, new_event_id(), None, 1, sharer, hop, channel, region=region,
            machine="preview",
        )  # fmt: skip
    return Visit(
        Kind.open, at, new_event_id(), visitor, 1, sharer, min(hop, 255), channel, region=region
    )


def drained(stream: VisitStream, workers: int, settings: Mapping[str, str]) -> tuple[float, float]:
    """Seconds that so many workers take for all that waits, and how many of the machine's cores
    are busy meanwhile."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("REFERRAL_")}
    command = [sys.executable, "-m", "referral", "worker", "--once"]
    waiting = stream.state().entries
    processes = [
        subprocess.Popen(command, env={**inherited, **settings}, stdout=subprocess.DEVNULL)
        for _ in range(workers)
    ]
    try:
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while stream.state().pending == 0 and time.monotonic() < deadline:
            time.sleep(0.005)
        begun, work = time.perf_counter(), processor_seconds()
        for process in processes:
            process.wait(timeout=TIMEOUT_SECONDS)
            if process.returncode:
                raise RuntimeError("a worker failed")
        took = time.perf_counter() - begun
        if stream.state().entries:
            raise RuntimeError(f"of {waiting} entries {stream.state().entries} still wait")
        return took, (processor_seconds() - work) / took
    finally:
        for process in processes:
            with suppress(ProcessLookupError):
                process.kill()


def processor_seconds() -> float:
    """What all cores of the machine have worked."""
    import psutil  # comes with the tests

    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + times.irq + times.softirq)
