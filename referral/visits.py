"""Visits: fetches, opens, scans, engagements and shares, one row each, kept as they came.

A machine asking is a fetch, a person's browser loading the page is an open (of a link) or a scan
(of a code), the page having run and been seen is an engagement. The counts are never added up.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4, uuid5

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral.codes import Code, Label
from referral.db import Base, RowId, insert_many, run, upsert
from referral.flags import Flag
from referral.links import Channel
from referral.places import REGION_LENGTH_MAX

NEVER_RAN = "never-ran"
"""The reason of a fetch that was taken for an opening until its browser ran no page."""


class Kind(StrEnum):
    fetch = "fetch"
    open = "open"
    scan = "scan"
    engagement = "engagement"
    share = "share"


class VisitRow(Base):
    """One visit. Its `event_id` is made once, where it was seen; stored twice it counts once."""

    __tablename__ = "visits"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    event_id: Mapped[UUID] = mapped_column(sa.Uuid, unique=True)
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
        sa.Index(None, "campaign_id", "kind", "visitor_id"),
        # Holds all that a batch's figures need: they are counted without looking at the rows.
        # SQLite looks at `kind` although it knows it.
        sa.Index(
            "ix_visits_scans",
            "batch_id",
            "at",
            "label",
            "region",
            "kind",
            sqlite_where=sa.text("kind = 'scan'"),
            postgresql_where=sa.text("kind = 'scan'"),
        ),
        # Who opened somebody's link, and what somebody opened.
        sa.Index(
            "ix_visits_openings",
            "parent_id",
            "campaign_id",
            "hop",
            "at",
            sqlite_where=sa.text("kind = 'open'"),
            postgresql_where=sa.text("kind = 'open'"),
        ),
        sa.Index(
            "ix_visits_opened_by",
            "visitor_id",
            sqlite_where=sa.text("kind = 'open' OR machine = 'never-ran'"),
            postgresql_where=sa.text("kind = 'open' OR machine = 'never-ran'"),
        ),
    )


class SeenCode(Base):
    """What is known of the scans of one code: a row from its first scan on."""

    __tablename__ = "seen_codes"

    batch_id: Mapped[int] = mapped_column(sa.ForeignKey("batches.id"), primary_key=True)
    index: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True)
    label: Mapped[str] = mapped_column(sa.String(5), primary_key=True)
    first_at: Mapped[datetime]
    region: Mapped[str | None] = mapped_column(sa.String(REGION_LENGTH_MAX))
    """Where it was first scanned."""
    devices: Mapped[int] = mapped_column(sa.BigInteger)

    __table_args__ = (sa.Index(None, "batch_id", "first_at", "label", "region"),)


class ScannedCode(Base):
    """One device that has scanned one code: what makes a device count once."""

    __tablename__ = "scanned_codes"

    batch_id: Mapped[int] = mapped_column(sa.ForeignKey("batches.id"), primary_key=True)
    index: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True)
    label: Mapped[str] = mapped_column(sa.String(5), primary_key=True)
    visitor_id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True)
    first_at: Mapped[datetime]


@dataclass(frozen=True)
class Visit:
    """An event on its way in."""

    kind: Kind
    at: datetime
    event_id: UUID
    visitor: int | None = None
    campaign: int | None = None
    parent: int | None = None
    hop: int | None = None
    channel: Channel = Channel.unknown
    batch: int | None = None
    code_index: int | None = None
    label: Label | None = None
    store: int | None = None
    """The store that the scanned package went to."""
    region: str | None = None
    flags: tuple[Flag, ...] = ()
    """What of a scanned code staff should look at."""
    machine: str | None = None


@dataclass(frozen=True)
class Seen:
    """What is known of a code's scans. `others` are the devices but the asking one."""

    others: int = 0
    first_at: datetime | None = None
    region: str | None = None


def new_event_id() -> UUID:
    return uuid4()


_ENGAGEMENT = UUID("6f3f7c56-5a52-4c52-9f0e-2d7f2c1f5d11")


def engagement_id(visitor: int, campaign: int, day: datetime) -> UUID:
    """One engagement a visitor, campaign and day, however often the page says so."""
    return uuid5(_ENGAGEMENT, f"{visitor}|{campaign}|{day:%Y-%m-%d}")


def record(tx: Session, visits: Sequence[Visit]) -> set[UUID]:
    """Store visits, each once. Returns the events that were new."""
    rows = [
        {
            "event_id": visit.event_id,
            "kind": visit.kind.value,
            "at": visit.at,
            "campaign_id": visit.campaign,
            "visitor_id": visit.visitor,
            "parent_id": visit.parent,
            "hop": visit.hop,
            "channel": visit.channel.name,
            "batch_id": visit.batch,
            "code_index": visit.code_index,
            "label": None if visit.label is None else visit.label.value,
            "store_id": visit.store,
            "region": visit.region,
            "machine": visit.machine,
        }
        for visit in visits
    ]
    return insert_many(tx, VisitRow, rows, ("event_id",))


def known_among(tx: Session, event_ids: Collection[UUID]) -> set[UUID]:
    """Those of these events that are stored."""
    return set(tx.scalars(sa.select(VisitRow.event_id).where(VisitRow.event_id.in_(event_ids))))


# Openings that turn out to be a machine's, or a person's after all


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


# Codes


def remember_scans(tx: Session, scans: Sequence[Visit]) -> None:
    """Note which devices have seen which codes; all of them are people's."""
    firsts: dict[_Device, Visit] = {}
    for visit in sorted(scans, key=lambda visit: visit.at, reverse=True):
        firsts[_device(visit)] = visit
    rows = [
        {**_code(visit), "visitor_id": visit.visitor, "first_at": visit.at}
        for _, visit in sorted(firsts.items())
    ]
    new = insert_many(tx, ScannedCode, rows, ("batch_id", "index", "label", "visitor_id"))
    statement = upsert(tx, SeenCode, _one_device_more)
    for device in sorted(new):
        visit = firsts[device]
        run(tx, statement, **_code(visit), first_at=visit.at, region=visit.region, devices=1)


_Device = tuple[int, int, str, int]
"""A code by batch, index and label, and a visitor."""


def _device(visit: Visit) -> _Device:
    return (*_code(visit).values(), visit.visitor)  # type: ignore[return-value]


def _code(visit: Visit) -> dict[str, int | str | None]:
    label = None if visit.label is None else visit.label.value
    return {"batch_id": visit.batch, "index": visit.code_index, "label": label}


def _one_device_more(old: Any, new: Any) -> dict[str, Any]:
    # Scans may arrive out of order.
    is_earlier = new.first_at < old.first_at
    return {
        "devices": old.devices + 1,
        "region": sa.case((is_earlier, new.region), else_=old.region),
        "first_at": sa.case((is_earlier, new.first_at), else_=old.first_at),
    }


_SEEN = sa.select(
    SeenCode.devices
    - sa.exists()
    .where(
        ScannedCode.batch_id == SeenCode.batch_id,
        ScannedCode.index == SeenCode.index,
        ScannedCode.label == SeenCode.label,
        ScannedCode.visitor_id == sa.bindparam("visitor"),
    )
    .cast(sa.Integer),
    SeenCode.first_at,
    SeenCode.region,
).where(
    SeenCode.batch_id == sa.bindparam("batch"),
    SeenCode.index == sa.bindparam("place"),
    SeenCode.label == sa.bindparam("side"),
)


def seen(tx: Session, code: Code, visitor: int | None) -> Seen:
    """What is known of a code's scans, to the device of `visitor`."""
    keys = {"batch": code.batch_id, "place": code.index, "side": code.label}
    row = run(tx, _SEEN, **keys, visitor=-1 if visitor is None else visitor).one_or_none()
    return Seen(*row) if row else Seen()
