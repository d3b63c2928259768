"""Measuring for the benchmarks: works in turn, medians of ratios, one table.

A machine that is busy or throttled is so for all works of a round alike. So works that are
compared take turns, each round gives one ratio, and the median of the ratios is what counts; the
times themselves say little about another machine, or about this one tomorrow.
"""

import os
import platform
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import process_time

ROUNDS = 9
QUICK = {"ROUNDS": 1}
"""What constants of a module are where it is only to be seen that it works; each part has some."""

Work = Callable[[], int]
"""Does something and says how many of it."""


@dataclass(frozen=True)
class Row:
    """A line of the table. `asked` is what the service promises, empty for what only informs."""

    what: str
    measured: str
    compared: str = ""
    asked: str = ""


def in_turn(
    works: Mapping[str, Work],
    *,
    rounds: int | None = None,
    clock: Callable[[], float] = process_time,
) -> dict[str, list[float]]:
    """Seconds each work took for one of what it does, in each round; there are `ROUNDS` of them
    where nothing else is said.

    The first round is for warming up and left out. Time is the processor's, which does not run
    while other processes do; works that wait for a disk or another process need `perf_counter`.
    """
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for number in range((rounds or ROUNDS) + 1):
        for name, work in works.items():
            begun = clock()
            done = work()
            took = clock() - begun
            if number:
                seconds[name].append(took / done)
    return seconds


def ratio(slower: list[float], faster: list[float]) -> float:
    """How many times as long one took as the other: the median over rounds."""
    return median(one / other for one, other in zip(slower, faster, strict=True))


def on_one_core() -> None:
    """Keep this process to a single core, where the system can."""
    if sys.platform == "linux":
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


@contextmanager
def on_every_core() -> Iterator[None]:
    """Let this process and those it starts run wherever there is time: some need more than one."""
    if sys.platform != "linux":
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def machine() -> str:
    """The processor, its cores, and what runs on it."""
    processor = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        names = [line for line in information.read_text().splitlines() if "model name" in line]
        processor = names[0].partition(": ")[2] if names else processor
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{processor}, {os.cpu_count()} cores, {platform.system()}, {python}"


def print_table(rows: Iterable[Row]) -> None:
    titles = Row("what", "measured", "compared", "asked for")
    lines = [(row.what, row.measured, row.compared, row.asked) for row in (titles, *rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(4)]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        print("  ".join(cells).rstrip())
