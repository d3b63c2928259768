"""Published campaigns as they stand at this moment, without reading again what has not changed.

PostgreSQL tells with each row which transaction wrote it. Asked together with something else, that
costs next to nothing; the row itself, its JSON and its rules are read once for every change.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Session

from referral.campaigns.campaign import Campaign, CampaignState, TradeItem, campaign_by_id, running
from referral.db import is_sqlite, run
from referral.db.round_trips import Answer, Ask, ask

KEPT_MAX = 1_000
"""How many campaigns are kept; when there are more, all are read again."""

_COLUMNS = Campaign.__table__.c
_VERSION = sa.literal_column("campaigns.xmin::text::bigint", sa.BigInteger).label("version")
_RUNS = (
    (_COLUMNS.state == CampaignState.published.value)
    & (_COLUMNS.starts_at <= sa.bindparam("now", type_=_COLUMNS.starts_at.type))
    & (_COLUMNS.ends_at > sa.bindparam("now", type_=_COLUMNS.starts_at.type))
)
_NAMED = _COLUMNS.id == sa.func.any(
    sa.bindparam("campaigns", type_=postgresql.ARRAY(sa.BigInteger))
)
_VERSIONS = (
    sa.select(_COLUMNS.id, _VERSION, _RUNS.label("runs"))
    .where(sa.or_(_RUNS, _NAMED))
    .order_by(_COLUMNS.starts_at.desc(), _COLUMNS.id.desc())
)
_READ = sa.select(*_COLUMNS, _VERSION).where(_NAMED)


class Kept:
    """A campaign as it was read; nothing on it may be changed."""

    def __init__(self, campaign: Campaign, version: int) -> None:
        self.campaign = campaign
        self.version = version
        self._pays: dict[tuple[str, int, str], bool] = {}

    def pays_for(self, item: TradeItem) -> bool:
        """`Campaign.pays_for`, worked out once for an item and its price."""
        key = (item.gtin, item.price, item.currency)
        if key not in self._pays:
            self._pays[key] = self.campaign.pays_for(item)
        return self._pays[key]


_kept: WeakKeyDictionary[Any, dict[int, Kept]] = WeakKeyDictionary()
"""By the engine of their database."""
_lock = Lock()


class Terms:
    """The campaigns of a transaction: those that run, and others by their numbers."""

    def __init__(self, tx: Session, now: datetime, answer: Answer | None) -> None:
        self._tx = tx
        self._now = now
        self._versions = {row.id: row.version for row in answer.rows} if answer else {}
        self._running = [row.id for row in answer.rows if row.runs] if answer else []
        self._is_known = answer is not None
        self._found: dict[int, Kept] | None = None

    def by_id(self, campaign_id: int) -> Campaign | None:
        """A campaign, running or not; None where there is none."""
        kept = self._all().get(campaign_id) if self._is_known else None
        return kept.campaign if kept else campaign_by_id(self._tx, campaign_id)

    def running(self, item: TradeItem) -> list[Campaign]:
        """See `campaigns.running`."""
        if not self._is_known:
            return running(self._tx, self._now, item)
        found = self._all()
        kept = [found[number] for number in self._running if number in found]
        return [each.campaign for each in kept if each.pays_for(item)]

    def _all(self) -> dict[int, Kept]:
        if self._found is None:
            self._found = _fresh(self._tx, self._versions)
        return self._found


def asking_terms(tx: Session, now: datetime, campaigns: Collection[int]) -> Sequence[Ask]:
    """What to ask for `Terms`: of what runs now, and of these campaigns. Nothing on SQLite."""
    if is_sqlite(tx):
        return []
    return [ask(_VERSIONS, now=now, campaigns=list(campaigns))]


def _fresh(tx: Session, versions: dict[int, int]) -> dict[int, Kept]:
    """Campaigns in these versions, read where they are not kept."""
    with _lock:
        kept = _kept.setdefault(tx.get_bind(), {})
        found = {
            number: one
            for number, version in versions.items()
            if (one := kept.get(number)) is not None and one.version == version
        }
    missing = [number for number in versions if number not in found]
    if missing:
        read = {row.id: _of(row) for row in run(tx, _READ, campaigns=missing)}
        found |= read
        with _lock:
            if len(kept) + len(read) > KEPT_MAX:
                kept.clear()
            kept.update(read)
    return found


def _of(row: Any) -> Kept:
    values = row._asdict()
    version = values.pop("version")
    # Of no session, which would empty it at a rollback.
    return Kept(Campaign(**values), version)
