"""Counting forests: from scratch, and by what has changed. Pure.

Of every node is kept how many children it has, how many nodes, customers and buyers are below it,
and how deep it goes below it. `apply` brings these up to date for any set of nodes that were put
in, moved, or became customers, in time proportional to the paths above them, however many share
them.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Counts:
    """What is below a node."""

    direct: int = 0
    """Its children."""
    total: int = 0
    """All below, at any depth."""
    customers: int = 0
    """Those of them that are customers."""
    depth: int = 0
    """How many levels there are below."""
    buyers: int = 0
    """Those of the customers who have bought something."""


NOTHING = Counts()


@dataclass(slots=True)
class Kept:
    """A node as it has been counted so far."""

    parent: int | None = None
    is_customer: bool = False
    direct: int = 0
    total: int = 0
    customers: int = 0
    depth: int = 0
    is_buyer: bool = False
    buyers: int = 0

    @property
    def counts(self) -> Counts:
        return Counts(self.direct, self.total, self.customers, self.depth, self.buyers)

    def copy(self) -> "Kept":
        return Kept(
            self.parent,
            self.is_customer,
            self.direct,
            self.total,
            self.customers,
            self.depth,
            self.is_buyer,
            self.buyers,
        )


@dataclass(frozen=True, slots=True)
class Now:
    """A node as it is."""

    parent: int | None
    is_customer: bool = False
    is_buyer: bool = False


def count(nodes: Mapping[int, Now]) -> dict[int, Counts]:
    """The counts of every node of a forest, from scratch. Raises `ValueError` for a circle."""
    kept = {
        node: Kept(now.parent, now.is_customer, is_buyer=now.is_buyer)
        for node, now in nodes.items()
    }
    for parent in {now.parent for now in nodes.values()} - {None}:
        kept.setdefault(parent, Kept())  # type: ignore[arg-type]  # None was taken out
    order = from_below(kept)
    if len(order) < len(kept):
        raise ValueError("a node is below itself")
    for node in order:
        one = kept[node]
        if one.parent is None:
            continue
        above = kept[one.parent]
        above.direct += 1
        above.total += one.total + 1
        above.customers += one.customers + one.is_customer
        above.buyers += one.buyers + one.is_buyer
        above.depth = max(above.depth, one.depth + 1)
    return {node: one.counts for node, one in kept.items()}


def from_below(kept: Mapping[int, Kept]) -> list[int]:
    """The nodes, each before its parent. Those on a circle, and above one, are left out."""
    waiting = Counter(one.parent for one in kept.values() if one.parent is not None)
    order = [node for node in kept if not waiting[node]]
    for node in order:  # grows while it is read
        parent = kept[node].parent
        if parent is not None:
            waiting[parent] -= 1
            if not waiting[parent]:
                order.append(parent)
    return order


def structural_virality(parents: Sequence[int]) -> float:
    """The mean distance between two nodes of a tree (Goel et al. 2016): 1 for a pair, below 2 for
    a star however large, and growing with depth.

    `parents` names for each node but the first the place of its parent, which comes before.
    """
    size = len(parents)
    if size < 2:
        return 0.0
    below = [1] * size
    distances = 0
    for node in range(size - 1, 0, -1):
        distances += below[node] * (size - below[node])
        below[parents[node]] += below[node]
    return 2 * distances / (size * (size - 1))


ChildDepths = Callable[[Collection[int]], Mapping[int, Mapping[int, int]]]
"""For each node asked for: how many of its children, as kept, go how deep."""


def apply(
    kept: dict[int, Kept], now: Mapping[int, Now], child_depths: ChildDepths
) -> tuple[dict[int, Kept], set[int]]:
    """Bring counts up to date.

    `kept` holds the nodes that changed, as they were counted (a new `Kept` for those that never
    were), their parents before and now, and everything above those; it is changed in place.
    Returns what became of the nodes whose counts or places differ, and the nodes that could not be
    placed because what is above them is not known yet: these are roots until they are tried again.
    """
    before = {node: one.copy() for node, one in kept.items()}
    moved = {node for node, one in now.items() if one.parent != before[node].parent}
    shrunk = _take_away(kept, moved)
    gains = _Sums()
    for node, is_now in now.items():
        became = is_now.is_customer - kept[node].is_customer
        bought = is_now.is_buyer - kept[node].is_buyer
        kept[node].is_customer = is_now.is_customer
        kept[node].is_buyer = is_now.is_buyer
        if node in moved:
            kept[node].parent = is_now.parent
        elif is_now.parent is not None:
            gains.add(is_now.parent, 0, became, bought)
    order = from_below(kept)
    stuck: set[int] = set()
    if len(order) < len(kept):
        stuck = _open_circles(kept, moved, set(order))
        order = from_below(kept)
    for node in moved:
        one = kept[node]
        if one.parent is not None:
            kept[one.parent].direct += 1
            customers, bought = one.customers + one.is_customer, one.buyers + one.is_buyer
            gains.add(one.parent, one.total + 1, customers, bought)
    for node in order:
        one, (total, customers, bought) = kept[node], gains.of(node)
        one.total += total
        one.customers += customers
        one.buyers += bought
        if one.parent is not None:
            gains.add(one.parent, total, customers, bought)
    _deepen(kept, order, before, shrunk, child_depths)
    return {node: one for node, one in kept.items() if one != before[node]}, stuck


class _Sums:
    """How many nodes, customers and buyers come to (or go from) a node and all above it."""

    def __init__(self) -> None:
        self._sums: defaultdict[int, list[int]] = defaultdict(lambda: [0, 0, 0])

    def add(self, node: int, total: int, customers: int, buyers: int) -> None:
        if total or customers or buyers:
            sums = self._sums[node]
            sums[0] += total
            sums[1] += customers
            sums[2] += buyers

    def of(self, node: int) -> tuple[int, int, int]:
        total, customers, buyers = self._sums.get(node, (0, 0, 0))
        return total, customers, buyers


def _take_away(kept: dict[int, Kept], moved: Collection[int]) -> set[int]:
    """Take every moved node and what is below it from the counts above it, as it was placed.

    Returns the nodes that may be less deep now.
    """
    losses = _Sums()
    shrunk: set[int] = set()
    if not any(kept[node].parent is not None for node in moved):
        return shrunk
    old_depth = {node: one.depth for node, one in kept.items()}
    for node in from_below(kept):
        one, (total, customers, buyers) = kept[node], losses.of(node)
        one.total -= total
        one.customers -= customers
        one.buyers -= buyers
        if one.parent is None:
            continue
        above = kept[one.parent]
        if node in moved:
            above.direct -= 1
            total += one.total + 1
            customers += one.customers + one.is_customer
            buyers += one.buyers + one.is_buyer
        losses.add(one.parent, total, customers, buyers)
        if (node in moved or node in shrunk) and old_depth[node] + 1 == old_depth[one.parent]:
            shrunk.add(one.parent)
    for node in moved:
        kept[node].parent = None
    return shrunk


def _open_circles(
    kept: Mapping[int, Kept], moved: Iterable[int], outside: Collection[int]
) -> set[int]:
    """Leave moved nodes without a parent where they would be below themselves."""
    stuck: set[int] = set()
    inside = kept.keys() - outside
    for node in sorted(inside & set(moved)):
        seen, current = {node}, kept[node].parent
        while current is not None and current not in seen:
            seen.add(current)
            current = kept[current].parent
        if current == node:
            kept[node].parent = None
            stuck.add(node)
    return stuck


def _deepen(
    kept: Mapping[int, Kept],
    order: Iterable[int],
    before: Mapping[int, Kept],
    shrunk: Collection[int],
    child_depths: ChildDepths,
) -> None:
    """Set how deep every node goes. Those that did not shrink can only have become deeper."""
    others = {node: Counter(depths) for node, depths in child_depths(shrunk).items()}
    for one in before.values():
        if one.parent in others:
            others[one.parent][one.depth] -= 1  # counted below, as it is now
    for node in shrunk:
        depths = others.get(node, Counter())
        kept[node].depth = max((depth + 1 for depth, n in depths.items() if n > 0), default=0)
    for node in order:
        one = kept[node]
        if one.parent is not None:
            above = kept[one.parent]
            above.depth = max(above.depth, one.depth + 1)
