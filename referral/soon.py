"""What is done a moment after it was asked for, once for all who asked meanwhile.

For what a page need not wait for and what is cheaper done for many at once.
"""

import os
from collections.abc import Callable
from threading import Lock, Thread, main_thread
from time import sleep

IDLE_ROUNDS = 100
"""After so many without having been asked the thread ends."""


class Soon:
    """A thread that lives as long as something is asked of it. A forked process has its own.

    It is no daemon: what was asked for is done before the process ends.
    """

    def __init__(self, do: Callable[[], object], *, seconds: float, name: str) -> None:
        """`seconds` is how long it is waited for others who ask, `name` the thread's."""
        self._do = do
        self._seconds = seconds
        self._name = name
        self._lock = Lock()
        self._is_asked = False
        self._is_closed = False
        self._process: int | None = None
        """The process that has the thread: a child of it has none."""

    def ask(self) -> None:
        """To be called when there is something to do, which is seen by who does it."""
        if self._is_asked and self._process == os.getpid():
            return
        with self._lock:
            self._is_asked, self._is_closed = True, False
            starts, self._process = self._process != os.getpid(), os.getpid()
        if starts:
            try:
                Thread(target=self._go_on, name=self._name).start()
            except RuntimeError:  # there are too many: the next who asks tries again
                self._process = None

    def close(self) -> None:
        """Let the thread end, until somebody asks again."""
        self._is_closed = True

    def _go_on(self) -> None:
        idle = 0
        try:
            while not self._is_over(idle):
                sleep(self._seconds)
                idle += 1
                if self._is_asked:
                    idle, self._is_asked = 0, False
                    self._do()
        except BaseException:
            with self._lock:
                self._process = None
            raise

    def _is_over(self, idle: int) -> bool:
        """Whether the thread ends; who asks from then on has another one begin."""
        with self._lock:
            ends = idle >= IDLE_ROUNDS or self._is_closed or not main_thread().is_alive()
            if not ends or self._is_asked:
                return False
            self._process = None
            return True
