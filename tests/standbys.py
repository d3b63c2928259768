"""PostgreSQL with a standby that has every commit before it is answered.

with PostgresPair() as pair:
    url = pair.create_database("shop")   # names both servers
    pair.primary.kill()
    pair.promote()
"""

from collections.abc import Mapping
from typing import Self
from urllib.parse import urlsplit

import psycopg

from tests.processes import START_SECONDS
from tests.servers import PostgresServer
from tests.waits import wait_until

NAME = "standby1"


class _Standby(PostgresServer):
    """A copy of a running primary that follows it."""

    def __init__(self, primary: PostgresServer, settings: Mapping[str, str]) -> None:
        super().__init__(tcp=True, settings={**settings, "cluster_name": NAME})
        self._primary = primary

    def _prepare(self) -> None:
        if self._data.exists():
            return
        # Its name for the primary is the one that the primary waits for.
        source = f"{self._primary.url}?application_name={NAME}"
        self._run(
            "pg_basebackup",
            *("--pgdata", self._data, "--dbname", source, "--write-recovery-conf"),
            *("--wal-method", "stream", "--checkpoint", "fast", "--no-sync"),
        )
        # Passwords came along.
        address = urlsplit(self._primary.url)
        self.url = address._replace(
            netloc=f"{address.username}:{address.password}@127.0.0.1:{self.port}"
        ).geturl()


class PostgresPair:
    """A primary and its standby, and an address that names both."""

    def __init__(self, settings: Mapping[str, str] | None = None) -> None:
        self.primary: PostgresServer = PostgresServer(tcp=True, settings=settings)
        self.standby: PostgresServer = _Standby(self.primary, settings or {})

    def start(self) -> Self:
        self.primary.start()
        self.standby.start()
        with psycopg.connect(self.primary.url, autocommit=True) as connection:
            connection.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{NAME}'")
            connection.execute("SELECT pg_reload_conf()")
        wait_until(self.is_synchronous, "the standby does not follow", seconds=START_SECONDS)
        return self

    def is_synchronous(self) -> bool:
        """Whether what is committed is at the standby as well."""
        with psycopg.connect(self.primary.url, autocommit=True) as connection:
            states = connection.execute("SELECT sync_state FROM pg_stat_replication").fetchall()
        return states == [("sync",)]

    def create_database(self, name: str) -> str:
        """An empty database of that name; the address that a service is given."""
        address = urlsplit(self.primary.create_database(name))
        hosts = f"127.0.0.1:{self.primary.port},127.0.0.1:{self.standby.port}"
        netloc = f"{address.username}:{address.password}@{hosts}"
        return f"postgresql://{netloc}/{name}?target_session_attrs=read-write"

    def promote(self) -> None:
        """Make the standby the one that takes writes; returns when it does."""
        with psycopg.connect(self.standby.url, autocommit=True) as connection:
            connection.execute("SELECT pg_promote(wait => true)")

    def discard(self) -> None:
        self.standby.discard()
        self.primary.discard()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.discard()
