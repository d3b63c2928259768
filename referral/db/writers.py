"""SQLite's writers, in line.

SQLite has one writer at a time, and whoever waits for it sleeps longer and longer, also when it is
done long since. So those who want to write wait here before they ask for it: the threads of a
process for one another, and one of them for those of other processes, by a lock on a file beside
the database that is looked at often.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from threading import Lock
from time import monotonic, sleep

from referral.errors import Unavailable

LOOK_SECONDS = 0.0005
"""How often the file is looked at by whoever waits for another process."""


class Writers:
    """The line of one database file in this process."""

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(f"{database.name}-line")
        self._lock = Lock()
        self._file: FileIO | None = None
        self._pid = 0

    @contextmanager
    def turn(self, seconds: float) -> Iterator[None]:
        """One's turn to write. Raises `Unavailable` when it does not come within `seconds`."""
        latest = monotonic() + seconds
        if not self._lock.acquire(timeout=seconds):
            raise Unavailable()
        try:
            file = self._opened()
            if file is None:
                yield
                return
            while not _taken(file):
                if monotonic() > latest:
                    raise Unavailable()
                sleep(LOOK_SECONDS)
            try:
                yield
            finally:
                fcntl.flock(file, fcntl.LOCK_UN)
        finally:
            self._lock.release()

    def close(self) -> None:
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None

    def _opened(self) -> FileIO | None:
        """The file, opened by this process itself; None where none can be made, as in a folder
        that is not to be written to: SQLite says so then."""
        if self._file is None or self._pid != os.getpid():
            try:
                self._file, self._pid = FileIO(self._path, "a"), os.getpid()
            except OSError:
                return None
        return self._file


def _taken(file: FileIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
