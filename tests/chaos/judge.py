"""The journal of a load against the database: none missing, none twice."""

from collections import Counter
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral import ledger, rollups
from referral.claims import Claim
from referral.db import one_moment
from referral.deployment import Deployment
from referral.intake import parked
from referral.people import Visitor
from referral.spread import SpreadNode, counters
from referral.visits import Kind, VisitRow
from tests.chaos.load import GOOD, Journal, Request
from tests.chaos.world import World

DAYS_MAX = 2
"""A visitor engages once a day, and a day may end while a test runs."""
SHOWN = 20


class Sort(NamedTuple):
    """What somebody did: visits of one sort are told apart by nothing but their number."""

    what: str
    visitor: int
    of: int
    """Whose link was opened, 0 for the visitor's own; which code was scanned."""


def compare(world: World, journal: Journal) -> list[str]:
    """Whatever is not as it was acknowledged, in words. The backlog must be empty."""
    d = world.deployment
    found = list(journal.faults)
    with d.db.read() as tx:
        found += _visits(d, tx, journal.requests)
        found += _places(d, tx, journal.requests)
        found += _claims(world, tx, journal.claims)
    return [*found, *contradictions(d)][:SHOWN]


def contradictions(d: Deployment) -> list[str]:
    """Whatever in the database is not what follows from the visits and entries in it."""
    with d.db.read() as tx:
        one_moment(tx)
        found = [str(each) for each in rollups.differences(tx)]
        found += [f"spread: {each}" for each in counters.differences(tx)]
        found += [f"ledger: {each}" for each in ledger.verify(tx)]
        if waiting := parked.count_waiting(tx):
            found.append(f"{waiting} events are parked")
    return found


def _visits(d: Deployment, tx: Session, requests: list[Request]) -> list[str]:
    visits = [each for each in requests if each.what != "claim"]
    asked = Counter(_sort(d, each) for each in visits if each.cookie)
    good = Counter(_sort(d, each) for each in visits if each.status in GOOD)
    stored = _stored(tx)
    found = []
    for sort, times in asked.items():
        at_least, at_most = good[sort], times
        if sort.what == "engagement":
            at_least, at_most = min(at_least, 1), min(at_most, DAYS_MAX)
        if not at_least <= stored[sort] <= at_most:
            found.append(f"{sort}: {good[sort]} of {times} acknowledged, {stored[sort]} stored")
    # Whoever got no answer was given no cookie: nobody knows which visitor that was.
    unknown = sum(times for sort, times in stored.items() if sort not in asked)
    nameless = sum(not each.cookie for each in visits)
    if unknown > nameless:
        found.append(f"{unknown} visits of visitors without a cookie, from {nameless} requests")
    return found


def _sort(d: Deployment, request: Request) -> Sort:
    visitor = _visitor(d, request)
    if request.what == "open":
        link = d.links.read(request.of)
        assert link is not None
        return Sort("open", visitor, 0 if link.visitor == visitor else link.visitor)
    if request.what == "scan":
        return Sort("scan", visitor, d.read_code(request.of).index)
    return Sort(request.what, visitor, 0)


def _visitor(d: Deployment, request: Request) -> int:
    cookie = d.links.read_cookie(request.cookie)
    assert cookie is not None, request
    return cookie.visitor


def _stored(tx: Session) -> Counter[Sort]:
    of = sa.func.coalesce(VisitRow.parent_id, VisitRow.code_index, 0)
    rows = sa.select(VisitRow.kind, VisitRow.visitor_id, of, sa.func.count())
    rows = rows.where(VisitRow.kind != Kind.fetch)
    every = tx.execute(rows.group_by(VisitRow.kind, VisitRow.visitor_id, of))
    return Counter({Sort(kind, visitor, whose): times for kind, visitor, whose, times in every})


def _places(d: Deployment, tx: Session, requests: list[Request]) -> list[str]:
    """Who was brought by whom, and whose browser has shown that a page runs in it."""
    nodes = tx.execute(sa.select(SpreadNode.visitor_id, SpreadNode.parent_id))
    parents = {row.visitor_id: row.parent_id for row in nodes}
    ran = set(tx.scalars(sa.select(Visitor.id).where(Visitor.ran_at.is_not(None))))
    found = []
    for each in requests:
        if each.status not in GOOD:
            continue
        if each.what == "open" and each.is_new:
            link, visitor = d.links.read(each.of), _visitor(d, each)
            if link is None or parents.get(visitor) != link.visitor:
                opened = f"{link}; stored: {_openings(tx, visitor)}"
                found.append(f"{visitor} is below {parents.get(visitor)} and opened {opened}")
        if each.what in {"engagement", "share"} and _visitor(d, each) not in ran:
            found.append(f"{_visitor(d, each)} has run a page, and that is forgotten")
    return found


def _openings(tx: Session, visitor: int) -> list[str]:
    """Whose links somebody opened, and when, as it is stored."""
    rows = sa.select(VisitRow.parent_id, VisitRow.hop, VisitRow.at).where(
        VisitRow.visitor_id == visitor, VisitRow.kind == Kind.open
    )
    return [f"{row.parent_id} at hop {row.hop}, {row.at}" for row in tx.execute(rows)]


def _claims(world: World, tx: Session, claims: dict[str, int]) -> list[str]:
    """Who has which package: those who were told so, and nobody else."""
    d = world.deployment
    rows = tx.execute(sa.select(Claim.index, Claim.customer_id))
    stored = Counter((index, who) for index, who in rows)
    told = Counter((d.read_code(code).index, who) for code, who in claims.items() if who)
    found = [f"claim {each}: {times} stored" for each, times in stored.items() if times > 1]
    found += [f"claim {each}: acknowledged, not stored" for each in told - stored]
    asked = {d.read_code(code).index for code in claims}
    found += [f"claim {each}: nobody asked" for each in stored if each[0] not in asked]
    return found
