"""Guessing: who tries many codes that do not exist has none checked for a while."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import redis
import sqlalchemy as sa

from referral import guessing as guessing_module
from referral import limits as limits_module
from referral.clock import HeldClock
from referral.crypto import KeyRing
from referral.deployment import Deployment
from referral.errors import TooMany
from referral.guessing import (
    ALONE_MAX,
    BY_BATCH,
    BY_BLOCK,
    BY_CUSTOMER,
    NEW_DEVICES,
    CheckingPaused,
    Guessing,
    SignInToCheck,
)
from referral.limits import RedisCounters
from tests.conftest import SECRET_KEYS, START
from tests.races import at_once
from tests.servers import ValkeyServer

HERE, NEIGHBOUR, ELSEWHERE = "203.0.113.7", "203.0.113.200", "198.51.100.7"
ALICE, BOB = 1, 2
BATCH, OTHER_BATCH = 11, 12


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same rates with smaller numbers; and a machine under load may answer late."""
    for name, times in (("BY_CUSTOMER", 5), ("BY_BLOCK", 20), ("BY_BATCH", 60)):
        pace = getattr(guessing_module, name)
        monkeypatch.setattr(guessing_module, name, replace(pace, times=times))
    monkeypatch.setattr(limits_module, "REDIS_TIMEOUT_SECONDS", 20.0)


def in_memory(clock: HeldClock) -> Guessing:
    return Guessing(RedisCounters(None), KeyRing(SECRET_KEYS), clock)


@pytest.fixture
def memory(clock: HeldClock) -> Guessing:
    return in_memory(clock)


def refusal(check: Callable[[], object]) -> TooMany | None:
    try:
        check()
    except TooMany as refused:
        return refused
    return None


def guess(
    guessing: Guessing,
    customer: int | None = None,
    address: str | None = HERE,
    near: int | None = None,
    *,
    times: int,
) -> int:
    """Try wrong codes as `checking.check_code` does; how many were answered with "unknown"."""
    answered = 0
    for _ in range(times):
        try:
            guessing.may_check(customer, address)
            guessing.wrong_code(customer, address, near)
        except TooMany:
            continue
        answered += 1
    return answered


# Who is limited


def test_the_rates_are_generous_where_many_are_behind_one() -> None:
    assert (BY_CUSTOMER.times, BY_CUSTOMER.seconds) == (50, 3600)
    assert (BY_BLOCK.times, BY_BLOCK.seconds) == (1_000, 600)
    assert (BY_BATCH.times, BY_BATCH.seconds) == (50_000, 3600)


def test_a_customer_over_the_limit_has_no_code_checked(deployment: Deployment) -> None:
    guessing = deployment.guessing
    assert guess(guessing, ALICE, times=9) == 5
    refused = refusal(lambda: guessing.may_check(ALICE, ELSEWHERE))
    assert isinstance(refused, CheckingPaused)
    assert refused.status == 429
    assert guess(guessing, BOB, times=1) == 1


def test_a_block_over_the_limit_has_to_sign_in(deployment: Deployment) -> None:
    guessing = deployment.guessing
    assert guess(guessing, None, HERE, times=15) == 15
    assert guess(guessing, None, NEIGHBOUR, times=15) == 5
    refused = refusal(lambda: guessing.may_check(None, HERE))
    assert isinstance(refused, SignInToCheck)
    assert "sign in" in refused.advice
    guessing.may_check(None, ELSEWHERE)
    guessing.may_check(ALICE, HERE)
    assert guess(guessing, ALICE, HERE, times=1) == 1, "only his own tries count for him"


def test_what_the_signed_in_try_is_not_counted_for_their_network(memory: Guessing) -> None:
    for customer in range(100):
        guess(memory, customer, HERE, times=1)
    memory.may_check(None, HERE)


def test_who_asks_without_an_address_is_limited_as_a_customer(memory: Guessing) -> None:
    assert guess(memory, ALICE, None, times=9) == 5
    assert guess(memory, BOB, None, times=1) == 1


def test_a_batch_over_the_limit_is_checked_for_the_signed_in_only(deployment: Deployment) -> None:
    guessing = deployment.guessing
    for number in range(60):
        guess(guessing, None, f"198.51.{number}.1", BATCH, times=1)
    refused = refusal(lambda: guessing.may_check_batch(BATCH, None))
    assert isinstance(refused, SignInToCheck)
    guessing.may_check_batch(BATCH, ALICE)
    guessing.may_check_batch(OTHER_BATCH, None)
    guessing.may_check(None, HERE)


def test_wrong_codes_near_no_batch_pause_none(memory: Guessing) -> None:
    for number in range(70):
        guess(memory, None, f"198.51.{number}.1", None, times=1)
    for batch in (0, BATCH):
        memory.may_check_batch(batch, None)
    assert guess(memory, times=1) == 1


def test_while_a_batch_is_paused_no_refusal_tells_a_hit_or_a_batch(memory: Guessing) -> None:
    """Its genuine codes and every wrong code get the same answer, wherever that one lands."""
    for number in range(60):
        guess(memory, None, f"198.51.{number}.1", BATCH, times=1)
    answers = [
        refusal(lambda: memory.may_check_batch(BATCH, None)),
        *(
            refusal(lambda near=near: memory.wrong_code(None, HERE, near))
            for near in (BATCH, OTHER_BATCH, None)
        ),
    ]
    assert {(type(each), str(each), str(each and each.details)) for each in answers} == {
        (SignInToCheck, SignInToCheck.title, str({"retry_after": 1800}))
    }
    assert guess(memory, ALICE, HERE, BATCH, times=1) == 1


# For how long


def test_it_is_over_when_the_window_is_and_says_so(memory: Guessing, clock: HeldClock) -> None:
    guess(memory, ALICE, times=5)
    guess(memory, None, times=20)
    clock.advance(minutes=9, seconds=59.5)
    of_block = refusal(lambda: memory.may_check(None, HERE))
    assert of_block is not None
    assert of_block.details == {"retry_after": 1}, "never sooner than it helps"
    clock.advance(seconds=0.5)
    memory.may_check(None, HERE)
    of_customer = refusal(lambda: memory.may_check(ALICE, HERE))
    assert of_customer is not None
    assert of_customer.details == {"retry_after": 20 * 60}
    clock.advance(minutes=20)
    memory.may_check(ALICE, HERE)
    assert guess(memory, ALICE, times=9) == 5
    assert guess(memory, None, times=25) == 20


def test_a_batch_is_checked_again_when_the_window_is_over(
    memory: Guessing, clock: HeldClock
) -> None:
    for number in range(60):
        guess(memory, None, f"198.51.{number}.1", BATCH, times=1)
    clock.advance(minutes=30)
    memory.may_check_batch(BATCH, None)
    assert guess(memory, None, HERE, BATCH, times=1) == 1


# What it costs and what is kept


def test_nothing_of_it_touches_the_database(deployment: Deployment) -> None:
    said: list[str] = []
    sa.event.listen(
        deployment.db.engine, "before_cursor_execute", lambda *args: said.append(args[2])
    )
    guessing = Guessing(RedisCounters(None), deployment.keys, deployment.clock)
    for each in (guessing, deployment.guessing):
        guess(each, None, near=BATCH, times=30)
        guess(each, ALICE, near=BATCH, times=30)
        refusal(lambda each=each: each.may_check_batch(BATCH, None))
    assert said == []


def test_who_is_paused_is_known_without_asking_redis(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    guessing = deployment.guessing
    guess(guessing, None, near=BATCH, times=20)

    def asked(*args: object) -> None:
        raise AssertionError("Redis was asked")

    monkeypatch.setattr(RedisCounters, "add", asked)
    assert refusal(lambda: guessing.may_check(None, HERE)) is not None
    guessing.may_check(None, ELSEWHERE)
    guessing.may_check_batch(BATCH, None)


def test_many_at_the_same_moment_are_all_counted(deployment: Deployment) -> None:
    def once() -> int:
        return guess(deployment.guessing, None, times=8)

    assert sum(answer for answer in at_once([once] * 8) if isinstance(answer, int)) <= 20 + 7
    assert refusal(lambda: deployment.guessing.may_check(None, HERE)) is not None


def test_of_very_many_who_try_the_busiest_are_remembered(
    monkeypatch: pytest.MonkeyPatch, memory: Guessing
) -> None:
    monkeypatch.setattr(guessing_module, "SUBJECTS_MAX", 50)
    for customer in range(500):
        if customer == 40:
            guess(memory, None, HERE, times=19)
        guess(memory, customer, None, times=1)
    assert len(memory._counts._known) <= 50
    assert guess(memory, None, HERE, times=5) == 1


def test_no_more_pauses_are_remembered_than_there_is_room_for(
    monkeypatch: pytest.MonkeyPatch, memory: Guessing, clock: HeldClock
) -> None:
    monkeypatch.setattr(guessing_module, "SUBJECTS_MAX", 3)
    for customer in range(6):
        guess(memory, customer, None, times=5)
    assert len(memory._askers.ends) == 3
    clock.advance(minutes=30)
    guess(memory, BOB, None, times=5)
    assert len(memory._askers.ends) == 1, "those that are over make room"


def test_no_subject_can_be_read_from_what_is_kept(deployment: Deployment) -> None:
    guess(deployment.guessing, None, times=20)
    guess(deployment.guessing, 13800138000, times=5)
    kept = [*deployment.guessing._counts._known, *deployment.guessing._askers.ends]
    if url := deployment.config.redis_url:
        with redis.Redis.from_url(url) as connection:
            kept += [key.decode() for key in connection.keys("*")]
            assert all(connection.ttl(key) > 0 for key in connection.keys("*"))
    assert kept
    assert not [key for key in kept if "203.0" in key or "138001" in key]


# With a Valkey of one's own


@pytest.fixture
def server() -> Iterator[ValkeyServer]:
    with ValkeyServer() as server:
        yield server


def beside(server: ValkeyServer) -> Guessing:
    """Another process of the same service."""
    return Guessing(RedisCounters(server.url), KeyRing(SECRET_KEYS), HeldClock(START))


def test_processes_count_together(server: ValkeyServer) -> None:
    one, other = beside(server), beside(server)
    assert guess(one, None, times=15) == 15
    assert guess(other, None, times=15) == 5
    assert refusal(lambda: other.may_check(None, HERE)) is not None
    assert guess(one, None, times=5) == 0, "it learns with the first wrong code"
    assert refusal(lambda: one.may_check(None, HERE)) is not None


def test_a_batch_is_counted_over_all_processes(server: ValkeyServer) -> None:
    one, other = beside(server), beside(server)
    for number in range(30):
        for process in (one, other):
            guess(process, None, f"198.51.{number}.1", BATCH, times=1)
    assert refusal(lambda: other.may_check_batch(BATCH, None)) is not None


@pytest.fixture
def _asks_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits_module, "REDIS_REST_SECONDS", 0.0)


@pytest.mark.usefixtures("_asks_again_at_once")
def test_when_redis_dies_memory_goes_on_counting_from_there(server: ValkeyServer) -> None:
    guessing = beside(server)
    assert guess(guessing, None, times=15) == 15
    server.kill()
    assert guess(guessing, None, times=15) == 5
    assert refusal(lambda: guessing.may_check(None, HERE)) is not None
    assert guess(guessing, ALICE, times=9) == 5


@pytest.mark.usefixtures("_asks_again_at_once")
def test_a_redis_that_comes_back_empty_frees_nobody(server: ValkeyServer) -> None:
    guessing = beside(server)
    guess(guessing, None, times=15)
    server.kill()
    guess(guessing, None, times=3)
    server.start()
    assert guess(guessing, None, times=9) == 2


def test_of_the_devices_at_a_fresh_code_others_are_told_when_they_are_many(
    memory: Guessing, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[object] = []
    monkeypatch.setattr(memory._redis, "add", lambda keys, **_more: told.append(keys))
    for _ in range(ALONE_MAX):
        assert not memory.is_crowd(BATCH, 7, HERE, is_fresh=True)
    assert told == []
    for _ in range(NEW_DEVICES.times):
        assert not memory.is_crowd(BATCH, 7, HERE, is_fresh=True)
    assert memory.is_crowd(BATCH, 7, HERE, is_fresh=True)
    assert len(told) == NEW_DEVICES.times + 1
    told.clear()
    assert not memory.is_crowd(BATCH, 8, HERE)
    assert len(told) == 1, "a code that was scanned before"
