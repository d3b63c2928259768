"""A proof of purchase, be it a claim or an order: who brought the customer in, and what is paid."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from referral import graph
from referral.actions import paying
from referral.actions.crediting import Credit
from referral.actions.paying import Purchase
from referral.campaigns import Campaign
from referral.deployment import Deployment
from referral.rewards import Proof, Reward, Withheld
from referral.spread import counters


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
    customer_id: int,
    credit: Credit,
    campaign: Campaign | None,
    amount: int = 0,
    now: datetime,
) -> Proven:
    """Settle the place of a customer, who is locked, at the first proof, and pay for the purchase.

    `campaign` is the one that pays, if any; `amount` that of an order, in minor units.
    """
    campaign_id = campaign.id if campaign else None
    is_first = not graph.is_settled(tx, customer_id)
    if is_first:
        referrer = graph.nearest(tx, customer_id, credit.candidates)
        graph.settle(
            tx,
            customer_id,
            referrer,
            event=event,
            campaign_id=campaign_id,
            why=credit.why(referrer),
            now=now,
        )
        counters.fold_now_and_then(tx, customer_id)
    else:
        referrer = graph.referrer_held(tx, customer_id)
    if campaign is None:
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
    paid = paying.pay(tx, deployment, purchase, now)
    return Proven(referrer, paid.rewards, paid.withheld)
