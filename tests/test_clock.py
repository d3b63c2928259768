"""The clock: the database's time between two readings of it, or one that tests hold."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral import clock as clock_module
from referral.clock import (
    ANCHOR_SECONDS_MAX,
    CARRIED_MAX,
    HELD,
    SLEW,
    STEP,
    STEP_MAX,
    DatabaseClock,
    HeldClock,
    Reading,
)
from referral.database_time import ClockLead, DatabaseTime
from referral.deployment import Deployment
from tests.clocks import AFTER, SetServer

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

    def read(self) -> Reading:
        self.asked += 1
        if self.away:
            raise ConnectionError
        return Reading(self.time)

    def go_on_from(self, expected: Reading) -> Reading:
        raise AssertionError(expected)


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


MOMENT = timedelta(milliseconds=1)
SET = timedelta(minutes=10)
EITHER_WAY = pytest.mark.parametrize("step", [SET, -SET])


@pytest.fixture
def server(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> SetServer:
    return SetServer(deployment.db, NOON, monkeypatch)


@pytest.mark.parametrize("way", [1, -1])
@pytest.mark.parametrize(
    "step, goes_on",
    [(STEP, False), (STEP + MOMENT, True), (STEP_MAX, True), (STEP_MAX * 1.1, False)],
)
def test_time_goes_on_when_the_servers_clock_is_set_unless_it_was_quite_wrong(
    server: SetServer, step: timedelta, way: int, goes_on: bool
) -> None:
    (clock,) = server.processes(1)
    expected = server.time
    server.set(way * step)
    assert clock.now() == (expected if goes_on else server.time)
    assert server.process().now() == clock.now()


def test_what_was_carried_for_long_gives_way_to_the_servers_clock(server: SetServer) -> None:
    (clock,) = server.processes(1)
    server.advance(CARRIED_MAX)
    server.set(-SET)
    assert clock.now() == server.time == server.process().now()


def test_a_server_that_answers_late_is_not_taken_for_one_whose_clock_was_set_back(
    server: SetServer,
) -> None:
    (clock,) = server.processes(1)
    server.answers_after = timedelta(seconds=3)
    assert clock.now() == server.time
    server.answers_after = timedelta(0)
    assert server.process().now() == server.time


def test_a_first_answer_that_came_late_holds_nobody_back(server: SetServer) -> None:
    server.answers_after = timedelta(seconds=3)
    late = server.process()
    assert late.now() < server.time
    server.answers_after = timedelta(0)
    server.advance(AFTER)
    assert late.now() == server.time == server.process().now()


@EITHER_WAY
def test_every_process_goes_on_from_where_they_were_until_the_server_is_there_too(
    server: SetServer, step: timedelta
) -> None:
    clocks = server.processes(2)
    was = server.time
    server.set(step)
    for clock in (*clocks, server.process()):
        assert clock.now() == was
    server.advance(HELD)
    for clock in (*clocks, server.process()):
        assert clock.now() == was + HELD
    every = timedelta(minutes=5)
    for passed in range(1, int(abs(step) / SLEW / every) + 1):
        server.advance(every)
        told = {clock.now() for clock in (*clocks, server.process())}
        left = step * (1 - passed * every * SLEW / abs(step))
        assert told == {server.time - left}
    assert left == timedelta(0)


@EITHER_WAY
def test_who_has_not_asked_yet_and_who_has_agree(server: SetServer, step: timedelta) -> None:
    """One after the other may answer somebody who opens two links right after each other."""
    told, other = server.processes(2)
    other.now()
    server.set(step)
    told.now()
    for _ in range(4):
        assert abs(told.now() - other.now()) <= MOMENT
        server.advance(timedelta(seconds=ANCHOR_SECONDS_MAX) / 4)
    assert abs(told.now() - other.now()) <= MOMENT


@EITHER_WAY
def test_a_clock_may_be_set_again_before_the_service_is_there(
    server: SetServer, step: timedelta
) -> None:
    clocks = server.processes(2)
    off = timedelta(0)
    for again in (step, step, -step, -STEP_MAX, STEP_MAX):
        before = clocks[0].now()
        server.set(again)
        off += again
        server.advance(AFTER)
        told = [clock.now() for clock in (*clocks, server.process())]
        assert max(told) - min(told) < STEP
        assert abs(told[0] - before - AFTER) <= AFTER * SLEW
        assert abs(told[0] + off - server.time) < 10 * AFTER * SLEW


@EITHER_WAY
def test_who_began_just_then_follows_the_others(server: SetServer, step: timedelta) -> None:
    """Before anybody saw that the clock had been set."""
    old = server.processes(2)
    server.set(step)
    new = server.process()
    assert new.now() == server.time
    for _ in range(3):
        server.advance(AFTER)
        told = [clock.now() for clock in (*old, new)]
        assert max(told) - min(told) < STEP
        assert abs(told[0] + step - server.time) < 4 * AFTER * SLEW


def test_processes_that_were_paused_follow_the_others(server: SetServer) -> None:
    running, *paused = server.processes(4)
    asleep = timedelta(minutes=5)

    def told_by(clock: DatabaseClock) -> datetime:
        """The steady clock of those that were paused stood still meanwhile."""
        missed = asleep.total_seconds() if clock in paused else 0
        server.seconds -= missed
        told = clock.now()
        server.seconds += missed
        return told

    server.advance(asleep)
    for clock in (paused[0], running, *paused, running):
        server.advance(AFTER)
        told = told_by(clock)
        if clock is not paused[0]:
            assert abs(told - server.time) < STEP
    assert all(abs(told_by(each) - server.time) < STEP for each in paused)


@EITHER_WAY
def test_time_spent_waiting_for_others_is_not_lost(server: SetServer, step: timedelta) -> None:
    clocks = server.processes(2)
    was = server.time
    server.set(step)
    server.waits = timedelta(seconds=4)
    for clock in clocks:
        clock.now()
    assert server.waited == server.waits, "the second one finds it settled"
    for clock in (*clocks, server.process()):
        assert abs(clock.now() - was - server.waits) <= server.waits * SLEW


def test_what_a_clock_settled_that_was_quite_wrong_does_not_come_back(server: SetServer) -> None:
    """Nor does what was settled before a backup that is played in again."""
    (clock,) = server.processes(1)
    server.set(-SET)
    clock.now()
    server.set(-timedelta(days=1))
    server.advance(AFTER)
    assert clock.now() == server.time == server.process().now()
    (clock,) = server.processes(1)
    was = server.time
    server.set(SET)
    assert clock.now() == was == server.process().now()


def test_in_a_transaction_time_goes_on_and_nothing_is_written(server: SetServer) -> None:
    (clock,) = server.processes(1)
    was = server.time
    server.set(-SET)
    assert server.database.transact(lambda _tx: clock.now()) == was
    assert server.process().now() == server.time
    server.advance(AFTER)
    assert clock.now() == was + AFTER
    assert server.process().now() == was + AFTER


def test_asking_sends_nothing_that_a_transaction_holds_back(server: SetServer) -> None:
    (clock,) = server.processes(1)

    def add_twice(tx: Session) -> None:
        for _ in range(2):
            tx.add(ClockLead(id=7, ahead_ms=0, at=NOON))
        clock.now()

    with pytest.raises(sa.exc.IntegrityError):
        server.database.transact(add_twice)


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
