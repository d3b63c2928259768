"""Limits: counted in Redis or in the database, closed or open when the one goes away."""

import os
import signal
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
import redis
import sqlalchemy as sa

from referral import limits as limits_module
from referral.clock import HeldClock
from referral.deployment import Deployment
from referral.errors import TooMany
from referral.limits import LimitCounter, Limits
from tests.races import at_once
from tests.servers import ValkeyServer


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine under load may take longer to answer than a page would wait."""
    monkeypatch.setattr(limits_module, "REDIS_TIMEOUT_SECONDS", 20.0)


def spend(times: int, once: Callable[[], object]) -> int:
    """Try so many times; how many went through."""
    passed = 0
    for _ in range(times):
        try:
            once()
        except TooMany:
            continue
        passed += 1
    return passed


def counters(deployment: Deployment) -> int:
    with deployment.db.read() as tx:
        return tx.scalar(sa.select(sa.func.count()).select_from(LimitCounter)) or 0


def test_it_lets_through_what_it_says_in_words(deployment: Deployment) -> None:
    limits = deployment.limits
    assert spend(8, lambda: limits.code_request("alice", 1)) == 5
    assert spend(25, lambda: limits.sign_in("alice", 1)) == 20
    assert spend(15, lambda: limits.staff_sign_in("a@b.cn", "192.0.2.1")) == 10
    assert spend(18, lambda: limits.code_request_contact("alice")) == 15
    assert spend(305, lambda: limits.sign_in_address("192.0.2.1")) == 300
    assert spend(65, lambda: limits.staff_sign_in_address("192.0.2.1")) == 60
    assert spend(205, lambda: limits.claim(1)) == 200


def test_every_subject_has_a_limit_of_its_own(deployment: Deployment) -> None:
    limits = deployment.limits
    assert spend(8, lambda: limits.code_request("alice", 1)) == 5
    assert spend(8, lambda: limits.code_request("bob", 1)) == 5
    assert spend(8, lambda: limits.code_request("alice", 1)) == 0


def test_what_is_tried_elsewhere_leaves_the_owner_his_tries(deployment: Deployment) -> None:
    limits = deployment.limits
    spend(8, lambda: limits.code_request("alice", 2))
    spend(25, lambda: limits.sign_in("alice", 2))
    spend(15, lambda: limits.staff_sign_in("a@b.cn", "192.0.2.2"))
    assert spend(8, lambda: limits.code_request("alice", 1)) == 5
    assert spend(25, lambda: limits.sign_in("alice", 1)) == 20
    assert spend(15, lambda: limits.staff_sign_in("a@b.cn", "192.0.2.1")) == 10


def test_a_try_given_back_does_not_count(deployment: Deployment) -> None:
    limits = deployment.limits
    for _ in range(30):
        limits.give_back(limits.sign_in("alice", 1))
    assert spend(25, lambda: limits.sign_in("alice", 1)) == 20


def test_a_new_window_begins_anew_and_it_says_when(
    deployment: Deployment, clock: HeldClock
) -> None:
    limits = deployment.limits
    clock.set(clock.now().replace(minute=30, second=0))
    spend(5, lambda: limits.code_request("alice", 1))
    clock.advance(minutes=9, seconds=58)
    with pytest.raises(TooMany) as refused:
        limits.code_request("alice", 1)
    assert refused.value.details == {"retry_after": 2}
    assert refused.value.status == 429
    clock.advance(seconds=2)
    assert spend(6, lambda: limits.code_request("alice", 1)) == 5


def test_many_at_the_same_moment_are_all_counted(deployment: Deployment) -> None:
    outcomes = at_once([lambda: deployment.limits.code_request("alice", 1)] * 10)
    assert sum(isinstance(each, TooMany) for each in outcomes) == 5
    assert outcomes.count(None) == 5


def test_no_subject_can_be_read_from_the_counters(deployment: Deployment) -> None:
    limits = Limits(deployment.db, deployment.keys, deployment.clock, None)
    limits.code_request("+8613800138000", 1)
    with deployment.db.read() as tx:
        [key] = tx.scalars(sa.select(LimitCounter.key)).all()
    assert key.startswith("code-request|")
    assert "138" not in key.split("|")[2]


def test_counters_whose_window_is_over_are_swept(deployment: Deployment, clock: HeldClock) -> None:
    limits = Limits(deployment.db, deployment.keys, clock, None)
    limits.code_request("alice", 1)
    limits.claim(1)
    assert limits.sweep() == 0
    clock.advance(minutes=10)
    assert limits.sweep() == 1
    assert counters(deployment) == 1
    clock.advance(days=1)
    assert limits.sweep() == 1


def test_without_redis_the_database_counts_everything(deployment: Deployment) -> None:
    limits = Limits(deployment.db, deployment.keys, deployment.clock, None)
    assert limits.redis_answers(), "none is configured, so none is missed"
    assert spend(1202, lambda: limits.beacon(1)) == 1200
    assert counters(deployment) == 1


# With a Valkey of one's own


@pytest.fixture
def server() -> Iterator[ValkeyServer]:
    with ValkeyServer() as server:
        yield server


@pytest.fixture
def limits(deployment: Deployment, server: ValkeyServer, monkeypatch: pytest.MonkeyPatch) -> Limits:
    # Redis is asked again at once, so that the test need not wait.
    monkeypatch.setattr(limits_module, "REDIS_REST_SECONDS", 0.0)
    return Limits(deployment.db, deployment.keys, deployment.clock, server.url)


def test_with_redis_the_database_counts_nothing(
    deployment: Deployment, limits: Limits, server: ValkeyServer
) -> None:
    assert limits.redis_answers()
    assert spend(8, lambda: limits.code_request("alice", 1)) == 5
    assert counters(deployment) == 0
    with redis.Redis.from_url(server.url) as client:
        [key] = client.keys()
        assert b"alice" not in key
        assert 0 < client.ttl(key) <= 600


def test_closed_limits_go_on_in_the_database_when_redis_dies(
    deployment: Deployment, limits: Limits, server: ValkeyServer
) -> None:
    assert spend(8, lambda: limits.code_request("alice", 1)) == 5
    server.kill()
    assert not limits.redis_answers()
    assert spend(8, lambda: limits.code_request("alice", 1)) == 5, "a new count, but a count"
    assert spend(25, lambda: limits.sign_in("bob", 1)) == 20
    assert counters(deployment) == 2


def test_a_try_is_given_back_where_it_was_counted(
    deployment: Deployment, limits: Limits, server: ValkeyServer
) -> None:
    in_redis = limits.sign_in("alice", 1)
    server.kill()
    in_database = limits.sign_in("alice", 1)
    limits.give_back(in_redis)
    limits.give_back(in_database)
    assert spend(25, lambda: limits.sign_in("alice", 1)) == 20


def test_open_limits_let_everything_pass_when_redis_dies(
    deployment: Deployment, limits: Limits, server: ValkeyServer
) -> None:
    assert spend(1202, lambda: limits.beacon(1)) == 1200
    server.kill()
    assert spend(5, lambda: limits.beacon(1)) == 5
    assert counters(deployment) == 0


def test_redis_is_used_again_when_it_is_back(
    deployment: Deployment, limits: Limits, server: ValkeyServer
) -> None:
    server.kill()
    limits.code_request("alice", 1)
    assert counters(deployment) == 1
    server.start()
    assert spend(8, lambda: limits.code_request("bob", 1)) == 5
    assert counters(deployment) == 1


def test_a_redis_that_hangs_is_given_up_and_left_alone(
    deployment: Deployment, server: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits_module, "REDIS_TIMEOUT_SECONDS", 0.05)
    monkeypatch.setattr(limits_module, "REDIS_REST_SECONDS", 3600.0)
    limits = Limits(deployment.db, deployment.keys, deployment.clock, server.url)
    os.kill(server.pid, signal.SIGSTOP)
    try:
        assert spend(8, lambda: limits.code_request("alice", 1)) == 5
    finally:
        os.kill(server.pid, signal.SIGCONT)
    assert counters(deployment) == 1


def test_a_redis_that_refuses_us_counts_as_gone(
    deployment: Deployment, server: ValkeyServer
) -> None:
    stranger = server.url.replace("redis://:", "redis://:not-")
    limits = Limits(deployment.db, deployment.keys, deployment.clock, stranger)
    assert not limits.redis_answers()
    assert spend(8, lambda: limits.code_request("alice", 1)) == 5
    assert counters(deployment) == 1


def test_the_window_in_redis_ends_by_our_clock(
    deployment: Deployment, limits: Limits, clock: HeldClock
) -> None:
    assert spend(25, lambda: limits.sign_in("alice", 1)) == 20
    clock.set(clock.now().replace(minute=0, second=0) + timedelta(hours=1))
    assert spend(25, lambda: limits.sign_in("alice", 1)) == 20
