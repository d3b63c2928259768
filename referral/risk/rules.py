"""Risk rules: what about a purchase speaks for abuse, in numbers. Pure: facts in, findings out.

Every rule, its weight and its thresholds are in the one table `RULES`. A deployment may give a rule
another weight, let it find without counting (`shadow`), or turn it `off`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from statistics import fmean, pstdev
from typing import Any

from referral.errors import N_, NotFound
from referral.rewards import Why

DAY = timedelta(days=1)
MONTH = timedelta(days=30)
POINTS_MAX = 100
"""The most that one rule, and all of them together, can weigh."""

Evidence = dict[str, int | float]
Thresholds = Mapping[str, float]


class Mode(StrEnum):
    """Whether a rule counts."""

    on = "on"
    shadow = "shadow"
    """What it finds is kept, and changes nothing."""
    off = "off"


@dataclass(frozen=True)
class Package:
    """A package that a customer claimed: when, and the region where it was first scanned."""

    at: datetime
    region: str | None


@dataclass(frozen=True)
class Quiet:
    """Customers whose first purchase is more than a month ago, and how many of them did nothing
    since."""

    old: int
    quiet: int


@dataclass(frozen=True)
class Facts:
    """What is known of one purchase at one moment. What nobody looked up is None."""

    moment: datetime
    customer: int
    referrer: int | None = None
    """Who would be paid for it, but for the buyer."""
    is_first: bool = True
    pays_referrer: bool = False
    """Whether somebody up the tree would be paid."""
    blocked: frozenset[int] = frozenset()
    """Whom of those to be paid staff have blocked."""
    packages: Sequence[Package] = ()
    """What the buyer claimed in the last day, this package included."""
    accounts: int = 0
    """How many other customers used the buyer's browsers."""
    misses: int = 0
    """How many wrong codes the buyer tried within the hour."""
    same_contact: bool = False
    """Whether buyer and referrer have one phone number or mailbox, however it is written."""
    same_device: bool = False
    """Whether buyer and referrer used one browser."""
    scanned_by_referrer: bool = False
    """Whether the referrer's phone had scanned this very package."""
    paid_at: Sequence[datetime] = ()
    """When the referrer's paid referrals of the last 30 days were, without this one."""
    children: Sequence[datetime] = ()
    """When the latest customers came whom the referrer brought in, this one included."""
    guests: int | None = None
    """How many customers in a row, from the referrer up, never signed in."""
    star: Quiet | None = None
    """Those whom the referrer brought in."""
    chain: Quiet | None = None
    """Those above the buyer, each of whom brought in one only."""
    in_one_block: tuple[int, int] | None = None
    """Of how many of the referrer's customers a network is known, and how many are in the
    commonest one."""
    month_packages: int | None = None
    """What the buyer claimed in the last 30 days."""
    typical_packages: int | None = None
    """What 99 of 100 customers who claimed anything in those days stay at or below."""


Find = Callable[[Facts, Thresholds], Evidence | None]


@dataclass(frozen=True)
class RiskRule:
    """One sign of abuse."""

    id: str
    points: int
    """What it adds to the score, unless a deployment says otherwise."""
    find: Find
    thresholds: Mapping[str, float] = field(default_factory=dict)
    refuses: Why | None = None
    """Why the referral is not paid where it is found; None for rules that only score."""
    is_later: bool = False
    """Whether it needs more than a claim has time for, and is looked for by a pass afterwards."""


@dataclass(frozen=True)
class Setting:
    """How a deployment uses a rule."""

    mode: Mode
    points: int


@dataclass(frozen=True)
class Finding:
    """What a rule found: what it weighs, and the numbers it went by."""

    rule: str
    points: int
    evidence: Mapping[str, Any]
    is_shadow: bool = False

    @property
    def counted(self) -> int:
        return 0 if self.is_shadow else self.points

    def dump(self) -> dict[str, Any]:
        """As it is stored."""
        found: dict[str, Any] = {"rule": self.rule, "points": self.points}
        return {**found, "evidence": dict(self.evidence), "shadow": self.is_shadow}

    @classmethod
    def load(cls, kept: Mapping[str, Any]) -> "Finding":
        return cls(kept["rule"], kept["points"], kept["evidence"], kept["shadow"])


class UnknownRule(NotFound):
    slug = "unknown-risk-rule"
    title = N_("There is no such risk rule.")
    advice = N_("The command `referral risk rules` lists them.")


# What each rule looks at


def _same_person(facts: Facts, _: Thresholds) -> Evidence | None:
    return {"customer": facts.customer} if facts.referrer == facts.customer else None


def _same_contact(facts: Facts, _: Thresholds) -> Evidence | None:
    return {"referrer": facts.referrer or 0} if facts.same_contact else None


def _same_device(facts: Facts, _: Thresholds) -> Evidence | None:
    return {"referrer": facts.referrer or 0} if facts.same_device else None


def _too_many(facts: Facts, within: timedelta, most: float) -> Evidence | None:
    if not (facts.pays_referrer and facts.is_first):
        return None
    since = facts.moment - within
    paid = sum(at > since for at in facts.paid_at)
    return {"paid": paid, "most": int(most)} if paid >= most else None


def _too_many_in_a_day(facts: Facts, t: Thresholds) -> Evidence | None:
    return _too_many(facts, DAY, t["most"])


def _too_many_in_a_month(facts: Facts, t: Thresholds) -> Evidence | None:
    return _too_many(facts, MONTH, t["most"])


def _regular(facts: Facts, t: Thresholds) -> Evidence | None:
    if len(facts.children) < t["least"]:
        return None
    times = sorted(facts.children)
    gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(times)]
    mean = fmean(gaps)
    # All within a moment is a crowd, or one till: there is no interval that could be regular.
    if mean < t["seconds"]:
        return None
    variation = pstdev(gaps) / mean
    if variation >= t["variation"]:
        return None
    return {
        "children": len(times),
        "variation": round(variation, 3),
        "minutes": round(mean / 60, 1),
    }


def _scanned_by_referrer(facts: Facts, _: Thresholds) -> Evidence | None:
    return {"referrer": facts.referrer or 0} if facts.scanned_by_referrer else None


def _shared_browsers(facts: Facts, t: Thresholds) -> Evidence | None:
    return {"accounts": facts.accounts} if facts.accounts >= t["least"] else None


def _many_packages(facts: Facts, t: Thresholds) -> Evidence | None:
    packages = len(facts.packages)
    return {"packages": packages} if packages >= t["least"] else None


def _far_places(facts: Facts, t: Thresholds) -> Evidence | None:
    regions = {package.region for package in facts.packages if package.region}
    return {"regions": len(regions)} if len(regions) >= t["least"] else None


def _misses_first(facts: Facts, t: Thresholds) -> Evidence | None:
    return {"misses": facts.misses} if facts.misses >= t["least"] else None


def _guest_chain(facts: Facts, t: Thresholds) -> Evidence | None:
    return _at_least("guests", facts.guests, t)


def _quiet(found: Quiet | None, t: Thresholds) -> Evidence | None:
    if found is None or found.old < t["least"] or found.quiet <= t["share"] * found.old:
        return None
    return {"old": found.old, "quiet": found.quiet}


def _quiet_star(facts: Facts, t: Thresholds) -> Evidence | None:
    return _quiet(facts.star, t)


def _quiet_chain(facts: Facts, t: Thresholds) -> Evidence | None:
    return _quiet(facts.chain, t)


def _one_block(facts: Facts, t: Thresholds) -> Evidence | None:
    if facts.in_one_block is None:
        return None
    known, together = facts.in_one_block
    if known < t["least"] or together <= t["share"] * known:
        return None
    return {"known": known, "together": together}


def _far_above_others(facts: Facts, t: Thresholds) -> Evidence | None:
    if facts.month_packages is None or facts.typical_packages is None:
        return None
    bound = max(t["least"], t["times"] * facts.typical_packages)
    if facts.month_packages < bound:
        return None
    return {"packages": facts.month_packages, "typical": facts.typical_packages}


def _at_least(name: str, value: int | None, t: Thresholds) -> Evidence | None:
    return {name: value} if value is not None and value >= t["least"] else None


RULES: tuple[RiskRule, ...] = (
    RiskRule("self_same_person", 25, _same_person, refuses=Why.self_referral),
    RiskRule("self_same_contact", 25, _same_contact, refuses=Why.self_referral),
    RiskRule("self_same_device", 25, _same_device, refuses=Why.self_referral),
    RiskRule("too_many_in_a_day", 10, _too_many_in_a_day, {"most": 5}, refuses=Why.too_many),
    RiskRule("too_many_in_a_month", 10, _too_many_in_a_month, {"most": 30}, refuses=Why.too_many),
    RiskRule("regular_intervals", 30, _regular, {"least": 8, "variation": 0.2, "seconds": 1}),
    RiskRule("scanned_by_referrer", 15, _scanned_by_referrer),
    RiskRule("shared_browsers", 25, _shared_browsers, {"least": 3}),
    RiskRule("many_packages", 20, _many_packages, {"least": 20}),
    RiskRule("far_places", 25, _far_places, {"least": 3}),
    RiskRule("misses_first", 25, _misses_first, {"least": 10}),
    RiskRule("guest_chain", 20, _guest_chain, {"least": 3}, is_later=True),
    RiskRule("quiet_star", 20, _quiet_star, {"least": 10, "share": 0.8}, is_later=True),
    RiskRule("quiet_chain", 20, _quiet_chain, {"least": 5, "share": 0.8}, is_later=True),
    # Never enough by itself, with what else is likely of a household: carriers and offices have
    # thousands of people behind one address.
    RiskRule("one_block", 15, _one_block, {"least": 8, "share": 0.8}, is_later=True),
    RiskRule("far_above_others", 20, _far_above_others, {"least": 10, "times": 5}, is_later=True),
)
_BY_ID = {rule.id: rule for rule in RULES}


def rule_named(rule_id: str) -> RiskRule:
    """Raises `UnknownRule`."""
    found = _BY_ID.get(rule_id)
    if found is None:
        raise UnknownRule()
    return found


def defaults() -> dict[str, Setting]:
    """How rules are used where nobody has said anything."""
    return {rule.id: Setting(Mode.on, rule.points) for rule in RULES}


def find(facts: Facts, settings: Mapping[str, Setting]) -> list[Finding]:
    """What the rules find, in the order of the table."""
    findings = []
    for rule in RULES:
        setting = settings[rule.id]
        if setting.mode is Mode.off:
            continue
        evidence = rule.find(facts, rule.thresholds)
        if evidence is not None:
            is_shadow = setting.mode is Mode.shadow
            findings.append(Finding(rule.id, setting.points, evidence, is_shadow))
    return findings
