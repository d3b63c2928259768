"""A campaign's page: what came of it in some days, its terms, and what is done with it."""

from collections.abc import Sequence
from typing import Any

from flask import Response, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from sqlalchemy.orm import Session

from referral import actions, catalog
from referral.campaigns import Campaign, CampaignState, campaign_by_slug, publishing, signoff
from referral.campaigns.markets import NAMES
from referral.campaigns.payouts import Payout
from referral.catalog import Product
from referral.config import LANGUAGES
from referral.errors import InvalidInput, NotFound, Problem, Unavailable
from referral.printing import cards
from referral.reports import campaigns as figures
from referral.reports import entries, lists, trees
from referral.staff import Right, StaffMember
from referral.visits import keeping
from referral.web import pictures, promises
from referral.web.context import deployment
from referral.web.language import OWN_NAMES
from referral.web.staff import drafts, findings, outcome, refusals
from referral.web.staff.auth import Page, name_of, require, signed_in
from referral.web.staff.blueprint import staff
from referral.web.staff.campaigns import only_currency
from referral.web.staff.forms import Form, offset_of
from referral.web.staff.spread import names_in

SHARERS_SHOWN = 10
ENTRIES_SHOWN = 5


@staff.get("/campaigns/<slug>")
@require(Right.read)
def campaign(member: StaffMember, slug: str) -> Page:
    page, is_right = _made(slug, None)
    return page if is_right else (page, 422)


@staff.post("/campaigns/<slug>")
@require(Right.change)
def publish_campaign(member: StaffMember, slug: str) -> Page:
    """Publish it; a refusal is shown on its page, with what to do."""
    try:
        published = actions.publish_campaign(deployment(), slug, by=name_of(member))
    except Unavailable:
        raise
    except Problem as problem:
        return _page(slug, refusals.in_words(problem, only_currency())), problem.status
    flash(
        _(
            "Published. %(budget)s are put up for it.",
            budget=promises.budgets_in_words(published),
        )
    )
    return redirect(url_for(".campaign", slug=slug), 303)


@staff.post("/campaigns/<slug>/sign-off")
@require(Right.sign_off)
def sign_off_campaign(member: StaffMember, slug: str) -> Page:
    """Let the draft pay the second level, by the name of whoever is signed in."""
    try:
        actions.sign_off(deployment(), slug, by=name_of(member))
    except InvalidInput as problem:
        return _page(slug, refusals.in_words(problem)), problem.status
    flash(_("Signed off, as the rules stand now. Other rules need another sign-off."))
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


@staff.post("/campaigns/<slug>/keeping")
@require(Right.change)
def keep_visits(member: StaffMember, slug: str) -> Page:
    """Say for how many months its visits are kept."""
    form = Form(request.form)
    months = drafts.keep_months(form)
    if not form.ok:
        return _page(slug, None, form), 422
    actions.keep_visits(deployment(), slug, months, by=name_of(member))
    flash(_("Kept. What is older is dropped within the hour."))
    return redirect(url_for(".campaign", slug=slug), 303)


@staff.post("/campaigns/<slug>/advertising")
@require(Right.change)
def set_advertising_cost(member: StaffMember, slug: str) -> Page:
    """Say what a new customer costs in advertising, to hold the campaign against."""
    with deployment().db.read() as tx:
        currency = campaign_by_slug(tx, slug).currency
    form = Form(request.form)
    cost = form.price("advertising_cost", currency) if form.typed("advertising_cost") else None
    if not form.ok:
        return _page(slug, None, advertising_form=form), 422
    actions.set_advertising_cost(deployment(), slug, cost, by=name_of(member))
    flash(_("Kept. The campaign is held against it from now on."))
    return redirect(url_for(".campaign", slug=slug, _anchor="cost"), 303)


def _page(
    slug: str,
    refusal: tuple[str, Sequence[str]] | None,
    keeping_form: Form | None = None,
    advertising_form: Form | None = None,
) -> str:
    return _made(slug, refusal, keeping_form, advertising_form)[0]


def _made(
    slug: str,
    refusal: tuple[str, Sequence[str]] | None,
    keeping_form: Form | None = None,
    advertising_form: Form | None = None,
) -> tuple[str, bool]:
    """The page, and whether everything in its address could be read."""
    with deployment().db.read() as tx:
        campaign = campaign_by_slug(tx, slug)
        is_out = campaign.state == CampaignState.published
        came = outcome.of_campaign(tx, campaign, request.args) if is_out else None
        sharers = trees.spread_children(tx, campaign.id, None, limit=SHARERS_SHOWN)
        rules = campaign.checked_rules
        products = catalog.products_in(tx, campaign.gtins)
        ledger = _ledger(tx, entries.of_budget(tx, campaign.id, limit=ENTRIES_SHOWN))
        ledger["names"] |= names_in(tx, sharers)
        page = render_template(
            "staff/campaign.html",
            campaign=campaign,
            refusal=refusal,
            metrics=figures.metrics(tx, campaign),
            promise=promises.promise(rules, products[0].currency if products else None),
            budgets=promises.budgets_in_words(campaign),
            market=_(NAMES.get(campaign.market, campaign.market)),
            findings=findings.shown(campaign.findings),
            pictures=pictures.shown_pictures(campaign),
            payout=_payout(tx, campaign, products),
            currency=products[0].currency if products else campaign.currency,
            products=products if campaign.gtins else [],
            deep=publishing.deep(rules),
            signed=signoff.signed_by(tx, campaign),
            may_sign_off=_may(Right.sign_off),
            **_keeping(tx, campaign, keeping_form),
            cards=_cards(campaign),
            languages_written=[OWN_NAMES[tag] for tag in LANGUAGES if tag in campaign.content],
            sharers=sharers,
            came=came,
            advertising_form=advertising_form or outcome.advertising_form(campaign),
            **ledger,
        )
    return page, came is None or came.is_right


def _keeping(tx: Session, campaign: Campaign, form: Form | None) -> dict[str, Any]:
    """For how long its visits are kept, and the form to change that."""
    if form is None:
        form = Form({"keep_months": str(campaign.keep_months or "")})
    return {
        "keeping_form": form,
        "keep_months": campaign.keep_months or deployment().config.keep_visits_months,
        "kept_since": keeping.kept_since(tx, campaign.id),
    }


def _may(right: Right) -> bool:
    member = signed_in()
    return member is not None and member.may(right)


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


def _payout(tx: Session, campaign: Campaign, products: list[Product]) -> Payout | None:
    """What one purchase pays out at most; None where that is not known."""
    if not products:
        return None
    worth = actions.worth_of(tx, campaign.checked_rules, products[0].currency)
    return publishing.worst_of(campaign, [product.price for product in products], worth)
