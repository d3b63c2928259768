"""Rates, medians and quartiles out of kept steps, near those of the times themselves."""

import random
import statistics
from collections import Counter
from itertools import pairwise

import pytest

from referral.reports.moments import SPANS, Passage, ends_of
from referral.rollups.moments import BEFORE, BOUNDS, WAITING, step_of


def passage(times: list[float], waiting: int = 0, before: int = 0) -> Passage:
    return Passage(Counter([*map(step_of, times), *[WAITING] * waiting, *[BEFORE] * before]))


def test_without_anybody_there_is_no_rate_and_no_time() -> None:
    nobody = passage([])
    assert (nobody.began, nobody.came, nobody.rate, nobody.median) == (0, 0, None, None)
    assert sum(nobody.spans()) == 0
    assert passage([], waiting=3).median is None


def test_the_rate_is_of_all_who_began_and_the_time_of_those_who_went_on_after() -> None:
    found = passage([3600.0] * 3, waiting=5, before=2)
    assert (found.began, found.came, found.before) == (10, 5, 2)
    assert found.rate is not None
    assert found.rate.value == 0.5
    assert 0.2 < found.rate.low < 0.3 < 0.7 < found.rate.high < 0.8
    assert found.median == pytest.approx(3600, rel=0.08)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("typical", [600.0, 86_400.0, 30 * 86_400.0])
def test_quartiles_are_near_those_of_the_times(seed: int, typical: float) -> None:
    dice = random.Random(seed)
    times = [typical * dice.lognormvariate(0, 1) + 60 for _ in range(2000)]
    exact = statistics.quantiles(times, n=4)
    found = [passage(times).seconds(part) for part in (0.25, 0.5, 0.75)]
    assert found == pytest.approx(exact, rel=0.04)


@pytest.mark.parametrize("seconds", [1.0, 59.0, 61.0, 3e3, 1e6, 3.1e8])
def test_one_time_alone_is_off_by_no_more_than_a_step(seconds: float) -> None:
    low, high = ends_of(step_of(seconds))
    found = passage([seconds]).median
    assert found is not None
    assert low <= found <= high
    assert step_of(seconds) == 0 or low <= seconds < high


def test_the_ends_of_steps_follow_one_another() -> None:
    ends = [ends_of(step) for step in range(len(BOUNDS) + 1)]
    assert all(one[1] == other[0] for one, other in pairwise(ends))


def test_a_picture_has_everybody_who_went_on_after_once() -> None:
    times = [40.0, 5000.0, 100_000.0, 10 * 86_400.0, 400 * 86_400.0]
    found = passage(times, waiting=4, before=2).spans()
    assert len(found) == len(SPANS) + 1
    assert (sum(found), found[0], found[-1]) == (5, 1, 1)
