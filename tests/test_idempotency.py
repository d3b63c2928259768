"""Marks and answers: who may go on, who has to wait, who comes too late."""

from datetime import timedelta

import pytest

from referral import actions, idempotency
from referral.idempotency import IdempotencyMismatch, InFlight, StoredAnswer
from tests.conftest import START

ANSWER = StoredAnswer(201, '{"id": 1}')
LATER = START + timedelta(seconds=60)


@pytest.fixture
def run(deployment):
    """Call a function of `idempotency` for one key, in a transaction of its own."""
    actions.add_api_key(deployment, "tests")

    def call(function, *arguments):
        return deployment.db.transact(lambda tx: function(tx, 1, "key", *arguments))

    return call


def test_an_answer_is_found_again(run):
    assert run(idempotency.begin, "hash", START) is None
    run(idempotency.finish, ANSWER, START)
    assert run(idempotency.begin, "hash", LATER) == ANSWER
    with pytest.raises(IdempotencyMismatch):
        run(idempotency.begin, "another", LATER)


def test_a_mark_is_taken_over_after_a_minute_and_once(run):
    run(idempotency.begin, "hash", START)
    with pytest.raises(InFlight):
        run(idempotency.begin, "hash", LATER - timedelta(microseconds=1))
    assert run(idempotency.begin, "hash", LATER) is None
    with pytest.raises(InFlight):
        run(idempotency.begin, "hash", LATER)


def test_who_was_taken_over_can_neither_finish_nor_abandon(run):
    run(idempotency.begin, "hash", START)
    run(idempotency.begin, "hash", LATER)
    with pytest.raises(InFlight):
        run(idempotency.finish, StoredAnswer(409, "{}"), START)
    run(idempotency.abandon, START)
    run(idempotency.finish, ANSWER, LATER)
    assert run(idempotency.begin, "hash", LATER) == ANSWER


def test_what_is_abandoned_may_begin_at_once_and_an_answer_stays(run):
    run(idempotency.begin, "hash", START)
    run(idempotency.abandon, START)
    assert run(idempotency.begin, "hash", START) is None
    run(idempotency.finish, ANSWER, START)
    run(idempotency.abandon, START)
    assert run(idempotency.begin, "hash", START) == ANSWER
