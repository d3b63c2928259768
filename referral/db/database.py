"""The database: engines, transactions, and the few things SQLite and PostgreSQL do differently.

A write is one function of `actions` and one transaction; `transaction` opens it, retries it where
the database asks for that, and commits it.
"""

import functools
import random
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

import sqlalchemy as sa
from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import DeclarativeBase, Session

from referral.db.writers import Writers
from referral.errors import Unavailable

TRIES_MAX = 8
"""How often one transaction is tried when the database reports a conflict."""
RETRY_SECONDS = 0.01
"""The first pause between two tries; it doubles, with jitter."""
SQLITE_BUSY_SECONDS = 5
LOCK_TIMEOUT = "3s"
"""How long PostgreSQL lets a statement wait for a lock."""
POOL_WAIT_SECONDS = 10
RETRYABLE_STATES = {"40001", "40P01"}
"""serialization_failure and deadlock_detected: PostgreSQL asks for the whole transaction again."""
READ_ONLY_STATE = "25006"
"""The server takes no writes: it is a standby, or is about to be replaced by one."""

MIGRATIONS = Path(__file__).resolve().parent.parent.parent / "migrations"

P = ParamSpec("P")
R = TypeVar("R")
Change = Callable[[Any, Any], Mapping[str, Any]]
"""What becomes of a row, from its columns and those of a row that was to be inserted."""


class UTCDateTime(sa.types.TypeDecorator[datetime]):
    """Aware datetimes in UTC, also on SQLite, which keeps no time zone."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a time zone was about to be stored")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is UTC:
            return value
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


JSONDocument = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
# SQLite numbers rows only in a column declared INTEGER; PostgreSQL gets 64 bits.
RowId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


class Base(DeclarativeBase):
    metadata = sa.MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy's own declaration of this attribute
        datetime: UTCDateTime(),
        dict[str, Any]: JSONDocument,
        list[Any]: JSONDocument,
    }


class Database:
    """One database, SQLite or PostgreSQL, with a pool of connections."""

    def __init__(self, url: str) -> None:
        self.engine = _engine(url)
        self.is_sqlite = self.engine.dialect.name == "sqlite"
        self._reader = self.engine.execution_options(read_only=True)
        self._joined: ContextVar[Session | None] = ContextVar("joined", default=None)
        file = self.engine.url.database
        self._writers = Writers(Path(file)) if self.is_sqlite and file else None
        self._closing: list[Callable[[], object]] = []

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session that changes nothing; on SQLite it sees one state of the database."""
        outer = self._joined.get()
        if outer is not None:
            yield outer
            return
        with translated(), Session(self._reader, expire_on_commit=False) as session:
            yield session

    def transact(self, work: Callable[[Session], R]) -> R:
        """Run `work` in one transaction and commit it.

        Called inside another `transact`, it joins that one: the outer one commits. Conflicts the
        database wants retried are retried as a whole, so `work` must have no effect outside the
        session. Raises `Unavailable` when the database is locked or gone.
        """
        outer = self._joined.get()
        if outer is not None:
            return work(outer)
        for attempt in range(1, TRIES_MAX + 1):
            try:
                with self.turn(), translated():
                    return self._once(work)
            except _Again:
                if attempt == TRIES_MAX:
                    raise Unavailable() from None
                time.sleep(RETRY_SECONDS * 2**attempt * random.uniform(0.5, 1.0))  # noqa: S311
        raise AssertionError("unreachable")

    @property
    def joined(self) -> Session | None:
        """The session of the transaction this thread is in; None outside of one."""
        return self._joined.get()

    def turn(self) -> AbstractContextManager[None]:
        """One's turn to write, where there is one writer at a time. Raises `Unavailable`."""
        return self._writers.turn(SQLITE_BUSY_SECONDS) if self._writers else nullcontext()

    def _once(self, work: Callable[[Session], R]) -> R:
        with Session(self.engine, expire_on_commit=False) as session:
            token = self._joined.set(session)
            try:
                result = work(session)
                session.commit()
            finally:
                self._joined.reset(token)
        return result

    def before_close(self, close: Callable[[], object]) -> None:
        """Let what has a connection of its own close it with the others."""
        self._closing.append(close)

    def close(self) -> None:
        for close in self._closing:
            close()
        self.engine.dispose()
        if self._writers:
            self._writers.close()


class HasDatabase(Protocol):
    @property
    def db(self) -> Database: ...


D = TypeVar("D", bound=HasDatabase)


def transaction(
    action: Callable[Concatenate[Session, D, P], R],
) -> Callable[Concatenate[D, P], R]:
    """Make `action(tx, deployment, ...)` callable as `action(deployment, ...)`: a transaction."""

    @functools.wraps(action)
    def run(deployment: D, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return deployment.db.transact(lambda tx: action(tx, deployment, *args, **kwargs))

    return run


def insert_new(
    tx: Session, model: type[Base], rows: Mapping[str, Any] | Sequence[Mapping[str, Any]]
) -> int:
    """Insert rows, leaving out those a unique key says are there. Returns how many were new."""
    if not rows:
        return 0
    # The table and not the mapped class, and the rows apart from the statement: SQLAlchemy then
    # keeps the compiled statement and skips the unit of work.
    statement = _insert_new(tx.get_bind().dialect.name, model.__table__)
    return connection_of(tx).execute(statement, rows).rowcount


def insert_new_id(tx: Session, model: type[Base], row: Mapping[str, Any]) -> int | None:
    """Insert one row and return its ``id``; None when a unique key says it is there."""
    statement = _insert_new_id(tx.get_bind().dialect.name, model.__table__)
    return connection_of(tx).execute(statement, row).scalar_one_or_none()


def upsert(
    tx: Session,
    model: type[Base],
    change: Change,
    returning: str | None = None,
    *,
    key: tuple[str, ...] | None = None,
) -> Any:
    """A statement for `run`: inserts a row, or changes the one that has its primary key.

    `change` gets the columns of that row and those of the new one, and says what is set to what.
    The statement is built once for a `change`, which is therefore a function of a module.
    `returning` names a column to be told as it stands afterwards, `key` the columns of another
    unique key to know the row by.
    """
    return _upsert(tx.get_bind().dialect.name, model.__table__, change, returning, key)


@functools.cache
def _upsert(
    dialect: str,
    table: Any,
    change: Change,
    returning: str | None,
    key: tuple[str, ...] | None,
) -> Any:
    statement = _insert(dialect, table)
    statement = statement.on_conflict_do_update(
        index_elements=[table.c[name] for name in key] if key else [*table.primary_key],
        set_=change(table.c, statement.excluded),
    )
    return statement.returning(table.c[returning]) if returning else statement


@functools.cache
def _insert_new(dialect: str, table: Any) -> Any:
    # Without this the count of an INSERT is gone with its cursor on PostgreSQL, and -1 is said.
    statement = _insert(dialect, table).on_conflict_do_nothing()
    return statement.execution_options(preserve_rowcount=True)


@functools.cache
def _insert_new_id(dialect: str, table: Any) -> Any:
    return _insert_new(dialect, table).returning(table.c.id)


def _insert(dialect: str, table: Any) -> Any:
    return (postgresql if dialect == "postgresql" else sqlite).insert(table)


def run(tx: Session, statement: sa.Executable, **values: Any) -> sa.CursorResult[Any]:
    """Execute a statement that was built once; its `bindparam` values are given here.

    For the statements of every claim and visit: building one costs more than running it. What the
    session still holds back goes first, as with `Session.execute`; the answer is plain rows.
    """
    tx.flush()
    return connection_of(tx).execute(statement, values)


def connection_of(tx: Session) -> sa.Connection:
    """The connection of a session, which is one for its one transaction: asking the session takes
    as long as half a statement. What the session still holds back is not sent first."""
    known: sa.Connection | None = tx.info.get("connection")
    if known is None:
        known = tx.info["connection"] = tx.connection()
    return known


def is_sqlite(tx: Session) -> bool:
    return tx.get_bind().dialect.name == "sqlite"


def server_time(tx: Session) -> datetime:
    """The database server's own time (SQLite has none; this machine's then).

    What the session still holds back is not sent first.
    """
    if is_sqlite(tx):
        return datetime.now(UTC)
    found = connection_of(tx).execute(sa.select(sa.func.clock_timestamp()))
    answer: datetime = found.scalar_one()
    return answer.astimezone(UTC)


def as_a_whole(tx: Session) -> AbstractContextManager[Any]:
    """What is done inside is undone when it raises, and the transaction goes on."""
    tx.flush()
    return connection_of(tx).begin_nested()


def one_moment(tx: Session) -> None:
    """Let all that this transaction reads be of the moment it begins; it must not have begun."""
    if not is_sqlite(tx):
        tx.connection(execution_options={"isolation_level": "REPEATABLE READ"})


def no_hurry(tx: Session) -> None:
    """Let this transaction take as long as it takes: it reads all there is, or counts it all."""
    if not is_sqlite(tx):
        tx.execute(sa.text("SET LOCAL statement_timeout = 0"))
        tx.execute(sa.text("SET LOCAL idle_in_transaction_session_timeout = 0"))


def lock(tx: Session, name: str, *, shared: bool = False, seconds: int | None = None) -> None:
    """Wait until no other transaction holds `name`; it is let go at the end of this one.

    `seconds` is how long to wait, where that is not as long as for any other lock.

    Several may hold it `shared`. Who asks waits behind those who asked before, so nobody is passed
    by for ever; with locks of rows, those who share pass by those who do not. SQLite has one
    writer at a time anyway.
    """
    if tx.get_bind().dialect.name == "postgresql":
        take = sa.func.pg_advisory_xact_lock_shared if shared else sa.func.pg_advisory_xact_lock
        if seconds is not None:
            tx.execute(_SET_LOCK_TIMEOUT, {"length": f"{seconds}s"})
        tx.execute(sa.select(take(sa.func.hashtext(name))))
        if seconds is not None:
            tx.execute(_SET_LOCK_TIMEOUT, {"length": LOCK_TIMEOUT})


_SET_LOCK_TIMEOUT = sa.text("SELECT set_config('lock_timeout', :length, true)")


def upgrade(url: str) -> None:
    """Bring the database at `url` to the newest migration."""
    config = AlembicConfig()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["url"] = url
    with translated():
        command.upgrade(config, "head")


@functools.cache
def migration_head() -> str | None:
    """The newest migration this version of the service has."""
    return ScriptDirectory(str(MIGRATIONS)).get_current_head()


def migration_of(tx: Session) -> str | None:
    """The migration a database is at; None before the first."""
    return MigrationContext.configure(tx.connection()).get_current_revision()


class _Again(Exception):
    """The database asks for the transaction again."""


@contextmanager
def translated() -> Iterator[None]:
    """Turn a driver's failure into `_Again` or `Unavailable`; anything else passes unchanged."""
    try:
        yield
    except PoolTimeout:
        raise Unavailable() from None
    except DBAPIError as error:
        state = getattr(error.orig, "sqlstate", None)
        if state in RETRYABLE_STATES:
            raise _Again from error
        is_outage = isinstance(error, OperationalError | InterfaceError) and _is_outage(error)
        if is_outage or _is_no_database(error) or state == READ_ONLY_STATE:
            raise Unavailable() from error
        raise


def _is_outage(error: DBAPIError) -> bool:
    """Locked, full or gone, as against a statement that is wrong."""
    if isinstance(error.orig, sqlite3.OperationalError):
        return error.orig.sqlite_errorcode & 0xFF in {
            sqlite3.SQLITE_BUSY,
            sqlite3.SQLITE_LOCKED,
            sqlite3.SQLITE_CANTOPEN,
            sqlite3.SQLITE_READONLY,
            sqlite3.SQLITE_IOERR,
            sqlite3.SQLITE_FULL,
        }
    return True


def _is_no_database(error: DBAPIError) -> bool:
    """A file that is something else, or broken."""
    code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
    return code in {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}


def _engine(url: str) -> sa.Engine:
    if sa.make_url(url).get_backend_name() == "sqlite":
        engine = sa.create_engine(
            url,
            hide_parameters=True,  # they hold personal data, and errors are logged
            pool_timeout=POOL_WAIT_SECONDS,
            # Autocommit in the driver: transactions are begun by the event below, not guessed at.
            connect_args={
                "timeout": SQLITE_BUSY_SECONDS,
                "isolation_level": None,
                "check_same_thread": False,
            },
        )
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    engine = sa.create_engine(
        url,
        hide_parameters=True,
        pool_size=8,
        max_overflow=8,
        pool_timeout=POOL_WAIT_SECONDS,
        # A pooled connection may have outlived its server; asking first costs one cheap round
        # trip and makes a restart of PostgreSQL invisible.
        pool_pre_ping=True,
        # A lock that is never let go must not hold every thread of the service. Compiling a
        # statement takes longer than any of ours runs.
        connect_args={
            "connect_timeout": 5,
            # The driver forgets what it has prepared at every rollback, which ends every read, and
            # with it what others have: what is worth it is prepared by `round_trips`.
            "prepare_threshold": None,
            # A machine that is gone says nothing: so its connections end after some seconds.
            "keepalives_idle": 5,
            "keepalives_interval": 2,
            "keepalives_count": 3,
            "tcp_user_timeout": 10_000,
            "options": f"-c lock_timeout={LOCK_TIMEOUT} -c statement_timeout=15s "
            "-c idle_in_transaction_session_timeout=30s -c jit=off -c bytea_output=hex",
        },
    )
    event.listen(engine, "handle_error", _drop_if_read_only)
    return engine


def _drop_if_read_only(context: sa.engine.ExceptionContext) -> None:
    """Another server takes the writes now: let the pool connect anew, to that one."""
    if getattr(context.original_exception, "sqlstate", None) == READ_ONLY_STATE:
        context.is_disconnect = True


def use_wal(connection: sqlite3.Connection) -> None:
    """Let others read while somebody writes.

    Of several who switch a new file to that at once, SQLite refuses all but one, and does not wait
    as it does elsewhere.
    """
    until = time.monotonic() + SQLITE_BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
        time.sleep(RETRY_SECONDS)


def _set_up_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    use_wal(connection)
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA foreign_keys = ON")
    # Without it INSERT OR REPLACE deletes a row past the triggers that keep rows as they are.
    connection.execute("PRAGMA recursive_triggers = ON")


def _begin_sqlite(connection: sa.Connection) -> None:
    # A write takes its lock at the start: a deferred one can fail halfway with SQLITE_BUSY, which
    # waiting cannot cure.
    reading = connection.get_execution_options().get("read_only", False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")
