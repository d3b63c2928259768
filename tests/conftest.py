"""Fixtures for the whole suite.

A test that asks for `database_url`, or for anything built on it (`deployment`, `app`, `client`,
`live_server`), runs twice: on SQLite without Redis, and on PostgreSQL with Valkey. Both are real
and begin empty. Tests of pages and commands, in `tests/web`, `tests/cli` and with a browser, run on
one of the two, half of them on each, and on both with `--both-databases`: the statements behind
them have tests of their own. After a test the ledger must add up; that is checked here, not by the
test's author.
"""

import os
import shutil
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import redis
import sqlalchemy as sa
from apiflask import APIFlask
from argon2 import PasswordHasher
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import settings
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, expect, sync_playwright

from referral import create_app, gathering, ledger
from referral.clock import HeldClock
from referral.config import Config
from referral.db import Database, upgrade
from referral.db import database as db
from referral.deployment import Deployment, open_deployment
from referral.staff import members
from referral.web import connect
from tests.servers import (
    ServiceProcess,
    create_database,
    drop_database,
    empty_tables,
    postgres_for_tests,
    valkey_for_tests,
)

# A deadline per example would measure the other tests that run beside it.
settings.register_profile("suite", deadline=None, max_examples=60)
settings.load_profile("suite")

DATABASES = ("sqlite", "postgresql")
FRONT = {Path(__file__).parent / "web", Path(__file__).parent / "cli"}
START = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
SECRET_KEYS = ("an-older-key-for-the-tests-only", "the-newest-key-for-the-tests-only")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
BROWSER_ARGUMENTS = (
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
PHONE_AGENT = (
    "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/{version} Mobile Safari/537.36"
)
DESKTOP_AGENT = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/{version} Safari/537.36"
)
BROWSER_TIMEOUT_MS = 15_000


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--both-databases",
        action="store_true",
        help="run the tests of pages and commands on both databases, each",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    # What takes long begins first, so that no worker is left with it at the end.
    items.sort(key=lambda item: not any(map(item.get_closest_marker, ("browser", "race"))))
    if config.getoption("--both-databases"):
        return
    on: defaultdict[str, set[str]] = defaultdict(set)
    for item in items:
        if database := _database_of_front_test(item):
            on[_name(item)].add(database)
    left_out = {
        item
        for item in items
        if len(on[_name(item)]) == len(DATABASES)
        and _database_of_front_test(item) != DATABASES[zlib.crc32(_name(item).encode()) % 2]
    }
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=list(left_out))


def _name(item: pytest.Item) -> str:
    """A test's name without its parameters."""
    return item.nodeid.partition("[")[0]


def _database_of_front_test(item: pytest.Item) -> str | None:
    """The database that a test of pages or commands runs on; None for every other test."""
    is_front = FRONT.intersection(item.path.parents) or item.get_closest_marker("browser")
    if not is_front or not hasattr(item, "callspec"):
        return None
    database: str | None = item.callspec.params.get("database_url")
    return database


@pytest.fixture(scope="session", autouse=True)
def _no_settings_from_outside() -> None:
    """What the developer has set for a service of his own says nothing about these tests."""
    for name in [name for name in os.environ if name.startswith("REFERRAL_")]:
        del os.environ[name]


@pytest.fixture(autouse=True)
def _counts_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only `flush()` writes what is gathered: a thread of this test would write into the next
    one's database."""
    monkeypatch.setattr(gathering, "WRITE_SECONDS", 86_400.0)


@pytest.fixture(scope="session", autouse=True)
def _passwords_are_cheap() -> Iterator[None]:
    """A tenth of a second for each password that is set or compared is right for a service."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(members, "_hasher", PasswordHasher(1, 8, 1))
        yield


# --- databases ------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL server on which databases can be made."""
    with postgres_for_tests() as url:
        yield url


@pytest.fixture(scope="session")
def valkey(worker_id: str) -> Iterator[str]:
    """The URL of a Redis database for this worker alone."""
    number = int(worker_id.removeprefix("gw")) if worker_id.startswith("gw") else 0
    with valkey_for_tests(number) as url:
        yield url


@pytest.fixture(scope="session")
def _valkey_client(valkey: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(valkey) as client:
        yield client


@pytest.fixture(scope="session")
def _sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "referral.db"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def _sqlite_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where every test on SQLite finds a database of its own."""
    return tmp_path_factory.mktemp("database") / "referral.db"


@pytest.fixture(scope="session")
def _engines() -> Iterator[dict[str, sa.Engine]]:
    """One engine for each of the two databases: it keeps the statements it has compiled, and
    compiling them anew for every test takes longer than the tests."""
    kept: dict[str, sa.Engine] = {}
    make = db._engine
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(db, "_engine", lambda url: kept[url] if url in kept else make(url))
        yield kept
    for engine in kept.values():
        engine.dispose()


def _leave(database: Database) -> None:
    """Close a database that is not used again. PostgreSQL's is emptied and used again, over the
    same connections: a new one has to learn all tables before it is fast."""
    if database.is_sqlite:
        database.close()


@pytest.fixture(scope="session")
def _postgres_database(postgres: str, worker_id: str) -> Iterator[str]:
    name = f"referral_test_{worker_id}"
    url = create_database(postgres, name)
    upgrade(url)
    yield url
    drop_database(postgres, name)


@pytest.fixture(params=DATABASES)
def database_url(request: pytest.FixtureRequest, _engines: dict[str, sa.Engine]) -> Iterator[str]:
    """A migrated database without rows. The test runs once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        path: Path = request.getfixturevalue("_sqlite_database")
        for old in path.parent.iterdir():
            old.unlink()  # and not written over: a process that is being killed may have it open
        shutil.copyfile(request.getfixturevalue("_sqlite_template"), path)
        url = f"sqlite:///{path}"
    else:
        url = request.getfixturevalue("_postgres_database")
        empty_tables(url)
    if url not in _engines:
        _engines[url] = db._engine(url)
    yield url
    database = Database(url)
    check_ledger(database)
    _leave(database)


@pytest.fixture(params=DATABASES)
def bare_database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A database of the test's own without a single table, for tests of migrations."""
    if request.param == "sqlite":
        yield f"sqlite:///{request.getfixturevalue('tmp_path') / 'bare.db'}"
        return
    server, worker = map(request.getfixturevalue, ("postgres", "worker_id"))
    name = f"referral_test_{worker}_bare"
    yield create_database(server, name)
    drop_database(server, name)


def check_ledger(database: Database) -> None:
    """Fail unless the ledger in the database adds up."""
    with database.read() as tx:
        if not sa.inspect(tx.connection()).has_table(ledger.Posting.__tablename__):
            return  # a test about migrations took it down
        findings = ledger.verify(tx)
    if findings:
        pytest.fail("the ledger does not add up:\n" + "\n".join(findings), pytrace=False)


def check_ledger_at(url: str) -> None:
    """`check_ledger` of a database that nobody has open."""
    with closing(Database(url)) as database:
        check_ledger(database)


# --- the service in this process --------------------------------------------------------------


@pytest.fixture
def clock() -> HeldClock:
    """Stands still at `START`; `clock.advance(minutes=5)` moves it."""
    return HeldClock(START)


@pytest.fixture
def config(database_url: str, tmp_path: Path, request: pytest.FixtureRequest) -> Config:
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    redis_url = None
    if database_url.startswith("postgresql"):
        redis_url = request.getfixturevalue("valkey")
        request.getfixturevalue("_valkey_client").flushdb()
    return Config(
        database_url=database_url,
        data_dir=data_dir,
        secret_keys=SECRET_KEYS,
        redis_url=redis_url,
        base_url="http://localhost",
    )


@pytest.fixture
def deployment(config: Config, clock: HeldClock) -> Iterator[Deployment]:
    opened = open_deployment(config, clock=clock)
    yield opened
    opened.fresh_codes.close()
    _leave(opened.db)


@pytest.fixture(scope="session")
def _apps() -> dict[str, APIFlask]:
    """Making an app takes longer than most tests: those of one worker share theirs."""
    return {}


@pytest.fixture
def app(
    deployment: Deployment, _apps: dict[str, APIFlask], tmp_path_factory: pytest.TempPathFactory
) -> Flask:
    """The Flask app, with its protection against forged requests on, as in production."""
    if not _apps:
        made = create_app(deployment=deployment)
        made.config["TESTING"] = True
        _apps["app"] = made
    connect(_apps["app"], deployment)
    return _apps["app"]


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """One browser without scripts; `app.test_client()` makes another one."""
    return app.test_client()


# --- the service as a process of its own -------------------------------------------------------


@pytest.fixture
def live_server(config: Config) -> Iterator[Callable[..., ServiceProcess]]:
    """Start `referral serve` on this test's database: `server = live_server(REFERRAL_LANG="en")`.

    It has .url, .environment, .stop(), .kill(), .start(), .restart(), .logs() and
    .command("codes", "issue", ...), which runs the command line with the same settings. Its clock
    is the real one. Calling again starts another process beside it.
    """
    started: list[ServiceProcess] = []

    def start(**settings: str) -> ServiceProcess:
        server = ServiceProcess({**settings_of(config), **settings})
        started.append(server)
        return server.start()

    yield start
    for server in started:
        server.kill()
        print(f"--- log of {server.url}\n{server.logs(20_000)}")
        server.discard()
        own_database = server.environment["REFERRAL_DATABASE_URL"]
        if own_database != config.database_url:
            check_ledger_at(own_database)


def settings_of(config: Config) -> dict[str, str]:
    """The environment that gives another process this configuration (but its own address)."""
    return {
        "REFERRAL_DATABASE_URL": config.database_url,
        "REFERRAL_REDIS_URL": config.redis_url or "",
        "REFERRAL_INTAKE": config.intake,
        "REFERRAL_DATA_DIR": str(config.data_dir),
        "REFERRAL_SECRET_KEYS": ",".join(config.secret_keys),
        "REFERRAL_SENDER": config.sender,
    }


# --- browsers -----------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The system's Chromium. Without one, tests that ask for it are skipped, but not in CI."""
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        advice = "no Chromium found; install it (on Debian: apt install chromium) for this test"
        if os.environ.get("CI", "").lower() in {"1", "true"}:
            pytest.fail(advice, pytrace=False)
        pytest.skip(advice)
    with sync_playwright() as playwright:
        arguments = [*BROWSER_ARGUMENTS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
        started = playwright.chromium.launch(executable_path=found, args=arguments)
        expect.set_options(timeout=BROWSER_TIMEOUT_MS)
        yield started
        started.close()


class Contexts:
    """Opens browser contexts (each a person with cookies of her own) and watches their pages."""

    def __init__(self, browser: Browser, **defaults: Any) -> None:
        self._browser = browser
        self._defaults = defaults
        self._opened: list[BrowserContext] = []
        self.faults: list[str] = []

    def __call__(self, locale: str = "zh-CN", **options: Any) -> BrowserContext:
        context = self._browser.new_context(**{"locale": locale, **self._defaults, **options})
        context.set_default_timeout(BROWSER_TIMEOUT_MS)
        context.on("weberror", lambda failure: self.faults.append(str(failure.error)))
        context.on("console", self._listen)
        self._opened.append(context)
        return context

    def _listen(self, message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text:
            self.faults.append(message.text)

    def close(self) -> None:
        for context in self._opened:
            context.close()
        if self.faults:
            pytest.fail("on the pages opened:\n" + "\n".join(self.faults), pytrace=False)


@pytest.fixture
def phone(browser: Browser) -> Iterator[Contexts]:
    """`context = phone("zh-CN")`, then `page = context.new_page()`: another person's phone.

    The test fails when a page raised an error or broke its content security policy. The browser
    does not call itself headless: that would make every visit a machine's.
    """
    contexts = Contexts(
        browser,
        viewport={"width": 390, "height": 844},
        device_scale_factor=2,
        is_mobile=True,
        has_touch=True,
        user_agent=PHONE_AGENT.format(version=browser.version),
    )
    yield contexts
    contexts.close()


@pytest.fixture
def desktop(browser: Browser) -> Iterator[Contexts]:
    """Like `phone`, for staff at a desk."""
    contexts = Contexts(
        browser,
        viewport={"width": 1280, "height": 900},
        user_agent=DESKTOP_AGENT.format(version=browser.version),
    )
    yield contexts
    contexts.close()
