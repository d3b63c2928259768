"""For how long the visits of a campaign are kept."""

from datetime import datetime

from pydantic import Field
from sqlalchemy.orm import Session

from referral import actions
from referral.campaigns import Campaign, UnknownCampaign, campaign_by_slug
from referral.config import KEEP_MONTHS_MAX
from referral.visits import keeping
from referral.web.api import auth
from referral.web.api.endpoint import Output, get, patch
from referral.web.api.reading import Input
from referral.web.context import deployment


class KeepingIn(Input):
    """For how long a campaign's visits are kept."""

    keep_months: int | None = Field(ge=1, le=KEEP_MONTHS_MAX)
    """For how many whole months, beside the current one; null: as the operator has set it for
    all."""


class KeepingOut(Output):
    """For how long a campaign's visits are kept, and since when."""

    keep_months: int | None
    """What the campaign says; null where it says nothing."""
    in_force: int | None
    """What holds: the campaign's number, or the operator's; null: visits are kept for ever."""
    since: datetime | None
    """What came before has been dropped, or is being dropped; null: nothing."""


@get("/campaigns/<slug>/keeping", answer=KeepingOut, problems=[UnknownCampaign])
def get_keeping(slug: str) -> KeepingOut:
    """Get for how long a campaign's visits are kept."""
    with deployment().db.read() as tx:
        return _told(tx, campaign_by_slug(tx, slug))


@patch(
    "/campaigns/<slug>/keeping",
    body=KeepingIn,
    answer=KeepingOut,
    statuses={200: "Changed"},
    problems=[UnknownCampaign],
)
def change_keeping(slug: str, body: KeepingIn) -> KeepingOut:
    """Say for how long a campaign's visits are kept.

    Published or not, over or not. What is older is dropped within the hour and does not come back;
    figures stay.
    """
    campaign = actions.keep_visits(deployment(), slug, body.keep_months, by=auth.caller())
    with deployment().db.read() as tx:
        return _told(tx, campaign)


def _told(tx: Session, campaign: Campaign) -> KeepingOut:
    return KeepingOut(
        keep_months=campaign.keep_months,
        in_force=campaign.keep_months or deployment().config.keep_visits_months,
        since=keeping.kept_since(tx, campaign.id),
    )
