"""The clock: the database's time between two readings of it, or one that tests hold."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from referral import clock as clock_module
from referral.clock import (
    ANCHOR_SECONDS_MAX,
    CARRIED_MAX,
    SETTLED,
    SLEW,
    STEP,
    STEP_MAX,
    DatabaseClock,
    DatabaseTime,
    HeldClock,
    Reading,
)
from referral.deployment import Deployment
from tests.clocks import SetServer

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
        self.kept: list[datetime] = []
        """What was to be gone on from."""

    def read(self) -> Reading:
        self.asked += 1
        if self.away:
            raise ConnectionError
        return Reading(self.time)

    def go_on_from(self, moment: datetime) -> Reading:
        self.kept.append(moment)
        return Reading(moment)


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


AFTER = timedelta(seconds=ANCHOR_SECONDS_MAX + 1)
MOMENT = timedelta(milliseconds=1)


SET = pytest.mark.parametrize("ahead", [timedelta(minutes=10), -timedelta(minutes=10)])


@pytest.mark.parametrize("way", [1, -1])
@pytest.mark.parametrize(
    "step, goes_on",
    [(STEP, False), (STEP + MOMENT, True), (STEP_MAX, True), (STEP_MAX + MOMENT, False)],
)
def test_time_goes_on_when_the_servers_clock_is_set_unless_it_was_quite_wrong(
    machine: Machine, step: timedelta, way: int, goes_on: bool
) -> None:
    server = Server()
    clock = DatabaseClock(server)
    clock.now()
    machine.seconds += AFTER.total_seconds()
    server.time += AFTER + way * step
    assert clock.now() == (NOON + AFTER if goes_on else server.time)
    assert server.kept == ([NOON + AFTER] if goes_on else [])


def test_what_was_carried_for_long_gives_way_to_the_servers_clock(machine: Machine) -> None:
    server = Server()
    clock = DatabaseClock(server)
    clock.now()
    machine.seconds += CARRIED_MAX.total_seconds() + 1
    server.time += CARRIED_MAX - 3 * STEP
    assert clock.now() == server.time
    assert not server.kept


def test_a_server_that_answers_late_is_not_taken_for_one_whose_clock_was_set_back(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server()
    clock = DatabaseClock(server)
    clock.now()
    machine.seconds += AFTER.total_seconds()
    told = NOON + AFTER

    def answer_late() -> Reading:
        machine.seconds += 3
        return Reading(told)

    monkeypatch.setattr(server, "read", answer_late)
    assert clock.now() == told + timedelta(seconds=3)
    assert not server.kept


@pytest.fixture
def server(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> SetServer:
    return SetServer(deployment.db, NOON, monkeypatch)


@SET
def test_every_process_goes_on_from_where_they_were_until_the_server_is_there_too(
    server: SetServer, ahead: timedelta
) -> None:
    first, second = server.process(), server.process()
    first.now()
    server.advance(timedelta(seconds=5))
    second.now()

    server.advance(AFTER)
    server.set(-ahead)
    was = NOON + timedelta(seconds=5) + AFTER
    for clock in (first, second, server.process()):
        assert clock.now() == was
    minutes = 5
    for passed in range(minutes, 205, minutes):
        server.advance(timedelta(minutes=minutes))
        told = {clock.now() for clock in (first, second, server.process())}
        left = (1 if ahead > timedelta(0) else -1) * max(
            abs(ahead) - SLEW * timedelta(minutes=passed), timedelta(0)
        )
        assert told == {server.time + left}
    assert left == timedelta(0)


@SET
def test_a_clock_may_be_set_twice(server: SetServer, ahead: timedelta) -> None:
    clock = server.process()
    told = clock.now()
    for times in range(1, 3):
        server.advance(SETTLED)
        server.set(-ahead)
        slower_or_faster = SETTLED * (1.1 * SLEW)
        assert abs(clock.now() - told - SETTLED) <= slower_or_faster
        told = clock.now()
        assert abs(told - server.time - times * ahead) <= times * slower_or_faster
        assert server.process().now() == told


def test_who_missed_it_follows_the_others(server: SetServer) -> None:
    """A process that began just then, before anybody saw that the clock had been set."""
    old = server.process()
    old.now()
    server.advance(AFTER)
    server.set(-timedelta(minutes=10))
    new = server.process()
    assert new.now() == server.time
    assert old.now() == NOON + AFTER
    server.advance(AFTER)
    assert new.now() == old.now() > NOON + AFTER


def test_processes_that_were_paused_follow_the_others(server: SetServer) -> None:
    running, *paused = [server.process() for _ in range(4)]
    asleep = timedelta(minutes=5)

    def told_by(clock: DatabaseClock) -> datetime:
        """The steady clock of those that were paused stood still meanwhile."""
        missed = asleep.total_seconds() if clock in paused and server.time > NOON else 0
        server.seconds -= missed
        told = clock.now()
        server.seconds += missed
        return told

    for clock in (running, *paused):
        assert told_by(clock) == NOON
    server.advance(AFTER + asleep)
    for clock in (paused[0], running, *paused, running):
        server.advance(AFTER)
        told = told_by(clock)
        if clock is not paused[0]:
            assert abs(told - server.time) < STEP
    assert all(abs(told_by(each) - server.time) < STEP for each in paused)


def test_in_a_transaction_time_goes_on_and_nothing_is_written(server: SetServer) -> None:
    clock = server.process()
    clock.now()
    server.advance(AFTER)
    server.set(-timedelta(minutes=10))
    assert server.database.transact(lambda _tx: clock.now()) == NOON + AFTER
    assert server.process().now() == server.time
    server.advance(AFTER)
    assert clock.now() == NOON + 2 * AFTER
    assert server.process().now() == NOON + 2 * AFTER


def test_it_tells_the_databases_time_in_utc(deployment: Deployment) -> None:
    told = DatabaseClock(DatabaseTime(deployment.db)).now()
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
