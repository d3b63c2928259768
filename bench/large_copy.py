"""Writing very many rows into PostgreSQL: in its binary form, and without indexes meanwhile."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import psycopg

from bench.large_plan import Columns

ROWS_AT_ONCE = 500_000

_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_END = b"\xff\xff"


def copy_into(cursor: psycopg.Cursor, table: str, columns: Columns) -> None:
    """Make a table of whole numbers and put these into it."""
    names = list(columns)
    listed = ", ".join(f"{name} bigint" for name in names)
    cursor.execute(f"DROP TABLE IF EXISTS {table}".encode())
    cursor.execute(f"CREATE UNLOGGED TABLE {table} ({listed})".encode())
    # A row is how many fields it has, and of each its length and value.
    fields = [("n", ">i2")]
    for name in names:
        fields += [(f"{name} length", ">i4"), (name, ">i8")]
    count = len(columns[names[0]])
    with cursor.copy(f"COPY {table} FROM STDIN (FORMAT binary)".encode()) as copy:
        copy.write(_HEADER)
        for start in range(0, count, ROWS_AT_ONCE):
            part = slice(start, min(start + ROWS_AT_ONCE, count))
            rows = np.empty(part.stop - part.start, dtype=fields)
            rows["n"] = len(names)
            for name in names:
                rows[f"{name} length"] = 8
                rows[name] = columns[name][part]
            copy.write(rows.tobytes())
        copy.write(_END)
    cursor.execute(f"ANALYZE {table}".encode())


@contextmanager
def without_indexes(cursor: psycopg.Cursor, *tables: str) -> Iterator[None]:
    """These tables have no indexes meanwhile."""
    again: list[str] = []
    for table in tables:
        keys = cursor.execute(_KEYS, [table]).fetchall()
        indexes = cursor.execute(_INDEXES, [table]).fetchall()
        for name, definition in keys:
            cursor.execute(f'ALTER TABLE {table} DROP CONSTRAINT "{name}"'.encode())
            again.append(f'ALTER TABLE {table} ADD CONSTRAINT "{name}" {definition}')
        for name, definition in indexes:
            cursor.execute(f'DROP INDEX "{name}"'.encode())
            again.append(definition.replace(" ON ONLY ", " ON "))  # of its parts as well
    yield
    for statement in again:
        cursor.execute(statement.encode())


_KEYS = """
    SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint
    WHERE conrelid = %s::regclass AND contype IN ('p', 'u')
"""
_INDEXES = """
    SELECT c.relname, pg_get_indexdef(i.indexrelid) FROM pg_index i
    JOIN pg_class c ON c.oid = i.indexrelid
    WHERE i.indrelid = %s::regclass
    AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = i.indexrelid)
"""


def count_on(cursor: psycopg.Cursor, *tables: str) -> None:
    """Rows that come later get numbers behind those that were given here."""
    for table in tables:
        cursor.execute(
            f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), "  # noqa: S608
            f"(SELECT coalesce(max(id), 0) + 1 FROM {table}), false)".encode()
        )
