"""The page of a share link, and that of a fresh code, their visits recorded, against a bare Flask
route of the same server.

All are served as the service serves itself, by one worker on one core, over HTTP on the loopback
with connections that are kept open; the requests come from a process on another core where there
is one. Every opening and every scan is a new browser's, every scan of another code. SQLite is the
embedded one; PostgreSQL, and Valkey with the stream (`appendfsync everysec`), are started for the
purpose where the tests' packages are installed. What waits, in the stream or in the database, is
not worked off meanwhile. Each way that visits take is compared with a bare route by itself.
"""

import os
import re
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from itertools import cycle
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

from bench.measure import Row, Work, in_turn, print_table
from referral import actions
from referral.campaigns import Draft
from referral.config import Config
from referral.db import upgrade
from referral.deployment import open_deployment
from referral.links import Channel, Link
from referral.people import new_visitor_id
from referral.ranges import RangeState

ROUNDS = 7
QUICK = {"ROUNDS": 1, "REQUESTS": 20}
REQUESTS = 1_500
CONNECTIONS = 8
SHARERS = 50
CODES = 100_000
"""More than are scanned."""
START_SECONDS = 60.0
FORMS = ("SQLite", "PostgreSQL", "the stream")
"""The ways visits take."""
ASKED = {
    "a share link's page, SQLite": "0.45",
    "a share link's page, the stream": "0.60",
    "a fresh code's page, SQLite": "0.45",
    "a fresh code's page, the stream": "0.45",
}
"""Of the bare route's requests a second."""
GTIN = "06901234567892"
SECRET = "a-secret-key-for-the-benchmarks"  # noqa: S105 - of a brand that lives for seconds
PHONE = (
    "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko)"
    " Chrome/140.0 Mobile Safari/537.36"
)
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


def rows() -> Iterator[Row]:
    for form in FORMS:
        with ExitStack() as stack, suppress(ImportError):  # servers for tests come with the tests
            yield from compared(form, stack)


def compared(form: str, stack: ExitStack) -> Iterator[Row]:
    """One way visits take with the bare route. What the servers of another way have not written yet
    would be written meanwhile, so each is measured by itself."""
    folder = Path(stack.enter_context(TemporaryDirectory(ignore_cleanup_errors=True)))
    url, more = started(form, folder, stack)
    port = stack.enter_context(served("bare", {"REFERRAL_DATA_DIR": str(folder)}))
    works: dict[str, Work] = {f"a bare Flask route, {form}": Load(port, ["/bare"], b" 302 ").run}
    settings = {
        **more,
        "REFERRAL_DATABASE_URL": url,
        "REFERRAL_DATA_DIR": str(folder / "data"),
        "REFERRAL_SECRET_KEYS": SECRET,
    }
    links, codes = brand(url, folder)
    port = stack.enter_context(served("service", settings))
    works[f"a share link's page, {form}"] = Load(port, links, b" 200 ").run
    works[f"a fresh code's page, {form}"] = Load(port, codes, b" 200 ").run
    seconds = in_turn(works, rounds=ROUNDS, clock=perf_counter)
    bare = next(iter(seconds.values()))
    for what, took in seconds.items():
        share = median(one / other for one, other in zip(bare, took, strict=True))
        said = "" if took is bare else f"{share:.2f} of the bare route"
        yield Row(f"open: {what}", f"{1 / median(took):,.0f} a second", said, ASKED.get(what, ""))


class Load:
    """Asks for pages, each over the connection that is free next."""

    def __init__(self, port: int, paths: list[str], expected: bytes) -> None:
        self._port = port
        self._expected = expected
        self._requests = cycle(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: {PHONE}\r\n"
            "Accept: text/html\r\nAccept-Language: zh-CN\r\n\r\n".encode()
            for path in paths
        )

    def run(self, many: int | None = None) -> int:
        """`many` pages, or `REQUESTS`. Raises `RuntimeError` for an answer that is not the expected
        one."""
        many = REQUESTS if many is None else many
        waiting = selectors.DefaultSelector()
        todo = many - CONNECTIONS
        for _ in range(CONNECTIONS):
            connection = socket.create_connection(("127.0.0.1", self._port), timeout=30)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            waiting.register(connection, selectors.EVENT_READ)
            self._ask(connection)
        done = 0
        while done < many:
            for key, _ in waiting.select(timeout=30):
                self._read(key.fileobj)  # type: ignore[arg-type]
                done += 1
                if todo:
                    todo -= 1
                    self._ask(key.fileobj)  # type: ignore[arg-type]
        for key in list(waiting.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
        return done

    def _ask(self, connection: socket.socket) -> None:
        connection.sendall(next(self._requests))

    def _read(self, connection: socket.socket) -> None:
        answer = connection.recv(65_536)
        while b"\r\n\r\n" not in answer:
            answer += connection.recv(65_536)
        head, _, body = answer.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if self._expected not in head.partition(b"\r\n")[0] or length is None:
            raise RuntimeError(f"the server answers {head[:200]!r}")
        left = int(length[1]) - len(body)
        while left > 0:
            left -= len(connection.recv(65_536))


def started(form: str, folder: Path, stack: ExitStack) -> tuple[str, Mapping[str, str]]:
    """The database of a way that visits take, and further settings; its servers are started."""
    if form == "SQLite":
        return f"sqlite:///{folder / 'open.db'}", {}
    from tests.servers import PostgresServer, ValkeyServer

    server = stack.enter_context(PostgresServer(fsync=True))
    if form == "PostgreSQL":
        return server.url, {}
    valkey = stack.enter_context(ValkeyServer(appendonly=True))
    return server.url, {"REFERRAL_REDIS_URL": valkey.url}


def brand(url: str, folder: Path) -> tuple[list[str], list[str]]:
    """Makes a brand with a campaign; the paths of its sharers' links, and of its packages."""
    upgrade(url)
    config = Config(url, folder, (SECRET,), base_url="http://127.0.0.1")
    deployment = open_deployment(config)
    try:
        actions.add_product(deployment, gtin=GTIN, name="Green tea", price=600, currency="CNY")
        rules = [{"when": "claim", "for": "person", "amount": 1}]
        terms = {"slug": "open", "title": "Tea for two", "budget": 1_000, "rules": rules}
        actions.add_campaign(deployment, Draft.model_validate({**terms, "gtins": [GTIN]}))
        campaign = actions.publish_campaign(deployment, "open")
        sharers = [
            Link(campaign.id, new_visitor_id(), None, 0, Channel.address) for _ in range(SHARERS)
        ]
        batch = actions.issue_batch(deployment, gtin=GTIN, count=CODES, name="open", by="bench")
        actions.set_range(deployment, batch.id, RangeState.activated, by="bench")
        texts = deployment.codes.encode_many(batch, 0, CODES)
        return (
            [f"/s/{deployment.links.token(link)}" for link in sharers],
            [f"/01/{GTIN}/21/{text.decode()}" for text in texts],
        )
    finally:
        deployment.db.close()


@contextmanager
def served(what: str, settings: Mapping[str, str], *, module: str = "bench.open") -> Iterator[int]:
    """A server of one worker, on the last core; its port. `module` is the benchmark it is of."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("REFERRAL_")}
    process = subprocess.Popen(
        [sys.executable, "-m", module, what, str(port)],
        env={**inherited, "REFERRAL_BASE_URL": f"http://127.0.0.1:{port}", **settings},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until_it_listens(process, port)
        yield port
    finally:
        process.terminate()
        process.wait()


def wait_until_it_listens(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.05)
    raise RuntimeError("the server did not start")


def serve(what: str, port: int) -> None:
    """Serve the service itself, or a bare Flask app, in the same way."""
    from referral.cli import server

    if sys.platform == "linux":
        os.sched_setaffinity(0, {os.cpu_count() - 1} if os.cpu_count() else {0})  # type: ignore[operator]
    if what == "bare":
        server._load = lambda _pid: bare_app()
    config = Config.from_env()
    server.serve(config, host="127.0.0.1", port=port, workers=1, when_ready=lambda: None)


def bare_app() -> object:
    from flask import Flask, redirect
    from werkzeug.wrappers import Response

    app = Flask("bare")

    @app.get("/bare")
    def bare() -> Response:
        return redirect("https://shop.example/")

    @app.get("/healthz")
    def healthz() -> str:
        return "ok"

    return app


if __name__ == "__main__":
    if len(sys.argv) == 3:
        serve(sys.argv[1], int(sys.argv[2]))
    else:
        print_table(rows())
