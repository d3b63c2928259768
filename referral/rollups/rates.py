"""Rates of the spread that take long to measure, kept for the pages that show them.

What they are is said in `reports.spread_rates`; here they are one document for each campaign.
"""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral.db import Base

ALL = 0
"""Stands for all campaigns together."""


class KeptRates(Base):
    """The rates of a campaign, as they were last measured."""

    __tablename__ = "kept_rates"

    campaign_id: Mapped[int] = mapped_column(sa.Integer, primary_key=True, autoincrement=False)
    """The campaign, or `ALL`."""
    at: Mapped[datetime]
    rates: Mapped[dict[str, Any]]


def keep(tx: Session, campaign_id: int, rates: dict[str, Any], at: datetime) -> None:
    tx.merge(KeptRates(campaign_id=campaign_id, at=at, rates=rates))
    tx.flush()


def kept(tx: Session, campaign_id: int) -> KeptRates | None:
    return tx.get(KeptRates, campaign_id)
