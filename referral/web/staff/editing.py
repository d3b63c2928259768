"""What readers see of a campaign, edited at any time, and its page seen before it is kept."""

from collections.abc import Mapping

from flask import flash, make_response, redirect, render_template, request, url_for
from flask_babel import gettext as _

from referral import actions
from referral.campaigns import (
    Campaign,
    CampaignState,
    PunishedWording,
    ShopNotListed,
    campaign_by_slug,
)
from referral.campaigns.publishing import DrawNeedsOrganiser
from referral.config import LANGUAGES
from referral.errors import Problem
from referral.pictures import UnknownPicture
from referral.staff import Right, StaffMember
from referral.web.context import deployment
from referral.web.language import language
from referral.web.security import allow
from referral.web.staff import contents, findings, previews
from referral.web.staff.auth import Page, name_of, require
from referral.web.staff.blueprint import staff
from referral.web.staff.campaigns import content_parts
from referral.web.staff.forms import Form
from referral.web.staff.uploads import FIRST, take_pictures

_FIELDS: Mapping[type[Problem], str] = {
    UnknownPicture: FIRST,
    ShopNotListed: "buy_url",
    DrawNeedsOrganiser: "organiser",
}
"""Which field of its form new content was refused for."""


@staff.get("/campaigns/<slug>/content")
@require(Right.change)
def edit_content_of(member: StaffMember, slug: str) -> Page:
    campaign = _campaign(slug)
    return _form_page(contents.form_of(campaign), campaign)


@staff.post("/campaigns/<slug>/content")
@require(Right.change)
def edit_content(member: StaffMember, slug: str) -> Page:
    campaign = _campaign(slug)
    form = Form(request.form)
    take_pictures(form)
    content = contents.read(form)
    if content is not None:
        try:
            with form.refusing(_FIELDS):
                actions.edit_content(
                    deployment(), slug, lambda _campaign: content, by=name_of(member)
                )
                flash(_("Kept. Readers see it from now on."))
                return redirect(url_for(".campaign", slug=slug), 303)
        except PunishedWording as problem:
            findings.refuse(form, problem.findings)
    return _form_page(form, campaign), 422


# Not below /campaigns/: a form that makes a new one has no name to stand there.
@staff.post("/preview-campaign")
@require(Right.change)
def preview_campaign(member: StaffMember) -> Page:
    """The landing page out of the form as it stands; nothing of it is kept, or counted."""
    form = Form(request.form)
    stored = form.typed("of")
    lang = form.typed("preview_lang")
    page = previews.page(
        form, lang if lang in LANGUAGES else language(), _campaign(stored) if stored else None
    )
    allow("frame-ancestors", "'self'")
    return make_response(page)


def _campaign(slug: str) -> Campaign:
    with deployment().db.read() as tx:
        return campaign_by_slug(tx, slug)


def _form_page(form: Form, campaign: Campaign) -> str:
    return render_template(
        "staff/content_form.html",
        form=form,
        campaign=campaign,
        is_published=campaign.state == CampaignState.published,
        **content_parts(form, campaign),
    )
