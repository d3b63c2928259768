"""The clock set ten minutes forward and back: who came from whom, and what has expired."""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral import actions, people
from referral.clock import Clock, HeldClock
from referral.database_time import DatabaseTime
from referral.deployment import Deployment
from referral.intake.events import Event
from referral.intake.storing import store
from referral.spread import SpreadNode
from tests.cast import PER_CLAIM, PER_FRIEND, Person, open_brand
from tests.chaos.judge import compare, contradictions
from tests.chaos.load import Load
from tests.chaos.ordeals import OPENS
from tests.chaos.world import World, wait_until
from tests.clocks import AFTER, SetServer
from tests.conftest import START

SET = timedelta(minutes=10)
CHAIN = 12
PAUSE_SECONDS = 0.1
NEARLY = timedelta(seconds=30)
"""What is left of it grows less meanwhile."""


class Kept:
    """An intake that keeps what is handed in, as the stream does."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def take(self, event: Event) -> bool:
        self.events.append(event)
        return True


def as_they_came(_events: list[Event]) -> None:
    """One worker stores them."""


def in_any_order(events: list[Event]) -> None:
    """Several workers store them."""
    random.Random(1).shuffle(events)


ORDERS = pytest.mark.parametrize("arrange", [as_they_came, in_any_order])


@ORDERS
@pytest.mark.parametrize("step", [SET, -SET])
def test_a_chain_is_what_it_was_though_the_database_clock_was_set_in_the_middle(
    deployment: Deployment,
    monkeypatch: pytest.MonkeyPatch,
    step: timedelta,
    arrange: Callable[[list[Event]], None],
) -> None:
    """Two processes answer in turn."""
    server = SetServer(deployment.db, START, monkeypatch)
    chain = make_chain(deployment, server.processes(2), server.advance, server.set, [step], arrange)
    with deployment.db.read() as tx:
        rows = sa.select(SpreadNode.visitor_id, SpreadNode.parent_id, SpreadNode.hop)
        found = {visitor: (parent, hop) for visitor, parent, hop in tx.execute(rows)}
    for number in range(1, len(chain)):
        assert found[chain[number].visitor] == (chain[number - 1].visitor, number)


@ORDERS
def test_credit_and_counts_hold_however_often_the_clock_is_set_back_and_forth(
    deployment: Deployment, clock: HeldClock, arrange: Callable[[list[Event]], None]
) -> None:
    """Of the service itself, which its database's clock does not do to it."""

    def advance(passed: timedelta) -> None:
        clock.advance(seconds=passed.total_seconds())

    steps = [SET, -2 * SET, SET] * 3
    alice, *_, last = make_chain(deployment, [clock], advance, advance, steps, arrange)
    assert contradictions(deployment) == []
    clock.advance(seconds=-SET.total_seconds())  # what her cookie knows lies ahead
    last.claim(0)
    assert (last.points(), alice.points()) == (PER_CLAIM + PER_FRIEND, PER_FRIEND)
    assert contradictions(deployment) == []


def make_chain(
    deployment: Deployment,
    clocks: Sequence[Clock],
    advance: Callable[[timedelta], None],
    set_by: Callable[[timedelta], None],
    steps: Sequence[timedelta],
    arrange: Callable[[list[Event]], None],
) -> list[Person]:
    """Alice's link goes from hand to hand while the clock is set by these steps, evenly spread.

    Who opens it is answered by one process after the other, each with a clock.
    """
    brand, kept = open_brand(deployment), Kept()
    processes = [
        replace(brand, deployment=replace(deployment, intake=kept, clock=clock)) for clock in clocks
    ]
    alice = Person(brand, people.phone("138 0013 8000"))
    alice.sign_in()
    advance(timedelta(minutes=60))
    chain, left, every = [alice], [*steps], CHAIN // (len(steps) + 1)
    for number in range(CHAIN):
        advance(timedelta(seconds=5))
        if number and not number % every and left:
            set_by(left.pop(0))
        process = processes[number % len(processes)]
        reader = Person(process, people.email(f"reader{number}@example.com"))
        reader.open(chain[-1].link())
        chain.append(reader)
    arrange(kept.events)
    for start in range(0, CHAIN, 5):
        part = kept.events[start : start + 5]
        deployment.db.transact(partial(_store, events=part))
    return [replace(each, brand=brand) for each in chain]


def _store(tx: Session, events: list[Event]) -> None:
    store(tx, events)


class SetWorld(World):
    """Real processes, and a PostgreSQL whose clock can be set."""

    def start_database(self) -> str:
        self._address = super().start_database()
        # Whatever asks for the time finds this function before PostgreSQL's own.
        self._run("ALTER DATABASE chaos SET search_path = public, pg_catalog")
        self.set_clock(timedelta(0))
        return self._address

    def set_clock(self, off: timedelta) -> None:
        """So far ahead of the true time."""
        self._run(
            "CREATE OR REPLACE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql "
            f"AS $$ SELECT pg_catalog.clock_timestamp() + interval '{off.total_seconds()} s' $$"
        )

    def _run(self, statement: LiteralString) -> None:
        with psycopg.connect(self._address, autocommit=True) as connection:
            connection.execute(statement)

    def ahead(self) -> timedelta:
        """How far its processes have gone on ahead of its clock."""
        return DatabaseTime(self.deployment.db).read().ahead


def test_who_came_from_whom_holds_though_the_database_clock_is_set_under_load(
    tmp_path: Path,
) -> None:
    chance = random.Random(1)
    with SetWorld(tmp_path) as world, Load(world, pause=PAUSE_SECONDS) as load:
        for off, ahead in ((SET, -SET), (timedelta(0), timedelta(0))):
            load.wait_for("open", OPENS)
            time.sleep(AFTER.total_seconds())  # those that answer have asked for the time twice
            world.set_clock(off)
            wait_until(
                lambda expected=ahead: abs(world.ahead() - expected) < NEARLY,
                "nobody has seen that the clock was set",
            )
            world.kill_a_web_worker(chance)  # the next one has not seen it
            load.wait_for("open", OPENS)
        load.stop()
        world.wait_until_drained()
        assert compare(world, load.journal) == []


def test_a_campaign_begins_and_ends_when_its_clock_says_so_whichever_way_it_was_set(
    deployment: Deployment, clock: HeldClock
) -> None:
    brand = open_brand(deployment, ends_at=START + SET / 2)
    alice = Person(brand, people.phone("138 0013 8000"))
    paid = []
    for number, moment in enumerate((START, START + SET, START, START - SET, START + SET)):
        clock.set(moment)
        alice.claim(number)
        paid.append(alice.points() // PER_CLAIM)
    assert paid == [1, 1, 2, 2, 2], "nothing after its end, nothing before its beginning"


@pytest.mark.parametrize(
    "offset, is_good",
    [(-SET, True), (SET - timedelta(seconds=1), True), (SET + timedelta(seconds=1), False)],
)
def test_a_one_time_code_is_good_for_its_time_and_once(
    deployment: Deployment, clock: HeldClock, offset: timedelta, is_good: bool
) -> None:
    contact, visitor = people.email("alice@example.com"), people.new_visitor_id()
    code = actions.request_sign_in_code(
        deployment, contact, "192.0.2.1", visitor, lambda code: code
    )
    clock.set(START + offset)
    for may_enter in (is_good, False):
        if may_enter:
            actions.sign_in(deployment, contact, code or "", visitor)
        else:
            with pytest.raises(people.SignInCodeSpent):
                actions.sign_in(deployment, contact, code or "", visitor)
