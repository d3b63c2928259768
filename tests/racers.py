"""Real processes that do things to one database at the same moment."""

import multiprocessing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Any, Self

from referral.config import Config
from referral.deployment import open_deployment

WAIT_SECONDS = 60


@dataclass(frozen=True)
class Work:
    """A function of a module, called with the deployment and then with these."""

    do: Callable[..., Any]
    arguments: tuple[Any, ...]


class Racers:
    """So many processes, started once: importing the service takes longer than most races."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._pipes: list[Connection] = []
        self._processes: list[BaseProcess] = []

    def __enter__(self) -> Self:
        # A forked process would share this one's connections, and its threads' locks.
        fresh = multiprocessing.get_context("spawn")
        for _ in range(self._count):
            mine, its = fresh.Pipe()
            process = fresh.Process(target=_run, args=(its,), daemon=True)
            process.start()
            its.close()
            self._pipes.append(mine)
            self._processes.append(process)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join(WAIT_SECONDS)

    def at_once(self, config: Config, works: Sequence[Work]) -> list[Any]:
        """Do each of these in a process of its own, all setting off together.

        Returns what each returned, or the name of the exception that it raised.
        """
        assert len(works) <= self._count
        pipes = self._pipes[: len(works)]
        for pipe, work in zip(pipes, works, strict=True):
            pipe.send((config, work))
        for pipe in pipes:
            assert _answer(pipe) == "ready"
        for pipe in pipes:
            pipe.send("go")
        return [_answer(pipe) for pipe in pipes]


def _answer(pipe: Connection) -> Any:
    if not pipe.poll(WAIT_SECONDS):
        raise TimeoutError("a racer does not answer")
    return pipe.recv()


def _run(pipe: Connection) -> None:
    while True:
        try:
            config, work = pipe.recv()
        except EOFError:
            return
        deployment = open_deployment(config)
        try:
            with deployment.db.read():
                pass
            deployment.clock.now()
            pipe.send("ready")
            pipe.recv()
            try:
                pipe.send(work.do(deployment, *work.arguments))
            except Exception as error:
                pipe.send(type(error).__name__)
        finally:
            deployment.db.close()
