"""A connection to the database for one statement at a time, without what SQLAlchemy does around it.

For the few statements that are run for every page of a campaign that goes round: an INSERT takes
a tenth of the processor's time this way. Each statement is a transaction of its own.
"""

import functools
import os
import weakref
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from threading import Lock
from typing import Any, NoReturn

from sqlalchemy.exc import DBAPIError

from referral.db import READ_ONLY_STATE, RETRYABLE_STATES, Database, translated
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
        self._cursor: Any = None
        self._pid = 0
        self._forgotten: Callable[[], object] | None = None

    def read(self, statement: str, values: Sequence[Any] = ()) -> Rows:
        """The rows of a statement, which has a `?` for each value. Raises `Unavailable`."""
        with self._lock:
            self._run(statement, values)
            return self._cursor.fetchall()  # type: ignore[no-any-return]

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
            self._run(statement, values)
            return self._cursor.fetchall()  # type: ignore[no-any-return]

    def write_each(self, statement: str, values: Sequence[Sequence[Any]]) -> None:
        """Run a statement for each of these, and commit all of them together. As `write`."""
        if not values:
            return
        with self._lock, self._db.turn():
            self._run("BEGIN IMMEDIATE" if self._db.is_sqlite else "BEGIN", ())
            try:
                self._run(statement, values, many=True)
                self._run("COMMIT", (), many=True)
            except BaseException:
                self._close()
                raise

    def close(self) -> None:
        with self._lock:
            self._close()

    def _run(self, statement: str, values: Sequence[Any], *, many: bool = False) -> None:
        is_kept = self._connection is not None and self._pid == os.getpid() and not many
        try:
            self._execute(statement, values, many)
        except self._driver.Error as error:
            named = self._named(error)
            # A connection that was kept may have outlived its server.
            if not is_kept or not named.connection_invalidated:
                _raise_named(named)
            self._again(statement, values)

    def _again(self, statement: str, values: Sequence[Any]) -> None:
        try:
            self._execute(statement, values)
        except self._driver.Error as error:
            _raise_named(self._named(error))

    def _execute(self, statement: str, values: Sequence[Any], many: bool = False) -> None:
        if self._connection is None or self._pid != os.getpid():
            self._open()
        if not self._db.is_sqlite:
            statement = _for_postgresql(statement)
        if many and values:
            self._cursor.executemany(statement, values)
        else:
            self._cursor.execute(statement, values)

    def _open(self) -> None:
        with translated():
            pooled = self._db.engine.raw_connection()
        pooled.detach()
        self._connection, self._pid = pooled.dbapi_connection, os.getpid()
        if not self._db.is_sqlite:
            self._connection.autocommit = True
            # Each statement is planned once. Only a ROLLBACK would drop what is kept of them.
            self._connection.prepare_threshold = 0
            # Also when a table was nearly empty then: all of them find their rows by a key.
            self._connection.execute("SET enable_seqscan = off")
            if not self._waits_for_disk:
                self._connection.execute("SET synchronous_commit = off")
        self._cursor = self._connection.cursor()
        # Who is forgotten without being closed leaves nothing open.
        self._forgotten = weakref.finalize(self, _leave, self._connection, self._pid)

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
        self._connection = self._cursor = None
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


@functools.cache
def _for_postgresql(statement: str) -> str:
    return statement.replace("?", "%s")
