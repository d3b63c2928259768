"""PostgreSQL with a standby: one address for both, and what is committed is at both."""

from collections.abc import Callable, Iterator
from functools import partial
from queue import Empty, Queue
from threading import Thread

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral.db import Database
from referral.db.url import read_database_url
from referral.errors import Unavailable
from tests.servers import PostgresServer
from tests.standbys import PostgresPair

ONE_MORE = sa.text("INSERT INTO claims DEFAULT VALUES RETURNING id")


@pytest.fixture
def pair() -> Iterator[PostgresPair]:
    with PostgresPair() as started:
        yield started


@pytest.fixture
def db(pair: PostgresPair) -> Iterator[Database]:
    """Its pool holds connections to the primary."""
    opened = Database(read_database_url(pair.create_database("brand")))
    opened.transact(lambda tx: tx.execute(sa.text("CREATE TABLE claims (id serial)")))
    yield opened
    opened.close()


def claim(db: Database) -> int:
    def work(tx: Session) -> int:
        return int(tx.execute(ONE_MORE).scalar_one())

    return db.transact(work)


def claims_at(server: PostgresServer) -> list[int]:
    with psycopg.connect(server.url, dbname="brand") as connection:
        return [row[0] for row in connection.execute("SELECT id FROM claims ORDER BY id")]


def has_read_all(standby: PostgresServer) -> bool:
    with psycopg.connect(standby.url) as connection:
        row = connection.execute(
            "SELECT pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn()"
        ).fetchone()
    return row == (True,)


def test_what_was_committed_is_at_the_standby_which_takes_over(
    pair: PostgresPair, db: Database
) -> None:
    claims = [claim(db) for _ in range(20)]
    pair.primary.kill()
    with pytest.raises(Unavailable):
        claim(db)
    # It has it all on its disk, and may still be at reading it.
    until(lambda: has_read_all(pair.standby), "the standby does not read what it has")
    assert claims_at(pair.standby) == claims
    with pytest.raises(Unavailable):
        claim(db)
    pair.promote()
    assert claim(db) > claims[-1]


def test_a_server_that_takes_no_writes_any_more_is_left(pair: PostgresPair, db: Database) -> None:
    claim(db)
    run(pair.primary.url, "ALTER SYSTEM SET default_transaction_read_only = on")
    run(pair.primary.url, "SELECT pg_reload_conf()")
    until(lambda: refuses(db), "the primary goes on taking writes")
    pair.promote()
    assert claim(db) > 1
    assert len(claims_at(pair.standby)) > len(claims_at(pair.primary))


def test_nothing_is_answered_while_the_standby_is_away(pair: PostgresPair, db: Database) -> None:
    """A time limit for statements does not make a commit of what only one server has."""
    claim(db)
    pair.standby.kill()
    answers: Queue[int] = Queue()
    for is_alone in (False, True):
        hurried = partial(claim_hurriedly, pair.primary, is_alone)
        Thread(target=lambda work=hurried: answers.put(work()), daemon=True).start()
    with pytest.raises(Empty):
        answers.get(timeout=1.5)
    pair.standby.start()
    assert len({answers.get(timeout=60) for _ in range(2)}) == 2


def claim_hurriedly(server: PostgresServer, is_alone: bool) -> int:
    """`is_alone`: the statement is its own transaction."""
    limit = "-c statement_timeout=200ms"
    with psycopg.connect(server.url, dbname="brand", options=limit) as connection:
        connection.autocommit = is_alone
        row = connection.execute(str(ONE_MORE).encode()).fetchone()
    assert row is not None
    return int(row[0])


def run(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement.encode())


def refuses(db: Database) -> bool:
    try:
        claim(db)
    except Unavailable:
        return True
    return False


def until(is_so: Callable[[], bool], else_say: str) -> None:
    assert any(is_so() for _ in range(2_000)), else_say
