"""The verdict on a purchase, in its own transaction: without one nothing is paid."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from sqlalchemy.orm import Session

from referral import risk
from referral.campaigns import Campaign
from referral.db.round_trips import Answer, Ask, in_one_trip, locking
from referral.deployment import Deployment
from referral.reports import evidence
from referral.rewards import Grant, Why
from referral.risk import Case, Decision, Verdict


@dataclass(frozen=True)
class Ruling:
    """What may be paid of what a purchase promises."""

    verdict: Verdict
    blocked: frozenset[int]

    @property
    def is_cleared(self) -> bool:
        """Whether rewards are released when their hold is over."""
        return self.verdict.decision is not Decision.hold

    def why_not(self, grant: Grant) -> Why | None:
        """Why something that is promised is not granted; None where it is.

        Oneself as a friend: nobody is paid for the referral, and the package is paid as any other
        is. Too many friends: whoever brought them in is not paid, they are.
        """
        refused = self.verdict.refused
        if grant.beneficiary in self.blocked:
            return Why.blocked
        if refused is Why.self_referral and (grant.depth > 0 or grant.rule.when.of_referred):
            return refused
        if refused is Why.too_many and grant.depth > 0:
            return refused
        return None


@dataclass(frozen=True)
class Judged:
    ruling: Ruling
    store: Sequence[Ask]
    """What stores the verdict, if there is one: to be asked before anything is granted."""
    answers: Sequence[Answer]
    """To what was asked before."""


class Purchase(Protocol):
    """A proof of purchase, as far as judging it asks."""

    @property
    def event(self) -> str: ...
    @property
    def customer_id(self) -> int: ...
    @property
    def campaign(self) -> Campaign: ...
    @property
    def is_first(self) -> bool: ...
    @property
    def referrer(self) -> int | None: ...


def judge(
    tx: Session,
    deployment: Deployment,
    purchase: Purchase,
    grants: Sequence[Grant],
    now: datetime,
    before: Sequence[Ask] = (),
) -> Judged:
    """Judge a purchase that promises these grants.

    `before` is asked first, in the same trip. Store the verdict, and only then grant anything. What
    promises nothing needs no verdict.
    """
    if not grants:
        ruling = Ruling(risk.verdict_on([]), frozenset())
        return Judged(ruling, (), in_one_trip(tx, *before))
    referrer, is_first = purchase.referrer, purchase.is_first
    # Two friends at once are the fifth and the sixth of a day, not both the fifth.
    locks = locking(tx, f"referrals|{referrer}") if referrer is not None and is_first else []
    known = evidence.Event(
        event=purchase.event,
        customer=purchase.customer_id,
        referrer=referrer,
        is_first=is_first,
        pays_referrer=any(grant.depth > 0 for grant in grants),
        misses=deployment.guessing.tried(purchase.customer_id),
        paid=[grant.beneficiary for grant in grants],
    )
    asked = (*before, *locks, evidence.asking(tx, known, now))
    *answers, answer = in_one_trip(tx, *asked)
    facts, settings = evidence.found(deployment.keys, known, now, answer)
    ruling = Ruling(risk.judge(facts, settings), facts.blocked)
    verdict = ruling.verdict
    pays_up = any(grant.depth == 1 and ruling.why_not(grant) is None for grant in grants)
    store = risk.asking_to_store(
        tx,
        {
            "event": purchase.event,
            "customer_id": purchase.customer_id,
            "referrer_id": referrer,
            "campaign_id": purchase.campaign.id,
            "at": now,
            "score": verdict.score,
            "decision": verdict.decision,
            "findings": [finding.dump() for finding in verdict.findings],
            "facts": remembered(known),
            "is_paid_referral": is_first and pays_up,
            "case_state": None if verdict.decision is Decision.pay else Case.open,
        },
    )
    return Judged(ruling, (store,), answers[: len(before)])


def remembered(known: evidence.Event) -> dict[str, int | bool]:
    """What of an event cannot be looked up later."""
    return {
        "is_first": known.is_first,
        "pays_referrer": known.pays_referrer,
        "misses": known.misses,
    }
