"""What PostgreSQL sends and gets, without what the driver does around every statement.

Values travel as texts, whose types are known from where they stand in the statement, and of answers
by the number that the type has at the server. Several statements travel at once in pipeline mode.
"""

import json
from collections.abc import Callable, Generator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import psycopg
from psycopg import pq
from psycopg.waiting import Ready, Wait

Process = Callable[[Any], Any]

BOOLEAN = 16


def written(value: Any) -> bytes | None:
    """A value on its way to the server. Raises `psycopg.DataError` for a text it cannot keep."""
    return _WRITES.get(type(value), _text)(value)


def _text(value: Any) -> bytes:
    text = value.encode() if isinstance(value, str) else str(value).encode()
    if b"\0" in text:
        raise psycopg.DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes")
    return text


_WRITES: Mapping[type, Callable[[Any], bytes | None]] = {
    type(None): lambda _nothing: None,
    bool: lambda value: b"t" if value else b"f",
    int: lambda value: b"%d" % value,
    bytes: lambda value: b"\\x" + value.hex().encode(),
    date: lambda value: value.isoformat().encode(),
    datetime: lambda value: value.isoformat().encode(),
    # Of numbers; for others see `bulk.array`.
    list: lambda value: f"{{{','.join(map(str, value))}}}".encode(),
}
"""By a value's type; what is not here is a text."""


def reading(oid: int, out: Process | None = None) -> Process:
    """What makes a value of a text that was answered; `out` is done to it afterwards."""
    read: Process = _READS.get(oid, bytes.decode)
    return read if out is None else lambda text: out(read(text))


_READS: Mapping[int, Process] = {
    BOOLEAN: lambda text: text == b"t",
    17: lambda text: bytes.fromhex(text[2:].decode()),
    **dict.fromkeys((20, 21, 23), int),
    **dict.fromkeys((114, 3802), json.loads),
    1082: lambda text: date.fromisoformat(text.decode()),
    1184: lambda text: datetime.fromisoformat(text.decode()),
    1700: lambda text: Decimal(text.decode()),
}
"""By the number of a type at the server; what is not here is a text."""


def pipelined(
    raw: psycopg.Connection[Any], commands: Sequence[Callable[[], None]]
) -> list[pq.abc.PGresult]:
    """Send commands at once and wait for all of them; the result of each, which may be a failure.

    They are one transaction unless one is open already. Raises `psycopg.Error` for a connection
    that is lost.
    """
    server = raw.pgconn
    server.enter_pipeline_mode()
    try:
        for command in commands:
            command()
        server.pipeline_sync()
        return raw.wait(_fetched(server))
    finally:
        if server.status == pq.ConnStatus.OK:
            server.exit_pipeline_mode()


def _fetched(server: pq.abc.PGconn) -> Generator[Wait, Ready | int, list[pq.abc.PGresult]]:
    """Waits for the results of all commands, the last of each: it has no more than one."""
    found: list[pq.abc.PGresult] = []
    while server.flush():
        if (yield Wait.RW) & Ready.R:
            server.consume_input()
    while True:
        while server.is_busy():
            if (yield Wait.R):
                server.consume_input()
        result = server.get_result()
        if result is None:
            continue  # the end of what one command has brought
        if result.status == pq.ExecStatus.PIPELINE_SYNC:
            return found
        found.append(result)
