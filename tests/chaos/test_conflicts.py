"""A database that takes every fifth transaction back at its end: all succeed, none twice."""

import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from referral import actions, intake, people
from referral.claims import Claim
from referral.db import RETRYABLE_STATES, Base, Database
from referral.deployment import Deployment
from referral.intake import Intake, working
from referral.intake.stream import VisitStream
from referral.intake.working import Worker
from referral.risk import Mode
from referral.spread import SpreadNode
from referral.visits import Kind, Visit, VisitRow, new_event_id
from tests.cast import BUDGET, PER_CLAIM, PER_FRIEND, Person, open_brand
from tests.chaos.judge import contradictions

SHARE = 0.2
FRIENDS, THREADS = 24, 4
OPENINGS = 60


class Conflict(Exception):
    """What a driver reports when the server wants a transaction again."""

    def __init__(self, sqlstate: str) -> None:
        super().__init__(sqlstate)
        self.sqlstate = sqlstate


@pytest.fixture
def taken_back(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Which conflicts there were: serialization failures and deadlocks, when all was done but the
    commit."""
    chance, once, conflicts = random.Random(1), Database._once, []

    def failing_once(db: Database, work: Callable[[Session], Any]) -> Any:
        def then_fail(tx: Session) -> Any:
            result = work(tx)
            tx.flush()
            if chance.random() < SHARE:
                conflicts.append(chance.choice(sorted(RETRYABLE_STATES)))
                raise OperationalError("COMMIT", {}, Conflict(conflicts[-1]))
            return result

        return once(db, then_fail)

    monkeypatch.setattr(Database, "_once", failing_once)
    yield conflicts
    monkeypatch.undo()


def test_claims_and_credits_are_made_once_whatever_the_database_takes_back(
    deployment: Deployment, taken_back: list[str]
) -> None:
    brand = open_brand(deployment)
    for rule in ("too_many_in_a_day", "too_many_in_a_month"):
        actions.set_risk_rule(deployment, rule, Mode.off, by="tests")
    alice = Person(brand, people.phone("138 0013 8000"))
    alice.sign_in()
    friends = [Person(brand, people.email(f"friend{n}@example.com")) for n in range(FRIENDS)]

    def befriend(number: int) -> bool:
        friend = friends[number]
        friend.open(alice.link())
        return friend.claim(number).already

    with ThreadPoolExecutor(THREADS) as pool:
        assert list(pool.map(befriend, range(FRIENDS))) == [False] * FRIENDS
    assert set(taken_back) == RETRYABLE_STATES
    assert rows_of(deployment, Claim, VisitRow) == [FRIENDS, FRIENDS]
    assert {friend.points() for friend in friends} == {PER_CLAIM + PER_FRIEND}
    assert alice.points() == FRIENDS * PER_FRIEND
    assert brand.budget_left() == BUDGET - FRIENDS * (PER_CLAIM + 2 * PER_FRIEND)
    assert contradictions(deployment) == []


def test_a_worker_stores_each_visit_once_whatever_the_database_takes_back(
    deployment: Deployment, valkey: str, taken_back: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    brand = open_brand(deployment)
    stream = VisitStream(valkey)
    stream._redis.flushdb()
    streamed = replace(deployment, stream=stream, intake=Intake(deployment.db, stream))
    readers = [people.new_visitor_id() for _ in range(OPENINGS + 1)]
    for sharer, reader in pairwise(readers):
        its = {"campaign": brand.campaign.id, "visitor": reader, "parent": sharer, "hop": 1}
        visit = Visit(Kind.open, deployment.clock.now(), new_event_id(), **its)
        intake.hand_in(streamed, visit)
    monkeypatch.setattr(working, "ENTRIES_AT_ONCE", 2)
    Worker(deployment.db, deployment.clock, stream).drain()
    assert len(taken_back) > OPENINGS * SHARE / 4
    assert stream.state().entries == 0
    assert rows_of(deployment, VisitRow, SpreadNode) == [OPENINGS, OPENINGS + 1]
    assert contradictions(deployment) == []
    stream.close()


def rows_of(d: Deployment, *tables: type[Base]) -> list[int | None]:
    with d.db.read() as tx:
        return [tx.scalar(sa.select(sa.func.count()).select_from(table)) for table in tables]
