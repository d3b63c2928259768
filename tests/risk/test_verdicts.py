"""From what was found to a decision: scores add up to 100 at most, and the stricter one wins."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from referral.risk import Decision, Finding
from referral.risk.rules import POINTS_MAX, RULES
from referral.risk.verdicts import decision_of, score_of, verdict_on, worse

findings = st.builds(
    Finding,
    rule=st.sampled_from([rule.id for rule in RULES]),
    points=st.integers(0, POINTS_MAX),
    evidence=st.just({}),
    is_shadow=st.booleans(),
)


@pytest.mark.parametrize(
    ("score", "decision"), [(0, "pay"), (29, "pay"), (30, "review"), (59, "review"), (60, "hold")]
)
def test_a_decision_begins_at_its_score(score: int, decision: str) -> None:
    assert decision_of(score) == decision


@given(st.lists(findings, max_size=8))
def test_a_verdict_is_of_all_that_counts(found: list[Finding]) -> None:
    verdict = verdict_on(found)
    counted = [each for each in found if not each.is_shadow]
    assert verdict.score == min(100, sum(each.points for each in counted)) == score_of(found)
    assert verdict.decision == decision_of(verdict.score)
    assert verdict == verdict_on(found), "asked again it is the same"
    refusing = {rule.id: rule.refuses for rule in RULES if rule.refuses}
    reasons = {refusing[each.rule] for each in counted if each.rule in refusing}
    assert verdict.refused in (reasons or {None}), "what is in shadow refuses nothing"


@given(st.sampled_from(Decision), st.sampled_from(Decision))
def test_the_stricter_decision_is_the_same_both_ways(one: Decision, other: Decision) -> None:
    assert worse(one, other) == worse(other, one)
    assert worse(one, Decision.pay) == one
    assert worse(one, Decision.hold) == Decision.hold
