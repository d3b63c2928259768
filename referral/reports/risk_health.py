"""Whether the risk rules are alive: rules that have gone silent look like honest customers."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral import risk
from referral.crypto import KeyRing
from referral.reports import evidence
from referral.rewards import Reward
from referral.risk import Decision, Mode, VerdictRow

RECENT = 1000
"""How many of the latest rewards are looked at."""


@dataclass(frozen=True)
class Health:
    """What was found wrong, in words, and when the last verdict was given."""

    findings: Sequence[str]
    last_verdict: datetime | None
    rules_off: Sequence[str]
    """Rules that do not count, because staff said so."""

    @property
    def ok(self) -> bool:
        return not self.findings

    @property
    def words(self) -> str:
        """All of it in one line."""
        if self.findings:
            return "; ".join(self.findings)
        last = f"{self.last_verdict:%Y-%m-%dT%H:%M:%SZ}" if self.last_verdict else "none yet"
        off = f"; not counted: {', '.join(self.rules_off)}" if self.rules_off else ""
        return f"last verdict {last}{off}"


def health(tx: Session, keys: KeyRing) -> Health:
    """Try the rules on known facts, the gatherer on the last purchase, and look for rewards that
    nobody judged."""
    findings = [f"the canary got another verdict than it must: {each}" for each in risk.canary()]
    last = tx.scalar(sa.select(VerdictRow).order_by(VerdictRow.id.desc()).limit(1))
    if last is not None and not _can_gather(tx, keys, last):
        findings.append("the facts of the last purchase cannot be gathered")
    if count := _unjudged(tx):
        findings.append(f"{count} of the latest rewards have no verdict")
    if count := _uncleared(tx):
        findings.append(f"{count} of the available rewards were held")
    settings = risk.settings_of(tx)
    return Health(
        findings,
        last.at if last else None,
        [rule for rule, setting in settings.items() if setting.mode is not Mode.on],
    )


def decisions(tx: Session, since: datetime) -> dict[str, int]:
    """How many verdicts there were since a moment, by what was decided."""
    rows = tx.execute(
        sa.select(VerdictRow.decision, sa.func.count())
        .where(VerdictRow.at >= since)
        .group_by(VerdictRow.decision)
    )
    found = {row[0]: row[1] for row in rows}
    return {decision.value: found.get(decision, 0) for decision in Decision}


def _can_gather(tx: Session, keys: KeyRing, last: VerdictRow) -> bool:
    """Whether the facts of a purchase are found: a claim's has at least its own package."""
    known = evidence.known_of(last)
    facts, _ = evidence.gather(tx, keys, known, last.at)
    return bool(facts.packages) or known.claim_id == 0 or not _is_whose(tx, known)


def _is_whose(tx: Session, known: evidence.Event) -> bool:
    """Whether the claim is still that customer's: one who was merged has none."""
    return evidence.owner_of_claim(tx, known.claim_id) == known.customer


def _unjudged(tx: Session) -> int:
    latest = sa.select(Reward.event).order_by(Reward.id.desc()).limit(RECENT).subquery()
    judged = sa.exists().where(VerdictRow.event == latest.c.event)
    return tx.scalar(sa.select(sa.func.count()).select_from(latest).where(~judged)) or 0


def _uncleared(tx: Session) -> int:
    # Their index is empty as long as all is well.
    held = (
        sa.select(Reward.id)
        .where(Reward.state == sa.literal_column("'available'"), ~Reward.is_cleared)
        .limit(RECENT)
        .subquery()
    )
    return tx.scalar(sa.select(sa.func.count()).select_from(held)) or 0
