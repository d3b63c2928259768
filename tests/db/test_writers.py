"""SQLite's writers stand in line: threads and processes, one at a time and not for ever."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from referral.db.writers import Writers
from referral.errors import Unavailable
from tests.races import at_once

HOLD = """
import sys, time
from pathlib import Path
from referral.db.writers import Writers

with Writers(Path(sys.argv[1])).turn(5):
    print("mine", flush=True)
    time.sleep(float(sys.argv[2]))
"""


def other_process(database: Path, seconds: float) -> subprocess.Popen[str]:
    """Another process whose turn it is for so long."""
    command = [sys.executable, "-c", HOLD, str(database), str(seconds)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "mine\n"
    return process


def test_threads_have_their_turns_one_after_the_other(tmp_path: Path) -> None:
    writers, inside, most = Writers(tmp_path / "referral.db"), [0], [0]

    def write() -> None:
        with writers.turn(5):
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            time.sleep(0.002)
            inside[0] -= 1

    assert at_once([write] * 8) == [None] * 8
    assert most == [1]
    writers.close()


def test_two_services_on_one_file_have_their_turns_one_after_the_other(tmp_path: Path) -> None:
    one, other = (Writers(tmp_path / "referral.db") for _ in range(2))
    with one.turn(5), pytest.raises(Unavailable), other.turn(0.01):
        pass
    with other.turn(0.01):
        pass
    for each in (one, other):
        each.close()


def test_another_process_is_waited_for_but_not_for_ever(tmp_path: Path) -> None:
    writers = Writers(tmp_path / "referral.db")
    with other_process(tmp_path / "referral.db", 0.3) as process:
        with pytest.raises(Unavailable), writers.turn(0.01):
            pass
        with writers.turn(10):
            assert process.wait(10) == 0
    writers.close()


def test_a_process_that_is_killed_lets_go(tmp_path: Path) -> None:
    writers = Writers(tmp_path / "referral.db")
    with other_process(tmp_path / "referral.db", 60) as process:
        process.kill()
        with writers.turn(5):
            pass
    writers.close()


def test_where_no_file_can_be_made_there_is_no_line_between_processes(tmp_path: Path) -> None:
    writers = Writers(tmp_path / "missing" / "referral.db")
    with writers.turn(1):
        pass
    writers.close()


def test_a_turn_that_fails_is_over(tmp_path: Path) -> None:
    writers = Writers(tmp_path / "referral.db")
    with pytest.raises(ZeroDivisionError), writers.turn(1):
        1 / 0  # noqa: B018
    with writers.turn(0.01):
        pass
    writers.close()
