"""Adding up a tree: how many people are below each node and what they come to. Pure.

Of everybody is kept what that one brings (`Own`) and the sums of all below (`Sums`). `apply` brings
them up to date for any set of people who came in, moved or changed, in time proportional to the
paths above them, however many share those.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Own(NamedTuple):
    """What one person adds to everybody above."""

    people: int = 0
    """1 for somebody who has a place in the tree."""
    active: int = 0
    """1 for somebody who did something lately."""
    paying: int = 0
    """1 for somebody who bought something within a year."""
    value: int = 0
    """What she spent, in minor units of the brand's currency."""


class Sums(NamedTuple):
    """What is below somebody."""

    direct: int = 0
    """Whom she brought in herself."""
    total: int = 0
    """All below, at any depth."""
    active: int = 0
    paying: int = 0
    value: int = 0


NOTHING = Sums()
NO_PART = Own()


@dataclass(frozen=True, slots=True)
class Entry:
    """Somebody as counted so far."""

    parent: int | None = None
    own: Own = NO_PART
    below: Sums = NOTHING


EMPTY = Entry()
_Flow = tuple[int, int, int, int]
_STILL: _Flow = (0, 0, 0, 0)


def apply(
    kept: Mapping[int, Entry], now: Mapping[int, tuple[int | None, Own]]
) -> tuple[dict[int, Entry], set[int]]:
    """What becomes of whoever changed and of those above whose sums differ from what is `kept`, and
    who could not be placed because the parts that are known would close a circle: these are roots
    until they are tried again.

    `now` has whoever changed. `kept` has them, their parents before and now and everybody above
    these, as counted so far; somebody who is not in it has not been counted.
    """
    after = {node: kept.get(node, EMPTY) for node in (*kept, *now)}
    for parent, _ in now.values():
        if parent is not None:
            after.setdefault(parent, EMPTY)
    before = dict(after)
    _detach(after, now)
    stuck = _place(after, now)
    _attach(after, now)
    told = {node: one for node, one in after.items() if node in now or one != before[node]}
    return told, stuck


def _detach(entries: dict[int, Entry], changed: Collection[int]) -> None:
    """Take whoever changed, with all below, out of the sums above."""
    losses: dict[int, _Flow] = {}
    children = Counter[int]()
    for node in from_below({node: one.parent for node, one in entries.items()}):
        one, loss = entries[node], losses.get(node, _STILL)
        up = _with_below(one) if node in changed else loss
        if loss != _STILL or children[node]:
            entries[node] = replace(one, below=_less(one.below, children[node], loss))
        if one.parent is not None:
            children[one.parent] += node in changed
            losses[one.parent] = _plus(losses.get(one.parent, _STILL), up)


def _place(entries: dict[int, Entry], now: Mapping[int, tuple[int | None, Own]]) -> set[int]:
    """Put whoever changed where they are now; those who would be below themselves are left out."""
    for node, (parent, own) in now.items():
        entries[node] = replace(entries[node], parent=parent, own=own)
    parents = {node: one.parent for node, one in entries.items()}
    inside = entries.keys() - set(from_below(parents))
    stuck: set[int] = set()
    for node in sorted(inside & now.keys()):
        seen, current = {node}, entries[node].parent
        while current is not None and current not in seen:
            seen.add(current)
            current = entries[current].parent
        if current == node:
            entries[node] = replace(entries[node], parent=None)
            stuck.add(node)
    return stuck


def _attach(entries: dict[int, Entry], changed: Collection[int]) -> None:
    gains: dict[int, _Flow] = {}
    children = Counter[int]()
    for node in from_below({node: one.parent for node, one in entries.items()}):
        one, gain = entries[node], gains.get(node, _STILL)
        if gain != _STILL or children[node]:
            one = entries[node] = replace(one, below=_more(one.below, children[node], gain))
        up = _with_below(one) if node in changed else gain
        if one.parent is not None:
            children[one.parent] += node in changed
            gains[one.parent] = _plus(gains.get(one.parent, _STILL), up)


def from_below(parents: Mapping[int, int | None]) -> list[int]:
    """Everybody before the one above. Those on a circle, and above one, are left out."""
    waiting = Counter(parent for parent in parents.values() if parent is not None)
    order = [node for node in parents if not waiting[node]]
    for node in order:  # grows while it is read
        parent = parents[node]
        if parent is not None:
            waiting[parent] -= 1
            if not waiting[parent] and parent in parents:
                order.append(parent)
    return order


def _with_below(one: Entry) -> _Flow:
    own, below = one.own, one.below
    return (
        own.people + below.total,
        own.active + below.active,
        own.paying + below.paying,
        own.value + below.value,
    )


def _plus(one: _Flow, other: _Flow) -> _Flow:
    return (one[0] + other[0], one[1] + other[1], one[2] + other[2], one[3] + other[3])


def _more(below: Sums, children: int, gain: _Flow) -> Sums:
    direct, total, active, paying, value = below
    return Sums(
        direct + children, total + gain[0], active + gain[1], paying + gain[2], value + gain[3]
    )


def _less(below: Sums, children: int, loss: _Flow) -> Sums:
    return _more(below, -children, (-loss[0], -loss[1], -loss[2], -loss[3]))


# From scratch

Ints = NDArray[np.int64]
NOBODY = -1


def count(parents: Ints, own: Ints) -> Ints:
    """The sums of everybody, a row of `Sums` each.

    `parents` has for everybody the place of the one above, or `NOBODY`; `own` a row of `Own` each.
    Raises `ValueError` for a circle.
    """
    size = len(parents)
    below = np.zeros((size, 5), np.int64)
    has_parent = parents >= 0
    np.add.at(below[:, 0], parents[has_parent], 1)
    for level in _levels(parents):
        above = parents[level]
        np.add.at(below[:, 1:], above, below[level, 1:] + own[level])
    return below


def _levels(parents: Ints) -> list[Ints]:
    """Everybody who is below somebody, by how far from the top, the lowest first."""
    children = np.argsort(parents, kind="stable")
    firsts = np.searchsorted(parents[children], np.arange(len(parents)))
    ends = np.searchsorted(parents[children], np.arange(len(parents)), side="right")
    level = np.flatnonzero(parents < 0)
    levels, seen = [], len(level)
    while len(level):
        counts = ends[level] - firsts[level]
        starts = np.repeat(firsts[level] - np.concatenate([[0], np.cumsum(counts)[:-1]]), counts)
        level = children[starts + np.arange(counts.sum())]
        if len(level):
            levels.append(level)
            seen += len(level)
    if seen < len(parents):
        raise ValueError("somebody is below themselves")
    return levels[::-1]
