from collections import Counter
from dataclasses import replace
from random import Random
from statistics import fmean, median, pvariance

import pytest
from hypothesis import given
from hypothesis import strategies as st

from referral.spread.cascades import (
    Event,
    Kind,
    Parameters,
    Shape,
    Wait,
    history,
    negative_binomial,
    poisson,
    recorded,
)
from referral.spread.forests import structural_virality

SMALL = Parameters(roots=120)
# Long enough that hardly anything falls off its end.
LONG = Parameters(roots=3_000, days=500)


@pytest.fixture(scope="module")
def long_history() -> list[Event]:
    return history(Random(7), LONG)


def parents(events: list[Event]) -> dict[int, int | None]:
    """Whose link a person came by; None for somebody who came without one."""
    first: dict[int, int | None] = {}
    for event in events:
        first.setdefault(event.person, event.via)
    return first


def first_purchases(events: list[Event]) -> dict[int, float]:
    bought: dict[int, float] = {}
    for event in events:
        if event.kind is Kind.purchase:
            bought.setdefault(event.person, event.at)
    return bought


def test_the_same_seed_gives_the_same_history() -> None:
    assert history(Random(1), SMALL) == history(Random(1), SMALL)
    assert history(Random(1), SMALL) != history(Random(2), SMALL)


@given(st.integers(0, 10_000), st.integers(0, 40), st.floats(0, 0.9))
def test_a_history_is_in_order_and_a_forest(seed: int, roots: int, reproduction: float) -> None:
    parameters = replace(SMALL, roots=roots, reproduction=reproduction)
    events = history(Random(seed), parameters)
    times = [event.at for event in events]
    assert times == sorted(times)
    assert all(0 <= at < parameters.days for at in times)
    seen: set[int] = set()
    for event in events:
        # People are numbered as they appear, and come by the link of somebody who was there.
        assert event.person in seen or event.person == len(seen)
        if event.person not in seen:
            assert event.kind in {Kind.purchase, Kind.open}
        if event.kind is Kind.open:
            assert event.via in seen
        else:
            assert event.via is None
        seen.add(event.person)
    came_alone = [person for person, parent in parents(events).items() if parent is None]
    assert len(came_alone) == roots


def test_customers_share_and_are_fetched_only_once_they_are_customers_or_readers() -> None:
    events = history(Random(3), SMALL)
    bought = first_purchases(events)
    opened = {event.person for event in events if event.kind is Kind.open}
    for event in events:
        if event.kind in {Kind.share, Kind.fetch} and event.person not in opened:
            assert event.at >= bought[event.person]


def test_a_customer_brings_in_as_many_customers_as_was_asked_for(long_history: list[Event]) -> None:
    above, bought = parents(long_history), first_purchases(long_history)
    friends = Counter(dict.fromkeys(bought, 0))
    for person in bought:
        parent = above[person]
        while parent is not None and parent not in bought:
            parent = above[parent]
        if parent is not None:
            friends[parent] += 1
    # The youngest are left out: their friends have not had the time to come.
    counts = [friends[person] for person, at in bought.items() if at < LONG.days - 60]
    assert fmean(counts) == pytest.approx(LONG.reproduction, abs=0.06)
    assert pvariance(counts) > 2 * fmean(counts), "a few customers bring in many"
    assert max(counts) >= 10
    assert Counter(counts)[0] > len(counts) * 0.7


def test_readers_buy_as_often_as_was_asked_for(long_history: list[Event]) -> None:
    above, bought = parents(long_history), first_purchases(long_history)
    new = [person for person, parent in above.items() if parent is not None]
    assert fmean(person in bought for person in new) == pytest.approx(LONG.conversion_new, abs=0.02)
    opened = [event for event in long_history if event.kind is Kind.open]
    engaged = sum(event.kind is Kind.engagement for event in long_history)
    assert engaged / len(opened) == pytest.approx(LONG.engaged, abs=0.02)
    assert 1 - len(new) / len(opened) == pytest.approx(LONG.known, abs=0.02)


def test_nobody_passes_anything_on_when_nobody_is_reached() -> None:
    quiet = replace(SMALL, reproduction=0, vain=0, repeat=0)
    events = history(Random(5), quiet)
    assert {event.kind for event in events} == {Kind.purchase}
    assert len(events) == quiet.roots


def test_endless_forwarding_is_refused() -> None:
    with pytest.raises(ValueError, match="never end"):
        history(Random(1), replace(SMALL, forwarding=1.5))


@pytest.mark.parametrize("mean", [0, 0.3, 4.0, 60.0])
def test_poisson_numbers_have_their_mean(mean: float) -> None:
    rng = Random(11)
    drawn = [poisson(rng, mean) for _ in range(5_000)]
    assert fmean(drawn) == pytest.approx(mean, rel=0.06)
    assert pvariance(drawn) == pytest.approx(mean, rel=0.12)


def test_negative_binomial_numbers_have_their_mean_and_spread() -> None:
    rng, mean, k = Random(13), 0.8, 0.4
    drawn = [negative_binomial(rng, mean, k) for _ in range(40_000)]
    assert fmean(drawn) == pytest.approx(mean, rel=0.06)
    assert pvariance(drawn) == pytest.approx(mean + mean**2 / k, rel=0.15)


def test_waits_have_their_median_and_a_long_tail() -> None:
    rng, wait = Random(17), Wait(0.35, 1.6)
    drawn = sorted(wait.draw(rng) for _ in range(5_000))
    assert drawn[0] > 0
    assert drawn[2_500] == pytest.approx(wait.median_days, rel=0.1)
    assert drawn[4_950] > 20 * wait.median_days


# Cascades as a log has them


@pytest.fixture(scope="module")
def field_study() -> list[list[int]]:
    """As many trees as the study has, each as the places of its nodes' parents."""
    trees: dict[int, list[int]] = {}
    places: dict[int, int] = {}
    for one in recorded(Random(1), 31_524, Shape()):
        tree = trees.setdefault(one.tree, [])
        places[one.node] = len(tree)
        tree.append(-1 if one.parent is None else places[one.parent])
    return list(trees.values())


def generations(parents: list[int]) -> int:
    hops: list[int] = []
    for parent in parents:
        hops.append(0 if parent < 0 else hops[parent] + 1)
    return max(hops)


def test_recorded_cascades_have_the_figures_of_real_ones(field_study: list[list[int]]) -> None:
    nodes = sum(map(len, field_study))
    assert 0.24 <= (nodes - len(field_study)) / nodes <= 0.47, "R"
    assert 2.3 <= median(structural_virality(t) for t in field_study if len(t) >= 10) <= 3.1
    largest = max(map(len, field_study))
    assert 553 / 3 < largest < 553 * 3
    assert 10 <= max(map(generations, field_study)) <= 20
    assert sum(len(tree) == 1 for tree in field_study) > len(field_study) * 0.6, "most go nowhere"


def test_recorded_cascades_are_the_same_for_the_same_seed() -> None:
    again, other = (list(recorded(Random(seed), 200, Shape())) for seed in (4, 5))
    assert list(recorded(Random(4), 200, Shape())) == again != other


def test_nobody_is_recorded_before_whom_he_came_from() -> None:
    seconds: dict[int, float] = {}
    for one in recorded(Random(2), 500, Shape(reproduction=0.5)):
        assert one.node == len(seconds)
        assert one.seconds == 0 if one.parent is None else one.seconds > seconds[one.parent]
        seconds[one.node] = one.seconds


def test_recorded_cascades_that_would_not_end_are_refused() -> None:
    with pytest.raises(ValueError, match="never end"):
        list(recorded(Random(1), 1, Shape(reproduction=1.2)))
