"""Links that are known from elsewhere than an opening in the database: a browser's cookie, or a
token that a system of the brand's sends along."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from enum import StrEnum

from sqlalchemy.orm import Session

from referral import campaigns, graph, people
from referral.links import Link, LinkCodec, Touch
from referral.spread.placing import latest_of

TOKEN_LENGTH_MAX = 200


class ViaReason(StrEnum):
    """Why a link credits nobody."""

    altered = "altered"
    """Cut off, altered, or another installation's."""
    unknown_campaign = "unknown-campaign"
    campaign_not_running = "campaign-not-running"
    unknown_sharer = "unknown-sharer"
    own_link = "own-link"
    already_claimed = "already-claimed"
    """The claim had been made before; what it brought is settled."""


def read_via(
    tx: Session, links: LinkCodec, token: str, customer_id: int | None, at: datetime
) -> Link | ViaReason:
    """The link that may credit somebody for a purchase `at` a moment, or why it does not.

    `customer_id` is the buyer; None for one who is new.
    """
    link = links.read(token) if len(token) <= TOKEN_LENGTH_MAX else None
    if link is None:
        return ViaReason.altered
    campaign = campaigns.campaign_by_id(tx, link.campaign)
    if campaign is None:
        return ViaReason.unknown_campaign
    if not campaign.runs_at(at):
        return ViaReason.campaign_not_running
    if customer_id is not None and _is_own(tx, link, customer_id):
        return ViaReason.own_link
    if link.customer is not None and not people.is_customer(tx, link.customer):
        return ViaReason.unknown_sharer
    return link


def _is_own(tx: Session, link: Link, customer_id: int) -> bool:
    customers = {customer_id} | ({link.customer} if link.customer else set())
    is_hers = link.customer is not None and len(set(people.current(tx, customers).values())) == 1
    return is_hers or link.visitor in people.visitors_of(tx, customer_id)


def keep_touches(
    tx: Session, customer_id: int, visitor: int | None, touches: Sequence[Touch], now: datetime
) -> list[Touch]:
    """Bring the spread up to what the cookie knows, in case the openings are still on their way.

    Returns the touches that are somebody else's: one's own link brings nobody in.
    """
    # A link may have been made before its customer was merged into another one.
    touches = _of_today(tx, touches)
    others = [
        touch
        for touch in touches
        # The keys may be older than the database: a link may name what was never in this one.
        if touch.link.customer != customer_id
        and campaigns.campaign_by_id(tx, touch.link.campaign) is not None
        and (touch.link.customer is None or people.is_customer(tx, touch.link.customer))
    ]
    if not others:
        return []
    if visitor is None or not people.fold_visitor(tx, visitor, customer_id, now):
        visitor = people.own_visitor(tx, customer_id, people.new_visitor_id(), now)
    others = [touch for touch in others if touch.link.visitor != visitor]
    for touch in others:
        graph.attach(tx, visitor, touch.link, latest_of(touch.at))
    return others


def _of_today(tx: Session, touches: Sequence[Touch]) -> list[Touch]:
    """Touches that say whom their links' customers are now."""
    named = {touch.link.customer for touch in touches if touch.link.customer is not None}
    now = people.current(tx, named) if named else {}
    return [
        replace(touch, link=replace(touch.link, customer=now[touch.link.customer]))
        if touch.link.customer is not None
        else touch
        for touch in touches
    ]
