"""Better terms for a campaign that is published: the form, and what it refuses."""

from collections.abc import Sequence
from dataclasses import replace
from zoneinfo import ZoneInfo

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _

from referral import actions, catalog
from referral.campaigns import Campaign, CampaignState, campaign_by_slug
from referral.campaigns.amendments import NotPublished, Terms
from referral.campaigns.payouts import BOUND_PERCENT, bound_of
from referral.errors import Problem, Unavailable
from referral.staff import Right, StaffMember
from referral.web.context import deployment
from referral.web.staff import drafts, refusals, rule_rows
from referral.web.staff.auth import Page, name_of, require
from referral.web.staff.blueprint import staff
from referral.web.staff.campaigns import changes_rules, currency_of, rule_parts
from referral.web.staff.forms import Form


@staff.get("/campaigns/<slug>/terms")
@require(Right.change)
def better_terms(member: StaffMember, slug: str) -> Page:
    campaign, currency = _campaign(slug)
    form = Form()
    form.values |= drafts.terms_of(campaign, _zone(), currency)
    rule_rows.fill_in(form, campaign.checked_rules, currency)
    return _form_page(form, campaign, currency)


@staff.post("/campaigns/<slug>/terms")
@require(Right.change)
def amend_terms(member: StaffMember, slug: str) -> Page:
    campaign, currency = _campaign(slug)
    form = Form(request.form)
    if changes_rules(form):
        return _form_page(form, campaign, currency)
    ends_at = drafts.moment(form, "ends_at", _zone(), campaign.ends_at) or campaign.ends_at
    terms = drafts.read_terms(form, rule_rows.read(form, currency), currency)
    if not form.ok:
        return _form_page(form, campaign, currency), 422

    def changed(was: Terms) -> Terms:
        return replace(was, ends_at=ends_at, **terms)

    try:
        actions.amend(deployment(), slug, changed, by=name_of(member))
    except Unavailable:
        raise
    except Problem as problem:
        refusal = refusals.in_words(problem, currency)
        return _form_page(form, campaign, currency, refusal), problem.status
    flash(_("Kept. The better terms hold from now on."))
    return redirect(url_for(".campaign", slug=slug), 303)


def _campaign(slug: str) -> tuple[Campaign, str | None]:
    """A published campaign, and its currency."""
    with deployment().db.read() as tx:
        campaign = campaign_by_slug(tx, slug)
        if campaign.state != CampaignState.published:
            raise NotPublished()
        return campaign, campaign.currency or currency_of(catalog.products_in(tx, campaign.gtins))


def _form_page(
    form: Form,
    campaign: Campaign,
    currency: str | None,
    refusal: tuple[str, Sequence[str]] | None = None,
) -> str:
    with deployment().db.read() as tx:
        prices = catalog.prices(tx, campaign.gtins)
    return render_template(
        "staff/terms_form.html",
        form=form,
        campaign=campaign,
        refusal=refusal,
        bound=bound_of(min(prices)) if prices else None,
        percent=BOUND_PERCENT,
        zone=deployment().config.timezone,
        **rule_parts(form, currency),
    )


def _zone() -> ZoneInfo:
    return ZoneInfo(deployment().config.timezone)
