"""Granted rewards, whose unique key pays a rule once per event, and promises that were not kept.

A reward is pending, then available, unless it is taken back; what nobody spent of it expires. What
is `left` of pending rewards adds up to the holder's pending account, of available ones to the
wallet.
"""

from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from referral.db import Base, RowId


class RewardState(StrEnum):
    pending = "pending"
    available = "available"
    reversed = "reversed"
    expired = "expired"


class Reward(Base):
    """A granted reward. The unique key makes paying a rule twice for one event impossible."""

    __tablename__ = "rewards"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    event: Mapped[str] = mapped_column(sa.String(60), sa.ForeignKey("verdicts.event"))
    """The proof of purchase, e.g. ``claim:17``. There is a verdict on it: the database says so."""
    rule: Mapped[str] = mapped_column(sa.String(160))
    beneficiary_id: Mapped[int] = mapped_column(sa.ForeignKey("customers.id"))
    """Whom the rule paid."""
    holder_id: Mapped[int] = mapped_column(sa.ForeignKey("customers.id"))
    """Whose it is: the beneficiary, or the customer the beneficiary was merged into."""
    campaign_id: Mapped[int] = mapped_column(sa.ForeignKey("campaigns.id"), index=True)
    depth: Mapped[int] = mapped_column(sa.SmallInteger)
    unit: Mapped[str] = mapped_column(sa.String(60))
    amount: Mapped[int] = mapped_column(sa.BigInteger)
    left: Mapped[int] = mapped_column(sa.BigInteger)
    """What of it was not yet spent, taken back or expired, nor paid a debt."""
    taken_back: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    lapsed: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    """What of it expired."""
    state: Mapped[str] = mapped_column(sa.String(12))
    why: Mapped[str | None] = mapped_column(sa.String(40))
    """Why something of it was taken back: a `Reason`."""
    is_cleared: Mapped[bool]
    """Whether the verdict on the event, or its review, lets it be paid out."""
    granted_at: Mapped[datetime]
    available_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    """When what is left of it expires; None for never."""
    entry_id: Mapped[int] = mapped_column(sa.ForeignKey("ledger_entries.id"), index=True)

    __table_args__ = (
        sa.UniqueConstraint("event", "rule", "beneficiary_id"),
        # Tracing has no depth limit; pay has, and the database holds it.
        sa.CheckConstraint("depth BETWEEN 0 AND 2", name="paid_depth"),
        sa.CheckConstraint("amount > 0", name="amount_positive"),
        sa.CheckConstraint('"left" >= 0 AND taken_back >= 0 AND lapsed >= 0', name="parts"),
        sa.CheckConstraint('"left" + taken_back + lapsed <= amount', name="parts_of_amount"),
        sa.CheckConstraint("state <> 'available' OR is_cleared", name="cleared_before_paid"),
        sa.Index(
            "ix_rewards_to_release",
            "available_at",
            "id",
            sqlite_where=sa.text("state = 'pending' AND is_cleared"),
            postgresql_where=sa.text("state = 'pending' AND is_cleared"),
        ),
        sa.Index(None, "holder_id", "id"),
        # Empty: what is held is not paid out.
        sa.Index(
            "ix_rewards_uncleared",
            "id",
            sqlite_where=sa.text("state = 'available' AND NOT is_cleared"),
            postgresql_where=sa.text("state = 'available' AND NOT is_cleared"),
        ),
        sa.Index(
            None,
            "expires_at",
            sqlite_where=sa.text("state = 'available' AND \"left\" > 0"),
            postgresql_where=sa.text("state = 'available' AND \"left\" > 0"),
        ),
    )

    @property
    def is_looked_at(self) -> bool:
        """Whether it waits until somebody has looked at the purchase."""
        return self.state == RewardState.pending and not self.is_cleared


TO_RELEASE = sa.and_(Reward.state == sa.literal_column("'pending'"), Reward.is_cleared)
"""Pending and cleared: written out and not bound, as the index is used only where a query says so.
"""


class Why(StrEnum):
    """Why something a rule promised was not granted."""

    budget_spent = "budget_spent"
    """The campaign's budget for it was used up."""
    limit_reached = "limit_reached"
    """The rule's own limit was reached."""
    no_win = "no_win"
    """The draw was lost."""
    self_referral = "self_referral"
    """Who brought the buyer in is the buyer."""
    too_many = "too_many"
    """The referrer has had as many referrals paid as one gets in a day or a month."""
    blocked = "blocked"
    """The customer has been blocked by staff."""


class Reason(StrEnum):
    """Why a reward was taken back."""

    refunded = "refunded"
    abuse = "abuse"
    same_person = "same_person"
    """Who was paid for bringing somebody in turned out to be that somebody."""


class Withheld(Base):
    """What a rule promised for an event and did not grant, and why. Written down when it happened:
    rules and budgets change afterwards."""

    __tablename__ = "withheld_rewards"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    event: Mapped[str] = mapped_column(sa.String(60))
    rule: Mapped[str] = mapped_column(sa.String(160))
    beneficiary_id: Mapped[int] = mapped_column(sa.ForeignKey("customers.id"), index=True)
    campaign_id: Mapped[int] = mapped_column(sa.ForeignKey("campaigns.id"), index=True)
    why: Mapped[str] = mapped_column(sa.String(20))
    depth: Mapped[int] = mapped_column(sa.SmallInteger, server_default="0")
    """How far above the buyer the beneficiary is, as of a reward: a draw's ticket goes by it."""
    at: Mapped[datetime]

    __table_args__ = (sa.UniqueConstraint("event", "rule", "beneficiary_id"),)
