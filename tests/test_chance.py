"""Random bytes are nobody else's."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest

from referral.chance import FETCHED, random_bits, random_bytes


@pytest.mark.parametrize("count", [1, 8, 16, 1_000, FETCHED])
def test_as_many_as_asked_for_and_never_the_same(count: int) -> None:
    drawn = [random_bytes(count) for _ in range(2 * FETCHED // count + 2)]
    assert {len(each) for each in drawn} == {count}
    if count >= 8:
        assert len(set(drawn)) == len(drawn)


def test_bits_reach_as_far_as_they_may() -> None:
    drawn = [random_bits(63) for _ in range(2_000)]
    assert max(drawn) < 1 << 63
    assert min(drawn) < 1 << 60 < max(drawn)
    assert {random_bits(3) for _ in range(500)} == set(range(8))


def test_threads_draw_different_ones() -> None:
    with ThreadPoolExecutor(8) as pool:
        drawn = list(pool.map(lambda _: random_bits(63), range(5_000)))
    assert len(set(drawn)) == len(drawn)


def forked() -> Iterator[bytes]:
    """What children draw that were forked one after the other."""
    for _ in range(3):
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(write, random_bytes(16))
            os._exit(0)
        os.close(write)
        with os.fdopen(read, "rb") as answer:
            yield answer.read()
        os.waitpid(child, 0)


def test_forked_processes_draw_different_ones() -> None:
    random_bytes(16)  # there is something to have in common
    drawn = [*forked(), random_bytes(16)]
    assert all(one != other for one, other in pairwise(drawn))
    assert len(set(drawn)) == len(drawn)
