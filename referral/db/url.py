"""The address of the database, as it is set and as SQLAlchemy wants it.

    sqlite:////path/to/file.db
    postgresql://user:password@host/name
    postgresql://user:password@db1:5432,db2:5432/name

Of several hosts the one that takes writes is connected to: what is not a standby.
"""

from collections.abc import Sequence
from urllib.parse import urlsplit

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError

DRIVER = "postgresql+psycopg"
PORT = 5432
WRITES = ("read-write", "primary")


class BadDatabaseUrl(ValueError):
    """An address that leads nowhere; the message ends the sentence "The setting ..."."""


def read_database_url(value: str) -> str:
    """The address as SQLAlchemy wants it. Raises `BadDatabaseUrl`."""
    try:
        url = _parted(value)
    except (ArgumentError, ValueError):
        raise BadDatabaseUrl(
            "is not a database address; write "
            "sqlite:////path/to/file.db or postgresql://user:password@host/name"
        ) from None
    backend = url.get_backend_name()
    if backend == "sqlite":
        if url.database in {None, "", ":memory:"}:
            raise BadDatabaseUrl("names no file; SQLite needs one here, sqlite:////path/file.db")
        return value
    if backend not in {"postgresql", "postgres"}:
        raise BadDatabaseUrl(f"names {backend}; only sqlite and postgresql are supported")
    return _to_the_primary(url).set(drivername=DRIVER).render_as_string(hide_password=False)


def _parted(value: str) -> sa.URL:
    """With several hosts written as parameters. Raises `ValueError`, `ArgumentError`."""
    parts = urlsplit(value)
    before, at, listed = parts.netloc.rpartition("@")
    hosts = listed.split(",")
    if len(hosts) == 1:
        return sa.make_url(value)
    if not all(hosts):
        raise ValueError("a host is missing")
    each = [urlsplit(f"//{host}") for host in hosts]
    url = sa.make_url(value.replace(f"//{parts.netloc}", f"//{before}{at}", 1))
    return url.update_query_dict(
        {
            "host": ",".join(one.hostname or "" for one in each),
            "port": ",".join(str(one.port or PORT) for one in each),
        }
    )


def _to_the_primary(url: sa.URL) -> sa.URL:
    """A standby takes no writes; without being told, the first host that answers is taken."""
    if len(_hosts(url)) < 2:
        return url
    wanted = url.query.get("target_session_attrs", WRITES[0])
    if wanted not in WRITES:
        raise BadDatabaseUrl(
            f"says target_session_attrs={wanted}; of several hosts the one that takes writes is "
            "needed, target_session_attrs=read-write"
        )
    return url.update_query_dict({"target_session_attrs": wanted})


def _hosts(url: sa.URL) -> Sequence[str]:
    listed = url.query.get("host", ())
    return listed.split(",") if isinstance(listed, str) else listed
