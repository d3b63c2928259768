"""What several threads hand in at one moment is handed in as one, and answered as if alone."""

from collections.abc import Sequence
from threading import Event, Thread

import pytest

from referral.errors import Unavailable
from referral.intake.together import TOGETHER_MAX, Together
from tests.races import at_once


class Gate:
    """Takes things in once it is opened, and remembers which came together."""

    def __init__(self) -> None:
        self.opened, self.entered = Event(), Event()
        self.groups: list[list[int]] = []

    def send(self, things: Sequence[int]) -> list[int]:
        self.entered.set()
        assert self.opened.wait(10)
        self.groups.append(list(things))
        if any(thing < 0 for thing in things):
            raise ValueError(f"{min(things)}")
        return [thing * 10 for thing in things]


def behind_the_first(gate: Gate, *things: int) -> list[int | Exception]:
    """Hand one in, and while it is at it all the others."""
    together = Together(gate.send)
    first = Thread(target=together.hand_in, args=(1,))
    first.start()
    assert gate.entered.wait(10)
    Thread(target=_open_later, args=(gate, together, len(things))).start()
    answers = at_once([lambda thing=thing: together.hand_in(thing) for thing in things])
    first.join()
    return answers


def _open_later(gate: Gate, together: "Together[int, int]", many: int) -> None:
    while len(together._waiting) < many:
        pass
    gate.opened.set()


def test_what_waits_is_taken_along_and_everybody_gets_his_answer() -> None:
    gate = Gate()
    assert behind_the_first(gate, 2, 3, 4, 5) == [20, 30, 40, 50]
    assert [len(group) for group in gate.groups] == [1, 4]


def test_nobody_fails_because_of_another() -> None:
    gate = Gate()
    one, bad, other = behind_the_first(gate, 2, -3, 4)
    assert (one, other) == (20, 40)
    assert isinstance(bad, ValueError)
    assert len(gate.groups) == 5, "the first, all three, and each alone"


def test_what_is_away_for_all_is_not_asked_for_each() -> None:
    calls = []

    def send(things: Sequence[int]) -> list[int]:
        calls.append(list(things))
        raise Unavailable()

    together = Together(send)
    with pytest.raises(Unavailable):
        together.hand_in(1)
    assert calls == [[1]]


def test_thousands_from_many_threads_are_all_answered() -> None:
    sizes = []

    def send(things: Sequence[int]) -> list[int]:
        sizes.append(len(things))
        return [-thing for thing in things]

    together = Together(send)

    def work(start: int) -> bool:
        return all(together.hand_in(number) == -number for number in range(start, start + 500))

    assert (
        at_once([lambda start=start: work(start) for start in range(0, 8000, 1000)]) == [True] * 8
    )
    assert sum(sizes) == 4000
    assert max(sizes) <= TOGETHER_MAX
