"""Several statements in one trip to the database.

A trip to the server and the way through SQLAlchemy take longer than what most of our statements do
there. Where none of several needs the answer of another, PostgreSQL gets them all at once
(pipeline mode) and runs them one after the other, each seeing what those before it did and what was
committed until it began, exactly as if they came one by one. SQLite has no trips to save and gets
them one by one.
"""

import json
from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, NamedTuple

import psycopg
import sqlalchemy as sa
from psycopg import pq
from psycopg.errors import error_from_result
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from referral.db import READ_ONLY_STATE, Base, connection_of, is_sqlite, run
from referral.db.wire import BOOLEAN, Process, pipelined, reading, written


class Ask(NamedTuple):
    """A statement that was built once, without lists of values in it, and its values."""

    statement: Any
    values: Mapping[str, Any]


def ask(statement: sa.Executable, **values: Any) -> Ask:
    return Ask(statement, values)


@dataclass(frozen=True, slots=True)
class Answer:
    rows: Sequence[Any]
    """With the columns as attributes."""
    count: int
    """Of rows that were found or written."""

    @property
    def first(self) -> Any:
        """The first row; None where there is none."""
        return self.rows[0] if self.rows else None

    @property
    def scalar(self) -> Any:
        """The first column of the first row; None where there is none."""
        return self.rows[0][0] if self.rows else None


def in_one_trip(tx: Session, *asked: Ask) -> list[Answer]:
    """Run statements in their order; an answer for each. What fails, fails as with `run`."""
    if is_sqlite(tx):
        return [_alone(tx, each) for each in asked]
    tx.flush()
    connection = connection_of(tx)
    prepared = [(_prepared(each.statement, tuple(each.values)), each.values) for each in asked]
    fairy = connection.connection
    raw: psycopg.Connection[Any] = fairy.driver_connection  # type: ignore[assignment]
    known: dict[str, bytes] = fairy.info.setdefault(__name__, {})
    try:
        trip = [(each, each.parameters(values)) for each, values in prepared]
        for listener in connection.dispatch.before_cursor_execute:
            for each, parameters in trip:  # whoever counts statements counts these as well
                listener(connection, None, each.sql, parameters, None, False)
        return _made(raw, trip, known)
    except psycopg.Error as error:
        raise _translated(connection, raw, error) from error


def adding(tx: Session, model: type[Base], row: Mapping[str, Any]) -> Ask:
    """What `db.insert_new_id` does, as something to ask: the ``id``, or no row."""
    return Ask(_adding(is_sqlite(tx), model.__table__), row)


@cache
def _adding(is_sqlite: bool, table: Any) -> Any:
    insert = (sqlite if is_sqlite else postgresql).insert(table)
    return insert.on_conflict_do_nothing().returning(table.c.id)


def locking(tx: Session, name: str) -> list[Ask]:
    """What `db.lock` does, as something to ask."""
    return [] if is_sqlite(tx) else [ask(_LOCK, name=name)]


_LOCK = sa.select(
    sa.func.pg_advisory_xact_lock(sa.func.hashtext(sa.bindparam("name", type_=sa.Text())))
)


def _alone(tx: Session, asked: Ask) -> Answer:
    result = run(tx, asked.statement, **asked.values)
    if not result.returns_rows:
        return Answer((), result.rowcount)
    rows = result.all()
    return Answer(rows, len(rows))


def _made(
    raw: psycopg.Connection[Any],
    trip: Sequence[tuple["_Prepared", list[bytes | None]]],
    known: dict[str, bytes],
) -> list[Answer]:
    """Send statements and wait for all their results. `known` has the names of the statements that
    this connection has prepared before."""
    server = raw.pgconn
    commands: list[Callable[[], None]] = []
    new: dict[int, tuple[str, bytes]] = {}
    if server.transaction_status == pq.TransactionStatus.IDLE:
        commands.append(partial(server.send_query_params, _begin(raw), None))
        commands.append(partial(server.send_query_params, _BY_INDEX, None))
    for each, parameters in trip:
        name = known.get(each.sql) or next((n for sql, n in new.values() if sql == each.sql), None)
        if name is None:
            name = f"trip_{len(known) + len(new)}".encode()
            new[len(commands)] = (each.sql, name)
            commands.append(partial(server.send_prepare, name, each.sql.encode(), each.types))
        commands.append(partial(server.send_query_prepared, name, parameters))
    results = pipelined(raw, commands)
    for at, (sql, name) in new.items():
        if at < len(results) and results[at].status == pq.ExecStatus.COMMAND_OK:
            known[sql] = name
    for result in results:
        if result.status == pq.ExecStatus.FATAL_ERROR:
            raise error_from_result(result)
    own = [result for at, result in enumerate(results) if at not in new][-len(trip) :]
    return [each.answer(result) for (each, _), result in zip(trip, own, strict=True)]


def _begin(raw: psycopg.Connection[Any]) -> bytes:
    level = raw.isolation_level
    return f"BEGIN ISOLATION LEVEL {level.name.replace('_', ' ')}".encode() if level else b"BEGIN"


# A plan that is kept, also one of a foreign key or a trigger, may have been made when a table was
# small enough to be read whole; it stays until the table is analyzed, through the first rush of a
# campaign. All that goes in trips finds its rows by a key.
_BY_INDEX = b"SET LOCAL enable_seqscan = off"


def _translated(
    connection: sa.Connection, raw: psycopg.Connection[Any], error: psycopg.Error
) -> Exception:
    """A driver's failure as SQLAlchemy has it."""
    dialect = connection.dialect
    # As for other statements, see `db`: a server that has become a standby takes no writes.
    is_standby = error.sqlstate == READ_ONLY_STATE
    is_gone = is_standby or dialect.is_disconnect(error, raw, None)  # type: ignore[arg-type]
    if is_gone:
        connection.invalidate(error)
    found: Exception = DBAPIError.instance(
        "several statements in one trip",
        None,
        error,
        psycopg.Error,
        hide_parameters=True,  # they hold personal data, and errors are logged
        connection_invalidated=is_gone,
        dialect=dialect,
    )
    return found


class _Prepared:
    """A statement as the server wants it, and how values go in and come out, as texts."""

    def __init__(self, statement: Any, names: tuple[str, ...]) -> None:
        # Of an INSERT into a table without values, the names are its columns.
        keys = list(names) if isinstance(statement, sa.Insert) else None
        compiled = statement.compile(dialect=_DIALECT, column_keys=keys)
        self.sql = str(compiled)
        binds = {name: bind for bind, name in compiled.bind_names.items()}
        given = [binds[name] for name in dict.fromkeys(compiled.positiontup or ())]
        self._ins = [(bind.key, _in(bind.type), None if bind.required else bind) for bind in given]
        self.types = [BOOLEAN if isinstance(bind.type, sa.Boolean) else 0 for bind in given]
        columns = _columns_of(statement)
        self._row: Any = namedtuple("Row", [name for name, _ in columns]) if columns else None
        self._outs = [
            kind.dialect_impl(_DIALECT).result_processor(_DIALECT, None) for _, kind in columns
        ]
        self._reads: list[Process] | None = None

    def parameters(self, values: Mapping[str, Any]) -> list[bytes | None]:
        found = []
        for key, process, bind in self._ins:
            value = values[key] if bind is None or key in values else bind.effective_value
            found.append(written(value if process is None else process(value)))
        return found

    def answer(self, result: pq.abc.PGresult) -> Answer:
        if self._row is None or result.status != pq.ExecStatus.TUPLES_OK:
            return Answer((), result.command_tuples or 0)
        if self._reads is None:
            self._reads = [reading(result.ftype(at), out) for at, out in enumerate(self._outs)]
        value, make = result.get_value, self._row._make
        rows = [
            make(
                None if (text := value(row, at)) is None else read(text)
                for at, read in enumerate(self._reads)
            )
            for row in range(result.ntuples)
        ]
        return Answer(rows, len(rows))


def _in(kind: Any) -> Process | None:
    """What a type does to a value on its way in."""
    if isinstance(kind, sa.JSON):
        return json.dumps
    found: Process | None = kind.dialect_impl(_DIALECT).bind_processor(_DIALECT)
    return found


_DIALECT: Any = PGDialect_psycopg(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]


def _columns_of(statement: Any) -> list[tuple[str, Any]]:
    found: Any = getattr(statement, "exported_columns", None)
    if found is None:  # a text with columns
        found = getattr(statement, "column_args", ())
    return [(column.name, column.type) for column in found]


@cache
def _prepared(statement: Any, names: tuple[str, ...]) -> _Prepared:
    return _Prepared(statement, names)
