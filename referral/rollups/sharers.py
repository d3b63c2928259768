"""Who pressed a share button in which campaign, and when first: one row each, out of the visits."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral.db import Base
from referral.db.bulk import upsert_many
from referral.visits import Kind, Visit, VisitRow

ROWS_AT_ONCE = 2_000


class Sharer(Base):
    """A visitor who shared a campaign, by a button of its page."""

    __tablename__ = "sharers"

    campaign_id: Mapped[int] = mapped_column(sa.Integer, primary_key=True, autoincrement=False)
    visitor_id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    at: Mapped[datetime]
    """The first time."""

    __table_args__ = (sa.Index(None, "campaign_id", "at"),)


@dataclass(frozen=True)
class Difference:
    """A first share, as it is kept and as the visits have it."""

    campaign: int
    visitor: int
    kept: datetime | None
    found: datetime

    def __str__(self) -> str:
        said = self.kept.isoformat() if self.kept else "never"
        return (
            f"sharers: campaign {self.campaign}, visitor {self.visitor}: shared first at "
            f"{self.found.isoformat()}, kept is {said}"
        )


def note(tx: Session, visits: Iterable[Visit]) -> None:
    """Keep who shared for the first time, out of visits that have just been stored."""
    firsts: dict[tuple[int, int], datetime] = {}
    for visit in visits:
        if visit.kind is not Kind.share or visit.campaign is None or visit.visitor is None:
            continue
        key = (visit.campaign, visit.visitor)
        firsts[key] = min(visit.at, firsts.get(key, visit.at))
    _keep(tx, firsts)


def _keep(tx: Session, firsts: dict[tuple[int, int], datetime]) -> None:
    rows = [
        {"campaign_id": campaign, "visitor_id": visitor, "at": at}
        for (campaign, visitor), at in sorted(firsts.items())
    ]
    for start in range(0, len(rows), ROWS_AT_ONCE):
        upsert_many(tx, Sharer, rows[start : start + ROWS_AT_ONCE], _earlier)


def _earlier(old: Any, new: Any) -> dict[str, Any]:
    # Visits may be stored out of order.
    return {"at": sa.case((new["at"] < old["at"], new["at"]), else_=old["at"])}


def recount(tx: Session) -> int:
    """Keep what the visits say. Returns how much was not as they do."""
    wrong = list(differences(tx))
    _keep(tx, {(each.campaign, each.visitor): each.found for each in wrong})
    return len(wrong)


def differences(tx: Session) -> Iterator[Difference]:
    """First shares that are not kept, or as later ones.

    Of a first share that is kept the visit may be gone: visits are not kept for ever.
    """
    firsts = (
        sa.select(
            VisitRow.campaign_id, VisitRow.visitor_id, sa.func.min(VisitRow.at).label("first_at")
        )
        .where(VisitRow.kind == Kind.share)
        .where(VisitRow.campaign_id.is_not(None), VisitRow.visitor_id.is_not(None))
        .group_by(VisitRow.campaign_id, VisitRow.visitor_id)
        .subquery()
    )
    of_first = sa.and_(
        Sharer.campaign_id == firsts.c.campaign_id, Sharer.visitor_id == firsts.c.visitor_id
    )
    first_at = sa.type_coerce(firsts.c.first_at, Sharer.at.type)
    rows = tx.execute(
        sa.select(firsts.c.campaign_id, firsts.c.visitor_id, Sharer.at, first_at)
        .outerjoin(Sharer, of_first)
        .where(sa.or_(Sharer.at.is_(None), Sharer.at > firsts.c.first_at))
        .order_by(firsts.c.campaign_id, firsts.c.visitor_id)
    )
    yield from (Difference(*row) for row in rows)
