"""Campaigns: the list, the form, and a campaign's page with its figures, spread and ledger."""

from typing import Any
from zoneinfo import ZoneInfo

from flask import Response, flash, redirect, render_template, request, url_for
from flask_babel import format_number
from flask_babel import gettext as _
from sqlalchemy.orm import Session

from referral import actions, catalog, rewards
from referral.campaigns import (
    PAYOUT_PERCENT_MAX,
    POINT_VALUE,
    AlreadyPublished,
    Campaign,
    CampaignExists,
    CampaignState,
    EndsTooEarly,
    PayoutOverBound,
    ShopNotListed,
    campaign_by_slug,
)
from referral.config import LANGUAGES
from referral.content import MORE_PICTURES_MAX
from referral.errors import NotFound, Problem, Unavailable
from referral.pictures import UnknownPicture
from referral.printing import cards
from referral.reports import campaigns as figures
from referral.reports import entries, lists, trees
from referral.staff import Right, StaffMember
from referral.web import pictures, sharing
from referral.web.context import deployment
from referral.web.language import OWN_NAMES, in_words
from referral.web.security import allow
from referral.web.staff import contents, drafts, findings
from referral.web.staff.auth import Page, require
from referral.web.staff.blueprint import staff
from referral.web.staff.forms import Form, offset_of
from referral.web.staff.spread import names_in
from referral.web.staff.uploads import take_pictures

SHARERS_SHOWN = 10
ENTRIES_SHOWN = 5


@staff.get("/campaigns")
@require(Right.read)
def campaign_list(member: StaffMember) -> Page:
    with deployment().db.read() as tx:
        listed = lists.campaigns(tx, offset=offset_of(request.args))
    return render_template("staff/campaigns.html", listed=listed)


# Not below /campaigns/: that is where campaigns have the names a brand gives them.
@staff.get("/new-campaign")
@require(Right.change)
def new_campaign(member: StaffMember) -> Page:
    return _form_page(drafts.new_form(), None)


@staff.post("/new-campaign")
@require(Right.change)
def add_campaign(member: StaffMember) -> Page:
    form = Form(request.form)
    take_pictures(form)
    draft = drafts.read(form, _gtins(), _zone())
    if draft is not None:
        try:
            actions.add_campaign(deployment(), draft)
        except CampaignExists as problem:
            form.refuse("slug", _(problem.title))
        except EndsTooEarly as problem:
            form.refuse("ends_at", in_words(problem))
        except UnknownPicture as problem:
            form.refuse("upload", in_words(problem))
        except ShopNotListed as problem:
            form.refuse("buy_url", in_words(problem))
        else:
            flash(_("The draft is kept. Nobody sees it until you publish it."))
            return redirect(url_for(".campaign", slug=draft.slug), 303)
    return _form_page(form, None), 422


@staff.get("/campaigns/<slug>/edit")
@require(Right.change)
def edit_campaign(member: StaffMember, slug: str) -> Page:
    with deployment().db.read() as tx:
        campaign = campaign_by_slug(tx, slug)
    if campaign.state == CampaignState.published:
        raise AlreadyPublished()
    return _form_page(drafts.form_of(campaign, _zone()), campaign)


@staff.post("/campaigns/<slug>/edit")
@require(Right.change)
def revise_campaign(member: StaffMember, slug: str) -> Page:
    with deployment().db.read() as tx:
        campaign = campaign_by_slug(tx, slug)
    form = Form(request.form)
    take_pictures(form)
    draft = drafts.read(form, _gtins(), _zone(), campaign)
    if draft is not None:
        try:
            actions.revise_campaign(deployment(), slug, draft)
        except EndsTooEarly as problem:
            form.refuse("ends_at", in_words(problem))
        except UnknownPicture as problem:
            form.refuse("upload", in_words(problem))
        except ShopNotListed as problem:
            form.refuse("buy_url", in_words(problem))
        else:
            flash(_("The draft is kept. Nobody sees it until you publish it."))
            return redirect(url_for(".campaign", slug=slug), 303)
    return _form_page(form, campaign), 422


@staff.get("/campaigns/<slug>")
@require(Right.read)
def campaign(member: StaffMember, slug: str) -> Page:
    return _page(slug, None)


@staff.post("/campaigns/<slug>")
@require(Right.change)
def publish_campaign(member: StaffMember, slug: str) -> Page:
    """Publish it; a refusal is shown on its page, with what to do."""
    try:
        published = actions.publish_campaign(deployment(), slug)
    except Unavailable:
        raise
    except PayoutOverBound as problem:
        return _page(slug, (_(problem.title), _over_bound(problem))), problem.status
    except Problem as problem:
        return _page(slug, (_(problem.title), _(problem.advice))), problem.status
    flash(
        _(
            "Published. %(budget)s points are put up for it.",
            budget=format_number(published.budget),
        )
    )
    return redirect(url_for(".campaign", slug=slug), 303)


@staff.get("/campaigns/<slug>/ledger")
@require(Right.read)
def campaign_ledger(member: StaffMember, slug: str) -> Page:
    with deployment().db.read() as tx:
        campaign = campaign_by_slug(tx, slug)
        listed = entries.of_budget(tx, campaign.id, offset=offset_of(request.args))
        return render_template(
            "staff/campaign_ledger.html", campaign=campaign, **_ledger(tx, listed)
        )


@staff.get("/campaigns/<slug>/card/<lang>.jpg")
@require(Right.read)
def campaign_card(member: StaffMember, slug: str, lang: str) -> Response:
    """What chat apps will show for a link, before anybody can have one."""
    if lang not in LANGUAGES:
        raise NotFound()
    with deployment().db.read() as tx:
        campaign = campaign_by_slug(tx, slug)
        made = pictures.card_of(campaign, lang, catalog.products_in(tx, campaign.gtins))
    return Response(
        cards.wide(made), mimetype="image/jpeg", headers={"Cache-Control": "private, no-cache"}
    )


def _page(slug: str, refusal: tuple[str, str] | None) -> str:
    with deployment().db.read() as tx:
        campaign = campaign_by_slug(tx, slug)
        sharers = trees.spread_children(tx, campaign.id, None, limit=SHARERS_SHOWN)
        rules = campaign.checked_rules
        ledger = _ledger(tx, entries.of_budget(tx, campaign.id, limit=ENTRIES_SHOWN))
        ledger["names"] |= names_in(tx, sharers)
        return render_template(
            "staff/campaign.html",
            campaign=campaign,
            refusal=refusal,
            metrics=figures.metrics(tx, campaign),
            promise=sharing.promise(rules),
            findings=findings.shown(campaign.findings),
            pictures=pictures.shown_pictures(campaign),
            payout=rewards.payout_max(rules),
            bound=_bound(catalog.prices(tx, campaign.gtins)),
            products=catalog.products_in(tx, campaign.gtins) if campaign.gtins else [],
            cards=_cards(campaign),
            languages_written=[OWN_NAMES[tag] for tag in LANGUAGES if tag in campaign.content],
            sharers=sharers,
            **ledger,
        )


def _cards(campaign: Campaign) -> list[tuple[str, str, str]]:
    """The languages there are cards in: tag, own name, and where the card is."""
    written = [tag for tag in LANGUAGES if tag in campaign.content]
    return [
        (tag, OWN_NAMES[tag], url_for(".campaign_card", slug=campaign.slug, lang=tag))
        for tag in written or [deployment().config.lang]
    ]


def _ledger(tx: Session, listed: lists.Listed[entries.EntryLine]) -> dict[str, Any]:
    """Entries with the names of those whose accounts they touch."""
    campaign_ids, customer_ids = entries.owners(listed.rows)
    return {
        "entries": listed,
        "names": lists.names(tx, deployment().keys, customer_ids),
        "titles": lists.campaign_titles(tx, campaign_ids),
    }


def _form_page(form: Form, campaign: Campaign | None) -> str:
    with deployment().db.read() as tx:
        products = catalog.products_in(tx, [])
    return render_template(
        "staff/campaign_form.html",
        form=form,
        campaign=campaign,
        products=products,
        rule_rows=drafts.RULE_ROWS,
        other_rules=sharing.promise(drafts.beyond_the_form(campaign.checked_rules))
        if campaign
        else [],
        touches=drafts.TOUCHES,
        bound=_bound([product.price for product in products]),
        percent=PAYOUT_PERCENT_MAX,
        zone=deployment().config.timezone,
        **content_parts(form, campaign),
    )


def content_parts(form: Form, campaign: Campaign | None) -> dict[str, Any]:
    """What the part of a form that says what readers see is made of, with its preview."""
    allow("frame-src", "'self'")
    return {
        "texts": [(tag, OWN_NAMES[tag]) for tag in LANGUAGES],
        "landings": contents.LANDINGS,
        "shops": deployment().config.shops,
        "picture": pictures.picture_url(contents.picture_of(form)),
        "more_pictures": [
            (sha256, pictures.picture_url(sha256)) for sha256 in contents.more_pictures_of(form)
        ],
        "more_most": MORE_PICTURES_MAX,
        "findings": findings.shown(campaign.findings) if campaign else [],
    }


def _gtins() -> list[str]:
    with deployment().db.read() as tx:
        return [product.gtin for product in catalog.products_in(tx, [])]


def _zone() -> ZoneInfo:
    return ZoneInfo(deployment().config.timezone)


def _bound(prices: list[int]) -> int | None:
    """How many points one purchase of the cheapest product may pay out."""
    return min(prices) * PAYOUT_PERCENT_MAX // 100 // POINT_VALUE if prices else None


def _over_bound(problem: PayoutOverBound) -> str:
    return _(
        "It could pay out %(payout)s points; %(bound)s is the most allowed, which is "
        "%(percent)s %% of the cheapest product's price. Lower the amounts, then publish it.",
        payout=format_number(problem.details["payout"]),
        bound=format_number(problem.details["bound"]),
        percent=PAYOUT_PERCENT_MAX,
    )
