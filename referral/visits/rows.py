"""Visits as they are stored: one row each, kept as they came."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral.db import Base, is_sqlite, run
from referral.db.bulk import COPIED_FROM, NULL, as_line, copy, insert_many, time_for_copy
from referral.links import Channel
from referral.places import REGION_LENGTH_MAX
from referral.visits.visit import Kind, Visit


class VisitRow(Base):
    """One visit. Its `event_id` is made once, where it was seen; stored twice it counts once."""

    __tablename__ = "visits"

    event_id: Mapped[UUID] = mapped_column(sa.Uuid, primary_key=True)
    kind: Mapped[str] = mapped_column(sa.String(12))
    at: Mapped[datetime]
    campaign_id: Mapped[int | None] = mapped_column(sa.Integer)
    visitor_id: Mapped[int | None] = mapped_column(sa.BigInteger)
    parent_id: Mapped[int | None] = mapped_column(sa.BigInteger)
    """The visitor whose link was opened."""
    hop: Mapped[int | None] = mapped_column(sa.SmallInteger)
    channel: Mapped[str] = mapped_column(sa.String(12))
    batch_id: Mapped[int | None] = mapped_column(sa.BigInteger)
    code_index: Mapped[int | None] = mapped_column(sa.BigInteger)
    label: Mapped[str | None] = mapped_column(sa.String(5))
    store_id: Mapped[int | None] = mapped_column(sa.BigInteger)
    """The store that the scanned package went to."""
    region: Mapped[str | None] = mapped_column(sa.String(REGION_LENGTH_MAX))
    """Where it came from, coarsely: ISO 3166 of a country or of one of its parts."""
    machine: Mapped[str | None] = mapped_column(sa.String(20))
    """Why a fetch was not taken for a person."""

    __table_args__ = (
        # Who opened somebody's link, and what somebody opened.
        sa.Index(
            "ix_visits_openings",
            "parent_id",
            "campaign_id",
            sqlite_where=sa.text("kind = 'open'"),
            postgresql_where=sa.text("kind = 'open'"),
        ),
        sa.Index(
            "ix_visits_opened_by",
            "visitor_id",
            sqlite_where=sa.text("kind = 'open' OR machine = 'never-ran'"),
            postgresql_where=sa.text("kind = 'open' OR machine = 'never-ran'"),
        ),
        {"postgresql_partition_by": "RANGE (event_id)"},  # by month: see `months`
    )


_NAMES = (
    "event_id",
    "kind",
    "at",
    "campaign_id",
    "visitor_id",
    "parent_id",
    "hop",
    "channel",
    "batch_id",
    "code_index",
    "label",
    "store_id",
    "region",
    "machine",
)


def record(tx: Session, visits: Sequence[Visit]) -> set[UUID]:
    """Store visits, each once; no two of them have one number. Returns the events that were new."""
    if len(visits) >= COPIED_FROM and not is_sqlite(tx):
        new = _new_among(tx, visits)
        if copy(tx, VisitRow, _NAMES, map(_line, new)):
            return {visit.event_id for visit in new}
    rows = [dict(zip(_NAMES, _values(visit), strict=True)) for visit in visits]
    return insert_many(tx, VisitRow, rows, ("event_id",))


_KNOWN = sa.text(
    "SELECT event_id FROM visits WHERE event_id IN (SELECT unnest(CAST(:ids AS uuid[])))"
)


def _new_among(tx: Session, visits: Sequence[Visit]) -> Sequence[Visit]:
    """Those that are not known to have come before: pages say more than once that they are seen,
    while all others come twice together with whatever came with them."""
    said = [visit.event_id.hex for visit in visits if visit.kind is Kind.engagement]
    if not said:
        return visits
    known = set(run(tx, _KNOWN, ids=f"{{{','.join(said)}}}").scalars())
    return [visit for visit in visits if visit.event_id not in known] if known else visits


_CHANNELS = {channel: channel.name for channel in Channel}  # quicker than asking each time


def _values(visit: Visit) -> tuple[object, ...]:
    return (
        visit.event_id,
        visit.kind,
        visit.at,
        visit.campaign,
        visit.visitor,
        visit.parent,
        visit.hop,
        _CHANNELS[visit.channel],
        visit.batch,
        visit.code_index,
        visit.label,
        visit.store,
        visit.region,
        visit.machine,
    )


def _line(visit: Visit) -> str:
    """The same for `copy`, written out: there is one for every visit of a campaign."""
    _, kind, _, campaign, visitor, parent, hop, channel, *others = _values(visit)
    return (
        f"{visit.event_id.hex}\t{kind}\t{time_for_copy(visit.at)}\t"
        f"{NULL if campaign is None else campaign}\t{NULL if visitor is None else visitor}\t"
        f"{NULL if parent is None else parent}\t{NULL if hop is None else hop}\t{channel}\t"
        f"{as_line(others)}"
    )


def known_among(tx: Session, event_ids: Collection[UUID]) -> set[UUID]:
    """Those of these events that are stored."""
    return set(tx.scalars(sa.select(VisitRow.event_id).where(VisitRow.event_id.in_(event_ids))))
