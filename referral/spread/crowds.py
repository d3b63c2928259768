"""Many openings of one campaign at once, worked out in memory: who gets which place. Pure.

Only what needs nobody to move is dealt with here: new readers, first sharings of those who stay
where they are, and openings that say nothing new. What is left is dealt with one by one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from referral.spread.placing import Node, Opening, Place, Sharing, in_sequence


@dataclass
class Crowd:
    """The nodes that a number of openings have to do with, and what those change."""

    known: Mapping[int, Node]
    """As they stood before, by visitor."""
    new: dict[int, Node] = field(default_factory=dict)
    shared: dict[int, Sharing] = field(default_factory=dict)
    """The first sharing of known ones."""
    relied_on: set[int] = field(default_factory=set)
    """Known ones who have to stay where they are, as new ones stand below them."""
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
        reader, sharer = self._node(opening.reader), self._node(opening.sharer)
        if reader is not None:
            return sharer is not None and self._tells_nothing_new(opening, reader, sharer)
        if sharer is None:
            sharer = self._begin(opening)
        elif not self._share(in_sequence(opening, Place(), sharer.place), sharer):
            return False
        place = Place().reached(in_sequence(opening, Place(), sharer.place))
        self.new[opening.reader] = Node(opening.sharer, sharer.hop + 1, place)
        self._opened(opening)
        return True

    def _node(self, number: int) -> Node | None:
        known = self.new.get(number) or self.known.get(number)
        sharing = self.shared.get(number)
        if known is None or sharing is None:
            return known
        return replace(known, place=replace(known.place, sharing=sharing))

    def _tells_nothing_new(self, opening: Opening, reader: Node, sharer: Node) -> bool:
        fitted = in_sequence(opening, reader.place, sharer.place)
        if sharer.place.shared(fitted) != sharer.place:
            return False
        if reader.place.reached(fitted) != reader.place:
            return False
        self._opened(opening)
        return True

    def _begin(self, opening: Opening) -> Node:
        """A sharer of whom nothing is known."""
        place = Place().shared(opening)
        self.beginners[opening.sharer] = opening.at
        self.new[opening.sharer] = Node(None, place.top_hop, place)
        return self.new[opening.sharer]

    def _share(self, opening: Opening, sharer: Node) -> bool:
        """Note that the link of a sharer was opened. False when that moves him."""
        after = sharer.place.shared(opening)
        if after != sharer.place:
            is_first = sharer.place.touch is not None and sharer.place.sharing is None
            if not is_first or after.parent is None or after.sharing is None:
                return False
            if opening.sharer in self.new:
                self.new[opening.sharer] = replace(sharer, place=after)
            else:
                self.shared[opening.sharer] = after.sharing
        if opening.sharer in self.known:
            self.relied_on.add(opening.sharer)
        return True

    def _opened(self, opening: Opening) -> None:
        now = (opening.at, opening.sharer)
        self.last[opening.reader] = max(self.last.get(opening.reader, now), now)
