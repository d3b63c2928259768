"""What follows from events, written many at once in one transaction, each once."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from referral import flags, people, rollups, visits
from referral.db import lock
from referral.intake.events import Event, Ran, Visited, visitor_of
from referral.spread import counters, nodes
from referral.spread.placing import Opening
from referral.visits import Kind, Visit

PROOFS = {Kind.engagement, Kind.share}
"""What only a page that runs reports: from then on its browser is taken for a person's."""

TURN_SECONDS = 12
"""How long who stores many waits for his turn. Others may have hundreds to place one by one, and
what he has stored so far would be for nothing."""


def store(tx: Session, events: Sequence[Event], *, in_turn: bool = False) -> list[bool]:
    """Store events with everything that follows from them. Whether each was new.

    What is known by its number is done with: it was stored together with its effects. `in_turn`:
    whoever stores many lets others finish first who do so, before he comes to what they have in
    common: he would wait for them all the same, and do anew what they have changed.
    """
    first: dict[object, Visited] = {}
    for event in events:
        if isinstance(event, Visited):
            first.setdefault(event.visit.event_id, event)
    said, others = _parted([event.visit for event in first.values()])
    new = visits.record(tx, others)
    if in_turn:
        lock(tx, "storing", seconds=TURN_SECONDS)
    new |= visits.record(tx, said)
    _know_visitors(tx, events)
    fresh = [event.visit for number, event in first.items() if number in new]
    _place(tx, [visit for visit in fresh if is_persons(visit) and visit.kind is Kind.open])
    visits.remember_scans(
        tx, [visit for visit in fresh if is_persons(visit) and visit.kind is Kind.scan]
    )
    _raise_flags(tx, fresh)
    rollups.count(tx, fresh)
    return [isinstance(event, Ran) or _is_first(event, first, new) for event in events]


def _parted(found: Iterable[Visit]) -> tuple[list[Visit], list[Visit]]:
    """Those that may come more than once, as pages say more than once that they are seen, and all
    others."""
    said: list[Visit] = []
    others: list[Visit] = []
    for visit in found:
        (said if visit.kind is Kind.engagement else others).append(visit)
    return said, others


def store_at_once(tx: Session, events: Sequence[Event]) -> list[bool]:
    """The same where no worker brings the counters of the spread up to date."""
    answers = store(tx, events)
    counters.fold_now_and_then(tx, *map(visitor_of, events))
    return answers


def _is_first(event: Visited, first: dict[object, Visited], new: Collection[object]) -> bool:
    number = event.visit.event_id
    return number in new and first[number] is event


def is_persons(visit: Visit) -> bool:
    return visit.visitor is not None and visit.machine is None


def _know_visitors(tx: Session, events: Iterable[Event]) -> None:
    seen: dict[int, datetime] = {}
    ran: dict[int, datetime] = {}
    opened: dict[int, datetime] = {}
    customers: dict[int, tuple[int, datetime]] = {}
    for event in events:
        if isinstance(event, Ran):
            _first_time(ran, event.visitor, event.at)
            continue
        visit, visitor = event.visit, event.visit.visitor
        if visitor is None or visit.machine is not None:
            continue
        if event.customer is not None:
            customers.setdefault(visitor, (event.customer, visit.at))
        elif visit.kind in PROOFS:
            _first_time(ran, visitor, visit.at)
        else:
            _first_time(seen, visitor, visit.at)
            if visit.kind is Kind.open:
                _first_time(opened, visitor, visit.at)
    for visitor, at in ran.items():
        _first_time(seen, visitor, at)
    new = people.remember_visitors(tx, seen)
    people.note_all_ran(tx, ran)
    due = {
        visitor: at + people.PROOF_TIME
        for visitor, at in opened.items()
        if visitor not in new and visitor not in ran
    }
    people.look_again_at(tx, due)
    for visitor, (customer, at) in sorted(customers.items()):
        people.fold_visitor(tx, visitor, customer, at)


def _first_time(times: dict[int, datetime], visitor: int, at: datetime) -> None:
    known = times.get(visitor)
    if known is None or at < known:
        times[visitor] = at


def _place(tx: Session, opened: Iterable[Visit]) -> None:
    """Put readers below those whose links they opened."""
    openings: dict[int, list[Opening]] = defaultdict(list)
    for visit in opened:
        if visit.parent is None or visit.campaign is None or visit.visitor is None:
            continue
        # Visits keep the hop of the reader, links that of the sharer.
        hop = (visit.hop or 1) - 1
        name = visit.channel.name
        opening = Opening(visit.visitor, visit.parent, hop, visit.at, name)
        openings[visit.campaign].append(opening)
    for campaign, its in sorted(openings.items()):
        nodes.attach_all(tx, campaign, its)


def _raise_flags(tx: Session, found: Iterable[Visit]) -> None:
    for visit in found:
        if visit.flags and visit.batch is not None and visit.code_index is not None:
            flags.raise_flags(
                tx, visit.batch, visit.code_index, visit.flags, visit.region, visit.at
            )
