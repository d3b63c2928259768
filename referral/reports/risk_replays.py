"""Risk rules on history: what a rule would have found, before it is switched on.

The facts of each purchase are gathered as they were at its moment, by the code that judges a
purchase when it is made.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral import risk
from referral.crypto import KeyRing
from referral.reports import evidence
from referral.rewards import Reward
from referral.risk import Decision, Facts, Mode, Setting, Verdict, VerdictRow
from referral.risk.records import OF_PURCHASES

PAGE = 200
LISTED_MAX = 100
"""How many of the events that were found are named."""


@dataclass
class Replayed:
    """What one rule, or all of them, would have done."""

    rule: str
    """The rule, or ``all``."""
    events: int = 0
    """How many verdicts were gone through."""
    found: int = 0
    changed: Counter[str] = field(default_factory=Counter)
    """How many would be decided in another way: ``pay -> review`` and so on, and ``refused``."""
    amounts: Counter[str] = field(default_factory=Counter)
    """What was granted for the events that were found, by unit."""
    listed: list[dict[str, object]] = field(default_factory=list)
    """The first of the events that were found, with the evidence."""


def replay(
    tx: Session,
    keys: KeyRing,
    rules: Sequence[str],
    *,
    since: datetime,
    until: datetime,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> list[Replayed]:
    """Each of these rules, tried as if it alone were switched on in addition to what counts now.

    Compared is with what the rules as they are set now would decide, so that only the rule makes
    the difference.
    """
    results = [Replayed(rule) for rule in rules]
    total = _count(tx, since, until)
    done = 0
    is_later = any(risk.rule_named(rule).is_later for rule in rules)
    for page in _pages(tx, since, until):
        amounts = _granted(tx, [kept.event for kept in page])
        for kept in page:
            facts, settings = evidence.gather(tx, keys, evidence.known_of(kept), kept.at)
            if is_later:
                facts = evidence.look_further(tx, facts, _typical(tx, kept.at))
            for result in results:
                _try(result, kept, facts, settings, amounts.get(kept.event, {}))
        done += len(page)
        tell(done, total)
    return results


def _try(
    result: Replayed,
    kept: VerdictRow,
    facts: Facts,
    settings: Mapping[str, Setting],
    granted: Mapping[str, int],
) -> None:
    result.events += 1
    rule = result.rule
    points = settings[rule].points
    with_it = risk.judge(facts, {**settings, rule: Setting(Mode.on, points)})
    finding = next((each for each in with_it.findings if each.rule == rule), None)
    if finding is None:
        return
    without = risk.judge(facts, {**settings, rule: Setting(Mode.off, points)})
    result.found += 1
    result.amounts.update(granted)
    result.changed.update(_changes(without, with_it))
    if len(result.listed) < LISTED_MAX:
        result.listed.append(
            {
                "event": kept.event,
                "at": kept.at,
                "customer": kept.customer_id,
                "referrer": kept.referrer_id,
                "evidence": dict(finding.evidence),
                "decision": with_it.decision,
                "score": with_it.score,
            }
        )


def _changes(without: Verdict, with_it: Verdict) -> Iterator[str]:
    if Decision(without.decision) is not with_it.decision:
        yield f"{without.decision} -> {with_it.decision}"
    if without.refused is None and with_it.refused is not None:
        yield "refused"


def _typical(tx: Session, moment: datetime) -> int | None:
    """Of the day that the moment lies in: reading a month anew for every purchase takes long."""
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    known: dict[datetime, int | None] = tx.info.setdefault("typical_packages", {})
    if day not in known:
        known[day] = evidence.typical_packages(tx, day)
    return known[day]


def _count(tx: Session, since: datetime, until: datetime) -> int:
    within = (VerdictRow.at >= since, VerdictRow.at <= until, OF_PURCHASES)
    return tx.scalar(sa.select(sa.func.count()).select_from(VerdictRow).where(*within)) or 0


def _pages(tx: Session, since: datetime, until: datetime) -> Iterator[Sequence[VerdictRow]]:
    after = 0
    while page := tx.scalars(
        sa.select(VerdictRow)
        .where(VerdictRow.at >= since, VerdictRow.at <= until, VerdictRow.id > after)
        .where(OF_PURCHASES)
        .order_by(VerdictRow.id)
        .limit(PAGE)
    ).all():
        yield page
        after = page[-1].id
        tx.expunge_all()


def _granted(tx: Session, events: Sequence[str]) -> dict[str, dict[str, int]]:
    rows = tx.execute(
        sa.select(Reward.event, Reward.unit, sa.func.sum(Reward.amount))
        .where(Reward.event.in_(events))
        .group_by(Reward.event, Reward.unit)
    )
    granted: dict[str, dict[str, int]] = {}
    for event, unit, amount in rows:
        granted.setdefault(event, {})[unit] = int(amount)
    return granted
