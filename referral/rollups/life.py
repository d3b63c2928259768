"""How far a customer has come, and what she is worth: pure, facts in and figures out.

What the words mean and what is assumed is told in docs/console.md, for those who read the figures.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from math import sqrt
from zoneinfo import ZoneInfo

from referral.config import ValueSettings

REPEAT_WITHIN = timedelta(days=90)
"""Who buys again so soon has made a habit of it."""
PURCHASES_TOLD_APART = 5
"""Customers with so many purchases or more are one class."""
SINCE_LAST = (timedelta(days=30), timedelta(days=90), timedelta(days=180), timedelta(days=365))
"""Where the classes end that tell how long ago the last purchase was."""
CLASS_MIN = 20
"""A class of fewer people says nothing: those with as many purchases are looked at, then all."""
WATCHED_MAX, WATCHED_MIN = timedelta(days=365), timedelta(days=28)
"""For how long customers are watched for what those of each class went on to buy."""
YEAR_DAYS = 365
BASIS_POINTS = 10_000
MILLION = 1_000_000


class Stage(StrEnum):
    """The furthest that a customer has come, in this order."""

    discovered = "discovered"
    evaluated = "evaluated"
    bought = "bought"
    used = "used"
    bonded = "bonded"
    advocates = "advocates"


class Quadrant(StrEnum):
    """Own value against that of those brought in (Kumar, Petersen and Leone, 2007)."""

    champions = "champions"
    """Worth more than most by both."""
    affluents = "affluents"
    """By what they buy."""
    advocates = "advocates"
    """By whom they bring in."""
    misers = "misers"
    """By neither."""


@dataclass(frozen=True)
class Buy:
    """A claim or an order."""

    at: datetime
    amount: int
    """What was paid, less what was refunded, in minor units; 0 where it is in another currency."""


@dataclass(frozen=True)
class Life:
    """What is known of a customer."""

    buys: Sequence[Buy] = ()
    """Oldest first."""
    has_looked: bool = False
    """Whether a page that she opened, or shared, ran in a browser of hers."""
    scanned_at: datetime | None = None
    """When a code was last scanned that a browser of hers had not scanned before."""
    brought: int = 0
    """How many customers she brought in; all of these have bought."""


def stage_of(life: Life, zone: ZoneInfo) -> Stage:
    """What is bought or scanned within one day of the brand's calendar is one occasion."""
    if life.brought:
        return Stage.advocates
    if not life.buys:
        return Stage.evaluated if life.has_looked or life.scanned_at else Stage.discovered
    days = [_day(buy.at, zone) for buy in life.buys]
    for (earlier, day), (later, next_day) in pairwise(zip(life.buys, days, strict=True)):
        if day != next_day and later.at - earlier.at <= REPEAT_WITHIN:
            return Stage.bonded
    scanned_later = life.scanned_at is not None and _day(life.scanned_at, zone) > days[0]
    return Stage.used if days[-1] > days[0] or scanned_later else Stage.bought


def _day(moment: datetime, zone: ZoneInfo) -> date:
    return moment.astimezone(zone).date()


# What is yet to come


Class = tuple[int, int]
"""Of customers: how many purchases, up to `PURCHASES_TOLD_APART`, and the place in `SINCE_LAST`."""


@dataclass(frozen=True)
class Further:
    """How many people were of a class, and how many purchases they went on to make."""

    people: int = 0
    purchases: int = 0

    def __add__(self, other: "Further") -> "Further":
        return Further(self.people + other.people, self.purchases + other.purchases)


@dataclass(frozen=True)
class Habits:
    """What customers of each class went on to buy: `days` ago they were of it."""

    days: int = 0
    """None is known while this is 0."""
    classes: Mapping[Class, Further] = field(default_factory=dict)

    def further(self, of: Class) -> Further:
        """Of a class, or of the next larger one that is large enough; nobody where none is."""
        found = self.classes.get(of, Further())
        if found.people < CLASS_MIN:
            found = self._sum(lambda each: each[0] == of[0])
        if found.people < CLASS_MIN:
            found = self._sum(lambda _: True)
        return found if found.people >= CLASS_MIN else Further()

    def _sum(self, is_meant: Callable[[Class], bool]) -> Further:
        return sum((n for each, n in self.classes.items() if is_meant(each)), Further())


def watched_days(first: datetime | None, now: datetime) -> int:
    """For how many days to look at what customers went on to buy, if the brand's first purchase
    was then: half of the time, so that there was as much before; 0 where that is too short."""
    if first is None:
        return 0
    watched = min(WATCHED_MAX, (now - first) / 2)
    return 0 if watched < WATCHED_MIN else watched.days


def class_of(purchases: int, last: datetime, now: datetime) -> Class:
    """Of somebody who has bought."""
    place = sum(now - last > end for end in SINCE_LAST)
    return min(purchases, PURCHASES_TOLD_APART), place


# What it comes to


@dataclass(frozen=True)
class Worth:
    """A customer's own value, in three parts: margin, in minor units."""

    past: int = 0
    """Of purchases before this calendar year."""
    year: int = 0
    """Of purchases in this calendar year."""
    potential: int = 0
    """Expected of the next twelve months, as it is worth today."""

    @property
    def own(self) -> int:
        return self.past + self.year + self.potential


def worth_of(
    buys: Sequence[Buy],
    habits: Habits,
    settings: ValueSettings,
    new_year: datetime,
    now: datetime,
) -> Worth:
    """`new_year` is when this calendar year began."""
    if not buys:
        return Worth()
    past = sum(buy.amount for buy in buys if buy.at < new_year)
    year = sum(buy.amount for buy in buys if buy.at >= new_year)
    return Worth(
        _margin(past, settings),
        _margin(year, settings),
        _potential(past + year, buys, habits, settings, now),
    )


def _margin(amount: int, settings: ValueSettings) -> int:
    return amount * settings.margin // BASIS_POINTS


def _potential(
    spent: int, buys: Sequence[Buy], habits: Habits, settings: ValueSettings, now: datetime
) -> int:
    """The purchases that people of her class went on to make in as long, for a year, each of her
    mean amount; discounted from the middle of that year."""
    further = habits.further(class_of(len(buys), buys[-1].at, now))
    if not further.people:
        return 0
    expected = spent * further.purchases * YEAR_DAYS * settings.margin * half_year(settings)
    return expected // (len(buys) * further.people * habits.days * BASIS_POINTS * MILLION)


def half_year(settings: ValueSettings) -> int:
    """What an amount half a year from now is worth today, of a million."""
    return round(MILLION / sqrt(1 + settings.discount / BASIS_POINTS))
