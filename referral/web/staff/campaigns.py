"""Campaigns: the list, and the form that makes or changes a draft."""

from collections.abc import Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _

from referral import actions, catalog, segments
from referral.campaigns import (
    AlreadyPublished,
    Campaign,
    CampaignExists,
    CampaignState,
    EndsTooEarly,
    ShopNotListed,
    campaign_by_slug,
)
from referral.campaigns.content import MORE_PICTURES_MAX
from referral.campaigns.markets import NAMES
from referral.campaigns.payouts import BOUND_PERCENT, bound_of
from referral.catalog import Product
from referral.config import LANGUAGES
from referral.errors import Problem
from referral.pictures import UnknownPicture
from referral.reports import coupons as coupon_report
from referral.reports import items as item_report
from referral.reports import lists
from referral.rewards import RULES_MAX
from referral.staff import Right, StaffMember
from referral.web import pictures, promises
from referral.web.context import deployment
from referral.web.language import OWN_NAMES
from referral.web.security import allow
from referral.web.staff import contents, drafts, findings, rule_rows
from referral.web.staff.auth import Page, name_of, require
from referral.web.staff.blueprint import staff
from referral.web.staff.forms import Form, offset_of
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
    segments.UnknownSegment: "audience",
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
    form = drafts.new_form()
    form.values["audience"] = request.args.get("audience", "")
    return _form_page(form, None)


@staff.post("/new-campaign")
@require(Right.change)
def add_campaign(member: StaffMember) -> Page:
    form = Form(request.form)
    take_pictures(form)
    if changes_rules(form):
        return _form_page(form, None)
    draft = drafts.read(form, _gtins(), _zone(), currency=only_currency())
    if draft is not None:
        with form.refusing(_FIELDS):
            actions.add_campaign(deployment(), draft, by=name_of(member))
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
    return _form_page(drafts.form_of(campaign, _zone(), only_currency()), campaign)


@staff.post("/campaigns/<slug>/edit")
@require(Right.change)
def revise_campaign(member: StaffMember, slug: str) -> Page:
    with deployment().db.read() as tx:
        campaign = campaign_by_slug(tx, slug)
    form = Form(request.form)
    take_pictures(form)
    if changes_rules(form):
        return _form_page(form, campaign)
    draft = drafts.read(form, _gtins(), _zone(), campaign, only_currency())
    if draft is not None:
        with form.refusing(_FIELDS):
            actions.revise_campaign(deployment(), slug, draft, by=name_of(member))
            flash(_("The draft is kept. Nobody sees it until you publish it."))
            return redirect(url_for(".campaign", slug=slug), 303)
    return _form_page(form, campaign), 422


def _form_page(form: Form, campaign: Campaign | None) -> str:
    with deployment().db.read() as tx:
        products = catalog.products_in(tx, [])
        audiences = [(str(each.id), each.name) for each in segments.all_segments(tx)]
    return render_template(
        "staff/campaign_form.html",
        audiences=audiences,
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


def only_currency() -> str | None:
    with deployment().db.read() as tx:
        return currency_of(catalog.products_in(tx, []))


def _zone() -> ZoneInfo:
    return ZoneInfo(deployment().config.timezone)
