"""Lucky draws: what was promised of the seed, and the seed once the campaign is over."""

from datetime import datetime

from referral import campaigns
from referral.campaigns import UnknownCampaign
from referral.reports import draws as report
from referral.reports.draws import NoDraw
from referral.web.api.endpoint import Output, get
from referral.web.context import deployment, now


class DrawOut(Output):
    """The seed of a campaign's lucky draws."""

    commitment: str
    """Its SHA-256 in hex, fixed when the campaign was published."""
    seed: str | None
    """In hex; null until the campaign is over."""
    ends_at: datetime


@get("/campaigns/<slug>/draw", answer=DrawOut, problems=[UnknownCampaign, NoDraw])
def get_draw(slug: str) -> DrawOut:
    """Get the seed of a campaign's draws.

    How the numbers follow from it is in docs/draws.md.
    """
    with deployment().db.read() as tx:
        campaign = campaigns.campaign_by_slug(tx, slug)
    if campaign.draw_commitment is None:
        raise NoDraw()
    return DrawOut(
        commitment=campaign.draw_commitment,
        seed=report.public_seed(campaign, deployment().keys, now()),
        ends_at=campaign.ends_at,
    )
