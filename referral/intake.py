"""The one way in for visits: handed in here, they are stored with everything that follows.

Every effect has a unique key, so a visit that arrives twice counts once.
"""

from sqlalchemy.orm import Session

from referral import counters, flags, graph, people, visits
from referral.db import HasDatabase, transaction
from referral.links import Link
from referral.visits import Kind, Visit


@transaction
def hand_in(
    tx: Session,
    deployment: HasDatabase,
    visit: Visit,
    link: Link | None = None,
    customer: int | None = None,
) -> None:
    """Store one visit.

    `link` is the one that was opened, when it may lead to credit; `customer` is who is signed in
    on the visitor's browser, which may have lost its cookie and be a new visitor.
    """
    if visit.visitor is not None and visit.machine is None:
        if customer is None:
            people.remember_visitor(tx, visit.visitor, visit.at)
        else:
            people.fold_visitor(tx, visit.visitor, customer, visit.at)
        if link is not None:
            graph.attach(tx, visit.visitor, link, visit.at)
        if visit.kind is Kind.scan:
            visits.remember_scan(tx, visit)
    if visit.flags and visit.batch is not None and visit.code_index is not None:
        flags.raise_flags(tx, visit.batch, visit.code_index, visit.flags, visit.region, visit.at)
    visits.record(tx, [visit])
    if link is not None and visit.visitor is not None:
        counters.fold_now_and_then(tx, visit.visitor)
