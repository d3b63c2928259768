"""The proof of purchase: a claim, and the credit for whoever brought the customer in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from referral import campaigns, claims, graph, people, ranges, rewards
from referral.actions import crediting
from referral.actions.proving import prove
from referral.actions.touching import keep_touches
from referral.batches import Entry
from referral.campaigns import Campaign
from referral.claims import Claim
from referral.codes import Code, Label
from referral.db import transaction
from referral.deployment import Deployment
from referral.errors import Problem
from referral.flags import Flag, raise_flags
from referral.links import Touch
from referral.rewards import Proof, Reward, Why, Withheld


@dataclass(frozen=True)
class Claimed:
    """A claim and what it brought. `already` when the customer had made it before."""

    claim: Claim
    already: bool
    rewards: list[Reward]
    withheld: list[Withheld]
    """What was promised and not granted, and why."""
    referrer: int | None

    @property
    def budget_spent(self) -> bool:
        """Whether a promise could not be kept because the campaign's budget is used up."""
        return any(each.why == Why.budget_spent for each in self.withheld)


@transaction
def claim(
    tx: Session,
    deployment: Deployment,
    code: Code,
    customer_id: int,
    *,
    visitor: int | None = None,
    touches: Sequence[Touch] = (),
) -> Claimed:
    """A customer takes a code; whoever brought the customer in is credited.

    `visitor` and `touches` are what the browser's cookie (or an API call's `via`) knows, and may
    be ahead of the database. Claiming one's own code again returns the first answer. Raises
    `OuterCode`, `AlreadyClaimed`, `NotActivated`, `Expired`, `Voided`, `Recalled`,
    `UnknownCustomer`.
    """
    if code.label is not Label.inner:
        raise claims.OuterCode()
    now = deployment.clock.now()
    customer_id = people.lock_customer(tx, customer_id)
    taken = claims.claim_of(tx, code)
    if taken is not None:
        return _claimed_before(tx, taken, customer_id)

    others = keep_touches(tx, customer_id, visitor, touches, now)
    credit = crediting.credit(tx, customer_id, others, now, now)
    campaign = _campaign_for(tx, deployment.directory.batch(code.batch_id), credit.campaign_id, now)
    campaign_id = campaign.id if campaign else None

    made = claims.add_claim(tx, code, customer_id, campaign_id, now)
    if made is None:
        return _claimed_before(tx, claims.claim_of(tx, code), customer_id)
    # Not sooner: the row that was just inserted holds the batch, whose ranges cannot change any
    # more before this is committed.
    _check_claimable(tx, code, deployment.local_now())
    proven = prove(
        tx,
        deployment,
        event=made.event,
        proof=Proof.claim,
        customer_id=customer_id,
        credit=credit,
        campaign=campaign,
        now=now,
    )
    return Claimed(made, False, proven.rewards, proven.withheld, proven.referrer)


def _claimed_before(tx: Session, taken: Claim | None, customer_id: int) -> Claimed:
    """The answer that the claim got when it was made. Raises `AlreadyClaimed`."""
    if taken is None or taken.customer_id != customer_id:
        raise claims.AlreadyClaimed()
    return Claimed(
        taken,
        True,
        rewards.of_event(tx, taken.event),
        rewards.withheld_of_event(tx, taken.event),
        graph.referrer_of(tx, customer_id),
    )


_REFUSED: Mapping[str, type[Problem]] = {
    "not_activated": claims.NotActivated,
    "expired": claims.Expired,
    "voided": claims.Voided,
    "recalled": claims.Recalled,
}


def _check_claimable(tx: Session, code: Code, now: datetime) -> None:
    refused = _REFUSED.get(ranges.span_at(tx, code.batch_id, code.index).availability(now))
    if refused is not None:
        raise refused()


def _campaign_for(tx: Session, item: Entry, credited: int | None, now: datetime) -> Campaign | None:
    """The campaign that pays: the `credited` one if it pays for claims of this product, else the
    newest that does."""
    running = [each for each in campaigns.running(tx, now, item) if each.pays_for_claims]
    for campaign in running:
        if campaign.id == credited:
            return campaign
    return running[0] if running else None


@transaction
def compare_labels(
    tx: Session, deployment: Deployment, outer: Code, inner: Code, *, region: str | None
) -> bool:
    """Whether two codes are the labels of one package; both are flagged if they are not."""
    if (outer.label, inner.label) == (Label.outer, Label.inner):
        if (outer.batch_id, outer.index) == (inner.batch_id, inner.index):
            return True
        for code in (outer, inner):
            now = deployment.clock.now()
            raise_flags(tx, code.batch_id, code.index, [Flag.labels_differ], region, now)
    return False
