"""A connection to the database for one statement at a time, without what SQLAlchemy does around it.

For the few statements that are run for every page of a campaign that goes round: an INSERT takes
a tenth of the processor's time this way. Each statement is a transaction of its own.
"""

import os
import weakref
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from threading import Lock
from typing import Any, NoReturn

import psycopg
from psycopg import pq
from psycopg.errors import error_from_result
from sqlalchemy.exc import DBAPIError

from referral.db import READ_ONLY_STATE, RETRYABLE_STATES, Database, translated
from referral.db.wire import Process, pipelined, reading, written
from referral.errors import Unavailable

Rows = Sequence[Sequence[Any]]


class Shortcut:
    """One connection, opened when it is needed first and anew when it was lost.

    Threads take turns. A child process gets one of its own. Without `waits_for_disk` what was
    written within the last second may be gone when the server's machine fails, as a whole.
    """

    def __init__(self, db: Database, *, waits_for_disk: bool = True) -> None:
        self._db = db
        self._waits_for_disk = waits_for_disk
        self._driver: Any = db.engine.dialect.loaded_dbapi
        self._lock = Lock()
        self._connection: Any = None
        self._line: _SqliteLine | _PostgresLine | None = None
        self._pid = 0
        self._forgotten: Callable[[], object] | None = None

    def read(self, statement: str, values: Sequence[Any] = ()) -> Rows:
        """The rows of a statement, which has a `?` for each value. Raises `Unavailable`."""
        with self._lock:
            return self._run(statement, values)

    def write(self, statement: str, values: Sequence[Any] = ()) -> None:
        """Run a statement and commit it. Raises `Unavailable`.

        It may be run twice: where the connection is lost nobody knows whether it was.
        """
        with self._lock, self._db.turn():
            self._run(statement, values)

    def change(self, statement: str, values: Sequence[Any] = ()) -> Rows:
        """The rows that a statement returns which changes them, and which is committed. As
        `write`."""
        with self._lock, self._db.turn():
            return self._run(statement, values)

    def write_each(self, statement: str, values: Sequence[Sequence[Any]]) -> None:
        """Run a statement for each of these, and commit all of them together. As `write`."""
        if values:
            with self._lock, self._db.turn():
                try:
                    self._run(statement, values, many=True)
                except BaseException:
                    self._close()
                    raise

    def close(self) -> None:
        with self._lock:
            self._close()

    def _run(self, statement: str, values: Sequence[Any], *, many: bool = False) -> Rows:
        is_kept = self._line is not None and self._pid == os.getpid()
        try:
            return self._asked(statement, values, many)
        except self._driver.Error as error:
            named = self._named(error)
            # A connection that was kept may have outlived its server.
            if not is_kept or not named.connection_invalidated:
                _raise_named(named)
        try:
            return self._asked(statement, values, many)
        except self._driver.Error as error:
            _raise_named(self._named(error))

    def _asked(self, statement: str, values: Sequence[Any], many: bool = False) -> Rows:
        if self._line is None or self._pid != os.getpid():
            self._line = self._open()
        return (self._line.run_each if many else self._line.run)(statement, values)

    def _open(self) -> "_SqliteLine | _PostgresLine":
        with translated():
            pooled = self._db.engine.raw_connection()
        pooled.detach()
        self._connection, self._pid = pooled.dbapi_connection, os.getpid()
        # Who is forgotten without being closed leaves nothing open.
        self._forgotten = weakref.finalize(self, _leave, self._connection, self._pid)
        if self._db.is_sqlite:
            return _SqliteLine(self._connection)
        self._connection.autocommit = True
        # A plan may have been made when a table was nearly empty: all find their rows by a key.
        self._connection.execute("SET enable_seqscan = off")
        if not self._waits_for_disk:
            self._connection.execute("SET synchronous_commit = off")
        return _PostgresLine(self._connection)

    def _named(self, error: Exception) -> DBAPIError:
        """As SQLAlchemy would raise it. A connection that is broken is closed."""
        is_lost = not self._db.is_sqlite and (
            self._connection is None
            or self._connection.closed
            or self._connection.broken
            or getattr(error, "sqlstate", None) == READ_ONLY_STATE
        )
        if is_lost:
            self._close()
        found = DBAPIError.instance(
            None,
            None,
            error,
            self._driver.Error,
            connection_invalidated=is_lost,
            dialect=self._db.engine.dialect,
        )
        assert isinstance(found, DBAPIError)
        return found

    def _close(self) -> None:
        self._connection = self._line = None
        if self._forgotten is not None:
            self._forgotten()


def moment(db: Database, at: datetime) -> datetime | str:
    """As SQLAlchemy writes it."""
    if not db.is_sqlite:
        return at
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")


def _raise_named(error: DBAPIError) -> NoReturn:
    """Raises `Unavailable` for one that says that the database is gone, locked or in conflict."""
    if getattr(error.orig, "sqlstate", None) in RETRYABLE_STATES:
        raise Unavailable() from error
    with translated():
        raise error


def _leave(connection: Any, pid: int) -> None:
    if pid == os.getpid():  # else it is the parent's
        connection.close()


class _SqliteLine:
    def __init__(self, connection: Any) -> None:
        self._cursor = connection.cursor()

    def run(self, statement: str, values: Sequence[Any]) -> Rows:
        return self._cursor.execute(statement, values).fetchall()  # type: ignore[no-any-return]

    def run_each(self, statement: str, values: Sequence[Sequence[Any]]) -> Rows:
        self._cursor.execute("BEGIN IMMEDIATE")
        try:
            self._cursor.executemany(statement, values)
            self._cursor.execute("COMMIT")
        except BaseException:
            self._cursor.connection.rollback()
            raise
        return ()


class _PostgresLine:
    """Prepares each statement once. Without what the driver does around every statement, which
    takes a page twice as long as to send it and to read the answer."""

    def __init__(self, connection: "psycopg.Connection[Any]") -> None:
        self._connection = connection
        self._server = connection.pgconn
        self._known: dict[str, _Known] = {}

    def run(self, statement: str, values: Sequence[Any]) -> Rows:
        known = self._known.get(statement) or self._prepare(statement)
        texts: list[Any] = [written(value) for value in values]
        return known.rows(self._right(self._server.exec_prepared(known.name, texts)))

    def run_each(self, statement: str, values: Sequence[Sequence[Any]]) -> Rows:
        known = self._known.get(statement) or self._prepare(statement)
        send = partial(self._server.send_query_prepared, known.name)
        commands = [partial(send, [written(value) for value in row]) for row in values]
        for result in pipelined(self._connection, commands):
            self._right(result)
        return ()

    def _prepare(self, statement: str) -> "_Known":
        name = f"shortcut_{len(self._known)}".encode()
        first, *pieces = statement.split("?")
        numbered = (f"${number}{piece}" for number, piece in enumerate(pieces, 1))
        self._right(self._server.prepare(name, "".join((first, *numbered)).encode()))
        known = self._known[statement] = _Known(name)
        return known

    def _right(self, result: pq.abc.PGresult) -> pq.abc.PGresult:
        """A result that is no failure. Raises `psycopg.Error` for one that is."""
        if result.status in _RIGHT:
            return result
        if self._server.status == pq.ConnStatus.BAD:
            raise psycopg.OperationalError(result.get_error_message())
        raise error_from_result(result)


_RIGHT = frozenset((pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK))


class _Known:
    """A statement that is prepared, and how its answers are read."""

    def __init__(self, name: bytes) -> None:
        self.name = name
        self._reads: Sequence[tuple[int, Process]] | None = None

    def rows(self, result: pq.abc.PGresult) -> Rows:
        if self._reads is None:
            self._reads = [(at, reading(result.ftype(at))) for at in range(result.nfields)]
        value, reads = result.get_value, self._reads
        return [
            tuple([None if (text := value(row, at)) is None else read(text) for at, read in reads])
            for row in range(result.ntuples)
        ]
