"""For how long visits are kept: whoever says so for a campaign, and dropping what is older."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from uuid import UUID

from sqlalchemy.orm import Session

from referral import audit, campaigns
from referral.campaigns import Campaign, signoff
from referral.db import transaction
from referral.deployment import Deployment
from referral.errors import Unavailable
from referral.visits import keeping, months

_BEGINNING = UUID(int=0)


@transaction
def keep_visits(
    tx: Session, deployment: Deployment, slug: str, keep_months: int | None, *, by: str
) -> Campaign:
    """Say for how many months a campaign's visits are kept, None for the brand's rule; at any
    time, as it promises customers nothing. What was dropped stays dropped.

    Raises `UnknownCampaign`.
    """
    campaign = campaigns.campaign_by_slug(tx, slug, for_update=True)
    was = campaign.keep_months
    if was == keep_months:
        return campaign
    campaign.keep_months = keep_months
    audit.note(
        tx,
        by=by,
        action="keep-visits",
        subject=signoff.subject_of(campaign),
        details={"was": was, "now": keep_months},
        now=deployment.clock.now(),
    )
    return campaign


@dataclass(frozen=True)
class DroppedVisits:
    """What was dropped of the visits, and which tables of months were made."""

    visits: int
    """One by one; besides all those of whole months."""
    months: list[datetime]
    """Those whose tables were dropped; on SQLite there are none."""
    new_months: list[datetime]
    is_put_off: bool
    """Whether some table is left for another time, as the visits were in use."""


def drop_visits(deployment: Deployment) -> DroppedVisits:
    """Drop visits that nobody keeps any more, and make the tables of months to come.

    Safe to run at any time, and on several sides; killed in between, it goes on the next time.
    """
    now = deployment.clock.now()
    owners = deployment.db.transact(lambda tx: _advance(tx, deployment, now))
    tables = _Tables(deployment)
    with deployment.db.read() as tx:
        last = keeping.nobody_keeps_before(tx, owners)
        old = months.before(tx, last) if last else []
    dropped = tables.change(months.drop, old)
    # What goes as a whole the next time is not deleted one by one.
    visits = 0 if tables.are_in_use else _drop_due(deployment)
    with deployment.db.read() as tx:
        since = keeping.latest(tx)
        old = months.before(tx, since) if since else []
    dropped += tables.change(months.drop_empty, old)
    with deployment.db.read() as tx:
        missing = months.missing(tx, now)
    made = tables.change(months.make, missing)
    return DroppedVisits(visits, sorted(dropped), made, tables.are_in_use)


def _advance(tx: Session, deployment: Deployment, now: datetime) -> set[int]:
    """Note since when visits are kept; whose there are."""
    rule = deployment.config.keep_visits_months
    owners = {number: said or rule for number, said in campaigns.keep_months(tx).items()}
    owners[keeping.NO_CAMPAIGN] = rule
    keeping.advance(tx, owners, now)
    return set(owners)


def _drop_due(deployment: Deployment) -> int:
    with deployment.db.read() as tx:
        due = keeping.due(tx)
    if due is None:
        return 0
    total, after = 0, _BEGINNING
    while found := deployment.db.transact(partial(keeping.drop_some, due=due, after=after)):
        total, after = total + found[0], found[1]
    deployment.db.transact(lambda tx: keeping.note_dropped(tx, due))
    return total


class _Tables:
    """Changes of the months' tables, each in a transaction of its own. None is tried any more once
    the visits were in use: everybody else waits behind whoever tries."""

    def __init__(self, deployment: Deployment) -> None:
        self._db = deployment.db
        self.are_in_use = False

    def change(
        self, change: Callable[[Session, datetime], bool], each: Iterable[datetime]
    ) -> list[datetime]:
        """The months of these that were changed."""
        return [month for month in each if self._is_changed(change, month)]

    def _is_changed(self, change: Callable[[Session, datetime], bool], month: datetime) -> bool:
        if self.are_in_use:
            return False
        try:
            return self._db.transact(lambda tx: change(tx, month))
        except Unavailable:  # the database itself would be missed by what comes next
            self.are_in_use = True
            return False
