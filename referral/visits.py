"""Visits: fetches, opens, scans, engagements and shares, one row each, kept as they came.

A machine asking is a fetch, a person's browser loading the page is an open (of a link) or a scan
(of a code), the page having run and been seen is an engagement. The counts are never added up.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID, uuid4, uuid5

import sqlalchemy as sa
from crawlerdetect import CrawlerDetect
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral.db import Base, RowId, insert_new
from referral.links import Channel


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
    machine: Mapped[str | None] = mapped_column(sa.String(20))
    """Why a fetch was not taken for a person."""

    __table_args__ = (
        sa.Index(None, "campaign_id", "kind", "visitor_id"),
        sa.Index(None, "batch_id", "code_index"),
    )


class ScannedCode(Base):
    """One device's first scan of one code: what "seen before" is made of."""

    __tablename__ = "scanned_codes"

    batch_id: Mapped[int] = mapped_column(sa.ForeignKey("batches.id"), primary_key=True)
    index: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True)
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
    machine: str | None = None


@dataclass(frozen=True)
class Seen:
    """What is known of a code's earlier scans."""

    devices: int
    first_at: datetime | None


def new_event_id() -> UUID:
    return uuid4()


_ENGAGEMENT = UUID("6f3f7c56-5a52-4c52-9f0e-2d7f2c1f5d11")


def engagement_id(visitor: int, campaign: int, day: datetime) -> UUID:
    """One engagement a visitor, campaign and day, however often the page says so."""
    return uuid5(_ENGAGEMENT, f"{visitor}|{campaign}|{day:%Y-%m-%d}")


def record(tx: Session, visits: Sequence[Visit]) -> int:
    """Store visits, each once. Returns how many were new."""
    rows = [
        {
            "event_id": visit.event_id,
            "kind": visit.kind,
            "at": visit.at,
            "campaign_id": visit.campaign,
            "visitor_id": visit.visitor,
            "parent_id": visit.parent,
            "hop": visit.hop,
            "channel": visit.channel.name,
            "batch_id": visit.batch,
            "code_index": visit.code_index,
            "machine": visit.machine,
        }
        for visit in visits
    ]
    return insert_new(tx, VisitRow, rows)


def remember_scan(tx: Session, visit: Visit) -> None:
    """Note that this device has seen this code."""
    row = {"batch_id": visit.batch, "index": visit.code_index, "visitor_id": visit.visitor}
    insert_new(tx, ScannedCode, {**row, "first_at": visit.at})


def seen(tx: Session, batch_id: int, index: int, *, except_visitor: int | None) -> Seen:
    """Earlier scans of a code by other devices than this one."""
    devices, first_at = tx.execute(
        sa.select(sa.func.count(), sa.func.min(ScannedCode.first_at)).where(
            ScannedCode.batch_id == batch_id,
            ScannedCode.index == index,
            ScannedCode.visitor_id != (except_visitor if except_visitor is not None else -1),
        )
    ).one()
    return Seen(devices, first_at)


# Telling machines from people


class Headers(Protocol):
    def get(self, name: str, default: str) -> str: ...


AGENT_LENGTH_MAX = 512
"""How much of a user agent is looked at: the crawler list takes a second over a very long one."""

_CRAWLERS = CrawlerDetect()
# Preview fetchers of chat apps, and tools, that the crawler list does not know by these names.
_FETCHERS = re.compile(
    r"WeChat(?:Share|Bot)|MicroMessenger-?Bot|Mpcrawler|QQ-URL-?Manager|DingTalkBot|Lark(?:Url)?"
    r"Preview|TelegramBot|facebookexternalhit|Line(?:Bot|-Poker)|kakaotalk-scrap|^(?:WhatsApp/|curl|"
    r"Wget|Go-http|python|okhttp|Java|Apache-HttpClient|axios|node)",
    re.IGNORECASE,
)
# The name alone is on the crawler list, but behind a browser's own it is the app's inner browser.
_INNER_BROWSER = re.compile(r"(?<=\s)WhatsApp/\S+")


def machine_reason(method: str, headers: Headers) -> str | None:
    """Why a request does not come from a person's browser; None when it seems to.

    HEAD requests, prefetches, embedded loads, missing user agents, known crawlers and preview
    fetchers.
    """
    if method == "HEAD":
        return "head"
    purpose = " ".join(headers.get(name, "") for name in ("Sec-Purpose", "Purpose", "X-Moz"))
    if "prefetch" in purpose.lower() or "preview" in purpose.lower():
        return "prefetch"
    if headers.get("Sec-Fetch-Dest", "document") not in {"document", "empty"}:
        return "embedded"  # as a picture or a frame of somebody else's page
    agent = headers.get("User-Agent", "").strip()[:AGENT_LENGTH_MAX]
    if not agent:
        return "no-user-agent"
    if _FETCHERS.search(agent):
        return "fetcher"
    if _CRAWLERS.isCrawler(_INNER_BROWSER.sub("", agent)):
        return "crawler"
    return None
