"""Events on their way in, and how they are written down for the stream."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from referral.codes import Label
from referral.flags import Flag
from referral.links import Channel
from referral.visits import Kind, Visit, in_time

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TICK = timedelta(microseconds=1)
_VISIT, _RAN = "v", "r"
_written = json.JSONEncoder(separators=(",", ":")).encode


class UnreadableEvents(ValueError):
    """What came out of the stream is not what was put in."""


class Visited(NamedTuple):
    """A visit, and who is signed in on its visitor's browser."""

    visit: Visit
    customer: int | None = None


class Ran(NamedTuple):
    """A visitor's browser ran a page, though nobody may have looked at it."""

    visitor: int
    at: datetime


Event = Visited | Ran


def visitor_of(event: Event) -> int:
    """Whose event it is; 0 for nobody's."""
    return event.visitor if isinstance(event, Ran) else event.visit.visitor or 0


def encode(events: Sequence[Event]) -> bytes:
    return _written([_listed(event) for event in events]).encode()


def decode(data: bytes) -> list[Event]:
    """Raises `UnreadableEvents`."""
    try:
        listed = json.loads(data)
        if not isinstance(listed, list):
            raise ValueError("no list")
        return [_read(one) for one in listed]
    except (ValueError, TypeError, KeyError, IndexError, OverflowError) as error:
        raise UnreadableEvents(f"{type(error).__name__}: {error}") from None


def _listed(event: Event) -> list[Any]:
    if isinstance(event, Ran):
        return [_RAN, event.visitor, _micros(event.at)]
    visit = event.visit
    return [
        _VISIT,
        visit.kind,
        _micros(visit.at),
        visit.event_id.hex,
        visit.visitor,
        visit.campaign,
        visit.parent,
        visit.hop,
        visit.channel.name,
        visit.batch,
        visit.code_index,
        visit.label,
        visit.store,
        visit.region,
        visit.flags,
        visit.machine,
        event.customer,
    ]


def _read(one: list[Any]) -> Event:
    if one[0] == _RAN:
        _, visitor, at = one
        return Ran(int(visitor), _moment(at))
    if one[0] != _VISIT:
        raise ValueError(f"an event of the kind {one[0]!r}")
    kind, at, event_id, visitor, campaign, parent, hop, channel, batch, index, *rest = one[1:]
    label, store, region, flags, machine, customer = rest
    moment, known_kind = _moment(at), _KINDS[kind]
    visit = Visit(
        known_kind,
        moment,
        in_time(UUID(int=int(event_id, 16)), known_kind, moment),
        visitor,
        campaign,
        parent,
        hop,
        Channel.named(channel),
        batch,
        index,
        None if label is None else Label(label),
        store,
        region,
        tuple(Flag(flag) for flag in flags) if flags else (),
        machine,
    )
    return Visited(visit, customer)


_KINDS = {kind.value: kind for kind in Kind}  # looked up more quickly than asked for


def _micros(at: datetime) -> int:
    return (at - _EPOCH) // _TICK


def _moment(micros: int) -> datetime:
    return _EPOCH + timedelta(0, 0, micros)
