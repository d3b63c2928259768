"""A share link opened: whose it is, what is counted of it, what the page reports afterwards."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from flask import Blueprint, Response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from referral import channels, intake, links, machines, visits
from referral.campaigns import Campaign
from referral.errors import NotFound, Unavailable
from referral.links import TOKEN_LENGTH, Channel, Link, LinkFault
from referral.visits import Kind, Visit
from referral.web import landing as shown
from referral.web import sharing
from referral.web.context import (
    deployment,
    has_visitor_cookie,
    keep_visitor,
    machine,
    now,
    region,
    signed_in_id,
    visitor,
)
from referral.web.language import languages_of
from referral.web.plain import IN_VAIN
from referral.web.security import csrf, is_same_site

share_links = Blueprint("share_links", __name__)

PIXEL = (
    b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff!\xf9\x04\x01\0\0\0\0,\0\0\0\0\x01\0\x01\0"
    b"\0\x02\x02D\x01\0;"
)
"""The smallest picture there is, and nothing to see."""


@share_links.app_context_processor
def _fetched_ahead() -> dict[str, bool]:
    """Whether this page is fetched before anybody wants to see it: then it is nobody's, and asks
    for itself again once somebody looks at it."""
    return {"fetched_ahead": machine() == "prefetch"}


@share_links.get("/s", strict_slashes=False)
def no_token() -> tuple[str, int]:
    """What is left of a link that lost its token."""
    return _dead_link(LinkFault.missing)


@share_links.get("/s/<token>")
def landing(token: str) -> AnyResponse | str | tuple[str, int]:
    link = deployment().links.read(token)
    if link is None and deployment().links.read(token[:TOKEN_LENGTH]):
        # Chat apps take the text that follows a link for a part of it.
        return redirect(url_for(".landing", token=token[:TOKEN_LENGTH]))
    found = deployment().showcase.find(link.campaign) if link else None
    if link is None or found is None or not found.campaign.runs_at(now()):
        return _dead_link(deployment().links.fault(token))
    if IN_VAIN in request.environ:
        raise Unavailable()
    campaign, sharer = found.campaign, shown.name_of(deployment(), found, link.customer)
    is_own = _record_opening(link, campaign)
    if shop := shown.to_shop(campaign, token):
        # No page of ours runs then, so nobody can be asked to prove that one does.
        intake.note_ran(deployment(), visitor().visitor, now())
        return shop
    # A preview fetcher is nobody: the card it makes must lead to the link that was shared.
    own = link if machine() else sharing.own_link(campaign)
    return shown.page_for(found, own, token, is_own=is_own, sharer_name=sharer)


def _dead_link(fault: LinkFault) -> tuple[str, int]:
    """A friendly page without credit, the same one whatever is wrong: nobody learns from it what
    a token has to look like."""
    # Who reads the page in another language has opened no other link.
    if machine() is None and "lang" not in request.args:
        deployment().dead_links.count(fault, region())
    return render_template("dead_link.html", languages=languages_of(url_for(".no_token"))), 404


def _record_opening(link: Link, campaign: Campaign) -> bool:
    """Count the opening and remember who brought this reader. Whether it is his own link."""
    reason = machine()
    agent = request.headers.get("User-Agent", "")
    link = link.through(channels.arrived_through(link.channel, request.args, agent))
    if reason is not None:
        visit = opening(link, None, now(), None)._replace(kind=Kind.fetch, machine=reason)
        intake.hand_in(deployment(), visit)
        return False
    arrival = links.arrive(visitor(), link, signed_in_id(), now(), campaign.window)
    keep_visitor(arrival.cookie)
    visit = opening(link, visitor().visitor, now(), region(), is_own=arrival.is_own)
    intake.hand_in(deployment(), visit, signed_in_id())
    return arrival.is_own


def opening(
    link: Link, reader: int | None, at: datetime, region: str | None, *, is_own: bool = False
) -> Visit:
    """The visit of somebody who opens a link."""
    return Visit(
        kind=Kind.open,
        at=at,
        event_id=visits.new_event_id(at),
        visitor=reader,
        campaign=link.campaign,
        parent=None if is_own else link.visitor,
        hop=link.hop + 1,
        channel=link.channel,
        region=region,
    )


@share_links.post("/s/<token>/seen")
def seen(token: str) -> tuple[str, int]:
    """The page ran and was seen."""
    link = _link_of_beacon(token)
    if link is not None:
        moment, reader = now(), visitor().visitor
        event_id = visits.engagement_id(reader, link.campaign, moment)
        _hand_in_beacon(Kind.engagement, _as_it_came(link), moment, event_id)
    return "", 204


@share_links.post("/s/<token>/share")
def share(token: str) -> tuple[dict[str, str], int] | tuple[str, int]:
    """A share button was pressed. Answers with the link that carries the channel."""
    link = _link_of_beacon(token)
    if link is None:
        return "", 204
    channel = Channel.named(_channel_sent())
    moment = now()
    _hand_in_beacon(Kind.share, link.through(channel), moment, visits.new_event_id(moment))
    return {"url": sharing.address_of(link.through(channel))}, 200


@share_links.post("/s/<token>/ran")
def ran(token: str) -> tuple[str, int]:
    """The page ran, though it was left before it counted as seen."""
    _note_ran(token, machine())
    return "", 204


@share_links.get("/s/<token>/ran.gif")
def ran_without_scripts(token: str) -> Response:
    """The page was shown by a browser that runs no scripts: it loads this picture instead."""
    _note_ran(token, machines.machine_reason(request.method, request.headers, of_page=False))
    picture = Response(PIXEL, mimetype="image/gif")
    picture.headers["Cache-Control"] = "no-store"
    return picture


# The browser sends these on its own, and nothing is paid for them: see `is_same_site`.
csrf.exempt(seen)
csrf.exempt(share)
csrf.exempt(ran)


def _note_ran(token: str, reason: str | None) -> None:
    """Keep that the page of whose own link this is ran; it needs no cookie. Raises `NotFound`."""
    link = deployment().links.read(token)
    if link is None:
        raise NotFound()
    if reason is None and is_same_site():
        intake.note_ran(deployment(), link.visitor, now())


def _channel_sent() -> str | None:
    """The channel's name, from a form or from JSON."""
    if not request.is_json:
        return request.form.get("channel")
    try:
        sent = request.get_json(silent=True)
    except RecursionError:  # brackets without end
        return None
    name = sent.get("channel") if isinstance(sent, Mapping) else None
    return name if isinstance(name, str) else None


def _link_of_beacon(token: str) -> Link | None:
    """The link a page reports on; None for a machine, a stranger's page and a dead link."""
    link = deployment().links.read(token)
    if link is None:
        raise NotFound()
    if machine() or not has_visitor_cookie() or not is_same_site():
        return None
    found = deployment().showcase.find(link.campaign)
    return link if found is not None and found.campaign.runs_at(now()) else None


def _as_it_came(own: Link) -> Link:
    """A reader's own link, through the channel by which the campaign came to this browser last: who
    reads what a poster led to is counted for posters, beside the opening."""
    came = [touch for touch in visitor().touches if touch.link.campaign == own.campaign]
    return own.through(came[-1].link.channel) if came else own


def _hand_in_beacon(kind: Kind, link: Link, at: datetime, event_id: UUID) -> None:
    """Raises `TooMany`."""
    visit = Visit(
        kind=kind,
        at=at,
        event_id=event_id,
        visitor=visitor().visitor,
        campaign=link.campaign,
        channel=link.channel,
        region=region(),
    )

    # Of engagements a visitor has one a day: only who goes on reporting it is counted.
    if kind is not Kind.engagement:
        deployment().limits.beacon(visitor().visitor)
        intake.hand_in(deployment(), visit, signed_in_id())
    elif not intake.hand_in(deployment(), visit, signed_in_id()):
        deployment().limits.beacon(visitor().visitor)
