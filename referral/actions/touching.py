"""Links that are known from elsewhere than an opening in the database: a browser's cookie, or a
token that a system of the brand's sends along."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from enum import StrEnum

from sqlalchemy.orm import Session

from referral import campaigns, graph, people, spread
from referral.actions.knowing import Known
from referral.links import Link, LinkCodec, Touch
from referral.spread import Reached
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
    tx: Session, known: Known, visitor: int | None, touches: Sequence[Touch], now: datetime
) -> tuple[list[Touch], Reached]:
    """Bring the spread up to what the cookie knows, in case the openings are still on their way.

    Returns the touches that are somebody else's, as one's own link brings nobody in, and how the
    customer was reached with these.
    """
    others = [
        touch
        for touch in _of_today(known, touches)
        # The keys may be older than the database: a link may name what was never in this one.
        if touch.link.customer != known.customer
        and known.terms.by_id(touch.link.campaign) is not None
    ]
    if not others:
        return [], known.reached
    if visitor is not None and all(_is_told(known.reached, visitor, touch) for touch in others):
        return [touch for touch in others if touch.link.visitor != visitor], known.reached
    if visitor is None or not people.fold_visitor(tx, visitor, known.customer, now):
        visitor = people.own_visitor(tx, known.customer, people.new_visitor_id(), now)
    others = [touch for touch in others if touch.link.visitor != visitor]
    # By campaign, as those do who store visits: two who take turns at several wait in no circle.
    for touch in sorted(others, key=lambda touch: touch.link.campaign):
        graph.attach(tx, visitor, touch.link, latest_of(touch.at))
    return others, spread.reached(tx, known.customer)


def _is_told(reached: Reached, visitor: int, touch: Touch) -> bool:
    """Whether the spread has the very opening that the cookie tells of, by this visitor, and
    nothing is left to be noted of the visitor: so it is where nobody outruns the intake."""
    last = latest_of(touch.at)
    return any(
        node.visitor_id == visitor
        and node.campaign_id == touch.link.campaign
        and node.is_proven
        and any(
            by == touch.link.visitor and at is not None and touch.at <= at <= last
            for by, at in ((node.touched_by, node.at), (node.last_by, node.last_at))
        )
        for node in reached.touches
    )


def _of_today(known: Known, touches: Sequence[Touch]) -> Iterator[Touch]:
    """Touches that say whom their links' customers are now: a link may have been made before its
    customer was merged into another one. Those of customers whom nobody knows are left out."""
    for touch in touches:
        named = touch.link.customer
        if named is None:
            yield touch
        elif named in known.now:
            yield replace(touch, link=replace(touch.link, customer=known.now[named]))
