"""How much rules with limits have paid: counters that refuse to go over."""

from collections.abc import Iterator, Sequence
from datetime import date

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral.db import Base, insert_new, run
from referral.rewards.evaluation import Grant


class RewardCap(Base):
    """How often or how much a rule has paid within a scope: a person, a day, or all in all."""

    __tablename__ = "reward_caps"

    campaign_id: Mapped[int] = mapped_column(sa.ForeignKey("campaigns.id"), primary_key=True)
    rule: Mapped[str] = mapped_column(sa.String(160), primary_key=True)
    scope: Mapped[str] = mapped_column(sa.String(40), primary_key=True)
    used: Mapped[int] = mapped_column(sa.BigInteger)


_HOLD = (
    sa.select(RewardCap.used)
    .where(RewardCap.campaign_id == sa.bindparam("campaign"))
    .where(RewardCap.rule == sa.bindparam("of_rule"))
    .where(RewardCap.scope == sa.bindparam("of_scope"))
    .with_for_update()
)
_TAKE = (
    sa.update(RewardCap.__table__)  # type: ignore[arg-type]
    .where(RewardCap.campaign_id == sa.bindparam("campaign"))
    .where(RewardCap.rule == sa.bindparam("of_rule"))
    .where(RewardCap.scope == sa.bindparam("of_scope"))
    .where(RewardCap.used + sa.bindparam("more") <= sa.bindparam("most"))
    .values(used=RewardCap.used + sa.bindparam("more"))
)


def line_up(tx: Session, campaign_id: int, grants: Sequence[Grant], day: date) -> None:
    """Take the counters of all grants of an event for oneself, in one order for everybody.

    As they come, two events could each wait for a counter that the other one holds.
    """
    wanted = {(each.rule.id, scope) for each in grants for scope, _, _ in scopes(each, day)}
    if len(wanted) < 2:
        return
    for rule, scope in sorted(wanted):
        insert_new(
            tx, RewardCap, {"campaign_id": campaign_id, "rule": rule, "scope": scope, "used": 0}
        )
        run(tx, _HOLD, campaign=campaign_id, of_rule=rule, of_scope=scope)


def take(tx: Session, campaign_id: int, grant: Grant, day: date) -> bool:
    """Count a grant against its rule's limits; False, and nothing counted, when one is reached.

    `day` is that of the brand's calendar.
    """
    done: list[tuple[str, int]] = []
    for scope, more, most in scopes(grant, day):
        same = {"campaign_id": campaign_id, "rule": grant.rule.id, "scope": scope}
        insert_new(tx, RewardCap, {**same, "used": 0})
        if not _add(tx, campaign_id, grant.rule.id, scope, more, most):
            for taken, amount in done:
                _add(tx, campaign_id, grant.rule.id, taken, -amount, 2**62)
            return False
        done.append((scope, more))
    return True


def give_back(tx: Session, campaign_id: int, grant: Grant, day: date) -> None:
    """Take back the counting of a grant that was then not paid, in the same transaction."""
    for scope, more, _ in scopes(grant, day):
        _add(tx, campaign_id, grant.rule.id, scope, -more, 2**62)


def hand_over(tx: Session, gone: int, kept: int) -> None:
    """Count what rules have paid one customer as paid to the other, who is the same person."""
    of_gone = (_person(gone), f"{_person(gone)} on %")
    rows = tx.scalars(
        sa.select(RewardCap)
        .where(sa.or_(RewardCap.scope == of_gone[0], RewardCap.scope.like(of_gone[1])))
        .order_by(RewardCap.campaign_id, RewardCap.rule, RewardCap.scope)
    ).all()
    for row in rows:
        scope = _person(kept) + row.scope.removeprefix(_person(gone))
        same = {"campaign_id": row.campaign_id, "rule": row.rule, "scope": scope}
        insert_new(tx, RewardCap, {**same, "used": 0})
        _add(tx, row.campaign_id, row.rule, scope, row.used, 2**62)
        tx.delete(row)
    tx.flush()


def _person(customer_id: int) -> str:
    return f"person {customer_id}"


def scopes(grant: Grant, day: date) -> Iterator[tuple[str, int, int]]:
    """What a grant counts against: the scope, how much more, and the most there may be."""
    limits = grant.rule.limits
    if limits.per_person:
        yield _person(grant.beneficiary), 1, limits.per_person
    if limits.per_person_per_day:
        yield f"{_person(grant.beneficiary)} on {day}", 1, limits.per_person_per_day
    if limits.per_day:
        yield f"on {day}", 1, limits.per_day
    if limits.total:
        yield "all", 1, limits.total
    if limits.budget:
        yield "amount", grant.amount, limits.budget


def _add(tx: Session, campaign_id: int, rule: str, scope: str, more: int, most: int) -> bool:
    named = {"campaign": campaign_id, "of_rule": rule, "of_scope": scope}
    return run(tx, _TAKE, **named, more=more, most=most).rowcount == 1
