"""What is stored of risk: verdicts on what pays, how rules are set, and who is blocked."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral.audit import BY_LENGTH_MAX
from referral.db import Base, RowId, insert_new, run, upsert
from referral.db.round_trips import Ask, adding
from referral.errors import N_, NotFound
from referral.risk.rules import Finding, Mode, Setting, defaults

REASON_LENGTH_MAX = 300


class Case(StrEnum):
    """Where the review of a verdict stands."""

    open = "open"
    accepted = "accepted"
    held = "held"
    """By staff."""
    reversed = "reversed"
    """The rewards were taken back for abuse; final."""


class UnknownCase(NotFound):
    slug = "unknown-case"
    title = N_("There is no such case.")


class VerdictRow(Base):
    """What the rules said of an event, and what was decided. No reward without one."""

    __tablename__ = "verdicts"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    event: Mapped[str] = mapped_column(sa.String(60), unique=True)
    """The proof of purchase, e.g. ``claim:17``."""
    customer_id: Mapped[int] = mapped_column(sa.ForeignKey("customers.id"), index=True)
    referrer_id: Mapped[int | None] = mapped_column(sa.ForeignKey("customers.id"))
    """Who would be paid for it but for the customer."""
    campaign_id: Mapped[int] = mapped_column(sa.ForeignKey("campaigns.id"))
    at: Mapped[datetime] = mapped_column(index=True)
    score: Mapped[int] = mapped_column(sa.SmallInteger)
    decision: Mapped[str] = mapped_column(sa.String(8))
    """What the rules decided: see `Decision`."""
    findings: Mapped[list[Any]]
    """Rule, points and evidence of each: see `Finding.dump`."""
    facts: Mapped[dict[str, Any]]
    """What cannot be looked up later: whether it was a first purchase, whether it would have paid
    somebody up the tree, how many wrong codes were tried before."""
    is_paid_referral: Mapped[bool]
    """Whether it is one of the referrals that a referrer is paid for: there is a limit to these."""
    looked_at: Mapped[datetime | None]
    """When it was looked at again for what a claim has no time for."""
    case_state: Mapped[str | None] = mapped_column(sa.String(8))
    """Where its review stands: a `Case`; None where none was asked for."""
    reviewed_by: Mapped[str | None] = mapped_column(sa.String(BY_LENGTH_MAX))
    reviewed_at: Mapped[datetime | None]
    reason: Mapped[str | None] = mapped_column(sa.String(REASON_LENGTH_MAX))
    """What was said with the last decision of staff."""

    __table_args__ = (
        sa.CheckConstraint("decision IN ('pay', 'review', 'hold')", name="known_decision"),
        sa.CheckConstraint("score BETWEEN 0 AND 100", name="score_range"),
        sa.CheckConstraint("decision = 'pay' OR case_state IS NOT NULL", name="review_is_a_case"),
        sa.Index(
            "ix_verdicts_paid_referrals",
            "referrer_id",
            "at",
            sqlite_where=sa.text("is_paid_referral"),
            postgresql_where=sa.text("is_paid_referral"),
        ),
        sa.Index(
            "ix_verdicts_referrer",
            "referrer_id",
            sqlite_where=sa.text("referrer_id IS NOT NULL"),
            postgresql_where=sa.text("referrer_id IS NOT NULL"),
        ),
        sa.Index(
            "ix_verdicts_cases",
            "case_state",
            "id",
            sqlite_where=sa.text("case_state IS NOT NULL"),
            postgresql_where=sa.text("case_state IS NOT NULL"),
        ),
        sa.Index(
            "ix_verdicts_to_look_at",
            "id",
            sqlite_where=sa.text("looked_at IS NULL"),
            postgresql_where=sa.text("looked_at IS NULL"),
        ),
    )

    @property
    def found(self) -> list[Finding]:
        return [Finding.load(kept) for kept in self.findings]


OF_PURCHASES = sa.not_(VerdictRow.event.startswith("credit:"))
"""Leaves out what staff credited by hand, which is no purchase."""


class RuleSetting(Base):
    """A rule that is not used as the table in code says."""

    __tablename__ = "risk_rules"

    rule: Mapped[str] = mapped_column(sa.String(40), primary_key=True)
    mode: Mapped[str] = mapped_column(sa.String(8))
    points: Mapped[int] = mapped_column(sa.SmallInteger)

    __table_args__ = (
        sa.CheckConstraint("mode IN ('on', 'shadow', 'off')", name="known_mode"),
        sa.CheckConstraint("points BETWEEN 0 AND 100", name="points_range"),
    )


class BlockedCustomer(Base):
    """A customer who gets no rewards from now on."""

    __tablename__ = "blocked_customers"

    customer_id: Mapped[int] = mapped_column(sa.ForeignKey("customers.id"), primary_key=True)
    by: Mapped[str] = mapped_column(sa.String(BY_LENGTH_MAX))
    reason: Mapped[str] = mapped_column(sa.String(REASON_LENGTH_MAX))
    at: Mapped[datetime]


def asking_to_store(tx: Session, row: Mapping[str, Any]) -> Ask:
    """Stores a verdict, and answers with its id; with nothing when the event has one."""
    empty = {"looked_at": None, "reviewed_by": None, "reviewed_at": None, "reason": None}
    return adding(tx, VerdictRow, {**empty, **row})


def verdict_by_id(tx: Session, verdict_id: int, *, for_update: bool = False) -> VerdictRow:
    """Raises `UnknownCase`."""
    statement = sa.select(VerdictRow).where(VerdictRow.id == verdict_id)
    found = tx.scalar(statement.with_for_update() if for_update else statement)
    if found is None:
        raise UnknownCase()
    return found


def verdict_of(tx: Session, event: str) -> VerdictRow | None:
    """The verdict on an event, if there is one."""
    return tx.scalar(sa.select(VerdictRow).where(VerdictRow.event == event))


def settings_of(tx: Session) -> dict[str, Setting]:
    """How each rule is used in this deployment."""
    rows = tx.execute(sa.select(RuleSetting.rule, RuleSetting.mode, RuleSetting.points))
    return merged((row.rule, Setting(Mode(row.mode), row.points)) for row in rows)


def merged(said: Any) -> dict[str, Setting]:
    """Settings that were stored, over the defaults; of rules that are no more there is none."""
    settings = defaults()
    settings.update({rule: setting for rule, setting in said if rule in settings})
    return settings


def set_rule(tx: Session, rule: str, setting: Setting) -> None:
    """Store how a rule is used from now on."""
    row = {"rule": rule, "mode": setting.mode, "points": setting.points}
    run(tx, upsert(tx, RuleSetting, _as_said), **row)


def _as_said(_old: Any, new: Any) -> dict[str, Any]:
    return {"mode": new.mode, "points": new.points}


def block(tx: Session, customer: int, *, by: str, reason: str, now: datetime) -> bool:
    """Pay a customer nothing from now on. Whether that is news."""
    row = {"customer_id": customer, "by": by, "reason": reason, "at": now}
    return insert_new(tx, BlockedCustomer, row) == 1


def unblock(tx: Session, customer: int) -> bool:
    """Pay a customer again from now on. Whether that is news."""
    of = sa.delete(BlockedCustomer).where(BlockedCustomer.customer_id == customer)
    return tx.connection().execute(of).rowcount == 1


def is_blocked(tx: Session, customer: int) -> bool:
    found = sa.exists().where(BlockedCustomer.customer_id == customer)
    return tx.scalar(sa.select(found)) or False
