"""Rewards as a file."""

import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral.campaigns import Campaign
from referral.errors import N_
from referral.exports.cells import major
from referral.exports.kinds import AT_ONCE, Column, Key, Kind, Page, Wanted, register
from referral.reports.exports.days import period
from referral.rewards import Reward


def _page(tx: Session, wanted: Wanted, after: Key | None) -> Page:
    """By number, which is the order in which they were granted."""
    since, until = period(wanted)
    statement = (
        sa.select(Reward, Campaign.slug)
        .join(Campaign, Campaign.id == Reward.campaign_id)
        .where(Reward.id > (after[0] if after else 0))
        .order_by(Reward.id)
        .limit(AT_ONCE)
    )
    found = tx.execute(statement).all()
    rows = [
        (
            reward.id,
            reward.granted_at,
            slug,
            reward.rule,
            reward.event,
            reward.beneficiary_id,
            reward.holder_id,
            reward.depth,
            reward.unit,
            major(reward.amount, reward.unit),
            major(reward.left, reward.unit),
            major(reward.taken_back, reward.unit),
            major(reward.lapsed, reward.unit),
            reward.state,
            reward.why,
            reward.available_at,
            reward.expires_at,
        )
        for reward, slug in found
        if since <= reward.granted_at < until
    ]
    return Page(rows, [found[-1][0].id] if len(found) == AT_ONCE else None)


def _count(tx: Session, wanted: Wanted) -> int | None:
    if wanted.params.get("since") or wanted.params.get("until"):
        return None
    return tx.scalar(sa.select(sa.func.count()).select_from(Reward)) or 0


register(
    Kind(
        name="rewards",
        title=N_("Rewards"),
        columns=(
            Column("reward", N_("Reward")),
            Column("at", N_("Time"), 20),
            Column("campaign", N_("Campaign"), 20),
            Column("rule", N_("Rule"), 28),
            Column("event", N_("Cause"), 18),
            Column("beneficiary", N_("Beneficiary")),
            Column("holder", N_("Holder")),
            Column("depth", N_("Hop"), 8),
            Column("unit", N_("Unit"), 10),
            Column("amount", N_("Amount")),
            Column("left", N_("Left")),
            Column("taken_back", N_("Taken back")),
            Column("expired", N_("Expired")),
            Column("state", N_("State")),
            Column("why", N_("Why taken back")),
            Column("available_at", N_("Available from"), 20),
            Column("expires_at", N_("Expires"), 20),
        ),
        page=_page,
        count=_count,
        of_period=True,
    )
)
