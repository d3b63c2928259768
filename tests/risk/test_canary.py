"""The canary sings while the rules do their work, and not when they have gone silent."""

from dataclasses import replace

import pytest

from referral.risk import Facts, Setting, Verdict, canary, judge, rules


def test_it_is_well_with_the_rules_as_they_are() -> None:
    assert canary() == []


def test_rules_that_find_nothing_are_noticed() -> None:
    def silent(facts: Facts, settings: dict[str, Setting]) -> Verdict:
        return judge(Facts(facts.moment, facts.customer), settings)

    wrong = canary(silent)
    assert len(wrong) == 3
    assert any(each.startswith("a machine: pay instead of hold") for each in wrong)


def test_rules_that_hold_everybody_are_noticed() -> None:
    def strict(facts: Facts, settings: dict[str, Setting]) -> Verdict:
        return judge(replace(facts, misses=99, accounts=99, scanned_by_referrer=True), settings)

    assert any(each.startswith("harmless") for each in canary(strict))


def test_a_rule_that_is_broken_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tuple(replace(rule, find=lambda facts, thresholds: None) for rule in rules.RULES)
    monkeypatch.setattr(rules, "RULES", broken)
    assert canary()
