"""How far a customer's links went: who is below her browsers in the spread, and how many hops.

What is shown has to come at once for somebody with ten people below and with ten million. So the
nearest are walked through level by level, `WALK_MAX` of them at most; beyond those the counters say
how many there are.
"""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral.campaigns import Campaign
from referral.db import run
from referral.graph import Referral, SpreadNode
from referral.people import Visitor
from referral.spread import counters

WALK_MAX = 1_000
"""How many people are looked at one by one, the nearest first."""
HOPS_MAX = 10
"""How many hops are listed one by one."""


class Elsewhere(StrEnum):
    """Why a person whom a customer's link reached, and who claimed, is not her friend here."""

    before = "before"
    """The first claim was made before the link reached the person."""
    too_late = "too_late"
    """The link was older then than its campaign lets one be."""
    another_way = "another_way"
    """Another link counted, or none did."""


@dataclass(frozen=True)
class Step:
    """The people so many hops away."""

    hop: int
    people: int


@dataclass(frozen=True)
class Reach:
    """Whom a customer's links reached, forwards of forwards included.

    Browsers are counted, in each campaign for itself, at their distance from the nearest browser
    of hers; her own are not. `total` is the sum of `steps` and `further`.
    """

    total: int
    steps: list[Step]
    further: int
    """Those beyond the last step."""
    campaigns: int
    """In how many campaigns somebody was reached."""
    strangers: int
    """Those who have not signed in."""
    is_whole: bool
    """Whether everybody was looked at. If not, what follows is of the nearest `WALK_MAX` only."""
    waiting: int
    """Customers with no other customer in between, who have claimed nothing yet."""
    elsewhere: Counter[Elsewhere]
    """Customers as near who have claimed and were not brought in by her."""


def people_reached(tx: Session, customer_id: int) -> int:
    """`Reach.total`, from a counter for each of her browsers in each campaign."""
    return _below(tx, _places_of(tx, customer_id)).total


def reach_of(tx: Session, customer_id: int) -> Reach:
    """Whom a customer's links reached, hop by hop as far as that is counted one by one."""
    places = _places_of(tx, customer_id)
    walk = _Walk(customer_id, places)
    while walk.levels and len(walk.steps) < HOPS_MAX and walk.go_on(tx):
        pass
    seen = sum(step.people for step in walk.steps)
    total, strangers = seen, walk.strangers
    if not walk.is_whole:
        below = _below(tx, places)
        # Openings that came in while this was read may be in one figure and not in the other.
        total = max(below.total, seen)
        strangers = max(total - below.customers, walk.strangers)
    return Reach(
        total,
        walk.steps,
        total - seen,
        len(walk.reached_in),
        strangers,
        walk.is_whole or (total == seen and not walk.is_cut),
        len(walk.waiting),
        Counter(walk.elsewhere.values()),
    )


@dataclass
class _Place:
    """A customer's browsers in a campaign's spread, each with whom it came from."""

    window: timedelta
    parents: dict[int, int | None] = field(default_factory=dict)

    def within(self, parents: Collection[int]) -> int:
        """How many of her own browsers are right below these."""
        return sum(parent in parents for parent in self.parents.values())


_Places = dict[int, _Place]
"""By campaign."""

_NODE = SpreadNode.__table__.c
_PLACES = (
    sa.select(_NODE.campaign_id, _NODE.visitor_id, _NODE.parent_id, Campaign.window_days)
    .join(Visitor, Visitor.id == _NODE.visitor_id)
    .join(Campaign, Campaign.id == _NODE.campaign_id)
    .where(Visitor.customer_id == sa.bindparam("customer"))
    .order_by(_NODE.campaign_id, _NODE.visitor_id)
)


def _places_of(tx: Session, customer_id: int) -> _Places:
    places: _Places = {}
    for row in run(tx, _PLACES, customer=customer_id):
        place = places.setdefault(row.campaign_id, _Place(timedelta(days=row.window_days)))
        place.parents[row.visitor_id] = row.parent_id
    return places


# Walking


def _children() -> sa.Select[Any]:
    """The nodes below some others with the customers they are. First the nodes, then by themselves
    what belongs to each: joined at once, PostgreSQL would read the whole table of visitors."""
    found = (
        sa.select(_NODE.visitor_id, _NODE.parent_id, _NODE.at)
        .where(_NODE.campaign_id == sa.bindparam("campaign"))
        .where(_NODE.parent_id.in_(sa.bindparam("parents", expanding=True)))
        .limit(sa.bindparam("most"))
        .subquery()
    )
    settled = (Referral.at.label("settled_at"), Referral.referrer_id)
    return (
        sa.select(found, Visitor.customer_id, *settled)
        .outerjoin(Visitor, Visitor.id == found.c.visitor_id)
        .outerjoin(Referral, Referral.customer_id == Visitor.customer_id)
    )


_CHILDREN = _children()


class _Walk:
    """Down from a customer's browsers, a level of all campaigns at a time."""

    def __init__(self, customer_id: int, places: _Places) -> None:
        self._customer = customer_id
        self._places = places
        self._looked_at = 0
        self._hers = {campaign: set(place.parents) for campaign, place in places.items()}
        """Whose next purchase would be hers to be thanked for: no customer is in between."""
        self.levels = {campaign: list(place.parents) for campaign, place in places.items()}
        """The people whose children come next."""
        self.steps: list[Step] = []
        self.is_whole = not places
        self.is_cut = False
        """Whether a level was too large to be looked at."""
        self.reached_in: set[int] = set()
        self.strangers = 0
        self.waiting: set[int] = set()
        self.elsewhere: dict[int, Elsewhere] = {}

    def go_on(self, tx: Session) -> bool:
        """Look at the next level. False when it is the last, or too large to be looked at."""
        below: dict[int, list[int]] = {}
        for campaign, level in self.levels.items():
            left = WALK_MAX - self._looked_at
            rows = run(tx, _CHILDREN, campaign=campaign, parents=level, most=left + 1).all()
            others = [row for row in rows[:left] if row.visitor_id not in self._own(campaign)]
            self._looked_at += len(rows)
            for row in others:
                self._look_at(campaign, row)
            if len(rows) > left:
                self.is_cut = True
                self.reached_in.update(self.levels)
                self._add_step(self._size(tx))
                return False
            if others:
                below[campaign] = [row.visitor_id for row in others]
        self.reached_in.update(below)
        self.levels = below
        self._add_step(sum(map(len, below.values())))
        self.is_whole = not below
        return bool(below)

    def _own(self, campaign: int) -> Collection[int]:
        return self._places[campaign].parents

    def _add_step(self, people: int) -> None:
        if people:
            self.steps.append(Step(len(self.steps) + 1, people))

    def _size(self, tx: Session) -> int:
        """How many there are in the next level, from the counters of this one."""
        size = 0
        for campaign, level in self.levels.items():
            counts = counters.counts_of(tx, campaign, level)
            size += sum(each.direct for each in counts.values())
            size -= self._places[campaign].within(counts)
        return size

    def _look_at(self, campaign: int, row: sa.Row[Any]) -> None:
        is_hers = row.parent_id in self._hers[campaign]
        if row.customer_id is None:
            self.strangers += 1
            if is_hers:
                self._hers[campaign].add(row.visitor_id)
        elif is_hers and row.settled_at is None:
            self.waiting.add(row.customer_id)
        elif is_hers and row.referrer_id != self._customer:
            why = _why(row.at, row.settled_at, row.referrer_id, self._places[campaign].window)
            self.elsewhere.setdefault(row.customer_id, why)


def _why(
    reached_at: datetime, settled_at: datetime, referrer: int | None, window: timedelta
) -> Elsewhere:
    if settled_at < reached_at:
        return Elsewhere.before
    if referrer is None and settled_at - reached_at > window:
        return Elsewhere.too_late
    return Elsewhere.another_way


# Counting


@dataclass
class _Below:
    total: int = 0
    customers: int = 0


def _below(tx: Session, places: _Places) -> _Below:
    """What is below her browsers, those that are below one another counted once."""
    found = _Below()
    several = [campaign for campaign, place in places.items() if len(place.parents) > 1]
    lower = _lower(tx, places, several) if several else set()
    for campaign, place in places.items():
        tops = [visitor for visitor in place.parents if (campaign, visitor) not in lower]
        for counts in counters.counts_of(tx, campaign, tops).values():
            found.total += counts.total
            found.customers += counts.customers
        found.total -= len(place.parents) - len(tops)
    return found


# The one above is looked up by itself: planned as a join, PostgreSQL would read the whole table.
_CLIMB = sa.text(
    """
    WITH RECURSIVE up(start, above) AS (
        SELECT visitor_id, parent_id FROM spread_nodes
        WHERE campaign_id = :campaign AND visitor_id IN :own AND parent_id IS NOT NULL
        UNION ALL
        SELECT start, (
            SELECT parent_id FROM spread_nodes
            WHERE campaign_id = :campaign AND visitor_id = up.above
        ) FROM up WHERE above IS NOT NULL AND above NOT IN :own
    )
    SELECT DISTINCT start FROM up WHERE above IN :own
    """
).bindparams(sa.bindparam("own", expanding=True))


def _lower(tx: Session, places: _Places, campaigns: Collection[int]) -> set[tuple[int, int]]:
    """Campaign and visitor of those of her browsers that are somewhere below another one."""
    return {
        (campaign, start)
        for campaign in campaigns
        for start in run(
            tx, _CLIMB, campaign=campaign, own=list(places[campaign].parents)
        ).scalars()
    }
