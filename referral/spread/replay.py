"""Recorded cascades to be played again: reading a CSV file, cleaning it, and its order. Pure.

The header is `tree_id,node,parent,seconds`; a root has an empty parent. Nodes are named within
their tree. What cannot be placed is left out, what can be read in one way only is put right, and
each is told with its line: nothing in a file stops the reading but a wrong header. What is done
with each sort of dirt stands in docs/replay.md.
"""

import csv
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice

from referral.spread.forests import Counts

HEADER = ("tree_id", "node", "parent", "seconds")
NAME_LENGTH_MAX = 4_000
WORDS_LENGTH_MAX = 40
"""How much of a name or a number is told."""
KEPT_MAX = 1_000
"""How many findings of a sort are kept with their lines; all are counted."""
ROOT = -1


class BadHeader(ValueError):
    """The first line does not name the columns."""


class Dirt(StrEnum):
    """What may be wrong with a line, in words for many of them."""

    few_fields = "too few fields"
    no_node = "no node is named"
    long_name = "a name is too long"
    same_again = "a node stands there again, with the same parent"
    other_parent = "a node stands there again, with another parent"
    own_parent = "a node is its own parent"
    no_parent = "the parent is in no line of the tree"
    parent_left_out = "the parent is left out"
    circle = "a node comes from itself, in a circle"
    other_root = "a tree has another root"
    after_child = "a node stands before its parent"
    early = "a node comes before its parent in time"
    no_seconds = "the seconds are no number"

    @property
    def left_out(self) -> bool:
        """Whether such a line is not played."""
        return self not in PUT_RIGHT


PUT_RIGHT = {Dirt.other_root, Dirt.after_child, Dirt.early, Dirt.no_seconds}


@dataclass(frozen=True)
class Finding:
    """Something in a line that is not as it should be."""

    line: int
    dirt: Dirt
    words: str

    @property
    def left_out(self) -> bool:
        """Whether the line is not played."""
        return self.dirt.left_out

    def __str__(self) -> str:
        return f"line {self.line}: {self.words}{'; left out' if self.left_out else ''}"


@dataclass
class Findings:
    """What is wrong with a file: so many of each sort, and the first of them one by one."""

    counts: Counter[Dirt] = field(default_factory=Counter)
    kept: list[Finding] = field(default_factory=list)

    def add(self, line: int, dirt: Dirt, words: str) -> None:
        self.counts[dirt] += 1
        if self.counts[dirt] <= KEPT_MAX:
            self.kept.append(Finding(line, dirt, words))

    def __len__(self) -> int:
        return self.counts.total()

    def __iter__(self) -> Iterator[Finding]:
        """Those that are kept, by their lines."""
        return iter(sorted(self.kept, key=lambda finding: finding.line))

    @property
    def left_out(self) -> int:
        """How many lines are not played."""
        return sum(count for dirt, count in self.counts.items() if dirt.left_out)


@dataclass
class Cascades:
    """Trees to be played. Nodes have numbers, a parent's always below its children's."""

    tree_ids: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    """The number of each node's parent; `ROOT` for none."""
    seconds: list[float] = field(default_factory=list)
    """When each node came; never before its parent."""
    hops: list[int] = field(default_factory=list)
    findings: Findings = field(default_factory=Findings)

    def __len__(self) -> int:
        return len(self.parents)

    @property
    def trees(self) -> int:
        return sum(parent == ROOT for parent in self.parents)

    def counts(self) -> list[Counts]:
        """What is below each node. Nobody in a file is a customer."""
        direct, total, depth = ([0] * len(self) for _ in range(3))
        for node in range(len(self) - 1, -1, -1):
            parent = self.parents[node]
            if parent != ROOT:
                direct[parent] += 1
                total[parent] += total[node] + 1
                depth[parent] = max(depth[parent], depth[node] + 1)
        return [Counts(*each) for each in zip(direct, total, [0] * len(self), depth, strict=True)]

    def children(self) -> dict[int, list[int]]:
        """The nodes below each that has any."""
        below: dict[int, list[int]] = {}
        for node, parent in enumerate(self.parents):
            if parent != ROOT:
                below.setdefault(parent, []).append(node)
        return below


@dataclass(slots=True)
class _Row:
    line: int
    tree: str
    node: str
    parent: str
    seconds: float | None
    place: int = 0
    """Among the rows."""
    others: list["_Row"] | None = None
    """Lines that name the same node with another parent."""


def read(lines: Iterable[str]) -> Cascades:
    """The cascades in the lines of a file. Raises `BadHeader`."""
    findings = Findings()
    places = _rows(lines, findings)
    rows = list(places.values())
    above, order = _placed(rows, places)
    _tell_repeated(rows, findings)
    _tell_unplaced(rows, above, order, findings)
    made = Cascades(findings=findings)
    numbers = [ROOT] * len(rows)
    roots: dict[str, int] = {}
    for place in order:
        row, parent = rows[place], above[place]
        numbers[place] = len(made)
        number = ROOT if parent == ROOT else numbers[parent]
        if parent == ROOT:
            first = roots.setdefault(row.tree, row.line)
            if first != row.line:
                words = f"tree {_short(row.tree)} has a root in line {first} already"
                findings.add(row.line, Dirt.other_root, f"{words}; taken as another one")
        elif parent > place:
            words = f"it stands before its parent {_short(row.parent)}; played after it"
            findings.add(row.line, Dirt.after_child, words)
        made.tree_ids.append(row.tree)
        made.names.append(row.node)
        made.parents.append(number)
        made.hops.append(0 if number == ROOT else made.hops[number] + 1)
        made.seconds.append(_seconds(row, made, number))
    return made


def _short(text: str) -> str:
    """A name as it is told: cut, and without what a terminal would act upon."""
    shown = text if text.isprintable() else repr(text)[1:-1]
    return shown if len(shown) <= WORDS_LENGTH_MAX else f"{shown[:WORDS_LENGTH_MAX]}…"


def _rows(lines: Iterable[str], findings: Findings) -> dict[tuple[str, str], _Row]:
    """Every node, as the first line that names it says."""
    numbered = enumerate(lines, 1)
    columns = _columns(next(numbered, (0, ""))[1])
    rows: dict[tuple[str, str], _Row] = {}
    known: dict[str, str] = {}
    for number, line in numbered:
        fields = _fields(line)
        if not any(fields):
            continue
        row = _row(number, fields, columns, known, findings)
        if row is None:
            continue
        row.place = len(rows)
        first = rows.setdefault((row.tree, row.node), row)
        if first is row:
            continue
        row.place = first.place
        if first.others is None:
            first.others = []
        first.others.append(row)
    return rows


def _columns(header: str) -> tuple[int, ...]:
    """Where each column stands."""
    names = [name.strip().lower() for name in _fields(header.removeprefix("\ufeff"))]
    if any(names.count(name) != 1 for name in HEADER):
        raise BadHeader(f"The first line must be {','.join(HEADER)}.")
    return tuple(names.index(name) for name in HEADER)


def _fields(line: str) -> list[str]:
    """The fields of one line. A quote that is left open ends with its line."""
    line = line.rstrip("\r\n")
    if '"' not in line:
        return line.split(",")
    try:
        return next(csv.reader([line]), [])
    except csv.Error:
        return line.split(",")


def _row(
    number: int,
    fields: Sequence[str],
    columns: tuple[int, ...],
    known: dict[str, str],
    findings: Findings,
) -> _Row | None:
    """A line as a row, or None for one that names no node."""
    if len(fields) <= max(columns):
        words = f"{len(fields)} fields instead of {len(HEADER)}"
        findings.add(number, Dirt.few_fields, words)
        return None
    # Names come again and again: each is kept once.
    tree, node, parent = (
        known.setdefault(name, name) for name in (fields[place].strip() for place in columns[:3])
    )
    if not node:
        findings.add(number, Dirt.no_node, "it names no node")
        return None
    if max(map(len, (tree, node, parent))) > NAME_LENGTH_MAX:
        words = f"a name is longer than {NAME_LENGTH_MAX:,} characters"
        findings.add(number, Dirt.long_name, words)
        return None
    written = fields[columns[3]].strip()
    try:
        seconds = float(written)
    except ValueError:
        seconds = math.nan
    if math.isfinite(seconds):
        return _Row(number, tree, node, parent, seconds)
    words = f"'{_short(written)}' is no number of seconds; taken as its parent's"
    findings.add(number, Dirt.no_seconds, words)
    return _Row(number, tree, node, parent, None)


_NOBODY = -2
"""In place of a parent: there is none of that name, or it is the node itself."""


def _placed(
    rows: list[_Row], by_name: Mapping[tuple[str, str], _Row]
) -> tuple[list[int], list[int]]:
    """The place of each row's parent among the rows; and the rows that lead up to a root, each
    after its parent.

    A node that several lines name is where the first of them puts it. Where that leads nowhere,
    the next one counts, which then stands among the rows.
    """
    above = [_parent(row, by_name) for row in rows]
    below: dict[int, list[int]] = {}
    for place, parent in enumerate(above):
        below.setdefault(parent, []).append(place)
    placed = bytearray(len(rows))
    order: list[int] = []
    _go_down(below.get(ROOT, ()), below, placed, order)
    waiting = [row.place for row in rows if row.others and not placed[row.place]]
    are_some_moved = True
    while waiting and are_some_moved:
        are_some_moved = False
        for place in waiting:
            other = None if placed[place] else _another(rows[place], by_name, placed)
            if other is not None:
                rows[place], above[place] = other, _parent(other, by_name)
                _go_down((place,), below, placed, order)
                are_some_moved = True
        waiting = [place for place in waiting if not placed[place]]
    return above, order


def _parent(row: _Row, by_name: Mapping[tuple[str, str], _Row]) -> int:
    if not row.parent:
        return ROOT
    found = by_name.get((row.tree, row.parent))
    return _NOBODY if found is None or row.parent == row.node else found.place


def _go_down(
    start: Iterable[int], below: Mapping[int, list[int]], placed: bytearray, order: list[int]
) -> None:
    """Place these rows and all below them that are not placed, each after its parent."""
    first = len(order)
    order.extend(start)
    for place in islice(order, first, None):  # grows while it is read
        placed[place] = True
        order.extend(each for each in below.get(place, ()) if not placed[each])


def _another(row: _Row, by_name: Mapping[tuple[str, str], _Row], placed: bytearray) -> _Row | None:
    """The first of the lines behind this one that leads up to a root, now in front."""
    for other in row.others or ():
        parent = _parent(other, by_name)
        if parent == ROOT or (parent >= 0 and placed[parent]):
            other.others = [row, *(each for each in row.others or () if each is not other)]
            row.others = None
            return other
    return None


def _tell_repeated(rows: Iterable[_Row], findings: Findings) -> None:
    for row in rows:
        for other in row.others or ():
            name = f"node {_short(row.node)} of tree {_short(row.tree)}"
            if other.parent == row.parent:
                words = f"{name} is in line {row.line} already"
                findings.add(other.line, Dirt.same_again, words)
            else:
                words = f"{name} is in line {row.line} with another parent"
                findings.add(other.line, Dirt.other_parent, words)


def _tell_unplaced(
    rows: Sequence[_Row], above: Sequence[int], order: Iterable[int], findings: Findings
) -> None:
    """Tell of the rows that lead up to no root."""
    seen = bytearray(len(rows))
    for place in order:
        seen[place] = True
    for start in range(len(rows)):
        way, place = [], start
        while place >= 0 and not seen[place]:
            seen[place] = True
            way.append(place)
            place = above[place]
        # Where the way comes back to itself; a way that was walked before has been told of.
        circle = set(way[way.index(place) :]) if place in way else set()
        for each in way:
            row = rows[each]
            if above[each] == _NOBODY and row.parent == row.node:
                words = f"node {_short(row.node)} is its own parent"
                findings.add(row.line, Dirt.own_parent, words)
            elif above[each] == _NOBODY:
                words = f"parent {_short(row.parent)} is not in tree {_short(row.tree)}"
                findings.add(row.line, Dirt.no_parent, words)
            elif each in circle:
                words = f"node {_short(row.node)} comes from itself, in a circle"
                findings.add(row.line, Dirt.circle, words)
            else:
                words = f"parent {_short(row.parent)} is left out"
                findings.add(row.line, Dirt.parent_left_out, words)


def _seconds(row: _Row, made: Cascades, parent: int) -> float:
    earliest = 0.0 if parent == ROOT else made.seconds[parent]
    if row.seconds is None:
        return earliest
    if parent != ROOT and row.seconds < earliest:
        words = f"it comes {earliest - row.seconds:g} s before its parent; taken as its time"
        made.findings.add(row.line, Dirt.early, words)
        return earliest
    return row.seconds
