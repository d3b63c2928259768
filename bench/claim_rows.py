"""The rows that a claim leaves which credits two people, written anew by one prepared statement.

Straight from the driver: nothing is asked, judged or locked before, nothing is counted after, and
there is no page. No claim is quicker than that with these tables, their keys and what guards them.
"""

from collections.abc import Mapping
from itertools import count
from typing import Any, LiteralString, cast

import psycopg

FIRST_INDEX = 10_000_000
"""Of codes that are nobody's."""


class Statement:
    """Writes rows and commits; the last claim's rows, or else one row of a table with nothing
    around it."""

    def __init__(self, url: str, *, is_claim: bool) -> None:
        address = url.replace("postgresql+psycopg:", "postgresql:")
        self._connection = psycopg.connect(address, autocommit=True)
        if is_claim:
            statement = rewritten(self._connection)
        else:
            self._connection.execute("CREATE TABLE one_row (id bigserial PRIMARY KEY, n bigint)")
            statement = "INSERT INTO one_row (n) VALUES ($1)"
        self._connection.execute(cast(LiteralString, f"PREPARE written(bigint) AS {statement}"))
        self._numbers = count(FIRST_INDEX)

    def run(self, times: int) -> int:
        for _ in range(times):
            number = next(self._numbers)
            self._connection.execute(cast(LiteralString, f"EXECUTE written({number})"))
        return times

    def close(self) -> None:
        self._connection.close()


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
