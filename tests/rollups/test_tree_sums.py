"""Sums of a tree are what adding up by hand gives, whatever changes in which order."""

from collections.abc import Mapping
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from referral.rollups import tree_sums
from referral.rollups.tree_sums import EMPTY, NOTHING, Entry, Own, Sums

Person = tuple[int | None, Own]
owns = st.builds(Own, st.just(1), st.integers(0, 1), st.integers(0, 1), st.integers(0, 10**12))


def by_hand(forest: Mapping[int, Person], node: int) -> Sums:
    """Everybody below, one by one."""
    direct = [child for child, (parent, _) in forest.items() if parent == node]
    found = Sums(direct=len(direct))
    for child in direct:
        deeper, own = by_hand(forest, child), forest[child][1]
        found = found._replace(
            total=found.total + deeper.total + own.people,
            active=found.active + deeper.active + own.active,
            paying=found.paying + deeper.paying + own.paying,
            value=found.value + deeper.value + own.value,
        )
    return found


def is_forest(forest: Mapping[int, Person]) -> bool:
    for node in forest:
        seen = {node}
        current = forest[node][0]
        while current is not None:
            if current in seen:
                return False
            seen.add(current)
            current = forest[current][0] if current in forest else None
    return True


class Store:
    """Entries as a database keeps them, given out with everybody above who matters."""

    def __init__(self) -> None:
        self.rows: dict[int, Entry] = {}

    def apply(self, now: Mapping[int, Person]) -> set[int]:
        asked = set(now) | {parent for parent, _ in now.values() if parent is not None}
        kept: dict[int, Entry] = {}
        for node in asked:
            current: int | None = node
            while current is not None and current not in kept and current in self.rows:
                kept[current] = self.rows[current]
                current = self.rows[current].parent
        changed, stuck = tree_sums.apply(kept, now)
        self.rows.update(changed)
        return stuck

    def check(self, forest: Mapping[int, Person]) -> None:
        for node in {*self.rows, *forest}:
            assert self.rows.get(node, EMPTY).below == by_hand(forest, node), node


changes = st.lists(st.tuples(st.integers(0, 9), st.none() | st.integers(0, 9), owns), max_size=40)


@given(changes, st.integers(1, 5))
def test_sums_follow_whoever_comes_moves_or_changes(
    happened: list[tuple[int, int | None, Own]], at_once: int
) -> None:
    store, forest = Store(), dict[int, Person]()
    waiting: dict[int, Person] = {}
    for node, parent, own in happened:
        wanted = {**forest, **waiting, node: (parent, own)}
        if parent == node or not is_forest(wanted):
            continue
        waiting[node] = (parent, own)
        if len(waiting) >= at_once:
            assert store.apply(waiting) == set()
            forest.update(waiting)
            waiting = {}
            store.check(forest)
    store.apply(waiting)
    store.check({**forest, **waiting})


def test_half_of_a_swap_waits_for_the_other() -> None:
    """Anna was above Ben and is below him now; only her half is known yet."""
    anna, ben, cleo, own = 1, 2, 3, Own(1, 1, 1, 5)
    store = Store()
    store.apply({anna: (None, own), ben: (anna, own), cleo: (ben, own)})
    assert store.apply({anna: (ben, own)}) == {anna}
    assert store.rows[anna] == Entry(None, own, Sums(1, 2, 2, 2, 10))
    assert store.apply({anna: (ben, own), ben: (None, own)}) == set()
    assert store.rows[ben].below == Sums(2, 2, 2, 2, 10)
    assert store.rows[anna].below == NOTHING


def test_a_small_tree_by_hand() -> None:
    """Root with two friends, the first of whom brought in a third."""
    store = Store()
    store.apply(
        {
            1: (None, Own(1, 1, 1, 900)),
            2: (1, Own(1, 0, 1, 100)),
            3: (1, Own(1, 1, 0, 0)),
            4: (2, Own(1, 1, 1, 50)),
        }
    )
    assert store.rows[1].below == Sums(direct=2, total=3, active=2, paying=2, value=150)
    assert store.rows[2].below == Sums(direct=1, total=1, active=1, paying=1, value=50)
    assert store.rows[3].below == NOTHING


@pytest.mark.parametrize("shape", ["bushy", "chain", "star", "forest"])
def test_a_count_from_scratch_is_what_each_change_comes_to(shape: str) -> None:
    dice, size = Random(shape), 300
    above = {
        "bushy": dice.randrange,
        "chain": lambda node: node - 1,
        "star": lambda _: 0,
        "forest": lambda node: dice.choice([None, dice.randrange(node)]),
    }[shape]
    forest = {
        node: (
            above(node) if node else None,
            Own(1, dice.randrange(2), dice.randrange(2), dice.randrange(10**6)),
        )
        for node in range(size)
    }
    parents = np.array([tree_sums.NOBODY if p is None else p for p, _ in forest.values()])
    found = tree_sums.count(parents, np.array([own for _, own in forest.values()]))
    store = Store()
    nodes = list(forest)
    dice.shuffle(nodes)
    for node in nodes:
        store.apply({node: forest[node]})
    for node in forest:
        assert Sums(*found[node].tolist()) == store.rows[node].below
    for node in list(forest)[-20:]:
        assert store.rows[node].below == by_hand(forest, node)


def test_a_circle_is_refused() -> None:
    with pytest.raises(ValueError, match="below themselves"):
        tree_sums.count(np.array([1, 0, -1]), np.zeros((3, 4), np.int64))


def test_nobody_at_all_adds_up_to_nothing() -> None:
    assert tree_sums.count(np.zeros(0, np.int64), np.zeros((0, 4), np.int64)).shape == (0, 5)
