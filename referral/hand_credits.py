"""Points that staff credit by hand, or take back: who wanted it and why, and who agreed.

Over a limit another member has to approve. The database holds that nobody approves what is his own,
and that nothing over the limit is carried out without somebody who did.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral.db import Base, RowId
from referral.errors import N_, Conflict, InvalidInput, NotFound, Problem

AMOUNT_MAX = 10_000_000
"""Of one credit, in points."""
REASON_LENGTH_MAX = 300
TOLD_LENGTH_MAX = 120
KEY_LENGTH_MAX = 64
WAITS = timedelta(days=7)
"""How long a credit waits for somebody's approval."""
UNIT = "points"
RULE = "by_hand"
"""What stands for the rule in the reward of a credit."""


class State(StrEnum):
    waiting = "waiting"
    done = "done"
    refused = "refused"
    withdrawn = "withdrawn"
    """By who wanted it."""
    expired = "expired"
    """Nobody approved it in time."""


class HandCredit(Base):
    """Points for a customer, or below zero: points that are taken back."""

    __tablename__ = "hand_credits"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    key: Mapped[str] = mapped_column(sa.String(KEY_LENGTH_MAX), unique=True)
    """Names the form that was sent: sent twice, it is one credit."""
    customer_id: Mapped[int] = mapped_column(sa.ForeignKey("customers.id"))
    campaign_id: Mapped[int] = mapped_column(sa.ForeignKey("campaigns.id"))
    """Whose budget it comes out of, or goes back to."""
    amount: Mapped[int] = mapped_column(sa.BigInteger)
    reason: Mapped[str] = mapped_column(sa.String(REASON_LENGTH_MAX))
    """For staff."""
    told: Mapped[str] = mapped_column(sa.String(TOLD_LENGTH_MAX))
    """What the customer reads of it; may be empty."""
    within: Mapped[int] = mapped_column(sa.BigInteger)
    """How much could be credited without approval when it was asked for."""
    needs_approval: Mapped[bool]
    asked_by: Mapped[int] = mapped_column(sa.ForeignKey("staff.id"))
    asked_at: Mapped[datetime]
    state: Mapped[str] = mapped_column(sa.String(10))
    ends_at: Mapped[datetime]
    """Until when it may be approved."""
    decided_by: Mapped[int | None] = mapped_column(sa.ForeignKey("staff.id"))
    """Another member than who asked; nobody where no approval was needed."""
    decided_at: Mapped[datetime | None]
    word: Mapped[str] = mapped_column(sa.String(REASON_LENGTH_MAX))
    """What was said with a refusal."""
    entry_id: Mapped[int | None] = mapped_column(sa.ForeignKey("ledger_entries.id"), unique=True)

    __table_args__ = (
        sa.CheckConstraint("amount <> 0", name="amount_not_zero"),
        sa.CheckConstraint(
            "state IN ('waiting', 'done', 'refused', 'withdrawn', 'expired')", name="known_state"
        ),
        sa.CheckConstraint("needs_approval OR abs(amount) <= within", name="within_limit"),
        sa.CheckConstraint("decided_by IS NULL OR decided_by <> asked_by", name="two_people"),
        sa.CheckConstraint(
            "NOT (needs_approval AND state = 'done') OR decided_by IS NOT NULL",
            name="approved_before_done",
        ),
        sa.CheckConstraint("(state = 'done') = (entry_id IS NOT NULL)", name="done_is_posted"),
        sa.Index(None, "customer_id", "id"),
        sa.Index(None, "asked_by", "asked_at"),
        sa.Index(None, "state", "id"),
    )

    @property
    def event(self) -> str:
        """The credit's name in rewards and the ledger."""
        return f"credit:{self.id}"


class UnknownCredit(NotFound):
    slug = "unknown-credit"
    title = N_("There is no such credit.")


class CreditDecided(Conflict):
    slug = "credit-decided"
    title = N_("This was decided already.")
    advice = N_("Look at the list for what became of it.")


class OwnCredit(Problem):
    slug = "own-credit"
    status = 403
    title = N_("Somebody else has to approve what you want to credit.")
    advice = N_("Ask a colleague who may approve credits.")


class CreditReason(InvalidInput):
    slug = "credit-reason"
    title = N_("Please say why.")
    advice = N_("Colleagues read it, and it stays in the audit log.")


class CreditTooLow(Conflict):
    slug = "credit-too-low"
    title = N_("The customer does not have so many points.")
    advice = N_("Take back less: nobody's points go below zero.")


class NotEnoughBudget(Conflict):
    slug = "not-enough-budget"
    title = N_("The budget does not have so many points left.")
    advice = N_("Choose another budget, or credit less.")


def credit_by_id(tx: Session, credit_id: int, *, for_update: bool = False) -> HandCredit:
    """Raises `UnknownCredit`."""
    statement = sa.select(HandCredit).where(HandCredit.id == credit_id)
    if for_update:
        statement = statement.with_for_update().execution_options(populate_existing=True)
    found = tx.scalar(statement)
    if found is None:
        raise UnknownCredit()
    return found


def credit_of_key(tx: Session, key: str) -> HandCredit | None:
    return tx.scalar(sa.select(HandCredit).where(HandCredit.key == key))


def credited_alone(tx: Session, staff_id: int, since: datetime) -> int:
    """How many points a member has moved since a moment without anybody's approval, either way."""
    moved = sa.select(sa.func.coalesce(sa.func.sum(sa.func.abs(HandCredit.amount)), 0)).where(
        HandCredit.asked_by == staff_id,
        HandCredit.asked_at >= since,
        HandCredit.state == State.done,
        ~HandCredit.needs_approval,
    )
    return int(tx.scalar(moved) or 0)


def expire_due(tx: Session, now: datetime) -> Sequence[HandCredit]:
    """Give up what nobody approved in time; returns it."""
    due = tx.scalars(
        sa.select(HandCredit)
        .where(HandCredit.state == State.waiting, HandCredit.ends_at <= now)
        .order_by(HandCredit.id)
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    ).all()
    for credit in due:
        credit.state, credit.decided_at = State.expired, now
    tx.flush()
    return due


def hand_over(tx: Session, gone: int, kept: int) -> list[int]:
    """The credits of one customer are another one's, who is the same person. Returns them."""
    moved = list(tx.scalars(sa.select(HandCredit.id).where(HandCredit.customer_id == gone)))
    tx.execute(
        sa.update(HandCredit).where(HandCredit.customer_id == gone).values(customer_id=kept),
        execution_options={"synchronize_session": "fetch"},
    )
    return moved
