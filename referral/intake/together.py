"""What several threads have to hand in at one moment, handed in as one: whoever comes first takes
along what waits, and everybody's answer is as if he had been alone."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Generic, TypeVar

from referral.errors import Unavailable

Thing = TypeVar("Thing")
Answer = TypeVar("Answer")

TOGETHER_MAX = 256
"""How many things are handed in as one at most."""


@dataclass(eq=False)
class _Ticket(Generic[Thing, Answer]):
    thing: Thing
    is_done: bool = False
    answer: Answer | None = None
    error: BaseException | None = None


class Together(Generic[Thing, Answer]):
    """Hands things in by `send`, which gets many and gives an answer for each, in their order."""

    def __init__(self, send: Callable[[Sequence[Thing]], Sequence[Answer]]) -> None:
        self._send = send
        self._turn = Lock()
        self._waiting: deque[_Ticket[Thing, Answer]] = deque()

    def hand_in(self, thing: Thing) -> Answer:
        """Hand one in, with whatever else waits. Raises what `send` does with it alone."""
        ticket: _Ticket[Thing, Answer] = _Ticket(thing)
        self._waiting.append(ticket)
        with self._turn:
            while not ticket.is_done:  # else somebody has taken it along
                self._work_off()
        if ticket.error is not None:
            raise ticket.error
        return ticket.answer  # type: ignore[return-value]

    def _work_off(self) -> None:
        tickets = [self._waiting.popleft() for _ in range(min(len(self._waiting), TOGETHER_MAX))]
        try:
            self._answer(tickets)
        except BaseException as error:
            # What is away for all of them is away for each.
            hopeless = isinstance(error, Unavailable) or not isinstance(error, Exception)
            if len(tickets) == 1 or hopeless:
                _fail(tickets, error)
                return
            for ticket in tickets:  # nobody fails because of another
                self._alone(ticket)

    def _alone(self, ticket: _Ticket[Thing, Answer]) -> None:
        try:
            self._answer([ticket])
        except BaseException as error:
            _fail([ticket], error)

    def _answer(self, tickets: Sequence[_Ticket[Thing, Answer]]) -> None:
        answers = self._send([ticket.thing for ticket in tickets])
        for ticket, answer in zip(tickets, answers, strict=True):
            ticket.answer, ticket.is_done = answer, True


def _fail(tickets: Sequence[_Ticket[Thing, Answer]], error: BaseException) -> None:
    for ticket in tickets:
        ticket.error, ticket.is_done = error, True
