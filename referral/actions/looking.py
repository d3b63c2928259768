"""The second look at what was claimed: for signs that take longer to find than a claim may take.

Every verdict is looked at when it is new, and again when its rewards are about to be released. It
may become stricter while something of it is pending, never milder; what staff have decided stays.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral import risk
from referral.actions.reviewing import clear
from referral.deployment import Deployment
from referral.reports import evidence
from referral.rewards import Reward, RewardState
from referral.rewards.records import TO_RELEASE
from referral.risk import Case, Decision, VerdictRow

LOOK_BATCH = 200
"""How many verdicts one transaction looks at."""
SOON = timedelta(days=1)
"""How long before their release rewards are looked at again."""
NOT_AGAIN = timedelta(hours=20)
"""How long after a look there is none, though the pass is run."""


@dataclass(frozen=True)
class Looked:
    """How many verdicts were looked at, and how many became stricter."""

    verdicts: int
    to_review: int
    to_hold: int

    def __add__(self, more: "Looked") -> "Looked":
        return Looked(
            self.verdicts + more.verdicts,
            self.to_review + more.to_review,
            self.to_hold + more.to_hold,
        )


def look(deployment: Deployment) -> Looked:
    """Look at verdicts once more; safe to run at any time, and twice.

    Networks that are too old to be kept are dropped.
    """
    now = deployment.clock.now()
    with deployment.db.read() as tx:
        typical = evidence.typical_packages(tx, now)
    total = Looked(0, 0, 0)
    for due in (_NEW, _LAST_DAY):
        while True:
            done = deployment.db.transact(partial(_look_at_some, deployment, due, typical, now))
            total += done
            if done.verdicts < LOOK_BATCH:
                break
    deployment.db.transact(lambda tx: risk.sweep_networks(tx, now))
    return total


_NEW = (
    sa.select(VerdictRow)
    # Written out and not bound: the index is used only where the query says so.
    .where(VerdictRow.looked_at.is_(None))
    .order_by(VerdictRow.id)
    .limit(LOOK_BATCH)
    .with_for_update(skip_locked=True)
)
_SOON = (
    sa.select(Reward.event)
    .where(TO_RELEASE, Reward.available_at <= sa.bindparam("soon"))
    .distinct()
    # Few of all: the database begins with them, and does not look for them among all verdicts.
    .cte("soon")
    .prefix_with("MATERIALIZED", dialect="postgresql")
)
_LAST_DAY = (
    sa.select(VerdictRow)
    .join(_SOON, _SOON.c.event == VerdictRow.event)
    .where(VerdictRow.looked_at < sa.bindparam("before"))
    .order_by(VerdictRow.id)
    .limit(LOOK_BATCH)
    .with_for_update(of=VerdictRow, skip_locked=True)
)


def _look_at_some(
    deployment: Deployment,
    due: sa.Select[VerdictRow],
    typical: int | None,
    now: datetime,
    tx: Session,
) -> Looked:
    moments = {} if due is _NEW else {"before": now - NOT_AGAIN, "soon": now + SOON}
    found = tx.scalars(due, moments).all()
    raised = [_look_at(tx, deployment, verdict, typical, now) for verdict in found]
    return Looked(len(found), raised.count(Decision.review), raised.count(Decision.hold))


def _look_at(
    tx: Session, deployment: Deployment, kept: VerdictRow, typical: int | None, now: datetime
) -> Decision | None:
    """What the decision was raised to; None where it stays."""
    kept.looked_at = now
    if kept.reviewed_at is not None or not _is_pending(tx, kept.event):
        return None
    facts, settings = evidence.gather(tx, deployment.keys, evidence.known_of(kept), now)
    facts = evidence.look_further(tx, facts, typical)
    known = {finding.rule for finding in kept.found}
    more = [
        finding
        for finding in risk.find(facts, settings)
        if finding.rule not in known and risk.rule_named(finding.rule).is_later
    ]
    if not more:
        return None
    verdict = risk.verdict_on([*kept.found, *more])
    before = Decision(kept.decision)
    decision = risk.worse(before, verdict.decision)
    kept.findings = [finding.dump() for finding in verdict.findings]
    kept.score = max(kept.score, verdict.score)
    if decision is before:
        return None
    kept.decision, kept.case_state = decision, Case.open
    if decision is Decision.hold:
        clear(tx, kept.event, is_cleared=False)
    return decision


def _is_pending(tx: Session, event: str) -> bool:
    found = sa.exists().where(Reward.event == event, Reward.state == RewardState.pending)
    return tx.scalar(sa.select(found)) or False
