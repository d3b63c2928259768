"""Campaigns: the list, the form, and a campaign's page with its figures, spread and ledger."""

from collections.abc import Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from flask import Response, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from sqlalchemy.orm import Session

from referral import actions, catalog
from referral.campaigns import (
    AlreadyPublished,
    Campaign,
    CampaignExists,
    CampaignState,
    EndsTooEarly,
    ShopNotListed,
    campaign_by_slug,
    publishing,
    signoff,
)
from referral.campaigns.content import MORE_PICTURES_MAX
from referral.campaigns.markets import NAMES
from referral.campaigns.payouts import BOUND_PERCENT, Payout, bound_of
from referral.catalog import Product
from referral.config import LANGUAGES
from referral.errors import InvalidInput, NotFound, Problem, Unavailable
from referral.pictures import UnknownPicture
from referral.printing import cards
from referral.reports import campaigns as figures
from referral.reports import coupons as coupon_report
from referral.reports import entries, lists, trees
from referral.reports import items as item_report
from referral.rewards import RULES_MAX
from referral.staff import Right, StaffMember
from referral.visits import keeping
from referral.web import pictures, promises
from referral.web.context import deployment
from referral.web.language import OWN_NAMES
from referral.web.security import allow
from referral.web.staff import contents, drafts, findings, refusals, rule_rows
from referral.web.staff.auth import Page, name_of, require, signed_in
from referral.web.staff.blueprint import staff
from referral.web.staff.forms import Form, offset_of
from referral.web.staff.spread import names_in
from referral.web.staff.uploads import FIRST, take_pictures

SHARERS_SHOWN = 10
ENTRIES_SHOWN = 5
WHATS_MAX = 200
"""How many pools and items a rule has to choose from."""
_FIELDS: Mapping[type[Problem], str] = {
    CampaignExists: "slug",
    EndsTooEarly: "ends_at",
    UnknownPicture: FIRST,
    ShopNotListed: "buy_url",
}
"""Which field of its form a campaign was refused for."""


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
    if changes_rules(form):
        return _form_page(form, None)
    draft = drafts.read(form, _gtins(), _zone(), currency=_currency())
    if draft is not None:
        with form.refusing(_FIELDS):
            actions.add_campaign(deployment(), draft)
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
    return _form_page(drafts.form_of(campaign, _zone(), _currency()), campaign)


@staff.post("/campaigns/<slug>/edit")
@require(Right.change)
def revise_campaign(member: StaffMember, slug: str) -> Page:
    with deployment().db.read() as tx:
        campaign = campaign_by_slug(tx, slug)
    form = Form(request.form)
    take_pictures(form)
    if changes_rules(form):
        return _form_page(form, campaign)
    draft = drafts.read(form, _gtins(), _zone(), campaign, _currency())
    if draft is not None:
        with form.refusing(_FIELDS):
            actions.revise_campaign(deployment(), slug, draft)
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
    except Problem as problem:
        return _page(slug, refusals.in_words(problem, _currency())), problem.status
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


def _page(
    slug: str, refusal: tuple[str, Sequence[str]] | None, keeping_form: Form | None = None
) -> str:
    with deployment().db.read() as tx:
        campaign = campaign_by_slug(tx, slug)
        sharers = trees.spread_children(tx, campaign.id, None, limit=SHARERS_SHOWN)
        rules = campaign.checked_rules
        products = catalog.products_in(tx, campaign.gtins)
        ledger = _ledger(tx, entries.of_budget(tx, campaign.id, limit=ENTRIES_SHOWN))
        ledger["names"] |= names_in(tx, sharers)
        return render_template(
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
            **ledger,
        )


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


def _form_page(form: Form, campaign: Campaign | None) -> str:
    with deployment().db.read() as tx:
        products = catalog.products_in(tx, [])
    return render_template(
        "staff/campaign_form.html",
        form=form,
        campaign=campaign,
        products=products,
        **rule_parts(form, currency_of(products)),
        markets=_labelled(NAMES),
        touches=drafts.TOUCHES,
        bound=bound_of(min(product.price for product in products)) if products else None,
        percent=BOUND_PERCENT,
        zone=deployment().config.timezone,
        **content_parts(form, campaign),
    )


def rule_parts(form: Form, currency: str | None) -> dict[str, Any]:
    """What the part of a form with rules and budgets is made of."""
    return {
        "rows": rule_rows.rows(form, lambda rule: promises.sentences(rule, currency), currency),
        "room": RULES_MAX,
        "whens": _labelled(rule_rows.WHENS),
        "whom": _labelled(rule_rows.WHOM),
        "hows": _labelled(rule_rows.HOWS),
        "limits": _labelled(rule_rows.LIMITS),
        "whats": _whats(form),
        "budget_units": drafts.budget_units(form, currency),
        "currency": currency,
    }


def _labelled(options: Mapping[Any, str]) -> list[tuple[str, str]]:
    return [(value, _(label)) for value, label in options.items()]


def changes_rules(form: Form) -> bool:
    """Whether another rule, or one less, is asked for: then the form is only shown again."""
    if "drop_rule" in form.values:
        rule_rows.drop(form, form.typed("drop_rule"))
        return True
    if "add_rule" in form.values:
        rule_rows.add(form)
        return True
    return "more_rows" in form.values


def _whats(form: Form) -> list[tuple[str, str]]:
    """What a rule can pay: value and label. What the form names already stays among them."""
    found = [("points", _("points")), ("credit", _("store credit"))]
    with deployment().db.read() as tx:
        pools = coupon_report.lines(tx, deployment().clock.now(), limit=WHATS_MAX).rows
        found += [
            (f"coupon:{line.pool.slug}", _("coupon: %(name)s", name=line.pool.slug))
            for line in pools
        ]
        found += [
            (f"item:{item.slug}", _("item: %(name)s", name=item.slug))
            for item in item_report.choices(tx)[:WHATS_MAX]
        ]
    known = {value for value, _label in found}
    return found + [(what, what) for what in sorted(rule_rows.whats_in(form) - known)]


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


def currency_of(products: Sequence[Product]) -> str | None:
    """The one currency of these products' prices."""
    found = {product.currency for product in products}
    return found.pop() if len(found) == 1 else None


def _currency() -> str | None:
    with deployment().db.read() as tx:
        return currency_of(catalog.products_in(tx, []))


def _zone() -> ZoneInfo:
    return ZoneInfo(deployment().config.timezone)


def _payout(tx: Session, campaign: Campaign, products: list[Product]) -> Payout | None:
    """What one purchase pays out at most; None where that is not known."""
    if not products:
        return None
    worth = actions.worth_of(tx, campaign.checked_rules, products[0].currency)
    return publishing.worst_of(campaign, [product.price for product in products], worth)
