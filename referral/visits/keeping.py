"""For how long visits are kept: whole months, by campaign.

Since when they are kept is written down before anything older is dropped, and never moves back:
who counts visits leaves out what is older, however much of it is still there.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral.db import Base, lock, run
from referral.db.bulk import among, numbers
from referral.visits.months import moment_of, month_of
from referral.visits.rows import VisitRow
from referral.visits.visit import first_id

NO_CAMPAIGN = 0
"""Stands for the visits of no campaign."""
AT_ONCE = 10_000
"""How many visits one transaction looks at: it keeps other writers waiting on SQLite."""
_LOCK = "visits kept since"


class VisitsKeptSince(Base):
    """Since when the visits of a campaign are kept, where they are not kept for ever."""

    __tablename__ = "visits_kept_since"

    campaign_id: Mapped[int] = mapped_column(sa.Integer, primary_key=True, autoincrement=False)
    """The campaign, or `NO_CAMPAIGN`."""
    since: Mapped[datetime]
    """The beginning of a month."""
    is_dropped: Mapped[bool]
    """Whether all that came before has been dropped already."""


@dataclass(frozen=True)
class Due:
    """Of whom visits have to be dropped that came before a month."""

    since: Mapping[int, datetime]
    """By campaign, or `NO_CAMPAIGN`."""

    @property
    def until(self) -> datetime:
        return max(self.since.values())

    def at(self, moment: datetime) -> list[int]:
        """Whose visits of a moment are not kept."""
        return [campaign for campaign, since in self.since.items() if moment < since]


def advance(tx: Session, keep_months: Mapping[int, int | None], now: datetime) -> None:
    """Note since when visits are kept by now. `keep_months` says it of each campaign and of
    `NO_CAMPAIGN`: a month is not kept any more when it is more than so many behind."""
    lock(tx, _LOCK)
    noted = {each.campaign_id: each for each in tx.scalars(sa.select(VisitsKeptSince))}
    for campaign, months in sorted(keep_months.items()):
        if months is None:
            continue
        since, its = month_of(now, -months), noted.get(campaign)
        if its is None:
            tx.add(VisitsKeptSince(campaign_id=campaign, since=since, is_dropped=False))
        elif its.since < since:
            its.since, its.is_dropped = since, False


def kept_since(tx: Session, campaign: int) -> datetime | None:
    """Since when the visits of a campaign are kept; None for all of them."""
    return tx.scalar(
        sa.select(VisitsKeptSince.since).where(VisitsKeptSince.campaign_id == campaign)
    )


def nobody_keeps_before(tx: Session, campaigns: Collection[int]) -> datetime | None:
    """Before which month none of these keeps any visits; None where one keeps all."""
    noted = tx.execute(sa.select(VisitsKeptSince.campaign_id, VisitsKeptSince.since))
    since = {row.campaign_id: row.since for row in noted}
    return None if set(campaigns) - set(since) else min(since.values(), default=None)


def latest(tx: Session) -> datetime | None:
    """The last month before which visits of anybody are dropped; None where nobody's are."""
    return tx.scalar(sa.select(sa.func.max(VisitsKeptSince.since)))


def due(tx: Session) -> Due | None:
    """Whose visits still have to be dropped; None when all are that should be."""
    rows = tx.execute(
        sa.select(VisitsKeptSince.campaign_id, VisitsKeptSince.since).where(
            VisitsKeptSince.is_dropped.is_(False)
        )
    )
    since = {row.campaign_id: row.since for row in rows}
    return Due(since) if since else None


_FIRST = (
    sa.select(VisitRow.event_id)
    .where(VisitRow.event_id >= sa.bindparam("since", type_=sa.Uuid()))
    .where(VisitRow.event_id < sa.bindparam("until", type_=sa.Uuid()))
    .order_by(VisitRow.event_id)
    .limit(1)
)
_ONE_TOO_MANY = _FIRST.offset(AT_ONCE)
_DROP = sa.delete(VisitRow).where(
    VisitRow.event_id >= sa.bindparam("since", type_=sa.Uuid()),
    VisitRow.event_id < sa.bindparam("until", type_=sa.Uuid()),
    among(sa.func.coalesce(VisitRow.campaign_id, sa.literal_column("0")), "campaigns"),
)


def drop_some(tx: Session, due: Due, after: UUID) -> tuple[int, UUID] | None:
    """Drop what is due of the next visits from a number on, of one day at most.

    Returns how many were dropped and the number to go on with; None when none are left.
    """
    until = first_id(due.until)
    first = run(tx, _FIRST, since=after, until=until).scalar()
    if first is None:
        return None
    moment = moment_of(first)
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    until = min(until, first_id(midnight))
    until = run(tx, _ONE_TOO_MANY, since=first, until=until).scalar() or until
    whose = numbers(tx, due.at(moment))
    return run(tx, _DROP, since=first, until=until, campaigns=whose).rowcount, until


def note_dropped(tx: Session, due: Due) -> None:
    """All that was due has been dropped. What has become due since stays due."""
    for campaign, since in due.since.items():
        tx.execute(
            sa.update(VisitsKeptSince)
            .where(VisitsKeptSince.campaign_id == campaign, VisitsKeptSince.since == since)
            .values(is_dropped=True)
        )
