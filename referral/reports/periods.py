"""The calendar that figures over time are counted by: days, weeks or months of one time zone."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from itertools import pairwise
from zoneinfo import ZoneInfo

SLOTS_MAX = 62
"""How many bars can still be told apart; above that, the step is longer."""


class Step(StrEnum):
    day = "day"
    week = "week"
    month = "month"


@dataclass(frozen=True)
class Slot:
    """A piece of time between two midnights of a zone, `until` not included."""

    first: date
    last: date
    since: datetime
    until: datetime


@dataclass(frozen=True)
class Period:
    """Slots that follow one another, all of them as long as `step`."""

    step: Step
    slots: tuple[Slot, ...]

    @property
    def since(self) -> datetime:
        return self.slots[0].since

    @property
    def until(self) -> datetime:
        return self.slots[-1].until


def between(since: datetime, until: datetime, zone: ZoneInfo) -> Period:
    """The period that holds both moments, in steps that leave at most `SLOTS_MAX` slots.

    More than that only where even months are more. Weeks begin on Monday.
    """
    first, last = since.astimezone(zone).date(), max(since, until).astimezone(zone).date()
    days = (last - first).days + 1
    step = Step.day if days <= SLOTS_MAX else Step.week if days <= 7 * SLOTS_MAX else Step.month
    begins = [*_begins(step, first, last)]
    edges = [*begins, _next(step, begins[-1])]
    return Period(
        step,
        tuple(
            Slot(begin, end - timedelta(days=1), _midnight(begin, zone), _midnight(end, zone))
            for begin, end in pairwise(edges)
        ),
    )


def _begins(step: Step, first: date, last: date) -> Iterator[date]:
    if step is Step.week:
        first -= timedelta(days=first.weekday())
    elif step is Step.month:
        first = first.replace(day=1)
    while first <= last:
        yield first
        first = _next(step, first)


def _next(step: Step, begin: date) -> date:
    if step is Step.month:
        return (begin + timedelta(days=31)).replace(day=1)
    return begin + timedelta(days=7 if step is Step.week else 1)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)
