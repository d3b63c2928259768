"""The pages anybody can open: a code, a share link, what goes with them."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from flask import Blueprint, Response, redirect, render_template, request, session, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response as AnyResponse

from referral import actions, campaigns, catalog, claims, intake, links, printing, visits
from referral.batches import Entry
from referral.campaigns import Campaign
from referral.codes import Code, MistypedCode, UnknownCode
from referral.errors import NotFound
from referral.links import TOKEN_LENGTH, Channel, Link
from referral.reports import customers, scans
from referral.visits import Kind, Visit
from referral.web import sharing
from referral.web.context import (
    customer,
    deployment,
    has_visitor_cookie,
    keep_visitor,
    machine,
    now,
    remote_address,
    visitor,
)
from referral.web.language import in_words, language
from referral.web.security import csrf, is_same_site

PICTURE_LIFETIME = timedelta(days=1)
BODY_PARAGRAPHS_MAX = 40

pages = Blueprint("pages", __name__)


@pages.get("/")
def home() -> str:
    return render_template("home.html")


@pages.get("/privacy")
def privacy() -> str:
    return render_template("privacy.html")


# Codes


@pages.get("/c")
def typed_code() -> AnyResponse | tuple[str, int] | str:
    typed = request.args.get("code", "").strip()
    if not typed:
        return render_template("code_form.html", code="", error=None)
    try:
        code, batch = _find(typed)
    except UnknownCode as problem:
        error = in_words(problem)
        return render_template("code_form.html", code=typed[:64], error=error), problem.status
    return redirect(scan_path(batch, code))


@pages.get("/c/<code>")
def scan_short(code: str) -> AnyResponse | tuple[str, int] | str:
    return redirect(url_for(".typed_code", code=code))


@pages.get("/01/<gtin>/21/<code>")
def scan(gtin: str, code: str) -> str:
    found, batch = _find(code, gtin)
    reader = visitor().visitor if machine() is None else None
    with deployment().db.read() as tx:
        verdict = scans.verdict(tx, found, reader, _signed_in())
        campaign = _campaign_for(campaigns.running(tx, now(), batch), verdict.campaign_id)
    _record_scan(found, campaign)
    just_claimed = session.pop("just_claimed", None)
    if verdict.word == "claimed_by_you" and just_claimed and just_claimed["code"] == found.text:
        return _claimed_page(found, batch, campaign, just_claimed)
    return render_template(
        "scan.html",
        verdict=verdict,
        product={"name": batch.product_name, "gtin": batch.gtin},
        code_text=found.grouped,
        claim_url=url_for(".claim", gtin=batch.gtin, code=found.text),
        sign_in_url=url_for("member.sign_in", next=scan_path(batch, found)),
        promise=sharing.promise(campaign.checked_rules) if campaign else [],
        campaign_title=campaign.content_in(language()).title if campaign else None,
        share=_share_kit(campaign),
    )


@pages.post("/01/<gtin>/21/<code>/claim")
def claim(gtin: str, code: str) -> AnyResponse:
    found, batch = _find(code, gtin)
    signed_in = customer()
    if signed_in is None:
        return redirect(url_for("member.sign_in", next=scan_path(batch, found)), 303)
    deployment().limits.claim(signed_in.id)
    claimed = actions.claim(
        deployment(),
        found,
        signed_in.id,
        visitor=visitor().visitor,
        touches=visitor().touches,
    )
    session["just_claimed"] = {
        "code": found.text,
        "already": claimed.already,
        "budget_spent": claimed.budget_spent,
    }
    return redirect(scan_path(batch, found), 303)


def _claimed_page(
    code: Code, batch: Entry, campaign: Campaign | None, just_claimed: dict[str, Any]
) -> str:
    signed_in = customer()
    if signed_in is None:
        raise NotFound()
    with deployment().db.read() as tx:
        report = customers.claim_report(tx, deployment().keys, code, signed_in.id)
    return render_template(
        "claimed.html",
        product={"name": batch.product_name, "gtin": batch.gtin},
        already=just_claimed["already"],
        budget_spent=just_claimed["budget_spent"],
        rewards=[
            {
                "text": sharing.reward_text(reward.rule, reward.depth),
                "amount": reward.amount,
                "unit": reward.unit,
                "state": reward.state,
                "available_at": reward.available_at,
            }
            for reward in report.rewards
        ],
        has_referrer=report.brought_in,
        referrer_name=report.referrer_name,
        share=_share_kit(campaign),
    )


def _share_kit(campaign: Campaign | None) -> sharing.ShareKit | None:
    if campaign is None or machine():
        return None
    return sharing.share_kit(campaign, sharing.own_link(campaign))


def _signed_in() -> int | None:
    signed_in = customer()
    return signed_in.id if signed_in else None


def scan_path(batch: Entry, code: Code) -> str:
    return url_for("pages.scan", gtin=batch.gtin, code=code.text)


def _find(text: str, gtin: str | None = None) -> tuple[Code, Entry]:
    """The genuine code in an address, or as typed. Misses are counted against guessing."""
    try:
        product_gtin = catalog.gtin14(gtin) if gtin is not None else None
        code = deployment().read_code(text)
    except MistypedCode:
        raise
    except UnknownCode:
        deployment().limits.unknown_code(remote_address())
        raise
    batch = deployment().directory.batch(code.batch_id)
    if product_gtin not in (None, batch.gtin):
        raise claims.WrongProduct()
    return code, batch


def _campaign_for(running: list[Campaign], preferred: int | None) -> Campaign | None:
    """The claim's own campaign, one whose link this reader opened, or the newest."""
    wanted = [preferred, *(touch.link.campaign for touch in visitor().touches)]
    for campaign_id in wanted:
        for campaign in running:
            if campaign.id == campaign_id:
                return campaign
    return running[0] if running else None


def _record_scan(code: Code, campaign: Campaign | None) -> None:
    reason = machine()
    intake.hand_in(
        deployment(),
        Visit(
            kind=Kind.fetch if reason else Kind.scan,
            at=now(),
            event_id=visits.new_event_id(),
            visitor=None if reason else visitor().visitor,
            campaign=campaign.id if campaign else None,
            batch=code.batch_id,
            code_index=code.index,
            machine=reason,
        ),
        customer=_signed_in(),
    )


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
        },
        product={"name": products[0].name} if len(products) == 1 else None,
        promise=sharing.promise(campaign.checked_rules),
        share=sharing.share_kit(campaign, own),
        og_title=content.title,
        og_description=content.body.partition("\n")[0][:120],
    )


def _dead_link(*, has_ended: bool) -> tuple[str, int]:
    """A friendly page without credit, for a link that is cut, altered, foreign or too late."""
    state = "ended" if has_ended else "invalid"
    return render_template("landing.html", link_state=state, campaign=None, share=None), 404


def _record_opening(link: Link, campaign: Campaign) -> bool:
    """Count the opening and remember who brought this reader. Whether it is his own link."""
    reason = machine()
    if reason is None:
        arrival = links.arrive(visitor(), link, _signed_in(), now(), campaign.window)
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
            machine=reason,
        ),
        None if reason or is_own else link,
        _signed_in(),
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
        ),
        customer=_signed_in(),
    )


@pages.get("/s/<token>/qr.svg")
def qr_svg(token: str) -> Response:
    return _picture(token, "image/svg+xml", lambda url, link: printing.qr_svg(url))


@pages.get("/s/<token>/qr.png")
def qr_png(token: str) -> Response:
    return _picture(token, "image/png", lambda url, link: printing.qr_png(url))


@pages.get("/s/<token>/poster.png")
def poster(token: str) -> Response:
    return _picture(token, "image/png", _poster)


def _poster(url: str, link: Link) -> bytes:
    with deployment().db.read() as tx:
        campaign = campaigns.campaign_by_id(tx, link.campaign)
        sharer = customers.name_if_any(tx, deployment().keys, link.customer)
    if campaign is None or not campaign.runs_at(now()):
        raise NotFound()
    name = printing.settable(sharer or "")
    return printing.poster(
        brand=deployment().config.brand,
        title=campaign.content_in(language()).title,
        invitation=_("%(name)s invites you", name=name) if name else _("A friend invites you"),
        hint=_("Press and hold, or scan, to open"),
        url=url,
    )


def _picture(token: str, kind: str, make: Callable[[str, Link], bytes]) -> Response:
    link = deployment().links.read(token)
    if link is None:
        raise NotFound()
    response = Response(make(deployment().address(f"/s/{token}"), link), mimetype=kind)
    response.cache_control.private = True
    response.cache_control.max_age = int(PICTURE_LIFETIME.total_seconds())
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
