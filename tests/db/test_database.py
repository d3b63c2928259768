"""Transactions: retried where the database asks for it, joined when nested; and a database gone."""

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from threading import Barrier, Event, Thread

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError
from sqlalchemy.orm import Session

from referral.catalog import Product, product_by_gtin
from referral.db import TRIES_MAX, Database, insert_new, insert_new_id, lock, upgrade, use_wal
from referral.db import database as db_module
from referral.deployment import Deployment
from referral.errors import Problem, Unavailable
from referral.people import Customer, Visitor
from tests.cast import GTIN
from tests.races import at_once, overtaken
from tests.servers import PostgresServer

WAIT_SECONDS = 30
NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


def rows(deployment: Deployment, model: type = Visitor) -> int:
    with deployment.db.read() as tx:
        return tx.scalar(sa.select(sa.func.count()).select_from(model)) or 0


def visitor(deployment: Deployment, number: int) -> dict[str, object]:
    return {"id": number, "customer_id": None, "created_at": deployment.clock.now()}


# Inserting what is new


def test_rows_that_are_there_are_left_out_and_counted_out(deployment: Deployment) -> None:
    def work(tx: Session) -> list[int]:
        return [
            insert_new(tx, Visitor, visitor(deployment, 1)),
            insert_new(tx, Visitor, visitor(deployment, 1)),
            insert_new(tx, Visitor, [visitor(deployment, n) for n in (1, 2, 3)]),
            insert_new(tx, Visitor, [visitor(deployment, n) for n in (1, 2, 3)]),
            insert_new(tx, Visitor, []),
        ]

    assert deployment.db.transact(work) == [1, 0, 2, 0, 0]
    assert rows(deployment) == 3


def test_rows_that_the_database_numbers_are_counted_as_well(deployment: Deployment) -> None:
    row = {
        "gtin": GTIN,
        "name": "Tea",
        "price": 1,
        "currency": "CNY",
        "labels": "single",
        "created_at": deployment.clock.now(),
    }

    def work(tx: Session) -> list[int]:
        return [
            insert_new(tx, Product, row),
            insert_new(tx, Product, row),
            insert_new(tx, Product, [row, {**row, "gtin": "00000096385074"}]),
        ]

    assert deployment.db.transact(work) == [1, 0, 1]
    with deployment.db.read() as tx:
        product = product_by_gtin(tx, GTIN)

    def again(tx: Session) -> tuple[int | None, int | None]:
        return (
            insert_new_id(tx, Product, row),
            insert_new_id(tx, Product, {**row, "gtin": "00036000291452"}),
        )

    there, new = deployment.db.transact(again)
    assert there is None
    assert new is not None
    assert new > product.id


def test_what_else_is_wrong_with_a_row_is_an_error(deployment: Deployment) -> None:
    row = {**visitor(deployment, 1), "customer_id": 999}
    with pytest.raises(IntegrityError):
        deployment.db.transact(lambda tx: insert_new(tx, Visitor, row))


# Transactions


class Wrong(Exception):
    pass


def test_what_goes_wrong_leaves_nothing(deployment: Deployment) -> None:
    def work(tx: Session) -> None:
        insert_new(tx, Visitor, visitor(deployment, 1))
        raise Wrong

    with pytest.raises(Wrong):
        deployment.db.transact(work)
    assert rows(deployment) == 0


def test_a_transaction_within_another_joins_it(deployment: Deployment) -> None:
    db = deployment.db

    def inner(tx: Session) -> Session:
        insert_new(tx, Visitor, visitor(deployment, 2))
        return tx

    def work(tx: Session) -> None:
        insert_new(tx, Visitor, visitor(deployment, 1))
        assert db.transact(inner) is tx
        with db.read() as reading:
            assert reading is tx, "and what is read is what was written"
            assert reading.scalar(sa.select(sa.func.count()).select_from(Visitor)) == 2
        raise Wrong

    with pytest.raises(Wrong):
        db.transact(work)
    assert rows(deployment) == 0, "the outer one commits, so the inner one is gone as well"
    db.transact(inner)
    assert rows(deployment) == 1


def test_transactions_of_two_databases_do_not_join(deployment: Deployment, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'other.db'}"
    upgrade(url)
    other = Database(url)

    def work(tx: Session) -> None:
        other.transact(lambda inner: insert_new(inner, Visitor, visitor(deployment, 1)))
        raise Wrong

    with pytest.raises(Wrong):
        deployment.db.transact(work)
    with other.read() as tx:
        assert tx.scalar(sa.select(sa.func.count()).select_from(Visitor)) == 1
    other.close()


def test_threads_do_not_join_each_others_transactions(deployment: Deployment) -> None:
    def work(tx: Session) -> int:
        insert_new(tx, Visitor, visitor(deployment, 1))
        tx.flush()
        [seen] = at_once([lambda: rows(deployment)])
        assert isinstance(seen, int)
        return seen

    assert deployment.db.transact(work) == 0


def test_a_reader_changes_nothing(deployment: Deployment) -> None:
    with deployment.db.read() as tx:
        insert_new(tx, Visitor, visitor(deployment, 1))
    assert rows(deployment) == 0


def test_a_named_lock_is_waited_for(deployment: Deployment) -> None:
    def first(tx: Session) -> None:
        lock(tx, "something")
        insert_new(tx, Visitor, visitor(deployment, 1))

    def second(tx: Session) -> int:
        lock(tx, "something")
        return tx.scalar(sa.select(sa.func.count()).select_from(Visitor)) or 0

    outcome = overtaken(deployment.db, first, lambda: deployment.db.transact(second))
    assert outcome == (None, 1), "the second began to look when the first had committed"


def test_named_errors_and_wrong_statements_pass_unchanged(deployment: Deployment) -> None:
    def refuse(tx: Session) -> None:
        raise Problem("no")

    with pytest.raises(Problem, match="no"):
        deployment.db.transact(refuse)
    with pytest.raises((OperationalError, ProgrammingError), match="no_such_table"):
        deployment.db.transact(lambda tx: tx.execute(sa.text("SELECT * FROM no_such_table")))


# Conflicts that the database wants retried


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A PostgreSQL of one's own, which can be killed."""
    with PostgresServer(settings={"deadlock_timeout": "10ms"}) as server:
        url = server.create_database("brand")
        upgrade(url.replace("postgresql://", "postgresql+psycopg://"))
        yield server


@pytest.fixture
def postgres_db(server: PostgresServer) -> Iterator[Database]:
    url = server.url.replace("postgresql://", "postgresql+psycopg://")
    db = Database(url.replace("/postgres?", "/brand?"))
    db.transact(lambda tx: tx.execute(sa.text("TRUNCATE visitors, customers CASCADE")))
    yield db
    db.close()


class Deadlock:
    """Two transactions that take two rows in opposite order: one of them is told to begin anew."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._holds = {1: Event(), 2: Event()}
        self.begun: list[int] = []

    def take(self, first: int, second: int) -> None:
        def work(tx: Session) -> None:
            self.begun.append(first)
            self._lock(tx, first)
            self._holds[first].set()
            assert self._holds[second].wait(WAIT_SECONDS)
            self._lock(tx, second)
            tx.execute(
                sa.update(Customer).where(Customer.id == second).values(name_encrypted=str(first))
            )

        self._db.transact(work)

    def _lock(self, tx: Session, customer: int) -> None:
        tx.execute(sa.select(Customer.id).where(Customer.id == customer).with_for_update())


def test_a_deadlock_is_tried_again(postgres_db: Database) -> None:
    people = [{"id": n, "name_encrypted": None, "created_at": NOW} for n in (1, 2)]
    postgres_db.transact(lambda tx: tx.execute(sa.insert(Customer), people))
    deadlock = Deadlock(postgres_db)
    assert at_once([lambda: deadlock.take(1, 2), lambda: deadlock.take(2, 1)]) == [None, None]
    assert len(deadlock.begun) == 3, "one of the two began twice"
    with postgres_db.read() as tx:
        names = tx.execute(sa.select(Customer.id, Customer.name_encrypted)).all()
    assert sorted(names) == [(1, "2"), (2, "1")]


def test_a_serialization_failure_is_tried_again(postgres_db: Database) -> None:
    """Both read the sum and add a row; serializable, one of them has to see the other's."""
    seen: list[int] = []
    both = {1: Event(), 2: Event()}

    def add(number: int) -> None:
        def work(tx: Session) -> None:
            tx.connection(execution_options={"isolation_level": "SERIALIZABLE"})
            there = tx.scalar(sa.select(sa.func.count()).select_from(Visitor)) or 0
            both[number].set()
            assert both[3 - number].wait(WAIT_SECONDS)
            seen.append(there)
            row = {"id": 100 + there, "customer_id": None, "created_at": NOW}
            insert_new(tx, Visitor, row)

        postgres_db.transact(work)

    assert at_once([lambda: add(1), lambda: add(2)]) == [None, None]
    assert sorted(seen) == [0, 0, 1]
    assert count(postgres_db) == 2


class Conflict(Exception):
    sqlstate = "40001"


def test_a_conflict_that_does_not_end_is_a_named_error(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(db_module, "RETRY_SECONDS", 0.0)
    tries: list[int] = []

    def work(tx: Session) -> None:
        tries.append(insert_new(tx, Visitor, visitor(deployment, 1)))
        raise OperationalError("SELECT", {}, Conflict())

    with pytest.raises(Unavailable):
        deployment.db.transact(work)
    assert tries == [1] * TRIES_MAX, "each began with nothing"
    assert rows(deployment) == 0


# A database that is locked or gone


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(db_module, "SQLITE_BUSY_SECONDS", 0.05)
    monkeypatch.setattr(db_module, "POOL_WAIT_SECONDS", 0.05)


@pytest.fixture
def sqlite_file(tmp_path: Path, _sqlite_template: Path, impatient: None) -> Path:
    path = tmp_path / "here.db"
    path.write_bytes(_sqlite_template.read_bytes())
    return path


def write(db: Database, number: int) -> None:
    statement = sa.text("INSERT INTO visitors (id, created_at) VALUES (:id, '2026-03-02')")
    db.transact(lambda tx: tx.execute(statement, {"id": number}))


def count(db: Database) -> int:
    with db.read() as tx:
        return tx.scalar(sa.text("SELECT count(*) FROM visitors")) or 0


def test_a_locked_sqlite_is_a_named_error_and_recovers(sqlite_file: Path) -> None:
    db = Database(f"sqlite:///{sqlite_file}")
    other = sqlite3.connect(sqlite_file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable):
        write(db, 1)
    assert count(db) == 0, "reading goes on beside a writer"
    other.execute("ROLLBACK")
    write(db, 1)
    assert count(db) == 1
    other.close()
    db.close()


def test_writers_of_one_process_wait_in_a_line(
    sqlite_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite's own waiting sleeps for up to a tenth of a second after the writer is done."""
    db = Database(f"sqlite:///{sqlite_file}")
    at_it, done = Event(), Event()

    def hold(_tx: Session) -> None:
        at_it.set()
        done.wait(10)

    holder = Thread(target=db.transact, args=(hold,))
    holder.start()
    at_it.wait(10)
    assert count(db) == 0, "readers do not wait"
    monkeypatch.setattr(db_module, "SQLITE_BUSY_SECONDS", 0.01)
    with pytest.raises(Unavailable):
        write(db, 1)
    monkeypatch.undo()
    waiting = Thread(target=write, args=(db, 1))
    waiting.start()
    done.set()
    for thread in (holder, waiting):
        thread.join(10)
    assert count(db) == 1
    db.close()


def test_several_open_a_new_sqlite_at_once(tmp_path: Path) -> None:
    """SQLite does not wait by itself where two switch to its log."""
    many = 8

    def opened(path: Path, start: Barrier) -> str:
        connection = sqlite3.connect(path, timeout=5)
        start.wait()
        use_wal(connection)
        mode: str = connection.execute("PRAGMA journal_mode").fetchone()[0]
        connection.close()
        return mode

    with ThreadPoolExecutor(many) as threads:
        for number in range(20):
            path, start = tmp_path / f"{number}.db", Barrier(many)
            each = [threads.submit(opened, path, start) for _ in range(many)]
            assert [one.result() for one in each] == ["wal"] * many


def test_a_sqlite_that_is_locked_from_the_first_moment_is_a_named_error(sqlite_file: Path) -> None:
    other = sqlite3.connect(sqlite_file, isolation_level=None)
    other.execute("PRAGMA locking_mode = EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    db = Database(f"sqlite:///{sqlite_file}")
    with pytest.raises(Unavailable):
        count(db)
    with pytest.raises(Unavailable):
        write(db, 1)
    other.close()
    write(db, 1)
    assert count(db) == 1
    db.close()


def test_a_sqlite_that_is_not_there_is_a_named_error_and_recovers(
    tmp_path: Path, sqlite_file: Path
) -> None:
    folder = tmp_path / "away"
    db = Database(f"sqlite:///{folder / 'here.db'}")
    for _ in range(2):
        with pytest.raises(Unavailable):
            write(db, 1)
    folder.mkdir()
    sqlite_file.rename(folder / "here.db")
    write(db, 1)
    assert count(db) == 1
    db.close()


def test_a_pool_that_is_used_up_is_a_named_error(postgres_db: Database, impatient: None) -> None:
    db = Database(postgres_db.engine.url.render_as_string(hide_password=False))
    held = [db.engine.connect() for _ in range(16)]
    with pytest.raises(Unavailable):
        count(db)
    for connection in held:
        connection.close()
    assert count(db) == 0
    db.close()


def test_a_postgresql_that_dies_is_a_named_error_and_recovers(
    server: PostgresServer, postgres_db: Database
) -> None:
    write(postgres_db, 1)
    server.kill()
    for _ in range(2):
        with pytest.raises(Unavailable):
            write(postgres_db, 2)
        with pytest.raises(Unavailable):
            count(postgres_db)
    server.start()
    assert count(postgres_db) == 1
    write(postgres_db, 2)
    assert count(postgres_db) == 2


def test_a_restart_between_two_transactions_is_not_noticed(
    server: PostgresServer, postgres_db: Database
) -> None:
    write(postgres_db, 1)
    server.restart()
    write(postgres_db, 2)
    assert count(postgres_db) == 2


def test_dying_in_the_middle_of_a_transaction_loses_it_whole(
    server: PostgresServer, postgres_db: Database
) -> None:
    statement = sa.text("INSERT INTO visitors (id, created_at) VALUES (:id, '2026-03-02')")

    def work(tx: Session) -> None:
        tx.execute(statement, {"id": 1})
        server.kill()
        tx.execute(statement, {"id": 2})

    with pytest.raises(Unavailable):
        postgres_db.transact(work)
    server.start()
    assert count(postgres_db) == 0


def test_a_connection_the_server_ends_is_a_named_error(postgres_db: Database) -> None:
    end = sa.text("SELECT pg_terminate_backend(pg_backend_pid())")
    with pytest.raises(Unavailable):
        postgres_db.transact(lambda tx: tx.execute(end))
    assert count(postgres_db) == 0


def test_a_statement_that_took_too_long_is_a_named_error(postgres_db: Database) -> None:
    def work(tx: Session) -> None:
        tx.execute(sa.text("SET LOCAL statement_timeout = '20ms'"))
        tx.execute(sa.text("SELECT pg_sleep(20)"))

    with pytest.raises(Unavailable):
        postgres_db.transact(work)
