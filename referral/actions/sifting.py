"""Sifting: browsers that never ran a page are machines, until they prove otherwise.

What only calls itself a browser counts as a person at first: nobody's link or credit waits for a
proof. Later its openings become fetches and its place in the spread is given up. Nothing is lost:
the visits stay as they are otherwise, and whoever runs a page after all, signs in, or has his link
opened by people gets his openings and his place back. Credit travels in links and cookies and
does not ask for any of this.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from sqlalchemy.orm import Session

from referral import people, rollups, spread, visits
from referral.deployment import Deployment
from referral.links import Link
from referral.spread import counters
from referral.spread.placing import Sharing
from referral.visits import Kind, Opened

AT_ONCE = 200
"""How many visitors one transaction looks at: it keeps those who move in the spread waiting."""


@dataclass(frozen=True)
class Sifted:
    """How many openings changed what they count as."""

    to_fetches: int = 0
    to_opens: int = 0


def sift(deployment: Deployment) -> Sifted:
    """Look at every visitor that is due; safe to run at any time, and on several sides."""
    now = deployment.clock.now()
    taken = given_back = 0
    while (done := deployment.db.transact(lambda tx: _sift_some(tx, now))) is not None:
        taken += done.to_fetches
        given_back += done.to_opens
        deployment.db.transact(counters.fold)
    return Sifted(taken, given_back)


def _sift_some(tx: Session, now: datetime) -> Sifted | None:
    """Look at a few visitors; None when nobody is due."""
    due = people.suspects(tx, now, AT_ONCE)
    if not due:
        return None
    unproven = [each.id for each in due if not each.has_run]
    opened = visits.opened_by(tx, unproven)
    people.hold_visitors(tx, {each.parent for each in opened if each.parent})
    _hold_still(tx, opened)
    # Only now: nobody can open their links unseen any more.
    have_readers, proven = _by_their_readers(tx, unproven)
    persons = {each.id for each in due if each.has_run} | proven
    machines = set(unproven) - have_readers
    people.take_for_persons(tx, persons, now)
    people.take_for_machines(tx, machines, now)
    # Whose readers have proved nothing so far stays what he is until one has, or all are gone.
    people.suspect(tx, have_readers - proven, now + people.PROOF_TIME)
    gone = [each for each in opened if each.visitor in machines]
    _take_out(tx, machines, gone)
    back = _put_back(tx, persons)
    # What was a machine's reader may be nobody's now, and a person's sharer is a person.
    moved = [*gone, *back, *(each for each in opened if each.visitor in proven)]
    people.suspect(tx, {each.parent for each in moved if each.parent}, now)
    return Sifted(len(gone), len(back))


def _by_their_readers(tx: Session, visitors: Sequence[int]) -> tuple[set[int], set[int]]:
    """Those of these visitors whose links have been opened, and those by people."""
    readings = [*visits.readers_of(tx, visitors), *spread.children_of(tx, visitors)]
    persons = people.proven_among(tx, {reader for _, reader in readings})
    proven = {sharer for sharer, reader in readings if reader in persons}
    return {sharer for sharer, _ in readings}, proven


def _hold_still(tx: Session, opened: Iterable[Opened]) -> None:
    """After visitors were held and before rollups are changed, as those do who store visits."""
    for campaign in sorted({each.campaign for each in opened}):
        spread.hold_still(tx, campaign)


def _take_out(tx: Session, visitors: Collection[int], opened: Sequence[Opened]) -> None:
    """Let nobody have opened what these visitors did."""
    if not opened:
        return
    rollups.turn(tx, visits.count_as_machines(tx, visitors), was=Kind.open)
    for campaign in sorted({each.campaign for each in opened}):
        spread.leave(tx, campaign, visitors)
    for (campaign, sharer), gone in sorted(_first_of(opened).items()):
        left = partial(_first_left, tx, campaign, sharer)
        spread.forget_opening(tx, campaign, gone, sharer, left)


def _first_of(opened: Sequence[Opened]) -> Mapping[tuple[int, int], Sharing]:
    """The first of these openings of each sharer's link in each campaign."""
    first: dict[tuple[int, int], Sharing] = {}
    for each in opened:
        if each.parent is None:
            continue
        sharing, key = Sharing(each.at, each.hop), (each.campaign, each.parent)
        first[key] = min(first.get(key, sharing), sharing, key=lambda known: known.order)
    return first


def _first_left(tx: Session, campaign: int, sharer: int) -> list[Sharing]:
    return [Sharing(at, hop) for hop, at in visits.first_openings(tx, campaign, sharer)]


def _put_back(tx: Session, visitors: Collection[int]) -> list[Opened]:
    """Count what these visitors opened as people's again; which openings that are."""
    back = visits.count_as_people(tx, visitors)
    opened = [visits.opening_of(visit) for visit in back]
    _hold_still(tx, opened)
    rollups.turn(tx, back, was=Kind.fetch)
    for each in opened:
        if each.parent is not None:
            link = Link(each.campaign, each.parent, None, each.hop, each.channel)
            spread.attach(tx, each.visitor, link, each.at)
    return opened
