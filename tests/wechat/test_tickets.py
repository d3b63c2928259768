"""WeChat's ticket: one for all threads and processes, asked for once and in time."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from threading import Event, Thread

import pytest
import sqlalchemy as sa

from referral import actions, people
from referral.clock import HeldClock
from referral.crypto import KeyRing
from referral.db import Database
from referral.deployment import Deployment
from referral.wechat.tickets import ASKING, EARLY, REST, KeptTicket, NewTicket, NotGiven, Tickets
from tests.races import at_once

LIFETIME = timedelta(hours=2)
APP = "wx5fa1ce0fa1ce0fa1"


class Source:
    """Gives numbered tickets and counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.refusal: NotGiven | None = None
        self.lifetime = LIFETIME
        self.meanwhile: Callable[[], object] = lambda: None

    def __call__(self) -> NewTicket:
        self.asked += 1
        self.meanwhile()
        if self.refusal:
            raise self.refusal
        return NewTicket(f"ticket-{self.asked}", self.lifetime)


@pytest.fixture
def source() -> Source:
    return Source()


Process = Callable[..., Tickets]


@pytest.fixture
def process(deployment: Deployment, source: Source) -> Iterator[Process]:
    """Makes the tickets of another process, with connections and a memory of its own."""
    opened: list[Database] = []

    def start(keys: KeyRing = deployment.keys, app_id: str = APP) -> Tickets:
        opened.append(Database(deployment.config.database_url))
        return Tickets(opened[-1], keys, deployment.clock, app_id, source)

    yield start
    for database in opened:
        database.close()


def test_it_is_asked_for_once_and_kept(process: Process, source: Source, clock: HeldClock) -> None:
    one = process()
    assert one.current() == "ticket-1"
    clock.advance(seconds=(LIFETIME - EARLY).total_seconds() - 1)
    assert one.current() == "ticket-1"
    assert process().current() == "ticket-1", "another process finds it"
    assert source.asked == 1


def test_twenty_threads_of_three_processes_ask_once(process: Process, source: Source) -> None:
    processes = [process() for _ in range(3)]
    outcomes = at_once([processes[n % 3].current for n in range(20)])
    assert source.asked == 1
    assert set(outcomes) <= {"ticket-1", None}
    assert at_once([processes[n % 3].current for n in range(20)]) == ["ticket-1"] * 20
    assert source.asked == 1


def test_while_one_asks_nobody_waits(
    process: Process, source: Source, deployment: Deployment
) -> None:
    first, second = process(), process()
    asking, go_on = Event(), Event()

    def meanwhile() -> None:
        asking.set()
        assert go_on.wait(10)

    source.meanwhile = meanwhile
    thread = Thread(target=first.current)
    thread.start()
    assert asking.wait(10)
    assert (first.current(), second.current()) == (None, None)
    # Nor does anybody wait for the database: no transaction is open meanwhile.
    actions.add_customer(deployment, [people.external("A-1")], None)
    go_on.set()
    thread.join()
    assert (first.current(), second.current()) == ("ticket-1", "ticket-1")


def test_the_old_one_is_used_while_the_next_is_asked_for(
    process: Process, source: Source, clock: HeldClock
) -> None:
    first, second = process(), process()
    first.current()
    second.current()
    clock.advance(seconds=(LIFETIME - EARLY).total_seconds())
    seen: list[str | None] = []
    source.meanwhile = lambda: seen.extend([first.current(), second.current(), process().current()])
    assert first.current() == "ticket-2"
    assert seen == ["ticket-1"] * 3
    assert second.current() == "ticket-2"
    assert source.asked == 2


def test_one_that_ended_is_not_used(process: Process, source: Source, clock: HeldClock) -> None:
    one = process()
    one.current()
    source.refusal = NotGiven("WeChat does not answer")
    clock.advance(seconds=(LIFETIME - EARLY).total_seconds())
    assert one.current() == "ticket-1", "it is good for a while yet"
    clock.advance(seconds=EARLY.total_seconds())
    assert one.current() is None


def test_after_a_refusal_wechat_is_left_alone(
    process: Process, source: Source, clock: HeldClock
) -> None:
    one, other = process(), process()
    source.refusal = NotGiven("error 45009", timedelta(hours=1))
    assert one.current() is None
    for _ in range(5):
        assert (one.current(), other.current()) == (None, None)
    clock.advance(minutes=59)
    assert (one.current(), source.asked) == (None, 1)
    source.refusal = None
    clock.advance(minutes=1)
    assert (one.current(), other.current(), source.asked) == ("ticket-2", "ticket-2", 2)


def test_one_that_ends_at_once_is_not_asked_for_on_every_page(
    process: Process, source: Source, clock: HeldClock
) -> None:
    """WeChat may hand out again the ticket whose last minutes run."""
    one = process()
    source.lifetime = timedelta(seconds=90)
    for _ in range(5):
        assert one.current() == "ticket-1"
    clock.advance(seconds=REST.total_seconds())
    assert (one.current(), source.asked) == ("ticket-2", 2)


def test_a_process_that_died_asking_is_replaced(
    process: Process, source: Source, clock: HeldClock
) -> None:
    class Killed(BaseException):
        pass

    def die() -> None:
        raise Killed

    source.meanwhile = die
    with pytest.raises(Killed):
        process().current()
    source.meanwhile = lambda: None
    other = process()
    assert (other.current(), source.asked) == (None, 1)
    clock.advance(seconds=ASKING.total_seconds())
    assert (other.current(), source.asked) == ("ticket-2", 2)


def test_it_is_stored_encrypted(process: Process, deployment: Deployment) -> None:
    process().current()
    with deployment.db.read() as tx:
        stored = tx.scalar(sa.select(KeptTicket.ticket_encrypted))
    assert stored
    assert "ticket" not in stored
    assert deployment.keys.decrypt(stored) == "ticket-1"


def test_a_process_without_the_newest_key_goes_on_without(
    process: Process, source: Source, deployment: Deployment
) -> None:
    process().current()
    older = process(KeyRing(["a-key-that-knows-nothing-of-the-newest"]))
    assert (older.current(), source.asked) == (None, 1)


def test_each_account_has_its_own(process: Process, source: Source) -> None:
    assert process().current() == "ticket-1"
    assert process(app_id="wxanother").current() == "ticket-2"
