import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import numpy
import psutil
import pytest
import zxingcpp

from referral import demo
from referral.cli import service
from referral.cli.server import STOP_SECONDS
from referral.config import Config
from referral.demo import brand
from referral.spread.cascades import Parameters
from tests.cli.conftest import Referral, check_failed, told
from tests.conftest import settings_of
from tests.waits import wait_until

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def _small_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "Parameters", lambda: Parameters(roots=15))


@pytest.mark.usefixtures("_small_demo")
def test_the_demo_says_the_same_twice(referral: Referral) -> None:
    first = referral("demo", "--json")
    found = told(first)
    assert set(found) == {
        *("base_url", "api_key", "staff", "campaign", "gtin", "codes", "share_url"),
    }
    assert first.stderr == f"{service.LOADING} ...\n", "one line where there is no terminal"
    again = referral("demo", "--json")
    assert told(again) == found
    assert again.stderr == "", "nothing is loaded again"
    words = referral("demo").stdout
    for said in (found["api_key"], found["staff"]["password"], found["share_url"]):
        assert said in words


def test_a_port_in_use_is_one_sentence(referral: Referral, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("referral.cli.server.PORT_SECONDS", 0)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for command in ("serve", "run"):
            check_failed(referral(command, "--port", port), f"Port {port}")
    check_failed(referral("serve", "--host", "192.0.2.1"), "192.0.2.1")


def test_a_qr_code_in_the_terminal_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "40")
    url = "http://127.0.0.1:8000/01/06901234567892/21/ZCH0PR0QXZFH6T1D"
    for on_terminal in (False, True):
        monkeypatch.setattr("sys.stdout.isatty", lambda on_terminal=on_terminal: on_terminal)
        lines = service.qr_lines(url)
        dark = {" ": (0, 0), "▀": (1, 0), "▄": (0, 1), "█": (1, 1)}
        shown = [re.sub("\x1b\\[[0-9;]*m", "", line) for line in lines]
        rows = [[dark[c][half] for c in line] for line in shown for half in (0, 1)]
        picture = numpy.kron(255 * (1 - numpy.array(rows)), numpy.ones((4, 4)))
        assert zxingcpp.read_barcode(picture.astype(numpy.uint8)).text == url


def test_a_qr_code_that_does_not_fit_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    assert service.qr_lines("http://127.0.0.1:8000/") == []


class Served:
    """`referral serve` (or `run`) as a process of its own."""

    def __init__(self, config: Config, *arguments: str, seconds_max: float = 30) -> None:
        self.seconds_max = seconds_max
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        inherited = {k: v for k, v in os.environ.items() if k != "REFERRAL_BASE_URL"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "referral", *arguments, "--port", str(self.port)],
            # From elsewhere: nothing may depend on the folder it is started in.
            cwd=config.data_dir,
            env={**inherited, **settings_of(config), "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def wait_until_ready(self) -> None:
        self.until(lambda: self.status("/readyz") == 200)

    def status(self, path: str) -> int | None:
        """The answer's status; None for no answer."""
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=5)) as connection:
            try:
                connection.request("GET", path)
                return connection.getresponse().status
            except (OSError, HTTPException):
                return None

    def workers(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children()

    def until(self, condition: Callable[[], object]) -> None:
        def is_so() -> object:
            assert self.process.poll() is None, self.process.communicate()
            return condition()

        wait_until(is_so, "it took too long", seconds=self.seconds_max)

    def end(self, number: signal.Signals) -> tuple[int, str, str]:
        """Send a signal to the whole group, as a terminal does; exit code, output, errors."""
        os.killpg(self.process.pid, number)
        output, errors = self.process.communicate(timeout=self.seconds_max)
        return self.process.returncode, output, errors

    def clean_up(self) -> None:
        if self.process.poll() is None:
            self.end(signal.SIGKILL)
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()


@pytest.fixture
def served(config: Config) -> Iterator[Served]:
    with serving(config, "serve", "--workers", "2") as service:
        yield service


@contextmanager
def serving(config: Config, *arguments: str, seconds_max: float = 30) -> Iterator[Served]:
    service = Served(config, *arguments, seconds_max=seconds_max)
    try:
        service.wait_until_ready()
        yield service
    finally:
        service.clean_up()


def test_the_service_outlives_its_workers_and_ends_in_good_order(served: Served) -> None:
    for _ in range(3):
        worker = served.workers()[0]
        worker.kill()
        served.until(lambda worker=worker: worker not in served.workers())
        served.until(lambda: len(served.workers()) == 2 and served.status("/healthz") == 200)
    for worker in served.workers():
        worker.kill()
    served.until(lambda: served.status("/healthz") == 200)
    served.until(lambda: len(served.workers()) == 2)
    code, output, errors = served.end(signal.SIGTERM)
    assert code == 0
    assert output == ""
    assert "Traceback" not in errors
    assert f"Listening on 127.0.0.1, port {served.port}" in errors
    assert served.status("/healthz") is None


def test_ctrl_c_ends_the_service_in_good_order(served: Served, config: Config) -> None:
    assert served.status("/metrics") == 200
    assert list((config.data_dir / f"metrics-{served.port}").iterdir())
    with closing(HTTPConnection("127.0.0.1", served.port, timeout=5)) as idle:
        idle.request("GET", "/healthz")
        idle.getresponse().read()  # and the connection is kept, as browsers do
        started = time.monotonic()
        code, _, errors = served.end(signal.SIGINT)
    assert code == 0
    assert time.monotonic() - started < STOP_SECONDS, "no worker had to be killed"
    assert "Traceback" not in errors


def test_workers_do_not_outlive_the_main_process(served: Served) -> None:
    workers = served.workers()
    served.process.kill()
    served.process.wait()
    gone, alive = psutil.wait_procs(workers, timeout=served.seconds_max)
    assert not alive
    assert len(gone) == 2


@pytest.mark.slow
def test_run_sets_everything_up_and_keeps_it(config: Config) -> None:
    passwords = []
    for _ in range(2):
        with serving(config, "run", seconds_max=180) as service:
            assert service.status("/") == 200
            time.sleep(1)  # what to open is said once a page answers
            code, output, errors = service.end(signal.SIGINT)
        assert code == 0, errors
        assert brand.NAME in output
        assert f"http://127.0.0.1:{service.port}/s/" in output
        passwords += re.findall(r"password (\S+)", output)
        assert "█▀▀▀▀▀█" in output
    assert passwords[0] == passwords[1]


def test_a_file_of_regions_that_is_none_stops_the_start(referral: Referral) -> None:
    """Here and once: workers that cannot start are replaced for ever."""
    for command in ("serve", "run"):
        result = referral(command, REFERRAL_GEOIP=__file__)
        check_failed(result, f"REFERRAL_GEOIP: {__file__} cannot be read")
