"""What a member signs in with: his own page, and what is added to and removed from it."""

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _

from referral import actions
from referral.staff import StaffMember, passkeys, second_factors, subjects
from referral.staff.second_factors import SecondFactorNeeded
from referral.staff.totp import Offer, OfferOver, TotpExists, WrongCode
from referral.web.context import deployment
from referral.web.language import in_words
from referral.web.staff import confirming
from referral.web.staff.auth import Page, require
from referral.web.staff.blueprint import staff
from referral.web.staff.forms import Form
from referral.web.staff.second_step import (
    add_totp,
    codes_page,
    new_offer,
    qr_of,
    refuse_code,
)
from referral.web.staff.sign_in import Answer


@staff.get("/account/security")
@require()
def security(member: StaffMember) -> Page:
    return security_page(member, Form())


def security_page(member: StaffMember, form: Form) -> str:
    opened = deployment()
    provider = opened.provider
    with opened.db.read() as tx:
        held = second_factors.of_member(tx, member.id)
        keys = passkeys.of_member(tx, member.id)
        bound_at = subjects.bound_at(tx, member.id, provider.issuer) if provider else None
    return render_template(
        "staff/security.html",
        form=form,
        held=held,
        passkeys=keys,
        can_passkey=passkeys.party_of(opened.config.base_url, opened.config.brand) is not None,
        provider=provider,
        bound_at=bound_at,
        is_needed=member.role in opened.config.second_factor_roles,
    )


@staff.get("/account/totp")
@require()
def new_totp(member: StaffMember) -> Answer:
    if not confirming.signed_in_lately():
        return confirming.ask(url_for(".new_totp"))
    with deployment().db.read() as tx:
        if second_factors.of_member(tx, member.id).has_totp:
            return redirect(url_for(".security"), 303)
    return _totp_page(member, new_offer(member), Form())


@staff.post("/account/totp")
@require()
def set_up_totp(member: StaffMember) -> Answer:
    if not confirming.signed_in_lately():
        return confirming.ask(url_for(".new_totp"))
    form = Form(request.form)
    try:
        codes = add_totp(member, form)
    except TotpExists as problem:
        form.refuse("", in_words(problem))
        return security_page(member, form), problem.status
    except (WrongCode, OfferOver) as problem:
        return _totp_page(member, refuse_code(form, member, problem), form), problem.status
    if codes:
        return codes_page(codes, url_for(".security"))
    flash(_("Your account asks for a code of your app from now on."))
    return redirect(url_for(".security"), 303)


@staff.post("/account/totp/remove")
@require()
def remove_totp(member: StaffMember) -> Answer:
    if not confirming.confirmed_just_now():
        return confirming.ask(url_for(".security"))
    try:
        if actions.remove_totp(deployment(), member):
            flash(_("Your account does not ask for a code any more."))
    except SecondFactorNeeded as problem:
        form = Form()
        form.refuse("", in_words(problem))
        return security_page(member, form), problem.status
    return redirect(url_for(".security"), 303)


@staff.post("/account/recovery-codes")
@require()
def new_recovery_codes(member: StaffMember) -> Answer:
    if not confirming.confirmed_just_now():
        return confirming.ask(url_for(".security"))
    codes = actions.make_recovery_codes(deployment(), member)
    if not codes:
        return redirect(url_for(".security"), 303)
    return codes_page(codes, url_for(".security"))


@staff.post("/account/single-sign-on/unlink")
@require()
def unlink_provider(member: StaffMember) -> Answer:
    if not confirming.confirmed_just_now():
        return confirming.ask(url_for(".security"))
    if actions.unlink_provider(deployment(), member):
        flash(_("Your account is not linked to single sign-on any more."))
    return redirect(url_for(".security"), 303)


def _totp_page(member: StaffMember, offer: Offer, form: Form) -> str:
    address, picture = qr_of(member, offer)
    return render_template(
        "staff/totp.html", form=form, offer=offer, address=address, picture=picture
    )
