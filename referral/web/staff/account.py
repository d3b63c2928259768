"""A member's own account: sessions, the password, and the invitation it begins with."""

from flask import flash, g, redirect, render_template, request, url_for
from flask_babel import gettext as _

from referral import actions
from referral.errors import TooMany
from referral.staff import (
    PASSWORD_LENGTH_MAX,
    How,
    StaffMember,
    WeakPassword,
    WrongPassword,
    invitations,
    sessions,
)
from referral.web import errors
from referral.web.context import deployment, now, remote_address
from referral.web.language import in_words
from referral.web.staff.auth import Page, name_of, require, this_session
from referral.web.staff.blueprint import staff
from referral.web.staff.forms import Form
from referral.web.staff.members import end_sessions
from referral.web.staff.sign_in import Answer, checked, go_on

SECRET_LENGTH_MAX = 100


@staff.get("/account")
@require()
def account(member: StaffMember) -> Page:
    return _page(member, Form())


@staff.post("/account/sessions")
@require()
def end_own_sessions(member: StaffMember) -> Page:
    end_sessions(member.id, member)
    return redirect(url_for(".account"), 303)


@staff.post("/account/password")
@require()
def change_password(member: StaffMember) -> Answer:
    form = Form(request.form)
    old, new = (form.values.pop(name, "") for name in ("old", "new"))
    try:
        checked(member.email, old)
    except WrongPassword:
        form.refuse("old", _("This is not your password."))
        return _page(member, form), 422
    except TooMany as problem:
        form.refuse("", in_words(problem))
        return _page(member, form), problem.status, errors.wait(problem)
    here = this_session()
    with form.refusing({WeakPassword: "new"}):
        actions.change_password(
            deployment(), member.id, new, kept=here.id if here else None, by=name_of(member)
        )
    if not form.ok:
        return _page(member, form), 422
    flash(_("Your password is changed; all other sessions are ended."))
    return redirect(url_for(".account"), 303)


@staff.get("/invitation/<secret>")
def invitation(secret: str) -> Page:
    return _invitation(secret, Form())


@staff.post("/invitation/<secret>")
def accept_invitation(secret: str) -> Page:
    deployment().limits.staff_sign_in_address(remote_address())
    form = Form(request.form)
    password = form.values.pop("password", "")
    with form.refusing({WeakPassword: "password"}):
        member = actions.accept_invitation(deployment(), secret[:SECRET_LENGTH_MAX], password)
    if not form.ok:
        return _invitation(secret, form), 422
    return go_on(member, How.invitation, url_for(".home"))


def _page(member: StaffMember, form: Form) -> str:
    with deployment().db.read() as tx:
        running = sessions.running(tx, member.id, now())
    return render_template(
        "staff/account.html",
        sessions=running,
        this=this_session(),
        form=form,
        password_most=PASSWORD_LENGTH_MAX,
    )


def _invitation(secret: str, form: Form) -> str:
    g.setdefault("staff_member", None)  # whoever sits here, it is not his page
    with deployment().db.read() as tx:
        invited = invitations.invited(tx, secret[:SECRET_LENGTH_MAX], now())
    return render_template(
        "staff/invitation.html",
        email=invited.email,
        secret=secret,
        form=form,
        password_most=PASSWORD_LENGTH_MAX,
    )
