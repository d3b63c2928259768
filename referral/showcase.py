"""Campaigns as whoever opens a link is shown them, kept in memory for a moment.

Openings come by the hundred a second and want the same few rows. What another process changes
about a running campaign shows within `KEEP_SECONDS`; whatever pays asks the database. While the
database is away, what was read last goes on being shown.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field
from threading import Lock
from time import monotonic
from typing import Any

from referral import campaigns, catalog
from referral.campaigns import Campaign, CampaignState
from referral.catalog import Product
from referral.db import Database
from referral.errors import Unavailable

KEEP_SECONDS = 1.0


@dataclass(frozen=True)
class Shown:
    """A campaign and the products it covers at one moment; nothing on them may be changed."""

    campaign: Campaign
    products: tuple[Product, ...]
    made: dict[Hashable, Any] = field(default_factory=dict)
    """What was made from them and is as good as they are, such as a page in one language."""
    names: dict[int, str | None] = field(default_factory=dict)
    """The names of customers whose links were opened, as they were then."""


class Showcase:
    """The published campaigns that were asked for lately."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._lock = Lock()
        self._kept: dict[int, tuple[float, Shown]] = {}

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

    def forget(self) -> None:
        """Read again at the next look: this process has changed a campaign."""
        with self._lock:
            self._kept = {}

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
