"""What is counted of a campaign's days, what they are parted by, and the days of a calendar."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo


class Step(StrEnum):
    """What is counted. Those up to `order` are the steps of a funnel, in its order."""

    open = "open"
    engagement = "engagement"
    scan = "scan"
    sign_in = "sign_in"
    claim = "claim"
    order = "order"
    share = "share"
    granted = "granted"
    """Amounts that left the budget, by unit."""
    reversed = "reversed"
    """Amounts that came back into it."""


FUNNEL = (
    Step.open,
    Step.engagement,
    Step.scan,
    Step.sign_in,
    Step.claim,
    Step.order,
    Step.share,
)
OF_VISITS = (Step.open, Step.engagement, Step.scan, Step.sign_in, Step.share)


class Part(StrEnum):
    """What days are parted by; `value` says which of them."""

    all = "all"
    channel = "channel"
    """Of a visit its own; of a purchase that of the link by which its buyer had come."""
    store = "store"
    """The number of the store that the package went to."""
    region = "region"
    """Of a claim where its code was first scanned."""
    unit = "unit"
    """Of what was granted and came back."""


BY_PARTS = (Part.all, Part.channel, Part.store, Part.region)


@dataclass(frozen=True)
class Day:
    """A day of a calendar, from one midnight up to the next, which is not included."""

    day: date
    since: datetime
    until: datetime


def day_in(day: date, zone: ZoneInfo) -> Day:
    return Day(day, midnight(day, zone), midnight(day + timedelta(days=1), zone))


def days_in(first: date, last: date, zone: ZoneInfo) -> list[Day]:
    """All days from one to another, both included."""
    length = (last - first).days + 1
    return [day_in(first + timedelta(days=n), zone) for n in range(max(length, 0))]


def midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)


Key = tuple[date, str, str]
"""A day, a step and a value."""
