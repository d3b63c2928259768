"""The referral tree of a million customers in the console: pictures, branches and sorted lists.

    python -m bench tree --customers 1_000_000

It is filled into a PostgreSQL and into SQLite, which are removed afterwards. Pages are asked for in
this process as a browser asks for them; what is told is the processor's time, here and in the
database's server, which stands still while others are served. What a browser takes to draw a
picture is measured beside it, see bench/README.md.
"""

import argparse
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from os import sysconf
from pathlib import Path
from re import search
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter, process_time

import sqlalchemy as sa
from flask.testing import FlaskClient

from bench import tree_browser
from bench.measure import Row, on_every_core
from bench.tree_fill import PASSWORD, STAFF, fill
from referral import create_app
from referral.config import Config
from referral.db import upgrade
from referral.deployment import Deployment, open_deployment
from referral.reports.tree_lists import OF_SUMS, Sort
from referral.rollups.tree import TreeSum

CUSTOMERS = 1_000_000
CUSTOMERS_MIN = 100
ROUNDS = 9
DATABASES: tuple[str, ...] = ("PostgreSQL", "SQLite")
SECRET = "a-secret-key-for-the-benchmarks"  # noqa: S105 - of a brand that lives for minutes
PICTURE_ASKED = "500 ms with the browser's"
BRANCH_ASKED = "150 ms"
SERVER = {
    "shared_buffers": "1GB",
    "work_mem": "16MB",
    "random_page_cost": "1.1",
    "max_wal_size": "4GB",
}
QUICK = {"CUSTOMERS": 600, "ROUNDS": 1, "SERVER": {}}


def rows() -> Iterator[Row]:
    try:
        from tests.servers import PostgresServer
    except ImportError:
        return  # the servers for tests come with the tests
    for name in DATABASES:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(TemporaryDirectory(ignore_cleanup_errors=True)))
            url = f"sqlite:///{folder / 'tree.db'}"
            if name == "PostgreSQL":
                server = stack.enter_context(PostgresServer(settings=SERVER))
                url = server.create_database("tree")
            upgrade(url)
            d = open_deployment(Config(url, folder, (SECRET,), base_url="http://127.0.0.1"))
            stack.callback(d.db.close)
            begun = perf_counter()
            fill(d, url, CUSTOMERS)
            filled = f"{perf_counter() - begun:.0f} s by the clock"
            yield Row(f"tree: {CUSTOMERS:,} customers into {name}, and counted", filled)
            yield from _measured(d, name)


def _measured(d: Deployment, database: str) -> Iterator[Row]:
    with d.db.read() as tx:
        root, total = tx.execute(
            sa.select(TreeSum.customer_id, TreeSum.total)
            .where(TreeSum.parent.is_(None))
            .order_by(TreeSum.total.desc())
            .limit(1)
        ).one()
        branch, below = tx.execute(
            sa.select(TreeSum.customer_id, TreeSum.direct).order_by(TreeSum.direct.desc()).limit(1)
        ).one()
    client = create_app(deployment=d).test_client()
    _sign_in(client)
    people = f"/staff/customers/{root}/tree"
    yield _row(
        d,
        client,
        f"first picture of the largest root, {total:,} below, {database}",
        f"{people}/picture.json",
        PICTURE_ASKED,
    )
    yield _row(
        d, client, f"the same with 10,000 nodes, {database}", f"{people}/picture.json?nodes=10000"
    )
    yield from _in_a_browser(client, f"{people}/picture.json", database)
    opened = f"a branch of {below:,} opened"
    drawn = f"/staff/customers/{branch}/tree/branch.json"
    yield _row(d, client, f"{opened} in the picture, {database}", drawn, BRANCH_ASKED)
    listed = f"/staff/tree/{branch}"
    yield _row(d, client, f"{opened} in the list, {database}", f"{listed}/branches", BRANCH_ASKED)
    for sort in Sort:
        yield _row(
            d, client, f"list of {below:,} friends by {sort}, {database}", f"{listed}?sort={sort}"
        )
    for sort in sorted(OF_SUMS):
        yield _row(d, client, f"list of roots by {sort}, {database}", f"/staff/tree?sort={sort}")
    with d.db.read() as tx:
        last = tx.scalar(
            sa.select(sa.func.max(TreeSum.customer_id)).where(TreeSum.parent == branch)
        )
    yield _row(d, client, f"the end of {below:,} friends, {database}", f"{listed}?after={last}")
    for what, query in (("frequent", "明"), ("rare", "Hana 37"), ("unknown", "没有这个人")):
        name = f"a {what} name searched, {database}"
        yield _row(d, client, name, "/staff/search", query=query)


def _in_a_browser(client: FlaskClient, path: str, database: str) -> Iterator[Row]:
    """What a browser takes besides, for the same people."""
    people = client.get(path).get_json()["nodes"]
    with on_every_core(), tree_browser.opened() as picture:
        if picture is None:
            return
        took = tree_browser.first_picture(picture, people, ROUNDS)
    yield Row(
        f"tree: a browser, from the start of its page until {len(people):,} are drawn, {database}",
        f"{took:.0f} ms",
        "by the clock",
    )


def _row(
    d: Deployment, client: FlaskClient, what: str, path: str, asked: str = "", query: str = ""
) -> Row:
    _took(d, client, path, query)
    before = _server_seconds(d)
    took = [_took(d, client, path, query) for _ in range(ROUNDS)]
    server = (_server_seconds(d) - before) / ROUNDS
    worked = (median(own for _, own in took) + server) * 1_000
    wall = median(seconds for seconds, _ in took) * 1_000
    return Row(f"tree: {what}", f"{worked:.0f} ms", f"{wall:.0f} ms by the clock", asked)


def _took(d: Deployment, client: FlaskClient, path: str, query: str) -> tuple[float, float]:
    """Seconds by the clock on the wall, and of this process's processor time."""
    begun, own = perf_counter(), process_time()
    answer = client.post(path, data=_form(client, path, query)) if query else client.get(path)
    if answer.status_code not in (200, 303, 404 if query else 200):
        raise RuntimeError(f"{path} was answered with {answer.status_code}")
    return perf_counter() - begun, process_time() - own


def _server_seconds(d: Deployment) -> float:
    """What the server has worked for this process's connection so far; 0 where there is none."""
    if d.db.is_sqlite:
        return 0.0
    with d.db.read() as tx:
        status = Path(f"/proc/{tx.scalar(sa.text('SELECT pg_backend_pid()'))}/stat")
    if not status.exists():
        return 0.0
    ticks = status.read_text().rpartition(") ")[2].split()[11:13]
    return sum(map(int, ticks)) / sysconf("SC_CLK_TCK")


def _form(client: FlaskClient, path: str, query: str) -> dict[str, str]:
    return {"q": query, "csrf_token": _token(client.get(path).text)}


def _token(page: str) -> str:
    found = search(r'name="csrf_token" value="([^"]+)"', page)
    return found[1] if found else ""


def _sign_in(client: FlaskClient) -> None:
    token = _token(client.get("/staff/sign-in").text)
    fields = {"email": STAFF, "password": PASSWORD, "next": "/staff/", "csrf_token": token}
    if client.post("/staff/sign-in", data=fields).status_code != 303:
        raise RuntimeError("nobody was signed in")


def options(arguments: Sequence[str]) -> None:
    """Read what is said of this benchmark on the command line."""
    global CUSTOMERS, DATABASES
    parser = argparse.ArgumentParser(prog="python -m bench tree", description=__doc__)
    parser.add_argument("--customers", type=int, default=CUSTOMERS)
    parser.add_argument("--on", choices=DATABASES, help="one of the two databases alone")
    said = parser.parse_args(arguments)
    if said.customers < CUSTOMERS_MIN:
        parser.error(f"there must be at least {CUSTOMERS_MIN} customers")
    chosen = (said.on,) if said.on else DATABASES
    CUSTOMERS, DATABASES = said.customers, chosen
