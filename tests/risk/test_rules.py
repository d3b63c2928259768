"""Risk rules at their thresholds, and what findings add up to."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from referral.rewards import Why
from referral.risk import (
    HOLD_FROM,
    REVIEW_FROM,
    RULES,
    Decision,
    Facts,
    Finding,
    Mode,
    Package,
    Quiet,
    Setting,
    UnknownRule,
    defaults,
    find,
    judge,
    rule_named,
    verdict_on,
    worse,
)
from referral.risk.verdicts import decision_of, score_of

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
FACTS = Facts(NOW, customer=2, referrer=1, pays_referrer=True)


def packages(count: int, regions: Sequence[str | None] = (None,)) -> list[Package]:
    return [Package(NOW, regions[number % len(regions)]) for number in range(count)]


def every(gap: float, count: int, *, wobble: float = 0.0) -> list[datetime]:
    """So many moments, apart by a gap in minutes that is by `wobble` shorter and longer in turn."""
    at, times = NOW, [NOW]
    for number in range(count - 1):
        at -= timedelta(minutes=gap * (1 + (wobble if number % 2 else -wobble)))
        times.append(at)
    return times


def hours_ago(*hours: float) -> list[datetime]:
    return [NOW - timedelta(hours=each) for each in hours]


def changed(**facts: Any) -> Facts:
    return replace(FACTS, **facts)


# The rule, what is just below its threshold, and what reaches it.
THRESHOLDS: list[tuple[str, Facts, Facts]] = [
    ("self_same_person", changed(referrer=1), changed(referrer=2)),
    ("self_same_contact", FACTS, changed(same_contact=True)),
    ("self_same_device", FACTS, changed(same_device=True)),
    (
        "too_many_in_a_day",
        changed(paid_at=hours_ago(1, 2, 3, 23.9, 24)),
        changed(paid_at=hours_ago(1, 2, 3, 4, 23.9)),
    ),
    (
        "too_many_in_a_month",
        changed(paid_at=hours_ago(*range(24, 24 * 30, 24), 24 * 30)),
        changed(paid_at=hours_ago(*range(24, 24 * 30, 24), 24 * 30 - 0.1)),
    ),
    (
        "regular_intervals",
        changed(children=every(10, 7)),
        changed(children=every(10, 8)),
    ),
    (
        "regular_intervals",
        changed(children=every(10, 9, wobble=0.2)),
        changed(children=every(10, 9, wobble=0.199)),
    ),
    (
        "regular_intervals",
        changed(children=every(0.9 / 60, 8)),
        changed(children=every(1 / 60, 8)),
    ),
    ("scanned_by_referrer", FACTS, changed(scanned_by_referrer=True)),
    ("shared_browsers", changed(accounts=2), changed(accounts=3)),
    ("many_packages", changed(packages=packages(19)), changed(packages=packages(20))),
    (
        "far_places",
        changed(packages=packages(9, ["CN-GD", "CN-BJ", None])),
        changed(packages=packages(9, ["CN-GD", "CN-BJ", "SG"])),
    ),
    ("misses_first", changed(misses=9), changed(misses=10)),
    ("guest_chain", changed(guests=2), changed(guests=3)),
    ("quiet_star", changed(star=Quiet(10, 8)), changed(star=Quiet(10, 9))),
    ("quiet_star", changed(star=Quiet(9, 9)), changed(star=Quiet(10, 10))),
    ("quiet_chain", changed(chain=Quiet(5, 4)), changed(chain=Quiet(5, 5))),
    ("quiet_chain", changed(chain=Quiet(4, 4)), changed(chain=Quiet(6, 5))),
    ("one_block", changed(in_one_block=(10, 8)), changed(in_one_block=(10, 9))),
    ("one_block", changed(in_one_block=(7, 7)), changed(in_one_block=(8, 8))),
    (
        "far_above_others",
        changed(month_packages=14, typical_packages=3),
        changed(month_packages=15, typical_packages=3),
    ),
    (
        "far_above_others",
        changed(month_packages=9, typical_packages=1),
        changed(month_packages=10, typical_packages=1),
    ),
]


@pytest.mark.parametrize(("rule", "below", "at"), THRESHOLDS)
def test_a_rule_finds_from_its_threshold_on(rule: str, below: Facts, at: Facts) -> None:
    assert rule not in {each.rule for each in find(below, defaults())}
    (found,) = [each for each in find(at, defaults()) if each.rule == rule]
    assert found.points == rule_named(rule).points
    assert found.evidence


def test_every_rule_has_a_test_at_its_threshold() -> None:
    assert {rule for rule, _, _ in THRESHOLDS} == {rule.id for rule in RULES}


def test_nothing_is_found_of_an_ordinary_purchase() -> None:
    assert judge(FACTS, defaults()).findings == []
    assert judge(Facts(NOW, customer=2), defaults()).decision is Decision.pay


def test_what_nobody_looked_up_is_not_found() -> None:
    """What only the later look knows is None at the purchase."""
    later = {rule.id for rule in RULES if rule.is_later}
    assert not later & {each.rule for each in find(FACTS, defaults())}
    assert later


@pytest.mark.parametrize(
    ("facts", "refused"),
    [
        (changed(same_device=True), Why.self_referral),
        (changed(same_contact=True), Why.self_referral),
        (changed(referrer=2), Why.self_referral),
        (changed(paid_at=hours_ago(1, 2, 3, 4, 5)), Why.too_many),
        (changed(same_device=True, paid_at=hours_ago(1, 2, 3, 4, 5)), Why.self_referral),
        (changed(misses=50, accounts=9), None),
    ],
)
def test_what_is_refused(facts: Facts, refused: Why | None) -> None:
    assert judge(facts, defaults()).refused is refused


def test_oneself_as_a_friend_gets_what_a_package_brings_all_the_same() -> None:
    for facts in (changed(same_device=True), changed(same_contact=True)):
        assert judge(facts, defaults()).decision is Decision.pay


def test_one_network_alone_never_does_anything() -> None:
    assert judge(changed(in_one_block=(200, 200)), defaults()).decision is Decision.pay


def test_limits_count_first_purchases_only() -> None:
    many = hours_ago(1, 2, 3, 4, 5)
    assert judge(changed(is_first=False, paid_at=many), defaults()).refused is None
    assert judge(changed(pays_referrer=False, paid_at=many), defaults()).refused is None


def test_all_at_one_moment_is_no_interval() -> None:
    assert judge(changed(children=[NOW] * 12), defaults()).findings == []


def with_mode(rule: str, mode: Mode, points: int = 70) -> dict[str, Setting]:
    return {**defaults(), rule: Setting(mode, points)}


def test_a_rule_that_is_tried_out_finds_and_changes_nothing() -> None:
    facts = changed(same_device=True)
    verdict = judge(facts, with_mode("self_same_device", Mode.shadow))
    (found,) = verdict.findings
    assert found.is_shadow
    assert (verdict.score, verdict.decision, verdict.refused) == (0, Decision.pay, None)
    assert judge(facts, with_mode("self_same_device", Mode.off)).findings == []
    verdict = judge(facts, with_mode("self_same_device", Mode.on))
    assert (verdict.score, verdict.decision) == (70, Decision.hold)
    assert verdict.refused is Why.self_referral


def test_an_unknown_rule_is_refused() -> None:
    with pytest.raises(UnknownRule):
        rule_named("no-such-rule")


@pytest.mark.parametrize(
    ("score", "decision"),
    [
        (0, Decision.pay),
        (REVIEW_FROM - 1, Decision.pay),
        (REVIEW_FROM, Decision.review),
        (HOLD_FROM - 1, Decision.review),
        (HOLD_FROM, Decision.hold),
        (100, Decision.hold),
    ],
)
def test_the_decision_goes_by_the_score(score: int, decision: Decision) -> None:
    assert decision_of(score) is decision


def test_the_worse_of_two_decisions() -> None:
    assert worse(Decision.pay, Decision.review) is Decision.review
    assert worse(Decision.hold, Decision.review) is Decision.hold
    assert worse(Decision.pay, Decision.pay) is Decision.pay


finding_lists = st.lists(
    st.builds(
        Finding,
        rule=st.sampled_from([rule.id for rule in RULES]),
        points=st.integers(0, 100),
        evidence=st.just({}),
        is_shadow=st.booleans(),
    ),
    max_size=8,
)


@given(finding_lists, finding_lists)
def test_more_findings_are_never_milder(some: list[Finding], more: list[Finding]) -> None:
    before, after = verdict_on(some), verdict_on([*some, *more])
    assert 0 <= before.score <= after.score <= 100
    assert worse(before.decision, after.decision) is after.decision
    assert before.refused is None or after.refused is not None


@given(finding_lists)
def test_the_order_of_findings_does_not_matter(some: list[Finding]) -> None:
    assert score_of(some) == score_of(some[::-1])
    assert verdict_on(some).refused is verdict_on(some[::-1]).refused


@given(finding_lists)
def test_findings_are_read_as_they_were_written(some: list[Finding]) -> None:
    load: Callable[[dict[str, Any]], Finding] = Finding.load
    assert [load(each.dump()) for each in some] == some
