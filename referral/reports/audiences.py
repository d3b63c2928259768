"""Whom a campaign is for, looked at before or after the fact: how many they are, and which
purchases of the past were theirs.

Of customers only their rows of today are kept. So of the past it is known what they bought last
before each purchase; all else is as those rows say.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from referral.campaigns import Campaign
from referral.claims import Claim
from referral.orders import Order
from referral.rollups.customer_values import CustomerValue
from referral.rollups.measures import measures
from referral.segments import COUNTED_MAX, Audience, Conditions, count, meets, segment_by_id

_BEFORE = ("claimed_before", "ordered_before")


def conditions_of(tx: Session, campaign: Campaign) -> Conditions | None:
    """Whom a campaign is for: of a draft, as its segment is now. None for everybody.

    Raises `UnknownSegment` where a draft's segment is removed.
    """
    if not campaign.audience:
        return None
    fixed = Audience.load(campaign.audience)
    if fixed is not None:
        return fixed.conditions
    return segment_by_id(tx, campaign.audience["segment"]).checked


def size(tx: Session, campaign: Campaign, now: datetime) -> int | None:
    """How many customers a campaign is for, as far as they are counted (`segments.COUNTED_MAX`).
    None for everybody. Raises `UnknownSegment`.
    """
    said = conditions_of(tx, campaign)
    return None if said is None else min(count(tx, said, now), COUNTED_MAX)


def of_them(
    tx: Session, found: sa.Select[Any], said: Conditions, customer: Any, at: Any
) -> sa.Select[Any]:
    """Of a list of purchases, by whose and when, those of people who meet all that does not depend
    on the moment; with what `was_invited` asks for besides."""
    of_rows = said.model_copy(update={"bought_within": None, "not_bought_for": None})
    found = found.join(CustomerValue, CustomerValue.customer_id == customer)
    # No days are left in these conditions, so the moment is of no account.
    found = found.where(*meets(of_rows, datetime.min.replace(tzinfo=UTC)))
    if of_rows == said:
        return found
    known = measures(tx)
    counting = known.settings.purchases if known else "both"
    if counting != "orders":
        found = found.add_columns(_last(aliased(Claim), customer, at).label(_BEFORE[0]))
    if counting != "claims":
        order = aliased(Order)
        is_left = order.amount > order.refunded  # as values are worked out
        found = found.add_columns(_last(order, customer, at, is_left).label(_BEFORE[1]))
    return found


def _last(model: Any, customer: Any, at: Any, *said: Any) -> sa.ScalarSelect[Any]:
    last = sa.select(sa.func.max(model.at))
    return last.where(model.customer_id == customer, model.at < at, *said).scalar_subquery()


def was_invited(said: Conditions, row: Any, at: datetime) -> bool:
    """Whether the days since the purchase before are as many as is asked for."""
    if said.bought_within is None and said.not_bought_for is None:
        return True
    times = [time for name in _BEFORE if (time := getattr(row, name, None)) is not None]
    if not times:
        return False
    since = at - max(times)
    within, least = said.bought_within, said.not_bought_for
    is_late = least is None or since >= timedelta(days=least)
    return is_late and (within is None or since <= timedelta(days=within))
