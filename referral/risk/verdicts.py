"""Verdicts: what findings add up to, and what is done because of it. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from referral.rewards import Why
from referral.risk.rules import POINTS_MAX, RULES, Facts, Finding, Setting, find

REVIEW_FROM = 30
HOLD_FROM = 60


class Decision(StrEnum):
    """What becomes of the rewards of an event."""

    pay = "pay"
    """They are released when their hold is over."""
    review = "review"
    """Likewise, unless staff decide otherwise before; a case is open for them."""
    hold = "hold"
    """They stay pending until staff accept."""


_ORDER = (Decision.pay, Decision.review, Decision.hold)


def worse(one: Decision, other: Decision) -> Decision:
    """The stricter of two decisions."""
    return max(one, other, key=_ORDER.index)


@dataclass(frozen=True)
class Verdict:
    """What was found of an event, and what follows."""

    findings: Sequence[Finding]
    score: int
    decision: Decision
    refused: Why | None
    """Why the referral is not paid for; None where it is."""


def score_of(findings: Iterable[Finding]) -> int:
    """What findings weigh together, up to `POINTS_MAX`."""
    return min(POINTS_MAX, sum(finding.counted for finding in findings))


def decision_of(score: int) -> Decision:
    if score >= HOLD_FROM:
        return Decision.hold
    return Decision.review if score >= REVIEW_FROM else Decision.pay


def judge(facts: Facts, settings: Mapping[str, Setting]) -> Verdict:
    """The verdict on a purchase."""
    return verdict_on(find(facts, settings))


def verdict_on(findings: Sequence[Finding]) -> Verdict:
    """The verdict that findings come to."""
    score = score_of(findings)
    found = {finding.rule for finding in findings if not finding.is_shadow}
    refusals = [rule.refuses for rule in RULES if rule.refuses and rule.id in found]
    return Verdict(findings, score, decision_of(score), next(iter(refusals), None))
