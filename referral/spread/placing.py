"""Where a visitor belongs in a campaign's spread, worked out from openings in whatever order.

Two things are kept of a visitor, each the smallest of all openings that say so: the first time he
opened somebody's link (his touch), and the first time somebody opened his (his sharing). He is
below whose link he opened first, unless he was sharing before that: then he is a first sharer. Both
are minima of a set, so neither order, delay nor repetition of the openings makes a difference.

"Before" is time with a correction: a link at hop n was made n openings after its beginning, so
each hop counts as `SKEW` more. Somebody whose own link says that he had been reached is therefore
not taken for a first sharer because two machines' clocks disagree. What is above a place comes
strictly before it in this order, so there is no way around in a circle.
"""

from datetime import datetime, timedelta
from typing import NamedTuple

from referral.links import HOP_MAX

SKEW = timedelta(seconds=2)
"""How much later an opening may be stamped than one that it led to: clocks of different processes
disagree by less, and a cookie keeps whole seconds only."""
TICK = timedelta(microseconds=1)
"""The smallest step of time that is stored."""
_LATER = tuple(hop * SKEW for hop in range(HOP_MAX + 1))


def latest_of(kept: datetime) -> datetime:
    """The latest moment that a time out of a cookie may stand for: it keeps whole seconds only.

    So what a cookie remembers never comes before the opening itself, nor before an earlier one.
    """
    return kept if kept.microsecond else kept + timedelta(seconds=1) - TICK


class Opening(NamedTuple):
    """`reader` opened a link of `sharer`; `hop` is what the link said of its sharer."""

    reader: int
    sharer: int
    hop: int
    at: datetime
    channel: str = "unknown"

    @property
    def order(self) -> datetime:
        return self.at + _LATER[self.hop]


class Touch(NamedTuple):
    """The first time a visitor opened somebody's link."""

    by: int
    at: datetime
    hop: int
    channel: str

    @property
    def order(self) -> datetime:
        return self.at + _LATER[self.hop]


class Sharing(NamedTuple):
    """The first time somebody opened a visitor's link, and the hop it said."""

    at: datetime
    hop: int

    @property
    def order(self) -> tuple[datetime, int]:
        return self.at + _LATER[self.hop], self.hop


class Place(NamedTuple):
    """What is known of a visitor in a campaign."""

    touch: Touch | None = None
    sharing: Sharing | None = None

    @property
    def parent(self) -> int | None:
        """Whose link he opened first; None for a first sharer, and while that is not known."""
        if self.touch is None:
            return None
        first = self.sharing is None or self.touch.order < self.sharing.order[0]
        return self.touch.by if first else None

    @property
    def top_hop(self) -> int:
        """The hop of a visitor without a parent: what his own link says, 0 for a first sharer."""
        return self.sharing.hop if self.sharing else 0

    def reached(self, opening: Opening) -> "Place":
        """With this opening as his, should it be the first. Equal times leave what is there."""
        if self.touch is not None and self.touch.at <= opening.at:
            return self
        touch = Touch(opening.sharer, opening.at, opening.hop, opening.channel)
        return Place(touch, self.sharing)

    def shared(self, opening: Opening) -> "Place":
        """With this opening of his link, should it be the first."""
        new, known = Sharing(opening.at, opening.hop), self.sharing
        if known is not None and known.order <= new.order:
            return self
        return Place(self.touch, new)


NOWHERE = Place()
"""Of somebody who is not known."""


class Node(NamedTuple):
    """A visitor in a campaign's spread: below whom, at which hop, and what decides it."""

    parent: int | None
    hop: int
    place: Place

    def stays(self, after: Place) -> bool:
        """Whether he is below the same one and at the same hop when this is known of him."""
        if after.parent is None:
            return self.place.parent is None and after.top_hop == self.hop
        return after.parent == self.place.parent


def in_sequence(opening: Opening, reader: Place, sharer: Place) -> Opening:
    """The opening with a time that fits what it followed from, where time and hop do not say it.

    What has come first counts as first when times are equal. Links count hops up to `HOP_MAX`;
    beyond it two clocks that disagree would tear a chain apart, so an opening stamped a moment too
    early is put right behind the sharer's own, and one stamped a moment too late right before the
    first opening of the reader's link.
    """
    above, below = sharer.touch, reader.sharing
    if above is not None and sharer.parent is None:
        above = None
    if above is not None:
        is_last_hop = opening.hop == above.hop == HOP_MAX
        too_early = is_last_hop and opening.at <= above.at < opening.at + SKEW
        if too_early or opening.order == above.order:
            return opening._replace(at=above.order - _LATER[opening.hop] + TICK)
    if below is not None and opening.hop == below.hop == HOP_MAX:
        before, too_late = below.at - TICK, below.at <= opening.at < below.at + SKEW
        if too_late and (above is None or above.at < before):
            return opening._replace(at=before)
    return opening
