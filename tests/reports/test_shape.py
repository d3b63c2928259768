"""The shape of a spread: small trees by hand, random ones by brute force, made-up ones as in field
studies."""

import random
from collections import deque
from statistics import median

import numpy as np
import pytest

from referral.reports.shape import SMALL, Shape, shape_of
from referral.spread.cascades import Shape as Recording
from referral.spread.cascades import recorded


def shape(parents: list[int]) -> Shape:
    places = np.array(parents, np.int64)
    return shape_of(places, np.ones(len(parents), bool))


def mean_distance(parents: list[int], members: set[int]) -> float:
    """Between all pairs, each walked."""
    near: dict[int, list[int]] = {node: [] for node in members}
    for node in members:
        if parents[node] >= 0:
            near[node].append(parents[node])
            near[parents[node]].append(node)
    total = 0
    for start in members:
        seen, waiting = {start: 0}, deque([start])
        while waiting:
            here = waiting.popleft()
            for there in near[here]:
                if there not in seen:
                    seen[there] = seen[here] + 1
                    waiting.append(there)
        total += sum(seen.values())
    return total / (len(members) * (len(members) - 1))


@pytest.mark.parametrize(
    ("parents", "cascades", "depth", "largest", "virality"),
    [
        ([], 0, 0, 0, None),
        ([-1], 0, 0, 0, None),
        ([-1, 0], 1, 1, 2, 1.0),
        ([-1, 0, 1], 1, 2, 3, 4 / 3),
        ([-1, 0, 0, 0, 0], 1, 1, 5, 1.6),
        # A chain of three beside a pair; one who began and reached nobody is no cascade.
        ([-1, 0, 1, -1, 3, -1], 2, 2, 3, 4 / 3),
        # Children may stand before their parents.
        ([2, 2, -1], 1, 1, 3, 4 / 3),
    ],
)
def test_small_spreads_by_hand(
    parents: list[int], cascades: int, depth: int, largest: int, virality: float | None
) -> None:
    found = shape(parents)
    assert (found.cascades, found.depth, found.largest) == (cascades, depth, largest)
    assert found.largest_virality == (None if virality is None else pytest.approx(virality))
    assert found.virality is None, "cascades this small say nothing"


def test_the_largest_cascades_share_is_of_all_in_cascades() -> None:
    found = shape([-1, 0, 1, -1, 3, -1])
    assert found.people == 5
    assert found.largest_share == pytest.approx(3 / 5)


def test_random_spreads_are_as_brute_force_says() -> None:
    rng = random.Random(7)
    for _ in range(60):
        size = rng.randrange(1, 50)
        parents = [-1] + [rng.choice([-1, *range(node)]) for node in range(1, size)]
        tops: dict[int, set[int]] = {}
        hops = []
        for node in range(size):
            top, hop = node, 0
            while parents[top] >= 0:
                top, hop = parents[top], hop + 1
            tops.setdefault(top, set()).add(node)
            hops.append(hop)
        several = [members for members in tops.values() if len(members) >= 2]
        found = shape(parents)
        assert found.depth == max(hops)
        assert found.cascades == len(several)
        assert found.people == sum(map(len, several))
        large = [mean_distance(parents, each) for each in several if len(each) >= SMALL]
        assert found.measured == len(large)
        if large:
            assert found.virality == pytest.approx(median(large))
        if several:
            most = max(map(len, several))
            assert found.largest == most
            of_largest = [mean_distance(parents, m) for m in several if len(m) == most]
            assert found.largest_virality in [pytest.approx(each) for each in of_largest]
        # Shuffled, it is the same spread.
        order = list(range(size))
        rng.shuffle(order)
        place = {node: n for n, node in enumerate(order)}
        moved = [-1 if parents[node] < 0 else place[parents[node]] for node in order]
        again = shape(moved)
        assert again.generations == found.generations
        assert (again.depth, again.largest, again.virality) == (
            found.depth,
            found.largest,
            pytest.approx(found.virality) if found.virality else None,
        )


def test_a_long_chain_takes_few_steps() -> None:
    length = 50_000
    found = shape([-1, *range(length - 1)])
    assert found.depth == length - 1
    # The mean distance of a path is a third of its length and one.
    assert found.largest_virality == pytest.approx((length + 1) / 3)


def test_r_by_generation_is_the_mean_of_those_old_enough() -> None:
    # Forty who began have one reader each, twenty of whom have two.
    parents = [-1] * 40 + list(range(40)) + [40 + n // 2 for n in range(40)]
    ripe = np.array([True] * 80 + [False] * 40)
    found = shape_of(np.array(parents), ripe).generations
    assert [each.people for each in found] == [40, 40, 0]
    first, second, third = (each.reproduction for each in found)
    assert first is not None
    assert first.value == 1.0
    assert second is not None
    assert second.value == 1.0
    assert second.low < 1.0 < second.high
    assert first.high - first.low < second.high - second.low, "all of them had exactly one"
    assert third is None, "too few"


def test_made_up_cascades_look_like_those_of_field_studies() -> None:
    """Of 31,524 trees: R from 0.24 to 0.47, a median structural virality from 2.3 to 3.1."""
    made = recorded(random.Random(3), 6_000, Recording())
    parents = [-1 if node.parent is None else node.parent for node in made]
    found = shape(parents)
    assert found.virality is not None
    assert 2.3 <= found.virality <= 3.1
    rates = [each.reproduction for each in found.generations if each.people >= 300]
    assert len(rates) >= 3
    assert all(rate is not None and 0.2 <= rate.value <= 0.6 for rate in rates)
    assert found.largest_share is not None
    assert found.largest_share < 0.2
