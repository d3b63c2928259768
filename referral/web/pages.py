"""The pages anybody can open, and the pictures that go with a share link."""

from datetime import timedelta

from flask import Blueprint, Response, render_template, request
from flask_babel import gettext as _

from referral import campaigns, catalog, stores
from referral.errors import NotFound
from referral.links import Link
from referral.printing import posters, qr, typeface
from referral.printing.posters import Poster
from referral.web import pictures, promises, rules_page
from referral.web.context import (
    customer,
    deployment,
    now,
)
from referral.web.draws import seed_shown
from referral.web.language import language

PICTURE_LIFETIME = timedelta(days=1)

pages = Blueprint("pages", __name__)


@pages.get("/")
def home() -> str:
    return render_template("home.html")


@pages.get("/privacy")
def privacy() -> str:
    return render_template("privacy.html", uses_wechat=deployment().wechat is not None)


# What goes with a share link


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
        store = stores.name_of_visitor(tx, link.visitor)
    if campaign is None or not campaign.runs_at(now()):
        raise NotFound()
    content = campaign.content_in(language())
    name = typeface.settable(store) if store else _name_wished(link)
    made = posters.poster(
        Poster(
            brand=deployment().config.brand,
            title=content.title,
            lang=language(),
            lead=pictures.blurb(content),
            hint=_("Press and hold, or scan, to open"),
            note="" if campaign.audience else promises.disclosure(campaign.checked_rules),
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
        products = catalog.products_in(tx, campaign.gtins)
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
        rules=rules_page.made(campaign, products),
        draw=seed_shown(campaign),
    )
