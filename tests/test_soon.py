"""What is done soon: once for all who asked, by a thread that begins and ends by itself."""

import subprocess
import sys
import threading
from functools import partial
from typing import NoReturn

import pytest

from referral import soon
from referral.soon import Soon
from tests import waits

PATIENCE = 30.0
wait_until = partial(waits.wait_until, seconds=PATIENCE)


def thread_is_there(name: str) -> bool:
    return name in {thread.name for thread in threading.enumerate()}


def test_it_is_done_once_for_all_who_asked_meanwhile() -> None:
    waiting, done = list[int](), list[list[int]]()

    def do() -> None:
        taken = waiting.copy()
        del waiting[: len(taken)]
        done.append(taken)

    later = Soon(do, seconds=0.2, name="once")
    for number in range(5):
        waiting.append(number)
        later.ask()
    wait_until(lambda: bool(done))
    assert done == [[0, 1, 2, 3, 4]]
    later.close()
    wait_until(lambda: not thread_is_there("once"))


def test_nothing_that_many_threads_ask_for_is_left_undone() -> None:
    asked, done = list[int](), list[int]()
    later = Soon(lambda: done.append(len(asked)), seconds=0.001, name="many")

    def ask(start: int) -> None:
        for number in range(start, start + 500):
            asked.append(number)
            later.ask()

    threads = [threading.Thread(target=ask, args=(500 * each,)) for each in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wait_until(lambda: bool(done) and done[-1] == 4_000)
    later.close()


def test_the_thread_ends_when_nobody_asks_and_another_begins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(soon, "IDLE_ROUNDS", 3)
    done: list[bool] = []
    later = Soon(lambda: done.append(True), seconds=0.005, name="idle")
    for times in (1, 2):
        later.ask()
        wait_until(lambda times=times: len(done) == times)  # type: ignore[misc]
        wait_until(lambda: not thread_is_there("idle"))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_after_one_that_failed_the_next_is_done() -> None:
    done: list[bool] = []

    def do() -> None:
        done.append(True)
        if len(done) == 1:
            raise RuntimeError("the first time")

    later = Soon(do, seconds=0.005, name="failing")
    later.ask()
    wait_until(lambda: not thread_is_there("failing") and bool(done))
    later.ask()
    wait_until(lambda: len(done) == 2)
    later.close()


def test_where_no_thread_can_begin_the_next_who_asks_tries_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done: list[bool] = []
    later = Soon(lambda: done.append(True), seconds=0.005, name="crowded")

    def refuse(_thread: threading.Thread) -> NoReturn:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(soon.Thread, "start", refuse)
        later.ask()
    assert not done
    later.ask()
    wait_until(lambda: bool(done))
    later.close()


FORKED = """
import os
from referral.soon import Soon

later = Soon(lambda: os.write(1, b"%d " % os.getpid()), seconds=0.05, name="forked")
later.ask()
child = os.fork()
later.ask()
if child:
    os.waitpid(child, 0)
    os.write(2, b"%d %d" % (os.getpid(), child))
"""


def test_a_forked_process_has_a_thread_of_its_own_and_both_end_when_it_is_done() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", FORKED],
        capture_output=True,
        timeout=PATIENCE,
        check=True,
    )
    assert set(ran.stdout.split()) == set(ran.stderr.split())
    assert len(set(ran.stderr.split())) == 2
