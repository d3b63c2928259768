"""Marks and answers: who may go on, who has to wait, who comes too late."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from referral import actions, idempotency
from referral.crypto import KeyRing
from referral.idempotency import IdempotencyMismatch, IdempotentAnswer, InFlight, StoredAnswer
from tests.conftest import START

ANSWER = StoredAnswer(201, '{"id": 1}')
LATER = START + timedelta(seconds=60)


@pytest.fixture
def run(deployment):
    """Call a function of `idempotency` for one key, in a transaction of its own."""
    actions.add_api_key(deployment, "tests")

    def call(function, *arguments, keys=deployment.keys):
        ring = [] if function is idempotency.abandon else [keys]
        return deployment.db.transact(lambda tx: function(tx, *ring, 1, "key", *arguments))

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


def test_neither_the_answer_nor_the_request_can_be_read_in_the_database(run, deployment):
    digest = "d" * 64
    run(idempotency.begin, digest, START)
    run(idempotency.finish, StoredAnswer(201, '{"code": "4HT2M"}'), START)
    with deployment.db.read() as tx:
        kept = tx.scalars(sa.select(IdempotentAnswer)).one()
    assert "4HT2M" not in (kept.body or "")
    assert kept.request_hash != digest


def test_an_answer_is_found_under_an_older_secret_key(run):
    before, after = KeyRing(["k" * 32]), KeyRing(["k" * 32, "n" * 32])
    run(idempotency.begin, "hash", START, keys=before)
    run(idempotency.finish, ANSWER, START, keys=before)
    assert run(idempotency.begin, "hash", LATER, keys=after) == ANSWER


@pytest.mark.parametrize("finished_with", ["k" * 32, "g" * 32])
def test_what_was_answered_under_a_key_that_is_gone_is_not_done_again(run, finished_with):
    run(idempotency.begin, "hash", START, keys=KeyRing(["k" * 32]))
    run(idempotency.finish, ANSWER, START, keys=KeyRing(["g" * 32]))
    with pytest.raises(IdempotencyMismatch):
        run(idempotency.begin, "hash", LATER, keys=KeyRing([finished_with.replace("g", "n")]))


def test_what_an_earlier_version_kept_is_still_answered(run, deployment):
    def keep(tx, api_key_id, key):
        row = {"api_key_id": api_key_id, "key": key, "request_hash": "hash", "started_at": START}
        tx.add(IdempotentAnswer(**row, status=ANSWER.status, body=ANSWER.body))

    deployment.db.transact(lambda tx: keep(tx, 1, "key"))
    assert run(idempotency.begin, "hash", LATER) == ANSWER
    with pytest.raises(IdempotencyMismatch):
        run(idempotency.begin, "another", LATER)


def test_what_an_earlier_version_left_in_flight_is_taken_over(run, deployment):
    row = {"api_key_id": 1, "key": "key", "request_hash": "hash", "started_at": START}
    deployment.db.transact(lambda tx: tx.add(IdempotentAnswer(**row)))
    assert run(idempotency.begin, "hash", LATER) is None
    run(idempotency.finish, ANSWER, LATER)
    assert run(idempotency.begin, "hash", LATER) == ANSWER
