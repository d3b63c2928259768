"""Openings that turn out to be a machine's, or a person's after all; and whose they were."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral.codes import Label
from referral.db import run
from referral.links import Channel
from referral.visits.rows import VisitRow
from referral.visits.visit import Kind, Visit

NEVER_RAN = "never-ran"
"""The reason of a fetch that was taken for an opening until its browser ran no page."""


@dataclass(frozen=True)
class Opened:
    """`visitor` opened a link of `parent`, which said `hop`; None when it was his own."""

    visitor: int
    campaign: int
    parent: int | None
    hop: int
    channel: Channel
    at: datetime


# Written out and not bound: the index is used only where the query says so.
_IS_OPEN = VisitRow.kind == sa.literal_column("'open'")
_IS_NEVER_RAN = VisitRow.machine == sa.literal_column("'never-ran'")
_BY = VisitRow.visitor_id.in_(sa.bindparam("visitors", expanding=True))
_OPENED = sa.select(
    VisitRow.visitor_id,
    VisitRow.campaign_id,
    VisitRow.parent_id,
    VisitRow.hop,
    VisitRow.channel,
    VisitRow.at,
)
_PEOPLES = _OPENED.where(_IS_OPEN, _BY)
_WHOLE = tuple(VisitRow.__table__.c)
_TAKE = (
    sa.update(VisitRow)
    .where(_IS_OPEN, _BY)
    .values(kind=Kind.fetch, machine=NEVER_RAN)
    .returning(*_WHOLE)
)
_GIVE_BACK = (
    sa.update(VisitRow)
    .where(_IS_NEVER_RAN, _BY)
    .values(kind=Kind.open, machine=None)
    .returning(*_WHOLE)
)
_READERS = (
    sa.select(VisitRow.parent_id, VisitRow.visitor_id)
    .where(_IS_OPEN, VisitRow.parent_id.in_(sa.bindparam("sharers", expanding=True)))
    .distinct()
)
_FIRST = (
    sa.select(VisitRow.hop, sa.func.min(VisitRow.at).label("first_at"))
    .where(_IS_OPEN, VisitRow.parent_id == sa.bindparam("sharer"))
    .where(VisitRow.campaign_id == sa.bindparam("campaign"))
    .group_by(VisitRow.hop)
)


def opening_of(visit: Visit) -> Opened:
    """What a visit that is an opening says."""
    if visit.visitor is None or visit.campaign is None or visit.hop is None:
        raise ValueError("no opening")
    # Visits keep the hop of the reader, links that of the sharer.
    return Opened(
        visit.visitor, visit.campaign, visit.parent, visit.hop - 1, visit.channel, visit.at
    )


def opened_by(tx: Session, visitors: Sequence[int]) -> list[Opened]:
    """What these visitors opened, as far as it counts as people's."""
    return [_opened(row) for row in run(tx, _PEOPLES, visitors=visitors)]


def count_as_machines(tx: Session, visitors: Collection[int]) -> list[Visit]:
    """Turn all that these visitors opened into fetches; these, as they are now."""
    return [_visit(row) for row in run(tx, _TAKE, visitors=list(visitors))]


def count_as_people(tx: Session, visitors: Collection[int]) -> list[Visit]:
    """Turn what `count_as_machines` did to these visitors back; the openings, in their order."""
    found = [_visit(row) for row in run(tx, _GIVE_BACK, visitors=list(visitors))]
    return sorted(found, key=lambda visit: (visit.at, visit.event_id))


def _visit(row: Any) -> Visit:
    return Visit(
        Kind(row.kind),
        row.at,
        row.event_id,
        row.visitor_id,
        row.campaign_id,
        row.parent_id,
        row.hop,
        Channel.named(row.channel),
        row.batch_id,
        row.code_index,
        None if row.label is None else Label(row.label),
        row.store_id,
        row.region,
        machine=row.machine,
    )


def _opened(row: Any) -> Opened:
    # Visits keep the hop of the reader, links that of the sharer.
    channel = Channel.named(row.channel)
    return Opened(row.visitor_id, row.campaign_id, row.parent_id, row.hop - 1, channel, row.at)


def readers_of(tx: Session, sharers: Sequence[int]) -> list[tuple[int, int]]:
    """Sharers among these, each with a visitor who opened his link, in whatever campaign."""
    found = run(tx, _READERS, sharers=list(sharers))
    return [(row.parent_id, row.visitor_id) for row in found]


def first_openings(tx: Session, campaign: int, sharer: int) -> list[tuple[int, datetime]]:
    """When a visitor's link was first opened by people, for each hop that it said."""
    found = run(tx, _FIRST, campaign=campaign, sharer=sharer)
    return [(row.hop - 1, row.first_at) for row in found]
