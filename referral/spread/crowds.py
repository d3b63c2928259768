"""Many openings of one campaign at once, worked out in memory: who gets which place. Pure.

Only what leaves everybody at his hop is dealt with here: new readers, openings by those who have a
place, which may be below somebody else from then on, and sharings by those who stay where they are.
What is left is dealt with one by one.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from referral.links import HOP_MAX
from referral.spread.placing import NOWHERE, Node, Opening, Sharing, in_sequence


def apart(openings: Sequence[Opening]) -> tuple[list[Opening], list[Opening]]:
    """Those that a crowd may be given, and those of anybody who is farther than links count.

    What time such an opening is given depends on those before it (see `in_sequence`), so theirs
    are dealt with one by one, in the order in which they came.
    """
    distant = {
        number for each in openings if each.hop == HOP_MAX for number in (each.reader, each.sharer)
    }
    near, far = list[Opening](), list[Opening]()
    for each in openings:
        (far if each.reader in distant or each.sharer in distant else near).append(each)
    return near, far


@dataclass
class Crowd:
    """The nodes that a number of openings have to do with, and what those change."""

    nodes: dict[int, Node]
    """As they are known to stand; brought up to date with every opening."""
    new: set[int] = field(default_factory=set)
    """Those that were not known."""
    shared: dict[int, Sharing] = field(default_factory=dict)
    """When the links of known ones were first opened, where that was not known."""
    reached: set[int] = field(default_factory=set)
    """Known ones of whose own openings an earlier one became known."""
    relied_on: set[int] = field(default_factory=set)
    """Known ones who have to be as they are known: new ones stand below them, or were reached."""
    last: dict[int, tuple[datetime, int]] = field(default_factory=dict)
    """When readers last opened a link, and whose."""
    beginners: dict[int, datetime] = field(default_factory=dict)
    """New ones who were not reached as far as is known, and when their link was first opened."""

    @staticmethod
    def ordered(openings: Iterable[Opening]) -> list[Opening]:
        """In the order of their times, in which fewest have to move; those of one time stay in
        the order in which they came."""
        return sorted(openings, key=lambda each: each.at)

    def add(self, opening: Opening) -> bool:
        """Whether the opening could be dealt with."""
        if opening.reader == opening.sharer:
            return True
        reader, sharer = self.nodes.get(opening.reader), self.nodes.get(opening.sharer)
        if reader is not None:
            return self._reach(opening, reader, sharer)
        if sharer is None:
            sharer = self._begin(opening)
            fitted = in_sequence(opening, NOWHERE, sharer.place)
        else:
            fitted = in_sequence(opening, NOWHERE, sharer.place)
            if not self._share(fitted, sharer):
                return False
        self._put(opening.reader, Node(opening.sharer, sharer.hop + 1, NOWHERE.reached(fitted)))
        self._opened(opening)
        return True

    def _put(self, number: int, node: Node) -> None:
        self.new.add(number)
        self.nodes[number] = node

    def _reach(self, opening: Opening, reader: Node, known: Node | None) -> bool:
        """Note an opening by somebody who has a place. False when that changes a hop."""
        sharer = known or _beginning(opening)
        fitted = in_sequence(opening, reader.place, sharer.place)
        after = reader.place.reached(fitted)
        is_earlier = after != reader.place
        if is_earlier and not (
            reader.stays(after) or (after.parent == opening.sharer and reader.hop == sharer.hop + 1)
        ):
            return False
        if known is None:
            self._begin(opening)
        if not self._share(fitted, sharer):
            return False
        if is_earlier:
            self.nodes[opening.reader] = Node(after.parent, reader.hop, after)
            if opening.reader not in self.new:
                self.reached.add(opening.reader)
                self.relied_on.add(opening.reader)
        self._opened(opening)
        return True

    def _begin(self, opening: Opening) -> Node:
        """A sharer of whom nothing is known."""
        node = _beginning(opening)
        self.beginners[opening.sharer] = opening.at
        self._put(opening.sharer, node)
        return node

    def _share(self, opening: Opening, sharer: Node) -> bool:
        """Note that the link of a sharer was opened. False when that moves him."""
        number, place = opening.sharer, sharer.place
        after = place.shared(opening)
        if after is not place:
            if after.sharing is None or not sharer.stays(after):
                return False
            self.nodes[number] = sharer._replace(place=after)
            if number not in self.new:
                self.shared[number] = after.sharing
        if number not in self.new:
            self.relied_on.add(number)
        return True

    def placed(self) -> list[tuple[int, Node]]:
        """Those reached, by their numbers, and where they are now."""
        return [(number, self.nodes[number]) for number in sorted(self.reached)]

    def _opened(self, opening: Opening) -> None:
        now = (opening.at, opening.sharer)
        self.last[opening.reader] = max(self.last.get(opening.reader, now), now)


def _beginning(opening: Opening) -> Node:
    """Where a sharer stands of whom nothing else is known."""
    place = NOWHERE.shared(opening)
    return Node(None, place.top_hop, place)
