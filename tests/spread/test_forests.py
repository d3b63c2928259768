"""Counts of forests: brought up to date by what changed, they are those made from scratch."""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from referral.spread.forests import (
    NOTHING,
    Counts,
    Kept,
    Now,
    apply,
    count,
    from_below,
    structural_virality,
)

NODES = 9


def below(forest: Mapping[int, Now], node: int) -> list[tuple[int, int]]:
    """The nodes below one, each with how many levels it is below."""
    direct = [child for child, now in forest.items() if now.parent == node]
    return [(child, 1) for child in direct] + [
        (each, level + 1) for child in direct for each, level in below(forest, child)
    ]


def by_hand(forest: Mapping[int, Now], node: int) -> Counts:
    found = below(forest, node)
    return Counts(
        direct=sum(level == 1 for _, level in found),
        total=len(found),
        customers=sum(forest[each].is_customer for each, _ in found),
        depth=max((level for _, level in found), default=0),
    )


@dataclass
class Store:
    """Keeps counts as the database does: `apply` sees only what it is promised."""

    rows: dict[int, Kept] = field(default_factory=dict)

    def work_off(self, now: Mapping[int, Now]) -> set[int]:
        loaded: dict[int, Kept] = {}
        ways = [*now, *(one.parent for one in now.values())]
        ways += [self.rows[node].parent for node in now if node in self.rows]
        for start in ways:
            node = start
            while node is not None and node not in loaded:
                row = self.rows.get(node, Kept())
                loaded[node] = replace(row)
                node = row.parent
        changed, stuck = apply(loaded, now, self.child_depths)
        self.rows.update(changed)
        return stuck

    def child_depths(self, nodes: Collection[int]) -> Mapping[int, Mapping[int, int]]:
        found: dict[int, Counter[int]] = defaultdict(Counter)
        for row in self.rows.values():
            if row.parent in nodes:
                found[row.parent][row.depth] += 1
        return found

    def counts(self, node: int) -> Counts:
        return self.rows[node].counts if node in self.rows else NOTHING


def is_forest(forest: Mapping[int, Now]) -> bool:
    return len(from_below({n: Kept(now.parent) for n, now in forest.items()})) == len(forest)


# A parent of a lower number makes no circle; which number that is, is drawn as well.
trees = st.lists(
    st.tuples(st.none() | st.integers(0, 100), st.booleans()), min_size=NODES, max_size=NODES
).map(
    lambda drawn: {
        node: Now(None if parent is None or not node else parent % node, flag)
        for node, (parent, flag) in enumerate(drawn)
    }
)
forests = st.tuples(trees, st.permutations(range(NODES))).map(
    lambda drawn: {
        drawn[1][node]: Now(None if one.parent is None else drawn[1][one.parent], one.is_customer)
        for node, one in drawn[0].items()
    }
)


@given(forests)
def test_counts_from_scratch_are_those_by_hand(forest: dict[int, Now]) -> None:
    assert count(forest) == {node: by_hand(forest, node) for node in forest}


@settings(max_examples=150)
@given(st.lists(forests, min_size=1, max_size=5))
def test_any_forest_turns_into_any_other(states: list[dict[int, Now]]) -> None:
    store, last = Store(), dict[int, Now]()
    for state in states:
        changed = {node: now for node, now in state.items() if now != last.get(node)}
        assert store.work_off(changed) == set()
        assert {node: store.counts(node) for node in state} == count(state)
        last = state


@settings(max_examples=150)
@given(forests, forests, st.data())
def test_changes_seen_in_bits_come_to_the_same(
    first: dict[int, Now], second: dict[int, Now], data: st.DataObject
) -> None:
    """What a part of the changes would close to a circle waits, and is right once all are seen."""
    store = Store()
    store.work_off(first)
    waiting = set(second)
    while waiting:
        part = set(data.draw(st.lists(st.sampled_from(sorted(waiting)), min_size=1)))
        stuck = store.work_off({node: second[node] for node in part})
        assert stuck <= part
        waiting = waiting - part | stuck
        assert is_forest({node: Now(row.parent) for node, row in store.rows.items()})
        if part == stuck:  # alone they get nowhere
            waiting = store.work_off({node: second[node] for node in waiting})
    assert {node: store.counts(node) for node in second} == count(second)


def test_a_change_that_comes_twice_changes_nothing() -> None:
    store, forest = Store(), {1: Now(None), 2: Now(1, True), 3: Now(2)}
    store.work_off(forest)
    rows = {node: replace(row) for node, row in store.rows.items()}
    store.work_off(forest)
    assert store.rows == rows
    assert store.counts(1) == Counts(1, 2, 1, 2)


def test_a_circle_is_not_counted() -> None:
    with pytest.raises(ValueError, match="below itself"):
        count({1: Now(2), 2: Now(1)})


def test_a_long_chain_is_counted_without_recursion() -> None:
    length = 20_000
    chain = {node: Now(node - 1 if node else None) for node in range(length)}
    assert count(chain)[0] == Counts(1, length - 1, 0, length - 1)
    store = Store()
    store.work_off(chain)
    assert store.counts(0) == Counts(1, length - 1, 0, length - 1)


@pytest.mark.parametrize(
    ("parents", "expected"),
    [
        ([], 0),
        ([-1], 0),
        ([-1, 0], 1),
        ([-1, 0, 0], 4 / 3),
        ([-1, 0, 1], 4 / 3),
        ([-1, 0, 1, 2], 10 / 6),
        ([-1, *[0] * 99], 2 * (99 + 99 * 98) / (100 * 99)),
    ],
)
def test_structural_virality_is_the_mean_distance(parents: list[int], expected: float) -> None:
    assert structural_virality(parents) == pytest.approx(expected)


@pytest.mark.parametrize("size", [2, 3, 10, 500])
def test_structural_virality_of_stars_and_chains_is_the_closed_form(size: int) -> None:
    """Of n people (Goel et al. 2016): 2 - 2/n for a broadcast, (n + 1)/3 for a chain."""
    assert structural_virality([-1, *[0] * (size - 1)]) == pytest.approx(2 - 2 / size)
    assert structural_virality(list(range(-1, size - 1))) == pytest.approx((size + 1) / 3)


@pytest.mark.parametrize("seed", range(6))
def test_structural_virality_of_random_trees_is_every_pairs_distance(seed: int) -> None:
    dice = Random(seed)
    reach = dice.choice([1, 3, 40])  # of whom a newcomer may come through: chains to bushes
    parents = [-1, *(dice.randrange(max(0, n - reach), n) for n in range(1, 40))]
    beside: dict[int, set[int]] = {n: set() for n in range(len(parents))}
    for node, parent in enumerate(parents[1:], 1):
        beside[node].add(parent)
        beside[parent].add(node)

    def distances(start: int) -> list[int]:
        found, level, far = {start: 0}, [start], 0
        while level:
            far += 1
            level = [each for node in level for each in beside[node] if each not in found]
            found.update(dict.fromkeys(level, far))
        return [found[n] for n in range(len(parents)) if n != start]

    everybody = [each for start in range(len(parents)) for each in distances(start)]
    assert structural_virality(parents) == pytest.approx(sum(everybody) / len(everybody))
