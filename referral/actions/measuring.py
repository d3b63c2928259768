"""What is worked out beforehand, because pages would take too long over it."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral.campaigns import Campaign, CampaignState
from referral.db import no_hurry
from referral.deployment import Deployment
from referral.reports import forecasts, spread_figures
from referral.rollups import days, moments, money, tallies
from referral.rollups import rates as kept_rates

RATES_LAST = timedelta(minutes=45)
"""Rates that were measured so lately are not measured again."""


def tally(deployment: Deployment) -> bool:
    """Tally the purchases of the days that are over, what happened in campaigns then, who went on
    to what, and what moved in the ledger. Whether there was any of it."""
    now, zone = deployment.clock.now(), ZoneInfo(deployment.config.timezone)
    tallied = deployment.db.transact(lambda tx: tallies.tally(tx, now))
    counted = deployment.db.transact(lambda tx: days.tally(tx, _published(tx), now, zone))
    went_on = deployment.db.transact(lambda tx: moments.count(tx, now))
    summed = deployment.db.transact(lambda tx: money.tally(tx, zone, now))
    return tallied or counted or went_on or summed


def recount_days(deployment: Deployment) -> int:
    """Count anew what happened in campaigns day by day. Returns how many counts were wrong."""
    zone = ZoneInfo(deployment.config.timezone)
    return deployment.db.transact(lambda tx: days.recount(tx, _published(tx), zone))


def days_differing(tx: Session, deployment: Deployment) -> Iterator[str]:
    """What `recount_days` would put right, each in words."""
    yield from days.differences(tx, _published(tx), ZoneInfo(deployment.config.timezone))


def recount_money(deployment: Deployment) -> int:
    """Sum up the ledger anew, by the days of the brand's calendar as it is now. Returns how many
    sums were wrong."""
    zone = ZoneInfo(deployment.config.timezone)
    return deployment.db.transact(lambda tx: money.recount(tx, zone))


def _published(tx: Session) -> list[int]:
    published = Campaign.state == CampaignState.published
    return list(tx.scalars(sa.select(Campaign.id).where(published).order_by(Campaign.id)))


def measure_rates(deployment: Deployment) -> int:
    """Measure how links spread where pages do not do it themselves. Returns of how many campaigns,
    all of them together being one."""
    now = deployment.clock.now()
    with deployment.db.read() as tx:
        due = _due(tx, now)
    for campaign in due:
        deployment.db.transact(partial(_measure, campaign=campaign, now=now))
    return len(due)


def _due(tx: Session, now: datetime) -> list[Campaign | None]:
    # A campaign's rates stop changing some time after its end.
    running = sa.select(Campaign).where(
        Campaign.state == CampaignState.published, Campaign.ends_at > now - timedelta(days=1)
    )
    scopes = [None, *tx.scalars(running.order_by(Campaign.id))]
    return [each for each in scopes if forecasts.is_large(tx, each) and _is_old(tx, each, now)]


def _is_old(tx: Session, campaign: Campaign | None, now: datetime) -> bool:
    found = kept_rates.kept(tx, campaign.id if campaign else kept_rates.ALL)
    return found is None or found.at < now - RATES_LAST


def _measure(tx: Session, campaign: Campaign | None, now: datetime) -> None:
    no_hurry(tx)
    if campaign is None:
        rates = forecasts.measured_now(tx, now)
        kept_rates.keep(tx, kept_rates.ALL, rates.model_dump(mode="json"), now)
        return
    found = spread_figures.measured_now(tx, campaign, now)
    kept_rates.keep(tx, campaign.id, spread_figures.as_kept(found), now)
