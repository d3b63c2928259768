"""The pages anybody can open: share links and what goes with them."""

from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

from flask import Blueprint, Response, redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response as AnyResponse

from referral import campaigns, catalog, channels, intake, links, visits
from referral.campaigns import Campaign
from referral.errors import NotFound
from referral.links import TOKEN_LENGTH, Channel, Link
from referral.printing import posters, qr, typeface
from referral.printing.posters import Poster
from referral.reports import customers
from referral.visits import Kind, Visit
from referral.web import pictures, sharing
from referral.web.context import (
    customer,
    deployment,
    has_visitor_cookie,
    keep_visitor,
    machine,
    now,
    region,
    signed_in_id,
    visitor,
)
from referral.web.language import language
from referral.web.security import csrf, is_same_site

PICTURE_LIFETIME = timedelta(days=1)
BODY_PARAGRAPHS_MAX = 40

pages = Blueprint("pages", __name__)


@pages.get("/")
def home() -> str:
    return render_template("home.html")


@pages.get("/privacy")
def privacy() -> str:
    return render_template("privacy.html", uses_wechat=deployment().wechat is not None)


# Share links


@pages.get("/s/<token>")
def landing(token: str) -> AnyResponse | str | tuple[str, int]:
    link = deployment().links.read(token)
    if link is None and deployment().links.read(token[:TOKEN_LENGTH]):
        # Chat apps take the text that follows a link for a part of it.
        return redirect(url_for(".landing", token=token[:TOKEN_LENGTH]))
    with deployment().db.read() as tx:
        campaign = campaigns.campaign_by_id(tx, link.campaign) if link else None
        if link is None or campaign is None or not campaign.runs_at(now()):
            return _dead_link(has_ended=campaign is not None and campaign.ends_at <= now())
        sharer = customers.name_if_any(tx, deployment().keys, link.customer)
        products = catalog.products_in(tx, campaign.gtins)
    is_own = _record_opening(link, campaign)
    # A preview fetcher is nobody: the card it makes must lead to the link that was shared.
    own = link if machine() else sharing.own_link(campaign)
    content = campaign.content_in(language())
    return render_template(
        "landing.html",
        link_state="ok",
        own_link=is_own,
        sharer_name=None if is_own else sharer,
        campaign={
            "title": content.title,
            "body": content.body.split("\n\n")[:BODY_PARAGRAPHS_MAX] if content.body else [],
            "buy_url": campaign.buy_url,
            "picture": pictures.shown_picture(campaign),
        },
        product={"name": products[0].name} if len(products) == 1 else None,
        promise=sharing.promise(campaign.checked_rules),
        share=sharing.share_kit(campaign, own),
        preview=pictures.preview_of(campaign, language(), products),
    )


def _dead_link(*, has_ended: bool) -> tuple[str, int]:
    """A friendly page without credit, for a link that is cut, altered, foreign or too late."""
    state = "ended" if has_ended else "invalid"
    return render_template("landing.html", link_state=state, campaign=None, share=None), 404


def _record_opening(link: Link, campaign: Campaign) -> bool:
    """Count the opening and remember who brought this reader. Whether it is his own link."""
    reason = machine()
    agent = request.headers.get("User-Agent", "")
    link = link.through(channels.arrived_through(link.channel, request.args, agent))
    if reason is None:
        arrival = links.arrive(visitor(), link, signed_in_id(), now(), campaign.window)
        keep_visitor(arrival.cookie)
    is_own = reason is None and arrival.is_own
    intake.hand_in(
        deployment(),
        Visit(
            kind=Kind.fetch if reason else Kind.open,
            at=now(),
            event_id=visits.new_event_id(),
            visitor=None if reason else visitor().visitor,
            campaign=link.campaign,
            parent=None if is_own else link.visitor,
            hop=link.hop + 1,
            channel=link.channel,
            region=None if reason else region(),
            machine=reason,
        ),
        None if reason or is_own else link,
        signed_in_id(),
    )
    return is_own


@pages.post("/s/<token>/seen")
def seen(token: str) -> tuple[str, int]:
    """The page ran and was seen."""
    link = _link_of_beacon(token)
    if link is not None:
        moment, reader = now(), visitor().visitor
        event_id = visits.engagement_id(reader, link.campaign, moment)
        _hand_in_beacon(Kind.engagement, link, event_id=event_id)
    return "", 204


@pages.post("/s/<token>/share")
def share(token: str) -> tuple[dict[str, str], int] | tuple[str, int]:
    """A share button was pressed. Answers with the link that carries the channel."""
    link = _link_of_beacon(token)
    if link is None:
        return "", 204
    channel = Channel.named(_channel_sent())
    _hand_in_beacon(Kind.share, link.through(channel), event_id=visits.new_event_id())
    return {"url": sharing.address_of(link.through(channel))}, 200


# The browser sends these on its own, and nothing is paid for them: see `is_same_site`.
csrf.exempt(seen)
csrf.exempt(share)


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
    deployment().limits.beacon(visitor().visitor)
    with deployment().db.read() as tx:
        campaign = campaigns.campaign_by_id(tx, link.campaign)
    return link if campaign is not None and campaign.runs_at(now()) else None


def _hand_in_beacon(kind: Kind, link: Link, *, event_id: UUID) -> None:
    intake.hand_in(
        deployment(),
        Visit(
            kind=kind,
            at=now(),
            event_id=event_id,
            visitor=visitor().visitor,
            campaign=link.campaign,
            channel=link.channel,
            region=region(),
        ),
        customer=signed_in_id(),
    )


@pages.get("/s/<token>/qr.svg")
def qr_svg(token: str) -> Response:
    url, _link = _shared(token)
    return _picture(qr.qr_svg(url), "image/svg+xml")


@pages.get("/s/<token>/qr.png")
def qr_png(token: str) -> Response:
    url, _link = _shared(token)
    return _picture(qr.qr_png(url), "image/png")


@pages.get("/s/<token>/poster.png")
def poster(token: str) -> Response:
    """A poster with this link's code; with `?name=1` the sharer's name is on it, for herself."""
    url, link = _shared(token)
    with deployment().db.read() as tx:
        campaign = campaigns.campaign_by_id(tx, link.campaign)
    if campaign is None or not campaign.runs_at(now()):
        raise NotFound()
    content = campaign.content_in(language())
    name = _name_wished(link)
    made = posters.poster(
        Poster(
            brand=deployment().config.brand,
            title=content.title,
            lang=language(),
            lead=pictures.blurb(content),
            hint=_("Press and hold, or scan, to open"),
            note=sharing.disclosure(campaign.checked_rules),
            motif=pictures.motif_of(campaign),
        ),
        invitation=_("%(name)s invites you", name=name) if name else _("A friend invites you"),
        url=url,
    )
    response = _picture(made, "image/png")
    if "name" in request.args:
        # Whose browser asks decides, and the name may change.
        response.cache_control.no_cache = True
        response.cache_control.max_age = None
    return response


def _name_wished(link: Link) -> str:
    """The name for a poster: the reader's own, if it is her link and she asks for it.

    Nobody else decides that her name goes round.
    """
    reader = customer()
    if reader is None or reader.id != link.customer or request.args.get("name") != "1":
        return ""
    return typeface.settable(reader.name or "")


def _shared(token: str) -> tuple[str, Link]:
    """The public address of a share link and what it carries. Raises `NotFound`."""
    link = deployment().links.read(token)
    if link is None:
        raise NotFound()
    return deployment().address(f"/s/{token}"), link


def _picture(made: bytes, kind: str) -> Response:
    response = Response(made, mimetype=kind)
    response.cache_control.private = True
    response.cache_control.max_age = int(PICTURE_LIFETIME.total_seconds())
    response.add_etag()
    response.make_conditional(request)
    return response


@pages.get("/rules/<slug>")
def rules(slug: str) -> str:
    with deployment().db.read() as tx:
        campaign = campaigns.campaign_by_slug(tx, slug)
    if campaign.state != campaigns.CampaignState.published:
        raise campaigns.UnknownCampaign()
    content = campaign.content_in(language())
    return render_template(
        "rules.html",
        campaign={
            "title": content.title,
            "organiser": campaign.organiser or deployment().config.brand,
            "starts_at": campaign.starts_at,
            "ends_at": campaign.ends_at,
        },
        summary=_(
            "Points are paid for packages that are bought and claimed, once each, until the "
            "campaign ends or its budget is used up."
        ),
        lines=sharing.terms(campaign),
    )
