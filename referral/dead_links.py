"""Links that led nowhere: how often, why and where; and nothing about who.

They are gathered in memory, so that a spoilt link costs no query: see `gathering`.
"""

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral.clock import Clock
from referral.db import Base, Database, upsert
from referral.gathering import Gatherer, add_up, hour_of, pieces
from referral.links import LinkFault
from referral.places import REGION_LENGTH_MAX

KEPT_DAYS = 400


class DeadLink(Base):
    """How many people opened a link that led nowhere in an hour and a region, by what it lacked."""

    __tablename__ = "dead_links"

    hour: Mapped[datetime] = mapped_column(primary_key=True)
    fault: Mapped[str] = mapped_column(sa.String(10), primary_key=True)
    region: Mapped[str] = mapped_column(sa.String(REGION_LENGTH_MAX), primary_key=True)
    """Where it was opened, ISO 3166; empty where that is not known."""
    count: Mapped[int] = mapped_column(sa.BigInteger)


class _Place(NamedTuple):
    hour: datetime
    fault: LinkFault
    region: str


class DeadLinks(Gatherer[_Place]):
    """The dead links that this process was asked for. Every thread may count."""

    name = "dead links"

    def __init__(self, db: Database, clock: Clock) -> None:
        super().__init__(db)
        self._clock = clock
        self.on_count: Callable[[LinkFault], object] | None = None
        """Called for every one: figures are kept elsewhere as well."""

    def count(self, fault: LinkFault, region: str | None = None) -> None:
        if self.on_count is not None:
            self.on_count(fault)
        self._count(_Place(hour_of(self._clock.now()), fault, region or ""))

    def _write(self, tx: Session, gathered: Counter[_Place]) -> None:
        statement = upsert(tx, DeadLink, add_up)
        # In one order everywhere, so that two processes do not wait for each other in a circle.
        for piece in pieces(sorted(gathered.items())):
            rows = [{**place._asdict(), "count": count} for place, count in piece]
            tx.connection().execute(statement, rows)

    def _coarser(self, place: _Place) -> _Place:
        """Without its region."""
        return place._replace(region="")


def sweep(tx: Session, now: datetime) -> int:
    """Drop counts older than `KEPT_DAYS`. Returns how many rows."""
    is_old = DeadLink.hour < now - timedelta(days=KEPT_DAYS)
    return tx.connection().execute(sa.delete(DeadLink).where(is_old)).rowcount
