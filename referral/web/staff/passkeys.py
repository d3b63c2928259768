"""Passkeys in the console: signing in with one, and adding and removing one's own.

What the browser is asked comes as JSON (`static/passkeys.js` asks for it when a button is pressed);
what it answers comes back as an ordinary form.
"""

from typing import Any

from flask import flash, redirect, request, url_for
from flask_babel import gettext as _

from referral import actions
from referral.actions.second_factors import party
from referral.errors import NotFound, Problem, TooMany
from referral.staff import How, StaffMember, passkeys
from referral.staff.passkeys import (
    NAME_LENGTH_MAX,
    NoPasskeysHere,
    PasskeyExists,
    PasskeyRefused,
    PasskeysFull,
)
from referral.staff.second_factors import SecondFactorNeeded
from referral.web.context import deployment, remote_address
from referral.web.language import in_words
from referral.web.staff import confirming, steps
from referral.web.staff.auth import Page, let_in, require, signed_in, this_session
from referral.web.staff.blueprint import staff
from referral.web.staff.forms import Form
from referral.web.staff.second_step import codes_page
from referral.web.staff.security import security_page
from referral.web.staff.sign_in import Answer, refused, target_of

USING, ADDING = "passkey", "new_passkey"
Options = tuple[dict[str, Any], int, dict[str, str]]


@staff.post("/sign-in/passkey/options")
def passkey_options() -> Options:
    """What a browser is asked, to sign in or to confirm."""
    challenge = passkeys.new_challenge()
    asked = passkeys.asking(party(deployment()), challenge)
    steps.begin(USING, challenge=challenge)
    return _answered(asked)


@staff.post("/sign-in/passkey")
def sign_in_with_passkey() -> Answer:
    form = Form(request.form)
    target = target_of(form.values.get("next"))
    try:
        member = _used(form)
    except (PasskeyRefused, NoPasskeysHere, TooMany) as problem:
        return refused(problem, target)
    steps.end("second")
    return let_in(member, How.passkey, target)


@staff.post("/confirm/passkey")
@require()
def confirm_with_passkey(member: StaffMember) -> Answer:
    form = Form(request.form)
    if _used(form).id != member.id:
        raise PasskeyRefused("another member's")
    return confirming.confirmed(target_of(form.values.get("next")))


def _used(form: Form) -> StaffMember:
    """The member whose passkey signed what this browser was asked.

    Raises `PasskeyRefused`, `NoPasskeysHere`, `TooMany`.
    """
    opened, address = deployment(), remote_address()
    opened.limits.staff_sign_in_address(address)
    kept = steps.begun(USING, passkeys.CHALLENGE_LIFETIME)
    steps.end(USING)
    try:
        if kept is None:
            raise PasskeyRefused("no challenge")
        return actions.use_passkey(
            opened, challenge=kept["challenge"], answer=form.values.get("credential", "")
        )
    except PasskeyRefused:
        current = signed_in()
        email = current.email if current else ""
        actions.note_failed_sign_in(opened, email, how=How.passkey, address=address)
        raise


# One's own


@staff.post("/account/passkeys/options")
@require()
def new_passkey_options(member: StaffMember) -> Options | Answer:
    if not confirming.signed_in_lately():
        return {"confirm": url_for(".confirm", next=url_for(".security"))}, 200, {}
    opened, challenge = deployment(), passkeys.new_challenge()
    with opened.db.read() as tx:
        existing = passkeys.of_member(tx, member.id)
    handle = passkeys.handle_of(existing)
    asked = passkeys.asking_to_add(
        party(opened),
        email=member.email,
        handle=handle,
        challenge=challenge,
        existing=existing,
    )
    current = this_session()
    assert current is not None
    steps.begin(ADDING, challenge=challenge, handle=handle, session=current.id)
    return _answered(asked)


@staff.post("/account/passkeys")
@require()
def add_passkey(member: StaffMember) -> Answer:
    form = Form(request.form)
    name = form.text("name", least=1, most=NAME_LENGTH_MAX)
    kept, current = steps.begun(ADDING, passkeys.CHALLENGE_LIFETIME), this_session()
    steps.end(ADDING)
    try:
        if kept is None or current is None or kept["session"] != current.id:
            raise PasskeyRefused("no challenge")
        if not form.ok:
            return security_page(member, form), 422
        codes = actions.add_passkey(
            deployment(),
            member,
            challenge=kept["challenge"],
            handle=kept["handle"],
            answer=form.values.get("credential", ""),
            name=name,
        )
    except (PasskeyRefused, PasskeyExists, PasskeysFull, NoPasskeysHere) as problem:
        return _security_with(member, problem)
    if codes:
        return codes_page(codes, url_for(".security"))
    flash(_("The passkey was added."))
    return redirect(url_for(".security"), 303)


@staff.post("/account/passkeys/<int(max=9223372036854775807):passkey_id>/remove")
@require()
def remove_passkey(member: StaffMember, passkey_id: int) -> Answer:
    if not confirming.confirmed_just_now():
        return confirming.ask(url_for(".security"))
    try:
        name = actions.remove_passkey(deployment(), member, passkey_id)
    except SecondFactorNeeded as problem:
        return _security_with(member, problem)
    if name is None:
        raise NotFound()
    flash(_("The passkey “%(name)s” was removed.", name=name))
    return redirect(url_for(".security"), 303)


def _security_with(member: StaffMember, problem: Problem) -> Page:
    form = Form()
    form.refuse("", in_words(problem))
    return security_page(member, form), problem.status


def _answered(asked: dict[str, Any]) -> Options:
    return {"publicKey": asked}, 200, {"Cache-Control": "no-store"}
