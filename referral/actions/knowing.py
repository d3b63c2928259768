"""What is known of a buyer before a purchase of hers is written, in one trip to the database."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from referral import claims, graph, people, spread
from referral.campaigns.kept import Terms, asking_terms
from referral.claims import Claim
from referral.codes import Code
from referral.db.round_trips import in_one_trip
from referral.links import Touch
from referral.people import UnknownCustomer
from referral.spread import Reached


@dataclass(frozen=True)
class Known:
    """A buyer, who is locked until the end of the transaction, and what she was when she was."""

    customer: int
    taken: Claim | None
    """The claim of the code, where one is asked for."""
    now: Mapping[int, int]
    """The customers whom the touches name, as far as there are any, and who they are today."""
    reached: Reached
    place: Any
    """Her place in the referral tree, `referrer_id` and `event`; None before the first proof."""
    terms: Terms


def know(
    tx: Session, customer_id: int, code: Code | None, touches: Sequence[Touch], now: datetime
) -> Known:
    """Lock the customer whom a number stands for, and see what a purchase of hers goes by.

    Each statement sees what was committed until it began, so all that comes after the lock is of
    after the lock. Raises `UnknownCustomer`.
    """
    named = {touch.link.customer for touch in touches if touch.link.customer is not None}
    campaigns = {touch.link.campaign for touch in touches}
    while True:  # there are no chains; but who is kept may go into somebody else meanwhile
        lock, *answers = in_one_trip(
            tx,
            people.asking_lock(customer_id),
            graph.asking_place(customer_id),
            *spread.asking_reached(customer_id),
            people.asking_known(tx, named),
            *([claims.asking_claim(code)] if code else []),
            *asking_terms(tx, now, campaigns),
        )
        if lock.first is None:
            raise UnknownCustomer()
        if lock.first.merged_into is None:
            break
        customer_id = lock.first.merged_into
    place, touched, paths, names, *rest = answers
    return Known(
        customer=customer_id,
        taken=claims.found(rest.pop(0)) if code else None,
        now={row.id: row.now for row in names.rows},
        reached=spread.reached_of(touched, paths),
        place=place.first,
        terms=Terms(tx, now, rest.pop() if rest else None),
    )
