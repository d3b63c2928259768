"""Proving once more to be oneself, before something is changed that one signs in with.

A browser that is left open is not enough to take over an account: to add a second factor somebody
has to have signed in lately, and to remove one he has to give his password or a second factor anew.
"""

from datetime import timedelta

from flask import redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from referral.errors import TooMany
from referral.staff import How, StaffMember, WrongPassword, passkeys, second_factors
from referral.staff.totp import WrongCode
from referral.web import errors
from referral.web.context import deployment, now
from referral.web.language import in_words
from referral.web.staff import steps
from referral.web.staff.auth import Page, require, this_session
from referral.web.staff.blueprint import staff
from referral.web.staff.forms import Form
from referral.web.staff.second_step import CODE_LENGTH_MAX, use_code
from referral.web.staff.sign_in import Answer, checked, target_of

LATELY = timedelta(minutes=10)
"""How long after signing in something may be added."""
JUST_NOW = timedelta(minutes=5)
"""How long after proving to be himself somebody may remove things."""
KIND = "confirmed"


def signed_in_lately() -> bool:
    current = this_session()
    is_new = current is not None and now() - current.begun_at <= LATELY
    return is_new or confirmed_just_now()


def confirmed_just_now() -> bool:
    current, kept = this_session(), steps.begun(KIND, JUST_NOW)
    return current is not None and kept is not None and kept["session"] == current.id


def ask(target: str) -> Response:
    """Lead to the page that asks, and from there on."""
    return redirect(url_for("staff.confirm", next=target), 303)


def confirmed(target: str) -> Response:
    """The member has just proved to be himself."""
    current = this_session()
    assert current is not None
    steps.begin(KIND, session=current.id)
    return redirect(target, 303)


@staff.get("/confirm")
@require()
def confirm(member: StaffMember) -> Page:
    return _page(member, Form(), target_of(request.args.get("next")))


@staff.post("/confirm")
@require()
def check_confirm(member: StaffMember) -> Answer:
    form = Form(request.form)
    target = target_of(form.values.get("next"))
    code, password = form.typed("code")[:CODE_LENGTH_MAX], form.values.pop("password", "")
    form.values.pop("code", None)
    field = "code" if code else "password"
    try:
        if code:
            use_code(member, code, How.totp)
        else:
            checked(member.email, password)
    except (WrongPassword, WrongCode, TooMany) as problem:
        wrong = field if isinstance(problem, WrongCode) else ""
        form.refuse(wrong, in_words(problem))
        return _page(member, form, target), problem.status, errors.wait(problem)
    return confirmed(target)


def _page(member: StaffMember, form: Form, target: str) -> str:
    opened = deployment()
    with opened.db.read() as tx:
        held = second_factors.of_member(tx, member.id)
    party = passkeys.party_of(opened.config.base_url, opened.config.brand)
    return render_template(
        "staff/confirm.html",
        form=form,
        next=target,
        has_password=member.password_hash is not None,
        has_totp=held.has_totp,
        has_passkeys=party is not None and held.passkeys > 0,
    )
