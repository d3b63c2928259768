"""Recorded cascades to be played again: reading a CSV file, cleaning it, and its order. Pure.

The header is `tree_id,node,parent,seconds`; a root has an empty parent. Nodes are named within
their tree. What cannot be placed is left out, what can be read in one way only is put right, and
each is told with its line: nothing in a file stops the reading but a wrong header.
"""

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from referral.forests import Counts

HEADER = ("tree_id", "node", "parent", "seconds")
NAME_LENGTH_MAX = 200
ROOT = -1


class BadHeader(ValueError):
    """The first line does not name the columns."""


@dataclass(frozen=True)
class Finding:
    """Something in a line that is not as it should be."""

    line: int
    words: str
    left_out: bool
    """Whether the line is not played."""

    def __str__(self) -> str:
        return f"line {self.line}: {self.words}{'; left out' if self.left_out else ''}"


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
    findings: list[Finding] = field(default_factory=list)

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

    def children(self) -> list[list[int]]:
        below: list[list[int]] = [[] for _ in range(len(self))]
        for node, parent in enumerate(self.parents):
            if parent != ROOT:
                below[parent].append(node)
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


def read(lines: Iterable[str]) -> Cascades:
    """The cascades in the lines of a file. Raises `BadHeader`."""
    findings: list[Finding] = []
    places = _rows(lines, findings)
    rows = list(places.values())
    above = _parents(rows, places, findings)
    order = _parents_first(above)
    _tell_unreached(rows, above, order, findings)
    made = Cascades(findings=findings)
    numbers = [ROOT] * len(rows)
    for place in order:
        row, parent = rows[place], above[place]
        numbers[place] = len(made)
        number = ROOT if parent == ROOT else numbers[parent]
        if parent > place:
            words = f"it comes before its parent {row.parent}; played after it"
            findings.append(Finding(row.line, words, left_out=False))
        made.tree_ids.append(row.tree)
        made.names.append(row.node)
        made.parents.append(number)
        made.hops.append(0 if number == ROOT else made.hops[number] + 1)
        made.seconds.append(_seconds(row, made, number))
    findings.sort(key=lambda finding: finding.line)
    return made


def _rows(lines: Iterable[str], findings: list[Finding]) -> dict[tuple[str, str], _Row]:
    """Every line that names a node for the first time."""
    numbered = enumerate(lines, 1)
    columns = _columns(next(numbered, (0, ""))[1])
    rows: dict[tuple[str, str], _Row] = {}
    known: dict[str, str] = {}
    for number, line in numbered:
        fields = _fields(line)
        if not any(fields):
            continue
        row, trouble = _row(number, fields, columns, known)
        if row is None:
            findings.append(Finding(number, trouble, left_out=True))
            continue
        row.place = len(rows)
        first = rows.setdefault((row.tree, row.node), row)
        if first is not row:
            words = f"node {row.node} of tree {row.tree} is in line {first.line} already"
            findings.append(Finding(number, words, left_out=True))
            continue
        if row.seconds is None:
            words = f"{trouble} is no number of seconds; taken as its parent's"
            findings.append(Finding(number, words, left_out=False))
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
    number: int, fields: Sequence[str], columns: tuple[int, ...], known: dict[str, str]
) -> tuple[_Row | None, str]:
    """A line as a row, or None; and what is wrong with it."""
    if len(fields) <= max(columns):
        return None, f"{len(fields)} fields instead of {len(HEADER)}"
    # Names come again and again: each is kept once.
    tree, node, parent = (
        known.setdefault(name, name) for name in (fields[place].strip() for place in columns[:3])
    )
    if not node:
        return None, "it names no node"
    if max(map(len, (tree, node, parent))) > NAME_LENGTH_MAX:
        return None, f"a name is longer than {NAME_LENGTH_MAX} characters"
    written = fields[columns[3]].strip()
    try:
        seconds = float(written)
    except ValueError:
        seconds = math.nan
    known_time = math.isfinite(seconds)
    row = _Row(number, tree, node, parent, seconds if known_time else None)
    return row, "" if known_time else repr(written[:NAME_LENGTH_MAX])


_LEFT_OUT = -2
"""In place of a parent, of a row that cannot be placed."""


def _parents(
    rows: Sequence[_Row], by_name: Mapping[tuple[str, str], _Row], findings: list[Finding]
) -> list[int]:
    """The place of each row's parent among the rows; `ROOT` for none."""
    roots: dict[str, int] = {}
    above = []
    for row in rows:
        if not row.parent:
            first = roots.setdefault(row.tree, row.line)
            if first != row.line:
                words = f"tree {row.tree} has a root in line {first} already; taken as another one"
                findings.append(Finding(row.line, words, left_out=False))
            above.append(ROOT)
            continue
        found = by_name.get((row.tree, row.parent))
        parent = found.place if found else _LEFT_OUT
        if row.parent == row.node:
            findings.append(Finding(row.line, f"node {row.node} is its own parent", left_out=True))
            parent = _LEFT_OUT
        elif parent == _LEFT_OUT:
            words = f"parent {row.parent} is not in tree {row.tree}"
            findings.append(Finding(row.line, words, left_out=True))
        above.append(parent)
    return above


def _parents_first(above: Sequence[int]) -> list[int]:
    """The rows that lead up to a root, each after its parent."""
    below: dict[int, list[int]] = {}
    order: list[int] = []
    for place, parent in enumerate(above):
        if parent == ROOT:
            order.append(place)
        elif parent != _LEFT_OUT:
            below.setdefault(parent, []).append(place)
    for place in order:  # grows while it is read
        order.extend(below.get(place, ()))
    return order


def _tell_unreached(
    rows: Sequence[_Row], above: Sequence[int], order: Iterable[int], findings: list[Finding]
) -> None:
    """Tell of the rows that lead up to no root although their parents are there."""
    state = dict.fromkeys(order, True)
    for start in range(len(rows)):
        way, place = [], start
        while place not in state and above[place] != _LEFT_OUT:
            state[place] = False
            way.append(place)
            place = above[place]
        circle = set(way[way.index(place) :] if place in way else ())
        for each in way:
            words = f"parent {rows[each].parent} is left out"
            if each in circle:
                words = f"node {rows[each].node} comes from itself, in a circle"
            findings.append(Finding(rows[each].line, words, left_out=True))


def _seconds(row: _Row, made: Cascades, parent: int) -> float:
    earliest = 0.0 if parent == ROOT else made.seconds[parent]
    if row.seconds is None:
        return earliest
    if parent != ROOT and row.seconds < earliest:
        words = f"it comes {earliest - row.seconds:g} s before its parent; taken as its time"
        made.findings.append(Finding(row.line, words, left_out=False))
        return earliest
    return row.seconds
