"""Server processes for the tests: started, killed, started again, and never left behind."""

import atexit
import functools
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import psutil

START_SECONDS = 60
"""How long a server may take to answer; far above what it needs, for a machine under load."""
STOP_SECONDS = 20

_GUARD = """
trap '' INT TERM HUP
cat >/dev/null
for file in "$1"/pids/*; do
    [ -f "$file" ] || continue
    pid=$(cat "$file")
    kill -s KILL -- "-$pid" "$pid" 2>/dev/null
done
for pause in 0.1 0.5 2 5; do
    rm -rf -- "$1" 2>/dev/null && exit
    sleep "$pause"
done
"""


class ServerError(RuntimeError):
    """A server did not start or end; the message carries the end of its log."""


class Scratch:
    """A folder for this process's servers, and a guard that outlives the process.

    The guard is a shell that waits for the end of its input, which comes when this process ends,
    also by SIGKILL. It then kills what is left of the servers and removes the folder.
    """

    def __init__(self) -> None:
        # Not $TMPDIR where it can be helped: a Unix socket's path is limited to about 100 bytes.
        base = "/tmp" if os.access("/tmp", os.W_OK) else None
        self.folder = Path(tempfile.mkdtemp(prefix="referral-test-", dir=base))
        # As root the servers run as somebody else, who must get through.
        self.folder.chmod(0o711)
        self.pids = self.folder / "pids"
        self.pids.mkdir()
        self._guard = subprocess.Popen(
            ["/bin/sh", "-c", _GUARD, "guard", str(self.folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )
        self._owner = os.getpid()
        atexit.register(self._close)

    def _close(self) -> None:
        if os.getpid() == self._owner and self._guard.stdin is not None:
            self._guard.stdin.close()
            self._guard.wait(STOP_SECONDS)

    def new_folder(self, name: str) -> Path:
        """An empty folder that belongs to the user the servers run as."""
        folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.folder))
        if (account := server_account()) is not None:
            os.chown(folder, account.pw_uid, account.pw_gid)
        return folder


@functools.cache
def scratch() -> Scratch:
    return Scratch()


@functools.cache
def server_account() -> pwd.struct_passwd | None:
    """The user the servers run as when this process is root (PostgreSQL refuses to be root)."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("nobody")
    except KeyError:
        raise ServerError(
            "there is no user 'nobody' for the database server to run as; "
            "name running servers in TEST_DATABASE_URL and TEST_REDIS_URL"
        ) from None


def free_port() -> int:
    """A free TCP port on loopback, from below the range that outgoing connections take theirs."""
    for _ in range(200):
        port = 20_000 + secrets.randbelow(12_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise ServerError("no free TCP port on 127.0.0.1")


class Process(ABC):
    """One server process that can be started, stopped, killed and started again."""

    stop_signal = signal.SIGTERM

    def __init__(self, name: str) -> None:
        self.name = name
        self.folder = scratch().new_folder(name)
        self.log = self.folder / "log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        if self._process is None:
            raise ServerError(f"{self.name} is not running")
        return self._process.pid

    def _prepare(self) -> None:  # noqa: B027 - most servers need nothing
        """What has to be there before the first start."""

    @abstractmethod
    def _command(self) -> Sequence[str | Path]: ...

    def _environment(self) -> Mapping[str, str]:
        return {"PATH": os.defpath, "LC_ALL": "C"}

    @abstractmethod
    def _check(self) -> None:
        """Return once the server answers. Raises an exception while it does not."""

    def _account(self) -> pwd.struct_passwd | None:
        return server_account()

    def start(self) -> Self:
        """Start, and return when it answers. Raises `ServerError`."""
        if self.running:
            return self
        self._prepare()
        account = self._account()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._cwd(),
                env=dict(self._environment()),
                user=account.pw_uid if account else None,
                group=account.pw_gid if account else None,
                extra_groups=[] if account else None,
                # Ctrl-C in the terminal is for the test run, which then stops its servers.
                start_new_session=True,
            )
        self._pid_file().write_text(str(self._process.pid))
        self._wait_until_ready()
        return self

    def _cwd(self) -> Path:
        return self.folder

    def _pid_file(self) -> Path:
        return scratch().pids / self.folder.name

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                return self._check()
            except Exception as error:
                if not self.running:
                    raise ServerError(f"{self.name} ended while starting:\n{self.logs()}") from None
                if time.monotonic() > deadline:
                    self.kill()
                    raise ServerError(
                        f"{self.name} did not answer in {START_SECONDS} s ({error}):\n{self.logs()}"
                    ) from None
            time.sleep(0.02)

    def stop(self) -> None:
        """End it in good order (what it has promised to keep is kept); kill it if it will not."""
        if self._process is None:
            return
        if self.running:
            self._process.send_signal(self.stop_signal)
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()
        self._forget()

    def kill(self) -> None:
        """SIGKILL the server and every process it started: no goodbye, nothing flushed."""
        if self._process is None:
            return
        try:
            main = psutil.Process(self._process.pid)
            family = [main, *main.children(recursive=True)]
        except psutil.NoSuchProcess:
            family = []
        # The parent first, so that it starts no replacement for a child that went.
        for member in family:
            try:
                member.kill()
            except psutil.NoSuchProcess:
                continue
        self._process.wait()
        deadline = time.monotonic() + STOP_SECONDS
        while any(map(is_alive, family)) and time.monotonic() < deadline:
            time.sleep(0.005)
        self._forget()

    def restart(self) -> Self:
        self.stop()
        return self.start()

    def _forget(self) -> None:
        self._process = None
        self._pid_file().unlink(missing_ok=True)

    def logs(self, characters: int = 4000) -> str:
        """The end of what the server wrote."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return text[-characters:]

    def __enter__(self) -> Self:
        return self.start()

    def discard(self) -> None:
        """End it without ado and remove its files."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __exit__(self, *_: object) -> None:
        self.discard()


def is_alive(process: psutil.Process) -> bool:
    try:
        # A dead child whose new parent has not collected it is gone for every purpose here.
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
