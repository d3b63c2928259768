"""Campaigns as whoever opens a link is shown them, kept in memory for a moment.

Openings come by the hundred a second and want the same few rows. What another process changes
about a running campaign shows within `KEEP_SECONDS`; whatever pays asks the database. While the
database is away, what was read last goes on being shown.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field
from datetime import datetime
from threading import Lock
from time import monotonic
from typing import Any

from referral import campaigns, catalog
from referral.campaigns import Campaign, CampaignState
from referral.campaigns.campaign import TradeItem
from referral.catalog import Product
from referral.db import Database
from referral.errors import Unavailable

KEEP_SECONDS = 1.0
ITEMS_KEPT_MAX = 1_000


@dataclass(frozen=True)
class Shown:
    """A campaign and the products it covers at one moment; nothing on them may be changed."""

    campaign: Campaign
    products: tuple[Product, ...]
    made: dict[Hashable, Any] = field(default_factory=dict)
    """What was made from them and is as good as they are, such as a page in one language."""
    names: dict[int, str | None] = field(default_factory=dict)
    """The names of customers whose links were opened, as they were then."""


@dataclass(frozen=True)
class Running:
    """The campaigns for everybody that run at one moment, newest first; nothing on them may be
    changed."""

    campaigns: tuple[Campaign, ...]
    made: dict[Hashable, Any] = field(default_factory=dict)
    """What was made from them and is as good as they are."""
    _paying: dict[TradeItem, list[tuple[datetime, Campaign]]] = field(default_factory=dict)

    def of(self, item: TradeItem, now: datetime) -> list[Campaign]:
        """Those that pay for an item and have not ended meanwhile."""
        found = self._paying.get(item)
        if found is None:
            found = [(each.ends_at, each) for each in self.campaigns if each.pays_for(item)]
            if len(self._paying) < ITEMS_KEPT_MAX:
                self._paying[item] = found
        return [campaign for ends_at, campaign in found if now < ends_at]


class Showcase:
    """The published campaigns that were asked for lately."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._lock = Lock()
        self._kept: dict[int, tuple[float, Shown]] = {}
        self._running: tuple[float, Running] | None = None

    def find(self, campaign_id: int) -> Shown | None:
        """A campaign, running or not; None where there is none.

        Raises `Unavailable` when the database is away and nothing is known of it.
        """
        kept = self._kept
        read_at, shown = kept.get(campaign_id, (float("-inf"), None))
        if shown is not None and monotonic() - read_at < KEEP_SECONDS:
            return shown
        try:
            return self._read(campaign_id, kept)
        except Unavailable:
            if shown is None:
                raise
            # As if it had been read now: not everybody who opens a link should ask in vain.
            with self._lock:
                if kept.get(campaign_id) == (read_at, shown):
                    kept[campaign_id] = (monotonic(), shown)
            return shown

    def running(self, now: datetime) -> Running:
        """The campaigns for everybody that run. Raises `Unavailable` when nothing is known of
        them."""
        kept = self._running
        if kept is not None and monotonic() - kept[0] < KEEP_SECONDS:
            return kept[1]
        moment = monotonic()
        try:
            with self._db.read() as tx:
                # Nobody who is not known can be told that she is invited.
                found = Running(tuple(c for c in campaigns.running(tx, now) if not c.audience))
        except Unavailable:
            if kept is None:
                raise
            found = kept[1]
        with self._lock:
            if self._running is kept:  # else forgotten, or read again, meanwhile
                self._running = moment, found
        return found

    def forget(self) -> None:
        """Read again at the next look: this process has changed a campaign."""
        with self._lock:
            self._kept = {}
            self._running = None

    def _read(self, campaign_id: int, kept: dict[int, tuple[float, Shown]]) -> Shown | None:
        moment = monotonic()
        with self._db.read() as tx:
            campaign = campaigns.campaign_by_id(tx, campaign_id)
            if campaign is None:
                return None
            shown = Shown(campaign, tuple(catalog.products_in(tx, campaign.gtins)))
        # A draft is not kept: it has to be there at once when it is published.
        with self._lock:
            if kept is self._kept and campaign.state == CampaignState.published:
                kept[campaign_id] = (moment, shown)
        return shown
