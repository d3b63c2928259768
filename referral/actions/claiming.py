"""The proof of purchase: a claim, and the credit for whoever brought the customer in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from referral import claims, graph, ranges, rewards, segments
from referral.actions import crediting
from referral.actions.following import fold_afterwards
from referral.actions.knowing import Known, know
from referral.actions.proving import asking_referrer, prove
from referral.actions.touching import keep_touches
from referral.batches import Entry
from referral.campaigns import Campaign, of_stores
from referral.claims import Claim
from referral.codes import Code, Label
from referral.db import transaction
from referral.db.round_trips import in_one_trip
from referral.deployment import Deployment
from referral.errors import Problem
from referral.flags import Flag, raise_flags
from referral.links import Touch
from referral.ranges import Span
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


def claim(
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
    claimed = _claim(deployment, code, customer_id, visitor, touches)
    fold_afterwards(deployment, claimed.claim.customer_id)
    return claimed


@transaction
def _claim(
    tx: Session,
    deployment: Deployment,
    code: Code,
    customer_id: int,
    visitor: int | None,
    touches: Sequence[Touch],
) -> Claimed:
    now = deployment.clock.now()
    known = know(tx, customer_id, code, touches, now)
    if known.taken is not None:
        return _claimed_before(tx, known.taken, known.customer)

    others, reached = keep_touches(tx, known, visitor, touches, now)
    credit = crediting.credit(tx, known, others, reached, now, now)
    item = deployment.directory.batch(code.batch_id)
    campaign = _campaign_for(tx, known, item, code, credit.campaign_id, now)

    row = claims.row_of(code, known.customer, campaign.id if campaign else None, now)
    added, span, *referrer = in_one_trip(
        tx,
        claims.asking_to_add(tx, row),
        # Not sooner: the row that was just inserted holds the batch, whose ranges cannot change
        # any more before this is committed.
        ranges.asking_span(code.batch_id, code.index),
        *asking_referrer(known, credit),
    )
    if added.scalar is None:
        return _claimed_before(tx, claims.claim_of(tx, code), known.customer)
    made = Claim(id=added.scalar, **row)
    _check_claimable(ranges.found_span(span, code.index), deployment.local_now())
    proven = prove(
        tx,
        deployment,
        event=made.event,
        proof=Proof.claim,
        known=known,
        credit=credit,
        campaign=campaign,
        now=now,
        asked=referrer,
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


def _check_claimable(span: Span, now: datetime) -> None:
    refused = _REFUSED.get(span.availability(now))
    if refused is not None:
        raise refused()


def _campaign_for(
    tx: Session, known: Known, item: Entry, code: Code, credited: int | None, now: datetime
) -> Campaign | None:
    """The campaign that pays: the `credited` one if it pays for claims of this package and is for
    this customer, else the newest of which that is so."""
    paying = (each for each in known.terms.running(item) if each.pays_for_claims)
    store = lambda: ranges.span_at(tx, code.batch_id, code.index).terms.store_id  # noqa: E731
    running = of_stores.for_package(paying, store)
    running.sort(key=lambda each: each.id != credited)
    is_for_her = (each for each in running if segments.is_open_to(tx, each, known.customer, now))
    return next(is_for_her, None)


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
