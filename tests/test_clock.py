"""The clock: the database's time between two readings of it, or one that tests hold."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from referral import clock as clock_module
from referral.clock import ANCHOR_SECONDS_MAX, DatabaseClock, HeldClock
from referral.db import Database

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


class Machine:
    """This machine's steady clock, held."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def monotonic(self) -> float:
        return self.seconds


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    held = Machine()
    monkeypatch.setattr(clock_module, "time", held)
    return held


class Server:
    """What a database says when it is asked for the time; it can be away."""

    def __init__(self) -> None:
        self.time = NOON
        self.asked = 0
        self.away = False

    def __call__(self) -> datetime:
        self.asked += 1
        if self.away:
            raise ConnectionError
        return self.time


def test_the_server_is_asked_once_and_its_answer_carried_forward(machine: Machine) -> None:
    server = Server()
    clock = DatabaseClock(server)
    assert clock.now() == NOON
    machine.seconds += 10
    assert clock.now() == NOON + timedelta(seconds=10)
    assert server.asked == 1


def test_the_server_is_asked_again_after_a_while(machine: Machine) -> None:
    server = Server()
    clock = DatabaseClock(server)
    clock.now()
    machine.seconds += ANCHOR_SECONDS_MAX + 1
    server.time = NOON + timedelta(hours=1)
    assert clock.now() == NOON + timedelta(hours=1)
    assert server.asked == 2


def test_the_last_answer_is_carried_on_while_the_server_is_away(machine: Machine) -> None:
    server = Server()
    clock = DatabaseClock(server)
    clock.now()
    server.away = True
    machine.seconds += ANCHOR_SECONDS_MAX + 1
    assert clock.now() == NOON + timedelta(seconds=ANCHOR_SECONDS_MAX + 1)
    machine.seconds += 1
    clock.now()
    assert server.asked == 2, "a server that is away is not asked by every request"
    server.away, server.time = False, NOON + timedelta(hours=2)
    machine.seconds += ANCHOR_SECONDS_MAX
    assert clock.now() == NOON + timedelta(hours=2)


def test_a_server_that_never_answered_is_an_error(machine: Machine) -> None:
    server = Server()
    server.away = True
    with pytest.raises(ConnectionError):
        DatabaseClock(server).now()


def test_it_tells_the_databases_time_in_utc(database_url: str) -> None:
    database = Database(database_url)
    told = DatabaseClock(database.now).now()
    database.close()
    assert told.tzinfo is UTC
    assert abs(told - datetime.now(UTC)) < timedelta(seconds=5)


def test_a_held_clock_stands_still_until_it_is_moved() -> None:
    clock = HeldClock(NOON)
    assert clock.now() == clock.now() == NOON
    clock.advance(days=1, minutes=2, seconds=3)
    assert clock.now() == NOON + timedelta(days=1, minutes=2, seconds=3)


def test_a_held_clock_is_in_utc_wherever_it_was_set() -> None:
    shanghai = timezone(timedelta(hours=8))
    clock = HeldClock(datetime(2026, 3, 2, 20, tzinfo=shanghai))
    assert clock.now() == NOON
    assert clock.now().tzinfo is UTC
    clock.set(datetime(2026, 3, 3, 20, tzinfo=shanghai))
    assert clock.now().isoformat() == "2026-03-03T12:00:00+00:00"
