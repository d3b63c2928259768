"""Misses: counted in memory, written beside the requests, kept while the database is away."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from threading import enumerate as threads
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
import sqlalchemy as sa

from referral import gathering
from referral.clock import HeldClock
from referral.config import Config
from referral.db import upgrade
from referral.deployment import Deployment, open_deployment
from referral.errors import Problem, Unavailable
from referral.misses import KEPT_DAYS, NONE, CodeMisses, Misses, sweep
from tests.cast import GTIN, OTHER_GTIN, add_product
from tests.conftest import SECRET_KEYS, START
from tests.races import at_once, overtaken
from tests.servers import PostgresServer, ServiceProcess

HOUR = datetime(2026, 3, 2, 9, tzinfo=UTC)
Row = tuple[datetime, int, int, int]


def rows(deployment: Deployment) -> list[Row]:
    columns = (CodeMisses.hour, CodeMisses.product_id, CodeMisses.batch_id, CodeMisses.count)
    with deployment.db.read() as tx:
        return [tuple(row) for row in tx.execute(sa.select(*columns).order_by(*columns[:3]))]


def test_misses_are_counted_by_hour_product_and_batch(
    deployment: Deployment, clock: HeldClock
) -> None:
    product = add_product(deployment).id
    misses = deployment.misses
    for gtin, batch in ((GTIN, 7), (GTIN, 7), (GTIN, None), (None, 7), (None, None)):
        misses.count(gtin, batch)
    clock.advance(minutes=30)
    misses.count(GTIN, 7)
    assert rows(deployment) == [], "nothing is written in the request"
    assert misses.flush() == 6
    later = HOUR + timedelta(hours=1)
    assert rows(deployment) == [
        (HOUR, NONE, NONE, 1),
        (HOUR, NONE, 7, 1),
        (HOUR, product, NONE, 1),
        (HOUR, product, 7, 2),
        (later, product, 7, 1),
    ]


def test_regions_are_counted_apart(deployment: Deployment) -> None:
    for region in ("CN-GD", "SG", "CN-GD", None):
        deployment.misses.count(None, 7, region)
    deployment.misses.flush()
    with deployment.db.read() as tx:
        counts = tx.execute(sa.select(CodeMisses.region, CodeMisses.count))
        found = {row.region: row[1] for row in counts}
    assert found == {"CN-GD": 2, "SG": 1, "": 1}


def test_what_is_written_later_is_added(deployment: Deployment) -> None:
    for _ in range(3):
        deployment.misses.count(None, 7)
        assert deployment.misses.flush() == 1
    assert deployment.misses.flush() == 0
    assert rows(deployment) == [(HOUR, NONE, 7, 3)]


def test_a_product_nobody_knows_is_none(deployment: Deployment) -> None:
    deployment.misses.count(OTHER_GTIN, None)
    deployment.misses.count(None, None)
    deployment.misses.flush()
    assert rows(deployment) == [(HOUR, NONE, NONE, 2)]


def test_many_threads_and_writers_lose_nothing(deployment: Deployment) -> None:
    misses = deployment.misses

    def count() -> None:
        for number in range(300):
            misses.count(None, number % 3)
            if number % 50 == 0:
                misses.flush()

    assert at_once([count] * 6) == [None] * 6
    misses.flush()
    assert [row[-1] for row in rows(deployment)] == [600, 600, 600]


def test_two_processes_add_up(deployment: Deployment) -> None:
    other = Misses(deployment.db, deployment.clock)
    for number in range(50):
        deployment.misses.count(None, number)
        other.count(None, 49 - number)
    outcome = overtaken(
        deployment.db, lambda tx: other._write(tx, other._gathered), deployment.misses.flush
    )
    assert outcome == (None, 50)
    assert [row[-1] for row in rows(deployment)] == [2] * 50


def test_every_process_writes_in_the_same_order(deployment: Deployment) -> None:
    """Else each may wait for a row that the other one holds."""
    written: list[list[object]] = []

    def listen(*args: Any) -> None:
        rows = [row.values() if isinstance(row, Mapping) else row for row in args[3]]
        written.extend(map(list, rows))

    for number in (3, 1, 2):
        deployment.misses.count(None, number)
    sa.event.listen(deployment.db.engine, "before_cursor_execute", listen)
    deployment.misses.flush()
    sa.event.remove(deployment.db.engine, "before_cursor_execute", listen)
    assert [row[2] for row in written] == [1, 2, 3]


def test_more_than_fits_one_statement_is_written(deployment: Deployment) -> None:
    for number in range(1, 1202):
        deployment.misses.count(None, number)
    assert deployment.misses.flush() == 1201
    assert len(rows(deployment)) == 1201


def test_memory_is_bounded_and_the_sum_is_right(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gathering, "PLACES_MAX", 10)
    for number in range(1, 101):
        deployment.misses.count(f"{number:014}", number)
    deployment.misses.count(f"{1:014}", 1)
    assert len(deployment.misses._gathered) == 11
    deployment.misses.flush()
    assert sum(row[-1] for row in rows(deployment)) == 101
    assert (HOUR, NONE, NONE, 90) in rows(deployment)
    assert (HOUR, NONE, 1, 2) in rows(deployment)


def test_counting_asks_the_database_nothing(deployment: Deployment) -> None:
    said: list[str] = []
    sa.event.listen(
        deployment.db.engine, "before_cursor_execute", lambda *args: said.append(args[2])
    )
    for _ in range(100):
        deployment.misses.count(GTIN, 7)
    assert said == []
    deployment.misses.flush()
    assert said


def test_old_ones_are_swept(deployment: Deployment, clock: HeldClock) -> None:
    deployment.misses.count(None, 7)
    deployment.misses.flush()
    clock.advance(days=KEPT_DAYS)
    deployment.misses.count(None, 7)
    deployment.misses.flush()
    swept = [deployment.db.transact(lambda tx: sweep(tx, clock.now())) for _ in range(2)]
    assert swept == [1, 0]
    assert len(rows(deployment)) == 1


# The thread that writes


def test_a_thread_writes_them_by_itself(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gathering, "WRITE_SECONDS", 0.01)
    misses, written, counts = deployment.misses, Event(), []
    flush = misses.flush

    def told() -> int:
        counts.append(flush())
        if sum(counts) == 2:
            written.set()
        elif sum(counts) == 1 and not beside:
            beside.append(True)
            misses.count(None, 8)  # after the first writing: the same thread goes on
        return counts[-1]

    beside: list[bool] = []
    monkeypatch.setattr(misses, "flush", told)
    misses.count(None, 7)
    assert written.wait(30)
    assert [row[2:] for row in rows(deployment)] == [(7, 1), (8, 1)]
    assert len([t for t in threads() if t.name == "misses" and t.is_alive()]) >= 1
    monkeypatch.setattr(gathering, "WRITE_SECONDS", 86_400.0)


def test_the_thread_outlives_a_failure(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gathering, "WRITE_SECONDS", 0.01)
    misses, written, tries = deployment.misses, Event(), []
    flush = misses.flush

    def fail_twice() -> int:
        tries.append(1)
        if len(tries) == 1:
            raise Unavailable()
        if len(tries) == 2:
            raise sa.exc.OperationalError("", {}, Exception())
        count = flush()
        written.set()
        return count

    monkeypatch.setattr(misses, "flush", fail_twice)
    misses.count(None, 7)
    assert written.wait(30)
    assert [row[2:] for row in rows(deployment)] == [(7, 1)]
    monkeypatch.setattr(gathering, "WRITE_SECONDS", 86_400.0)


def test_a_forked_process_writes_its_own_and_not_its_parents(deployment: Deployment) -> None:
    misses = deployment.misses
    misses.count(None, 7)
    deployment.db.close()  # a connection is not to be shared by two processes
    child = os.fork()
    if not child:
        status = 1
        try:
            misses.count(None, 8)
            starts = misses._has_writer and [t.name for t in threads()].count("misses") == 1
            status = 0 if misses.flush() == 1 and starts else 2
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    assert misses.flush() == 1
    assert rows(deployment) == [(HOUR, NONE, 7, 1), (HOUR, NONE, 8, 1)]


AT_EXIT = """
import multiprocessing, sys
from pathlib import Path
from referral.config import Config
from referral.deployment import open_deployment

def count():
    global opened
    opened = open_deployment(Config(sys.argv[1], Path(sys.argv[2]), ("a-key-for-the-tests-only",)))
    opened.misses.count(None, 7)

count()
opened.db.close()
child = multiprocessing.get_context("fork").Process(target=count)
child.start()
child.join()
sys.exit(child.exitcode)
"""


def test_what_is_left_is_written_at_the_end(deployment: Deployment, tmp_path: Path) -> None:
    """In a process of its own as in one that a server has started as its worker."""
    command = [sys.executable, "-c", AT_EXIT, deployment.config.database_url, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert [row[2:] for row in rows(deployment)] == [(7, 2)]


def test_a_server_that_is_stopped_writes_them(
    deployment: Deployment, live_server: Callable[..., ServiceProcess]
) -> None:
    product = add_product(deployment).id
    server = live_server()
    with pytest.raises(HTTPError, match="404"):
        urlopen(f"{server.url}/01/{GTIN}/21/0123456789ABCDEF")
    server.stop()
    assert [row[1:] for row in rows(deployment)] == [(product, NONE, 1)]


# The database away


def test_a_database_that_was_away_gets_them_later(tmp_path: Path) -> None:
    with PostgresServer() as server:
        url = server.create_database("misses")
        upgrade(url)
        opened = open_deployment(Config(url, tmp_path, SECRET_KEYS), clock=HeldClock(START))
        opened.misses.count(None, 7)
        opened.misses.flush()
        server.kill()
        for number in range(3):
            opened.misses.count(None, 7)
            with pytest.raises(Problem):
                opened.misses.flush()
            assert opened.misses._gathered.total() == number + 1
        server.start()
        assert opened.misses.flush() == 3
        assert [row[2:] for row in rows(opened)] == [(7, 4)]
        opened.db.close()


def test_a_database_without_the_table_loses_none(bare_database_url: str, tmp_path: Path) -> None:
    opened = open_deployment(Config(bare_database_url, tmp_path, SECRET_KEYS))
    opened.misses.count(None, 7)
    with pytest.raises(sa.exc.SQLAlchemyError):
        opened.misses.flush()
    upgrade(bare_database_url)
    assert opened.misses.flush() == 1
    opened.db.close()
