"""The production server: granian, its workers as processes with a few threads each."""

import errno
import gc
import os
import shutil
import signal
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import click
from granian import _signals
from granian.constants import Interfaces, RuntimeModes
from granian.log import LogLevels
from granian.server.mp import MPServer

from referral.config import Config

THREADS = 4
"""Requests one worker works on at a time; SQLAlchemy's pool is larger."""
STOP_SECONDS = 15
"""How long a worker may finish what it is at."""
GARBAGE_OBJECTS = 20_000
"""So many more objects than were freed make a worker look for circles among them."""
RESPAWN_SECONDS = 0.5
"""The pause before a worker that died is replaced, so that a lasting fault does not spin."""
PARENT_SECONDS = 0.5
"""How often a worker looks whether the main process is still there."""
PORT_SECONDS = 2.0
"""How long a taken port is tried again: the workers of a service that was killed need a moment."""
READY_SECONDS = 60.0
ENDING = (signal.SIGTERM, signal.SIGINT)
LOGGING = {
    "formatters": {"generic": {"format": "[%(levelname)s] %(message)s"}},
    "handlers": {
        "console": {
            "formatter": "generic",
            "class": "logging.StreamHandler",
            "stream": "ext://sys.stderr",
        }
    },
    "loggers": {"_granian": {"handlers": ["console"], "propagate": False}},
}


def serve(
    config: Config,
    *,
    host: str,
    port: int,
    workers: int,
    when_ready: Callable[[], None],
    end_with: int | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, or until the process `end_with` that started this one ends.

    `when_ready` is called once, when the first page answers.
    """
    check_port(host, port)
    _prepare_metrics(config, port)
    # Read once here, so that a fault in the code says so and workers start with it in memory.
    from referral import web  # noqa: F401

    os.register_at_fork(after_in_child=_own_signals)
    server = _Server(
        target="referral",
        address=host,
        port=port,
        interface=Interfaces.WSGI,
        websockets=False,
        workers=workers,
        blocking_threads=THREADS,
        # One thread for the network. With several, granian 2.8 waits for a notice that may have
        # come already when it is told to stop, and hangs until it is killed.
        runtime_mode=RuntimeModes.st,
        respawn_failed_workers=True,
        workers_kill_timeout=STOP_SECONDS,
        log_level=LogLevels.warning,
        log_dictconfig=LOGGING,
    )
    if end_with is not None:
        threading.Thread(target=end_with_parent, args=(end_with,), daemon=True).start()
    server.when_spawned = lambda: _when_answering(host, port, when_ready)
    _when_told_to_end(server.signal_handler_interrupt)
    server.serve(target_loader=partial(_load, os.getpid()), wrap_loader=False)


def check_port(host: str, port: int) -> None:
    """Fail with a sentence when the port is taken.

    The workers share their port, and so would another service of the same user, in silence.
    """
    deadline = time.monotonic() + PORT_SECONDS
    while (error := _bind(host, port)) is not None:
        if error.errno != errno.EADDRINUSE or time.monotonic() > deadline:
            raise click.ClickException(
                f"Port {port} on {host} cannot be used ({error.strerror}); "
                "stop what uses it, or choose another one with PORT or --port."
            )
        time.sleep(PORT_SECONDS / 10)


def _bind(host: str, port: int) -> OSError | None:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        family, kind, protocol, _, address = found[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        return error
    return None


def _prepare_metrics(config: Config, port: int) -> None:
    """An empty folder in which the workers add up their figures. It must be named before
    prometheus_client is imported anywhere."""
    folder = config.data_dir / f"metrics-{port}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)


def _own_signals() -> None:
    """Let go of what a worker inherits: handlers that would swallow a SIGTERM until granian has set
    the worker's own, and the pipe that tells the main process of signals."""
    signal.set_wakeup_fd(-1)
    for number in ENDING:
        signal.signal(number, signal.SIG_DFL)


def _when_told_to_end(act: Callable[[], object]) -> None:
    """Call `act` in a thread, once, when a signal to end arrives. Call this in the main thread.

    Python runs signal handlers in the main thread, between two instructions. There granian waits
    for an event, and when two signals come together it may sleep through both.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)

    def relay() -> None:
        while os.read(reader, 1)[0] not in ENDING:
            pass
        act()

    threading.Thread(target=relay, daemon=True).start()


def _end_once() -> None:
    """Let this worker act on the first signal to end and overlook others.

    Ctrl-C and systemd signal every process, and then the main process its workers once more.
    granian's handler must not be called twice: the second call waits, with the interpreter's lock
    held, for the thread that is busy with the first and needs that lock.
    """

    def set_main_signals(handler: Callable[..., None], *_reload: object) -> None:
        for number in ENDING:
            signal.signal(number, lambda _number, _frame: None)
        _when_told_to_end(lambda: handler(signal.SIGTERM, None))

    _signals.set_main_signals = set_main_signals


def _load(main_pid: int) -> Callable[..., Any]:
    """The application, made in a worker."""
    threading.Thread(target=end_with_parent, args=(main_pid,), daemon=True).start()
    _end_once()
    from referral import create_app

    app = create_app()
    # What is there now stays for good; what a request makes is mostly gone with it, without help.
    gc.freeze()
    gc.set_threshold(GARBAGE_OBJECTS)
    return app


def end_with_parent(main_pid: int) -> None:
    """End this process when the one that started it is gone: it would go on holding the port."""
    while os.getppid() == main_pid:
        time.sleep(PARENT_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)


def _when_answering(host: str, port: int, when_ready: Callable[[], None]) -> None:
    wildcards = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound
    name = wildcards.get(host, host)
    address = f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        try:
            with opener.open(f"{address}/healthz", timeout=READY_SECONDS):
                when_ready()
                return
        except (OSError, urllib.error.URLError):
            time.sleep(0.1)


class _Server(MPServer):
    """granian's server, which outlives any number of its workers."""

    when_spawned: Callable[[], None]

    def _spawn_workers(self, *args: Any) -> None:
        super()._spawn_workers(*args)  # type: ignore[no-untyped-call]
        threading.Thread(target=self.when_spawned, daemon=True).start()

    def _respawn_workers(self, workers: Sequence[int], *args: Any, **more: Any) -> None:
        time.sleep(RESPAWN_SECONDS)
        super()._respawn_workers(sorted(set(workers)), *args, **more)
        # granian ends itself when one worker dies twice within seconds. The code was read before
        # anything was started, so what kills workers comes from outside: go on replacing them.
        self.respawned_wrks.clear()
        lost = [worker.idx for worker in self.wrks if not worker.inner.is_alive()]
        if lost:  # died while the others were replaced: granian may have missed it
            self.interrupt_children.extend(lost)
            self.main_loop_interrupt.set()

    def shutdown(self, exit_code: int = 0) -> None:
        # Ctrl-C reaches the workers as well; one that has gone already did not fail.
        for worker in self.wrks:
            worker.interrupt_by_parent = True
        self.interrupt_children.clear()
        super().shutdown(exit_code)  # type: ignore[no-untyped-call]
