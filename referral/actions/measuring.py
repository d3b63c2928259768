"""What is worked out beforehand, because pages would take too long over it."""

from datetime import datetime, timedelta
from functools import partial

import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral.campaigns import Campaign, CampaignState
from referral.db import no_hurry
from referral.deployment import Deployment
from referral.reports import forecasts
from referral.rollups import rates as kept_rates
from referral.rollups import tallies

RATES_LAST = timedelta(minutes=45)
"""Rates that were measured so lately are not measured again."""


def tally(deployment: Deployment) -> bool:
    """Tally the purchases of the days that are over. Whether there were any."""
    now = deployment.clock.now()
    return deployment.db.transact(lambda tx: tallies.tally(tx, now))


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
    rates = forecasts.measured_now(tx, now, campaign=campaign)
    number = campaign.id if campaign else kept_rates.ALL
    kept_rates.keep(tx, number, rates.model_dump(mode="json"), now)
