"""A large brand: 10 million visits, a million customers. What its figures take, and its openings.

    python -m bench large --visits 10_000_000 --customers 1_000_000

A PostgreSQL is started for it and removed afterwards, or filled and kept is the empty database that
`--database` names: a fill that was interrupted goes on there, and the next run finds it filled.
Figures are read as pages read them, one at a time. Openings are those of `open`: the service on the
large database takes turns with the service on one where nothing has happened yet, which is set up
alike; no worker runs.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

import psycopg
import sqlalchemy as sa

from bench import large_figures
from bench.large_fill import SECRET, fill
from bench.large_plan import Size
from bench.measure import Row, Work, in_turn
from bench.open import SHARERS, Load, served
from referral.config import Config
from referral.deployment import Deployment, open_deployment
from referral.links import Channel, Link
from referral.people import new_visitor_id

VISITS, CUSTOMERS = 10_000_000, 1_000_000
ROUNDS = 9
FIGURE_ROUNDS, PAGE_ROUNDS = 15, 7
"""Many of figures, for the server tells its time in hundredths of a second."""
SHARE_ASKED = 0.9
EMPTY = Size(0, 0)
DATABASE = ""
"""The address of a PostgreSQL database to use; empty for one that is started and removed."""
SERVER = {
    "shared_buffers": "2GB",
    "effective_cache_size": "6GB",
    "work_mem": "16MB",
    "random_page_cost": "1.1",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "15min",
}
"""As docs/deploy.md has it, for a machine with half as much memory."""
BUILT_ON = ("open",)
QUICK = {
    "VISITS": 3_000,
    "CUSTOMERS": 300,
    "ROUNDS": 1,
    "FIGURE_ROUNDS": 1,
    "PAGE_ROUNDS": 1,
    "SERVER": {},
}


def rows() -> Iterator[Row]:
    try:
        from tests.servers import PostgresServer, ValkeyServer, create_database
    except ImportError:
        return  # the servers for tests come with the tests
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(ignore_cleanup_errors=True)))
        url, fresh = DATABASE, ""
        if url:
            fresh = create_database(url, "bench_fresh")
        else:
            server = stack.enter_context(PostgresServer(fsync=True, settings=SERVER))
            url, fresh = (server.create_database(name) for name in ("large", "fresh"))
        fill(url, folder, Size(VISITS, CUSTOMERS))
        fill(fresh, folder, EMPTY)
        words = f"{VISITS:,} visits"
        yield Row(f"large: the database, {words}", _size(url), f"{CUSTOMERS:,} customers")
        large = stack.enter_context(_opened(url, folder))
        top = large_figures.largest(large)
        yield from large_figures.figure_rows(large, top, words, FIGURE_ROUNDS)
        places = {"large": (url, _links(large, top)), "fresh": (fresh, _new_links(fresh, folder))}
        port = stack.enter_context(served("service", _settings(url, folder)))
        yield from large_figures.page_rows(port, top, words, PAGE_ROUNDS)
        for form in ("the stream", "the database"):
            with ExitStack() as of_form:
                works = {}
                for name, (each, paths) in places.items():
                    more = {"REFERRAL_INTAKE": "direct"}
                    if form == "the stream":
                        valkey = of_form.enter_context(ValkeyServer(appendonly=True))
                        more = {"REFERRAL_REDIS_URL": valkey.url}
                    settings = {**_settings(each, folder), **more}
                    port = of_form.enter_context(served("service", settings))
                    works[name] = Load(port, paths, b" 200 ").run
                yield from _compared(works, form, words)


def _compared(works: Mapping[str, Work], form: str, words: str) -> Iterator[Row]:
    seconds = in_turn(works, rounds=ROUNDS, clock=perf_counter)
    fresh, large = seconds["fresh"], seconds["large"]
    share = median(one / other for one, other in zip(fresh, large, strict=True))
    yield Row(f"large: openings into {form}, none before", f"{1 / median(fresh):,.0f} a second")
    yield Row(
        f"large: openings into {form}, after {words}",
        f"{1 / median(large):,.0f} a second",
        f"{share:.2f} of those with none before",
        f"at least {SHARE_ASKED}" if form == "the stream" else "",
    )


def _settings(url: str, folder: Path) -> Mapping[str, str]:
    return {
        "REFERRAL_DATABASE_URL": url,
        "REFERRAL_DATA_DIR": str(folder),
        "REFERRAL_SECRET_KEYS": SECRET,
    }


@contextmanager
def _opened(url: str, folder: Path) -> Iterator[Deployment]:
    deployment = open_deployment(Config(url, folder, (SECRET,), base_url="http://127.0.0.1"))
    try:
        yield deployment
    finally:
        deployment.db.close()


def _links(d: Deployment, top: large_figures.Largest) -> list[str]:
    """Links of people in the spread, from all of it."""
    chosen = sa.text(
        "SELECT visitor_id, hop, customer_id FROM spread_nodes JOIN visitors ON id = visitor_id"
        " WHERE campaign_id = :campaign ORDER BY visitor_id % 1009, visitor_id LIMIT :most"
    )
    with d.db.read() as tx:
        found = tx.execute(chosen, {"campaign": top.campaign.id, "most": SHARERS}).all()
    links = [
        Link(top.campaign.id, row.visitor_id, row.customer_id, row.hop, Channel.wechat)
        for row in found
    ]
    return [f"/s/{d.links.token(link)}" for link in links]


def _new_links(url: str, folder: Path) -> list[str]:
    with _opened(url, folder) as d:
        links = [Link(1, new_visitor_id(), None, 0, Channel.wechat) for _ in range(SHARERS)]
        return [f"/s/{d.links.token(link)}" for link in links]


def _size(url: str) -> str:
    with psycopg.connect(url.replace("postgresql+psycopg:", "postgresql:")) as connection:
        found = connection.execute("SELECT pg_database_size(current_database())").fetchone()
    return f"{(found or [0])[0] / 1e9:.1f} GB"


def options(arguments: Sequence[str]) -> None:
    """Read what is said of this benchmark on the command line."""
    global VISITS, CUSTOMERS, DATABASE
    parser = argparse.ArgumentParser(prog="python -m bench large", description=__doc__)
    parser.add_argument("--visits", type=int, default=VISITS)
    parser.add_argument("--customers", type=int, default=CUSTOMERS)
    parser.add_argument("--database", default=DATABASE, help="a PostgreSQL to fill and keep")
    said = parser.parse_args(arguments)
    if said.visits < 3 * said.customers or said.customers < 1:
        parser.error("there must be at least three visits for each customer")
    VISITS, CUSTOMERS, DATABASE = said.visits, said.customers, said.database
