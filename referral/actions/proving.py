"""A proof of purchase, be it a claim or an order: who brought the customer in, and what is paid."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from referral import graph, people
from referral.actions import paying
from referral.actions.crediting import Credit
from referral.actions.knowing import Known
from referral.actions.paying import Purchase
from referral.campaigns import Campaign
from referral.db.round_trips import Answer, Ask, in_one_trip
from referral.deployment import Deployment
from referral.rewards import Proof, Reward, Withheld


@dataclass(frozen=True)
class Proven:
    """What a proof of purchase brought."""

    referrer: int | None
    rewards: list[Reward]
    withheld: list[Withheld]


def prove(
    tx: Session,
    deployment: Deployment,
    *,
    event: str,
    proof: Proof,
    known: Known,
    credit: Credit,
    campaign: Campaign | None,
    amount: int = 0,
    now: datetime,
    asked: Sequence[Answer] = (),
) -> Proven:
    """Settle the place of a customer, who is locked, at the first proof, and pay for the purchase.

    `campaign` is the one that pays, if any; `amount` that of an order, in minor units. `asked` is
    what `asking_referrer` was answered in this transaction, if it was asked.
    """
    campaign_id = campaign.id if campaign else None
    customer_id, is_first = known.customer, known.place is None
    settling: list[Ask] = []
    if is_first:
        referrer = graph.nearest(tx, customer_id, credit.candidates, asked)
        settling.append(
            graph.asking_to_settle(
                customer_id,
                referrer,
                event=event,
                campaign_id=campaign_id,
                why=credit.why(referrer),
                now=now,
            )
        )
    else:
        referrer = _held(tx, known.place.referrer_id, asked)
    if campaign is None:
        in_one_trip(tx, *settling)
        return Proven(referrer, [], [])
    # A first one is paid for to the referrer by the campaign whose link led to it, no other.
    is_paid_for = not is_first or credit.campaign_id == campaign_id
    purchase = Purchase(
        event=event,
        proof=proof,
        customer_id=customer_id,
        campaign=campaign,
        is_first=is_first,
        referrer=referrer if is_paid_for else None,
        amount=amount,
    )
    paid = paying.pay(tx, deployment, purchase, now, settling)
    return Proven(referrer, paid.rewards, paid.withheld)


def asking_referrer(known: Known, credit: Credit) -> list[Ask]:
    """What `prove` has to know of whoever may have brought a customer in."""
    if known.place is None:
        return graph.asking_nearest(credit.candidates)
    referrer = known.place.referrer_id
    return [people.asking_hold(referrer)] if referrer is not None else []


def _held(tx: Session, referrer: int | None, asked: Sequence[Answer]) -> int | None:
    """A referrer, kept from being merged until the end of the transaction."""
    if referrer is None:
        return None
    held = asked[0].first if asked else None
    is_there = held is not None and held.merged_into is None
    return referrer if is_there else people.hold(tx, referrer)
