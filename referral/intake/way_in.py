"""The one way in for visits: handed in here, they are stored with everything that follows.

Every effect has a unique key, so a visit that arrives twice counts once.
"""

from datetime import datetime

from sqlalchemy.orm import Session

from referral import flags, graph, people, visits
from referral.db import HasDatabase, transaction
from referral.links import Link
from referral.spread import counters
from referral.visits import Kind, Visit

PROOFS = {Kind.engagement, Kind.share}
"""What only a page that runs reports: from then on its browser is taken for a person's."""


@transaction
def hand_in(
    tx: Session,
    deployment: HasDatabase,
    visit: Visit,
    link: Link | None = None,
    customer: int | None = None,
) -> bool:
    """Store one visit. Whether it was new.

    `link` is the one that was opened, when it may lead to credit; `customer` is who is signed in
    on the visitor's browser, which may have lost its cookie and be a new visitor.
    """
    if visit.visitor is not None and visit.machine is None:
        _know_visitor(tx, visit, visit.visitor, customer)
        if link is not None:
            graph.attach(tx, visit.visitor, link, visit.at)
        if visit.kind is Kind.scan:
            visits.remember_scan(tx, visit)
    if visit.flags and visit.batch is not None and visit.code_index is not None:
        flags.raise_flags(tx, visit.batch, visit.code_index, visit.flags, visit.region, visit.at)
    is_new = visits.record(tx, [visit]) == 1
    if link is not None and visit.visitor is not None:
        counters.fold_now_and_then(tx, visit.visitor)
    return is_new


def _know_visitor(tx: Session, visit: Visit, visitor: int, customer: int | None) -> None:
    if customer is not None:
        people.fold_visitor(tx, visitor, customer, visit.at)
        return
    if visit.kind in PROOFS:
        _keep_ran(tx, visitor, visit.at)
    elif not people.remember_visitor(tx, visitor, visit.at) and visit.kind is Kind.open:
        people.look_again(tx, visitor, visit.at + people.PROOF_TIME)


@transaction
def note_ran(tx: Session, deployment: HasDatabase, visitor: int, at: datetime) -> None:
    """Keep that a visitor's browser ran a page, though nobody may have looked at it."""
    _keep_ran(tx, visitor, at)


def _keep_ran(tx: Session, visitor: int, at: datetime) -> None:
    # A page that reports was opened before: nearly always the visitor is there.
    if not people.note_ran(tx, visitor, at) and people.remember_visitor(tx, visitor, at):
        people.note_ran(tx, visitor, at)
