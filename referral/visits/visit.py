"""A visit on its way in, and the number by which it counts once."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID, uuid5

from referral.chance import random_bits
from referral.codes import Label
from referral.flags import Flag
from referral.links import Channel


class Kind(StrEnum):
    fetch = "fetch"
    open = "open"
    scan = "scan"
    engagement = "engagement"
    share = "share"
    sign_in = "sign_in"
    """Somebody signed in, who had come to a campaign before."""


class Visit(NamedTuple):
    """An event on its way in."""

    kind: Kind
    at: datetime
    event_id: UUID
    visitor: int | None = None
    campaign: int | None = None
    parent: int | None = None
    hop: int | None = None
    channel: Channel = Channel.unknown
    batch: int | None = None
    code_index: int | None = None
    label: Label | None = None
    store: int | None = None
    """The store that the scanned package went to."""
    region: str | None = None
    flags: tuple[Flag, ...] = ()
    """What of a scanned code staff should look at."""
    machine: str | None = None


# Numbers begin with their time: what comes in together is stored together, and a month's visits
# lie between two of them. RFC 9562 leaves the rest of version 8 to whoever makes them.

_TIME_SHIFT = 80
_VERSION = 8
_VERSION_SHIFT = 76
_VARIANT_SHIFT = 62
_VARIANT = 0b10 << _VARIANT_SHIFT
_BELOW_VERSION = (1 << _VERSION_SHIFT) - 1
_ENGAGEMENT = UUID("6f3f7c56-5a52-4c52-9f0e-2d7f2c1f5d11")


def new_event_id(at: datetime | None = None) -> UUID:
    """A number for something that happened at this moment; left out: now."""
    return _beginning_with(at or datetime.now(UTC), _VARIANT | random_bits(_VARIANT_SHIFT))


def engagement_id(visitor: int, campaign: int, day: datetime) -> UUID:
    """One engagement a visitor, campaign and day, however often the page says so."""
    number = uuid5(_ENGAGEMENT, f"{visitor}|{campaign}|{day:%Y-%m-%d}")
    return in_time(number, Kind.engagement, day)


def in_time(number: UUID, kind: Kind, at: datetime) -> UUID:
    """The number of a visit as one that begins with its time; one that does already stays."""
    if number.int >> _VERSION_SHIFT & 0xF == _VERSION:
        return number
    if kind is Kind.engagement:  # one a day
        at = datetime(at.year, at.month, at.day, tzinfo=UTC)
    return _beginning_with(at, number.int)


def first_id(at: datetime) -> UUID:
    """What comes before every number of this moment and later, and after all others."""
    return UUID(int=int(at.timestamp() * 1000) << _TIME_SHIFT)


def _beginning_with(at: datetime, number: int) -> UUID:
    time = int(at.timestamp() * 1000) << _TIME_SHIFT
    return UUID(int=time | _VERSION << _VERSION_SHIFT | number & _BELOW_VERSION)
