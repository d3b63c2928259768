"""Many rows at once: as few statements as can be, whose length does not grow with the rows.

PostgreSQL gets each column as one array, and `copy` what is nearly always new. SQLite runs the
statement once a row, which is as fast there.
"""

import functools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import psycopg
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.sql.functions import FunctionElement

from referral.db import Base, Change, connection_of, is_sqlite, run, upsert

COPIED_FROM = 64
"""From so many rows on `copy` is quicker than an INSERT."""
Rows = Sequence[Mapping[str, Any]]
"""All with the same columns."""
Given = Any
"""Stands for one of the rows in a statement: its values are attributes."""


def insert_many(tx: Session, model: type[Base], rows: Rows, key: tuple[str, ...]) -> set[Any]:
    """Insert rows, leaving out those a unique key says are there.

    Returns what `key` names of those that were new: a value each, or a tuple where it names
    several columns.
    """
    if not rows:
        return set()
    table, names = model.__table__, tuple(rows[0])
    if is_sqlite(tx):
        tx.flush()
        given = rows[0] if len(rows) == 1 else rows  # one alone takes a shorter way
        found = connection_of(tx).execute(_insert_returning(table, key), given).all()
    else:
        found = run(tx, _insert_given(table, names, key), **_arrays(rows, names)).all()
    return {row[0] for row in found} if len(key) == 1 else {tuple(row) for row in found}


def upsert_many(tx: Session, model: type[Base], rows: Rows, change: Change) -> None:
    """`db.upsert` rows of different keys."""
    if not rows:
        return
    if is_sqlite(tx):
        tx.flush()
        connection_of(tx).execute(upsert(tx, model, change), rows)
        return
    names = tuple(rows[0])
    run(tx, _upsert_given(model.__table__, names, change), **_arrays(rows, names))


Update = Callable[[Given], sa.Update]


def update_many(
    tx: Session, update: Update, types: Mapping[str, sa.ColumnElement[Any]], rows: Rows
) -> None:
    """Run an UPDATE for each row. `update` makes it, from one that stands for all of them.

    `types` names a column of the same type for each value. The statement is built once for an
    `update`, which is therefore a function of a module.
    """
    if not rows:
        return
    names = tuple(types)
    if is_sqlite(tx):
        tx.flush()
        connection_of(tx).execute(_update_one(update, *types.items()), rows)
    else:
        run(tx, _update_given(update, *types.items()), **_arrays(rows, names))


def copy(tx: Session, model: type[Base], names: Sequence[str], lines: Iterable[str]) -> bool:
    """Put rows into a table of PostgreSQL in the quickest way, each a line by `as_line`.

    False, and nothing is done, where one of them is there already.
    """
    tx.flush()
    connection = connection_of(tx)
    cursor = connection.connection.cursor()
    statement = f"COPY {model.__table__} ({', '.join(names)}) FROM STDIN"
    nested = connection.begin_nested()
    try:
        with cursor.copy(statement) as stream:
            stream.write("".join(lines))
    except psycopg.errors.UniqueViolation:
        nested.rollback()
        return False
    except psycopg.Error as error:  # as SQLAlchemy would say it
        raise DBAPIError.instance(statement, None, error, psycopg.Error) from error
    nested.commit()
    return True


NULL = r"\N"
_ESCAPED = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})


def copy_rows(tx: Session, model: type[Base], rows: Rows) -> bool:
    """`copy` of rows as the others take them."""
    return not rows or copy(tx, model, tuple(rows[0]), [as_line(row.values()) for row in rows])


def as_line(values: Iterable[object]) -> str:
    """A line for `copy`, or its end."""
    return "\t".join([_COPIED.get(type(value), _copied)(value) for value in values]) + "\n"


def _copied(value: Any) -> str:
    return value.translate(_ESCAPED) if isinstance(value, str) else str(value)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def time_for_copy(at: datetime) -> str:
    """A time as PostgreSQL reads it: of what comes in together many have one second."""
    since = at - _EPOCH
    return f"{_second(since.days, since.seconds)}.{since.microseconds:06}+00"


_COPIED: Mapping[type, Callable[[Any], str]] = {
    type(None): lambda _: NULL,
    int: str,
    datetime: time_for_copy,
}


@functools.lru_cache(maxsize=1_024)
def _second(days: int, seconds: int) -> str:
    return f"{_EPOCH + timedelta(days, seconds):%Y-%m-%dT%H:%M:%S}"


# The statements, each made once


@functools.cache
def _insert_returning(table: Any, key: tuple[str, ...]) -> Any:
    statement = sqlite.insert(table).on_conflict_do_nothing()
    return statement.returning(*(table.c[name] for name in key))


@functools.cache
def _insert_given(table: Any, names: tuple[str, ...], key: tuple[str, ...]) -> Any:
    given = _unnested(tuple((name, table.c[name]) for name in names))
    statement = postgresql.insert(table).from_select(names, sa.select(*given.c))
    return statement.on_conflict_do_nothing().returning(*(table.c[name] for name in key))


@functools.cache
def _upsert_given(table: Any, names: tuple[str, ...], change: Change) -> Any:
    given = _unnested(tuple((name, table.c[name]) for name in names))
    statement = postgresql.insert(table).from_select(names, sa.select(*given.c))
    set_ = change(table.c, statement.excluded)
    return statement.on_conflict_do_update(index_elements=[*table.primary_key], set_=set_)


@functools.cache
def _update_one(update: Update, *types: tuple[str, sa.ColumnElement[Any]]) -> sa.Update:
    given = {name: sa.bindparam(name, type_=column.type) for name, column in types}
    return update(SimpleNamespace(**given))


@functools.cache
def _update_given(update: Update, *types: tuple[str, sa.ColumnElement[Any]]) -> sa.Update:
    return update(_unnested(types).c)


def _unnested(types: Sequence[tuple[str, sa.ColumnElement[Any]]]) -> Any:
    """The rows whose columns `_arrays` has written, as a table."""
    arrays = [
        sa.cast(sa.bindparam(name, type_=sa.Text()), postgresql.ARRAY(_plain(column.type)))
        for name, column in types
    ]
    columns = [sa.column(name, column.type) for name, column in types]
    return sa.func.unnest(*arrays).table_valued(*columns).render_derived()


def _plain(kind: sa.types.TypeEngine[Any]) -> sa.types.TypeEngine[Any]:
    """A type without what this service does to its values on their way."""
    return kind.impl if isinstance(kind, sa.types.TypeDecorator) else kind  # type: ignore[return-value]


def _arrays(rows: Rows, names: Iterable[str]) -> dict[str, str]:
    """Each column of these rows as the text of an array."""
    return {name: array([row[name] for row in rows]) for name in names}


_LISTED = {int, type(None)}


def array(column: Sequence[Any]) -> str:
    """Values as the text of an array of PostgreSQL's."""
    if set(map(type, column)) <= _LISTED:  # nearly all are: in one go
        return f"{{{str(list(column))[1:-1].replace('None', 'NULL')}}}"
    return f"{{{','.join([_written(value) for value in column])}}}"


def _written(value: object) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, datetime):
        return time_for_copy(value)
    if isinstance(value, dict | list):
        value = json.dumps(value)
    if isinstance(value, str):
        quoted = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{quoted}"'
    return str(value)


# Numbers


class _Among(FunctionElement[Any]):
    inherit_cache = True
    # Not Boolean: SQLite would be asked whether that is 1, and would look at every row for it.
    type = sa.types.NullType()


@compiles(_Among, "sqlite")
def _among_sqlite(element: _Among, compiler: Any, **kw: Any) -> str:
    column, numbers = (compiler.process(each, **kw) for each in element.clauses)
    return f"{column} IN (SELECT value FROM json_each({numbers}))"  # noqa: S608 - both compiled


@compiles(_Among, "postgresql")
def _among_postgresql(element: _Among, compiler: Any, **kw: Any) -> str:
    column, numbers = (compiler.process(each, **kw) for each in element.clauses)
    # As rows: an array whose elements are not known when a plan is made is searched from its start
    # for every row.
    return f"{column} IN (SELECT unnest(CAST({numbers} AS bigint[])))"


def among(column: Any, name: str) -> sa.ColumnElement[bool]:
    """Whether a column of whole numbers is one of those that `run` is given as `name`, written by
    `numbers`.

    They are one value: with one for each, the statement takes longer to write than to run.
    """
    return _Among(column, sa.bindparam(name, type_=sa.Text()))


def numbers(tx: Session, them: Iterable[int]) -> str:
    """Whole numbers as `among` wants them."""
    listed = ",".join(map(str, them))
    return f"[{listed}]" if is_sqlite(tx) else f"{{{listed}}}"
