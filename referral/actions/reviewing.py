"""What staff decide: of a case, of a customer, and of how rules are used. Each is noted."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from fractions import Fraction

import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral import audit, people, risk
from referral.actions.reversing import reverse
from referral.db import transaction
from referral.deployment import Deployment
from referral.errors import N_, Conflict, InvalidInput
from referral.rewards import Reason, Reward, RewardState
from referral.risk import POINTS_MAX, REASON_LENGTH_MAX, Case, Mode, Setting, VerdictRow
from referral.texts import one_line


class Choice(StrEnum):
    """What staff may decide of a case."""

    accept = "accept"
    """What is pending is paid when its hold is over."""
    hold = "hold"
    """What is pending stays so."""
    reverse = "reverse"
    """All that was granted is taken back, for good."""


_STATE_AFTER = {
    Choice.accept: Case.accepted,
    Choice.hold: Case.held,
    Choice.reverse: Case.reversed,
}


class ReasonMissing(InvalidInput):
    slug = "reason-missing"
    title = N_("Please say why, in up to 300 characters.")
    advice = N_("The reason is kept with the decision.")


class CaseClosed(Conflict):
    slug = "case-closed"
    title = N_("The rewards of this case were taken back already.")
    advice = N_("That is final. If it was a mistake, make it good in another way.")


class NothingToHold(Conflict):
    slug = "nothing-to-hold"
    title = N_("There is nothing left that could be held.")
    advice = N_("The rewards have been paid out already; they can only be taken back.")


class DecidedMeanwhile(Conflict):
    slug = "decided-meanwhile"
    title = N_("Somebody else has decided this case in the meantime.")
    advice = N_("Please look at it again.")


@dataclass(frozen=True)
class Decided:
    """A case after a decision. Not `is_new` when it stood like that before."""

    case_id: int
    state: Case
    is_new: bool


@transaction
def decide_case(
    tx: Session,
    deployment: Deployment,
    case_id: int,
    choice: Choice,
    *,
    by: str,
    reason: str,
    seen: str | None = None,
) -> Decided:
    """Decide a case. Safe twice, and by two at once: the later one gets what the first one did, or
    is told of it.

    `seen` is the state that whoever decides has seen; empty for none. Raises `UnknownCase`,
    `ReasonMissing`, `DecidedMeanwhile`, `CaseClosed`, `NothingToHold`.
    """
    reason, now = _checked(reason), deployment.clock.now()
    case = risk.verdict_by_id(tx, case_id, for_update=True)
    after = _STATE_AFTER[choice]
    if case.case_state == after:
        return Decided(case_id, after, False)
    if case.case_state == Case.reversed:
        raise CaseClosed()
    if seen is not None and seen != (case.case_state or ""):
        raise DecidedMeanwhile()
    _carry_out(tx, case, choice, now)
    before, case.case_state = case.case_state, after
    case.reviewed_by, case.reviewed_at, case.reason = by, now, reason
    details = {"event": case.event, "before": before, "reason": reason}
    audit.note(
        tx, by=by, action=f"case-{choice}", subject=f"case:{case_id}", details=details, now=now
    )
    return Decided(case_id, after, True)


def _carry_out(tx: Session, case: VerdictRow, choice: Choice, now: datetime) -> None:
    if choice is Choice.reverse:
        reverse(tx, case.event, Fraction(1), Reason.abuse, key=f"case|{case.id}", now=now)
        return
    changed = clear(tx, case.event, is_cleared=choice is Choice.accept)
    if choice is Choice.hold and not changed:
        raise NothingToHold()


_PENDING = (
    sa.update(Reward)
    .where(Reward.event == sa.bindparam("of"), Reward.state == RewardState.pending)
    .execution_options(synchronize_session=False)
)


def clear(tx: Session, event: str, *, is_cleared: bool) -> int:
    """Let what is pending of an event be released, or not. Returns how many rewards that are."""
    tx.flush()
    change = _PENDING.values(is_cleared=is_cleared)
    return tx.connection().execute(change, {"of": event}).rowcount


@transaction
def block_customer(
    tx: Session, deployment: Deployment, customer_id: int, *, by: str, reason: str
) -> bool:
    """Grant a customer nothing from now on. Whether that is news.

    The number may be one that was merged: blocked is whom it stands for. What was granted before
    is left as it is. Raises `UnknownCustomer`, `ReasonMissing`.
    """
    reason, now = _checked(reason), deployment.clock.now()
    customer_id = people.hold(tx, customer_id)
    is_new = risk.block(tx, customer_id, by=by, reason=reason, now=now)
    if is_new:
        _note_person(tx, "block", customer_id, by, reason, now)
    return is_new


@transaction
def unblock_customer(
    tx: Session, deployment: Deployment, customer_id: int, *, by: str, reason: str
) -> bool:
    """Grant a customer rewards again from now on. Whether that is news.

    What was withheld is not made up for. Raises `UnknownCustomer`, `ReasonMissing`.
    """
    reason, now = _checked(reason), deployment.clock.now()
    customer_id = people.hold(tx, customer_id)
    is_new = risk.unblock(tx, customer_id)
    if is_new:
        _note_person(tx, "unblock", customer_id, by, reason, now)
    return is_new


def _note_person(
    tx: Session, action: str, customer_id: int, by: str, reason: str, now: datetime
) -> None:
    subject = f"customer:{customer_id}"
    audit.note(tx, by=by, action=action, subject=subject, details={"reason": reason}, now=now)


@transaction
def set_risk_rule(
    tx: Session,
    deployment: Deployment,
    rule_id: str,
    mode: Mode,
    *,
    points: int | None = None,
    by: str,
) -> Setting:
    """Say how a rule is used from now on. Raises `UnknownRule`, `ValueError` for bad points."""
    rule = risk.rule_named(rule_id)
    if points is not None and not 0 <= points <= POINTS_MAX:
        raise ValueError(f"points lie between 0 and {POINTS_MAX}")
    before = risk.settings_of(tx)[rule.id]
    setting = Setting(mode, before.points if points is None else points)
    if setting != before:
        risk.set_rule(tx, rule.id, setting)
        details = {
            "mode": mode,
            "points": setting.points,
            "mode_before": before.mode,
            "points_before": before.points,
        }
        audit.note(
            tx,
            by=by,
            action="risk-rule",
            subject=f"rule:{rule.id}",
            details=details,
            now=deployment.clock.now(),
        )
    return setting


def _checked(reason: str) -> str:
    reason = one_line(reason)
    if not 0 < len(reason) <= REASON_LENGTH_MAX:
        raise ReasonMissing()
    return reason
