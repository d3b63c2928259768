"""Workers that are killed after they have committed and before they say so, many times.

    python -m tests.chaos.dying_workers HOW_OFTEN SEED

Each is a process of its own, which SIGKILLs itself at that point with entries that it was the
first to be given. What an earlier one has left it works off; now and then it is killed there as
well, though never so often that it would be taken for poison. Ends when so many were killed, or
nothing waits any more, and prints how many were.
"""

import os
import random
import signal
import sys
from collections.abc import Iterable
from datetime import timedelta

from referral.config import Config
from referral.deployment import open_deployment
from referral.intake import working
from referral.intake.stream import Entry, StreamReader
from referral.intake.working import TRIES_MAX, Worker

ENTRIES_AT_ONCE = 3
AGAIN = 0.2
"""How often a worker is killed at what was left to it."""


def main(how_often: int, seed: int) -> int:
    """Returns how many were killed."""
    chance, config, killed = random.Random(seed), Config.from_env(), 0
    while killed < how_often:
        # This process has no threads and no connections that a child could inherit.
        child = os.fork()
        if not child:
            _work(config, is_killed_again=chance.random() < AGAIN)
        elif not os.WIFSIGNALED(os.waitpid(child, 0)[1]):
            break
        else:
            killed += 1
    return killed


def _work(config: Config, *, is_killed_again: bool) -> None:
    """Work until nothing waits, or until killed."""
    done = StreamReader.done

    def die_or_say_so(reader: StreamReader, entries: Iterable[Entry]) -> None:
        entries = list(entries)
        tries = max((each.deliveries for each in entries), default=TRIES_MAX)
        if tries == 1 or (is_killed_again and tries < TRIES_MAX - 1):
            os.kill(os.getpid(), signal.SIGKILL)
        done(reader, entries)

    StreamReader.done = die_or_say_so  # type: ignore[method-assign]
    working.ENTRIES_AT_ONCE = ENTRIES_AT_ONCE
    deployment = open_deployment(config)
    assert deployment.stream is not None
    at_once = timedelta(0)
    Worker(deployment.db, deployment.clock, deployment.stream, abandoned_after=at_once).drain()
    os._exit(0)


if __name__ == "__main__":
    print(main(int(sys.argv[1]), int(sys.argv[2])))
