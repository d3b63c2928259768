"""What a new customer costs a brand in advertising, to hold a campaign's figures against."""

from sqlalchemy.orm import Session

from referral import audit, campaigns
from referral.campaigns import Campaign, signoff
from referral.db import transaction
from referral.deployment import Deployment


@transaction
def set_advertising_cost(
    tx: Session, deployment: Deployment, slug: str, cost: int | None, *, by: str
) -> Campaign:
    """Say what one new customer costs in advertising, in minor units of the campaign's currency;
    None to say nothing. At any time, as it promises customers nothing. Raises `UnknownCampaign`."""
    campaign = campaigns.campaign_by_slug(tx, slug, for_update=True)
    was = campaign.advertising_cost
    if was == cost:
        return campaign
    campaign.advertising_cost = cost
    audit.note(
        tx,
        by=by,
        action="set-advertising-cost",
        subject=signoff.subject_of(campaign),
        details={"was": was, "now": cost},
        now=deployment.clock.now(),
    )
    return campaign
