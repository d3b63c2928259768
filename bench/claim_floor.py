"""What the rows of a claim cost PostgreSQL by themselves, against one row.

The rows that a claim leaves which credits two people are written anew by one prepared statement,
straight from the driver: nothing is asked, judged or locked before, nothing is counted after, and
there is no page. No claim is quicker than that with these tables, their keys and what guards them;
`claim_cost` has what a whole one takes. Both commit, and wait for the disk.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, LiteralString, cast

import psycopg

from bench import claim_cost
from bench.measure import Row, Work, in_turn, ratio

ROUNDS = 9
QUICK = {"ROUNDS": 1, "TIMES": 10}
TIMES = 100
"""In a round, of each kind."""
FIRST_INDEX = 10_000_000
"""Of codes that are nobody's."""


def rows() -> Iterator[Row]:
    try:
        from tests.servers import PostgresServer  # it comes with the tests
    except ImportError:
        return
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(ignore_cleanup_errors=True)))
        server = stack.enter_context(PostgresServer(fsync=True))
        url = server.create_database("claims")
        claim_cost.prepared(url, folder, times=1)
        address = url.replace("postgresql+psycopg:", "postgresql:")
        connection = stack.enter_context(psycopg.connect(address, autocommit=True))
        connection.execute("CREATE TABLE bare (id bigserial PRIMARY KEY, number bigint)")
        connection.execute("PREPARE bare(bigint) AS INSERT INTO bare (number) VALUES ($1)")
        connection.execute(cast(LiteralString, f"PREPARE whole(bigint) AS {rewritten(connection)}"))
        numbers = count(FIRST_INDEX)

        def work(name: str) -> Work:
            return lambda: run(connection, name, lambda: next(numbers))

        seconds = in_turn(
            {name: work(name) for name in ("bare", "whole")}, rounds=ROUNDS, clock=perf_counter
        )
    times = ratio(seconds["whole"], seconds["bare"])
    yield Row("claim_floor: one row, one statement", f"{1_000 * min(seconds['bare']):.2f} ms")
    yield Row(
        "claim_floor: the rows of a claim, one statement",
        f"{1_000 * min(seconds['whole']):.2f} ms",
        f"{times:.1f} times one row",
    )


def run(connection: psycopg.Connection[Any], name: str, number: Callable[[], int]) -> int:
    for _ in range(TIMES):
        connection.execute(cast(LiteralString, f"EXECUTE {name}({number()})"))
    return TIMES


def rewritten(connection: psycopg.Connection[Any]) -> str:
    """The statement that writes the last claim's rows anew, for the code with the index $1."""
    claim, event, entry = connection.execute(
        "SELECT claims.id, event, entry_id FROM claims "
        "JOIN rewards ON event = 'claim:' || claims.id ORDER BY claims.id DESC LIMIT 1"
    ).fetchone() or (0, "", 0)
    new_event = "'claim:' || claim.id"
    parts = {
        "claim": copied(connection, "claims", f"t.id = {claim}", {"index": "$1"}),
        "entry": copied(connection, "ledger_entries", f"t.id = {entry}", {"key": "'new:' || $1"}),
        "posted": copied(
            connection, "postings", f"t.entry_id = {entry}", {"entry_id": "entry.id"}, "entry"
        ),
        "verdict": copied(
            connection, "verdicts", f"t.event = '{event}'", {"event": new_event}, "claim"
        ),
        "rewarded": copied(
            connection,
            "rewards",
            f"t.event = '{event}'",
            {"event": new_event, "entry_id": "entry.id"},
            "claim, entry",
        ),
        "paid": (
            "UPDATE accounts SET balance = balance + amount FROM postings "  # noqa: S608
            f"WHERE accounts.id = account_id AND entry_id = {entry} RETURNING accounts.id"
        ),
    }
    written = ", ".join(f"{name} AS ({statement})" for name, statement in parts.items())
    return f"WITH {written} SELECT count(*) FROM rewarded"  # noqa: S608 - nothing of it is given


def copied(
    connection: psycopg.Connection[Any],
    table: str,
    which: str,
    changed: Mapping[str, str],
    beside: str = "",
) -> str:
    """An INSERT of rows like those, with a number of their own and what is changed."""
    found = connection.execute(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = 'public' "
        "AND table_name = %s AND column_name <> 'id' AND is_generated = 'NEVER'",
        [table],
    )
    names = [name for (name,) in found]
    values = ", ".join(changed.get(name, f't."{name}"') for name in names)
    columns = ", ".join(f'"{name}"' for name in names)
    source = f"{table} t, {beside}" if beside else f"{table} t"
    return (
        f"INSERT INTO {table} ({columns}) SELECT {values} FROM {source} WHERE {which} RETURNING id"  # noqa: S608
    )
