"""Cases: verdicts that staff decide or have decided, what was found and what is at stake."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral import audit, people, risk
from referral.audit import AuditEntry
from referral.reports import lists
from referral.reports.lists import PAGE, Listed
from referral.rewards import Reward, Withheld, of_event, withheld_of_event
from referral.risk import BlockedCustomer, Case, Finding, VerdictRow


@dataclass(frozen=True)
class CaseLine:
    """A case in a list."""

    id: int
    event: str
    customer_id: int
    referrer_id: int | None
    campaign_id: int
    at: datetime
    score: int
    decision: str
    state: str | None
    findings: Sequence[Finding]
    amounts: Mapping[str, int]
    """What was granted for it and not taken back, by unit."""
    reviewed_by: str | None
    reviewed_at: datetime | None
    reason: str | None


def cases(
    tx: Session, state: Case | None = None, *, offset: int = 0, limit: int = PAGE
) -> Listed[CaseLine]:
    """Cases in a state, or all of them: the highest score first where they are open, else the
    newest first."""
    statement = sa.select(VerdictRow).where(VerdictRow.case_state.is_not(None))
    if state is not None:
        statement = statement.where(VerdictRow.case_state == state)
    if state is Case.open:
        statement = statement.order_by(VerdictRow.score.desc(), VerdictRow.id)
    else:
        statement = statement.order_by(VerdictRow.id.desc())
    rows = tx.scalars(statement.offset(offset).limit(limit + 1)).all()
    amounts = _amounts(tx, [row.event for row in rows])
    return lists.listed([_line(row, amounts[row.event]) for row in rows], offset, limit)


def counts(tx: Session) -> dict[str, int]:
    """How many cases there are in each state."""
    rows = tx.execute(
        sa.select(VerdictRow.case_state, sa.func.count())
        .where(VerdictRow.case_state.is_not(None))
        .group_by(VerdictRow.case_state)
    )
    found = {row[0]: row[1] for row in rows}
    return {state.value: found.get(state, 0) for state in Case}


@dataclass(frozen=True)
class CasePage:
    """A case with all that staff go by."""

    line: CaseLine
    before_verdicts: bool
    """Whether it was paid before there were verdicts."""
    rewards: Sequence[Reward]
    withheld: Sequence[Withheld]
    people: Sequence[int]
    """Who may be blocked: the buyer, and those paid for bringing the buyer in, as they are now."""
    blocked: Mapping[int, BlockedCustomer]
    """Those of the people in it who are blocked."""
    history: Sequence[AuditEntry]
    """What was decided of the case and of these people, oldest first."""


def case(tx: Session, case_id: int) -> CasePage:
    """Raises `UnknownCase`."""
    row = risk.verdict_by_id(tx, case_id)
    rewards = of_event(tx, row.event)
    line = _line(row, _amounts(tx, [row.event])[row.event])
    concerned = _people(tx, line, rewards)
    return CasePage(
        line=line,
        before_verdicts=bool(row.facts.get("before")),
        rewards=rewards,
        withheld=withheld_of_event(tx, row.event),
        people=concerned,
        blocked=blocked_among(tx, concerned),
        history=_history(tx, case_id, concerned),
    )


def _people(tx: Session, line: CaseLine, rewards: Sequence[Reward]) -> list[int]:
    referrer = [line.referrer_id] if line.referrer_id else []
    named = [line.customer_id, *referrer, *(reward.holder_id for reward in rewards)]
    now = people.current(tx, named)
    return list(dict.fromkeys(now[each] for each in named))


def blocked_among(tx: Session, customers: Collection[int]) -> dict[int, BlockedCustomer]:
    """Those of these customers who are blocked."""
    found = tx.scalars(sa.select(BlockedCustomer).where(BlockedCustomer.customer_id.in_(customers)))
    return {each.customer_id: each for each in found}


def case_ids(tx: Session, events: Collection[str]) -> dict[str, int]:
    """The verdicts on events, by event."""
    rows = tx.execute(
        sa.select(VerdictRow.event, VerdictRow.id).where(VerdictRow.event.in_(events))
    )
    return {row.event: row.id for row in rows}


def _history(tx: Session, case_id: int, concerned: Sequence[int]) -> list[AuditEntry]:
    entries = audit.of_subject(tx, f"case:{case_id}")
    # Also what was decided of a number before it was merged.
    numbers = {number for each in concerned for number in people.numbers_of(tx, each)}
    for each in numbers:
        of_person = audit.of_subject(tx, f"customer:{each}")
        entries += [entry for entry in of_person if entry.action in {"block", "unblock"}]
    return sorted(entries, key=lambda entry: entry.id)


def _line(row: VerdictRow, amounts: Mapping[str, int]) -> CaseLine:
    return CaseLine(
        id=row.id,
        event=row.event,
        customer_id=row.customer_id,
        referrer_id=row.referrer_id,
        campaign_id=row.campaign_id,
        at=row.at,
        score=row.score,
        decision=row.decision,
        state=row.case_state,
        findings=row.found,
        amounts=amounts,
        reviewed_by=row.reviewed_by,
        reviewed_at=row.reviewed_at,
        reason=row.reason,
    )


def _amounts(tx: Session, events: Collection[str]) -> dict[str, dict[str, int]]:
    amounts: dict[str, dict[str, int]] = defaultdict(dict)
    if events:
        kept = sa.func.sum(Reward.amount - Reward.taken_back)
        rows = tx.execute(
            sa.select(Reward.event, Reward.unit, kept)
            .where(Reward.event.in_(events))
            .group_by(Reward.event, Reward.unit)
            .order_by(Reward.unit)
        )
        for event, unit, amount in rows:
            amounts[event][unit] = int(amount)
    return amounts
