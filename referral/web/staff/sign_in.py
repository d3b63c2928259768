"""Signing in and out of the console: a password first, and what a member has beside it then."""

from flask import redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from referral import actions
from referral.errors import Problem, TooMany
from referral.staff import How, StaffMember, WrongPassword, check_password, passkeys, second_factors
from referral.web import errors
from referral.web.context import deployment, remote_address
from referral.web.language import in_words
from referral.web.staff import steps
from referral.web.staff.auth import (
    EMAIL_LENGTH_MAX,
    Page,
    leave,
    let_in,
    signed_in,
    take_session,
)
from referral.web.staff.blueprint import staff
from referral.web.staff.forms import Form

Answer = Page | tuple[str, int, dict[str, str]]


@staff.get("/sign-in")
def sign_in() -> Page:
    target = target_of(request.args.get("next"))
    if signed_in() is not None:
        return redirect(target)
    return _page(Form(), target)


@staff.post("/sign-in")
def check_sign_in() -> Answer:
    form = Form(request.form)
    target = target_of(form.values.get("next"))
    email = form.text("email", most=EMAIL_LENGTH_MAX).lower()
    password = form.values.pop("password", "")
    try:
        if not form.ok:
            raise WrongPassword()
        member = checked(email, password)
    except (WrongPassword, TooMany) as problem:
        return refused(problem, target, form)
    return go_on(member, How.password, target)


@staff.post("/sign-out")
def sign_out() -> Page:
    leave()
    return take_session(redirect(url_for(".sign_in"), 303))


def checked(email: str, password: str) -> StaffMember:
    """The member with this password. Raises `WrongPassword`, `TooMany`."""
    limits, address = deployment().limits, remote_address()
    limits.staff_sign_in_address(address)
    tried = limits.staff_sign_in(email, address)
    try:
        member = check_password(deployment().db, email, password)
    except TooMany:
        limits.give_back(tried)  # it had no turn, so it did not fail
        raise
    except WrongPassword:
        actions.note_failed_sign_in(deployment(), email, how=How.password, address=address)
        raise
    limits.give_back(tried)
    return member


def go_on(
    member: StaffMember, how: How, target: str, *, used_second_factor: bool = False
) -> Response:
    """Let in who has proved to be himself, or ask for what is missing first.

    Who has a second factor is asked for it; whose role needs one and who has none sets it up.
    """
    if used_second_factor:
        return let_in(member, how, target)
    with deployment().db.read() as tx:
        held = second_factors.of_member(tx, member.id)
    if held.are_any:
        steps.begin_second(member, how, target)
        return redirect(url_for("staff.second_factor"), 303)
    if member.role in deployment().config.second_factor_roles:
        steps.begin_second(member, how, target)
        return redirect(url_for("staff.needed_factor"), 303)
    return let_in(member, how, target)


def refused(problem: Problem, target: str, form: Form | None = None) -> Answer:
    """The sign-in page, with what went wrong on top."""
    form = form or Form()
    form.refuse("", in_words(problem))
    return _page(form, target), problem.status, errors.wait(problem)


def target_of(asked: str | None) -> str:
    """`asked` when it is a page of the console, else its first page."""
    home = url_for("staff.home")
    if not asked or not asked.startswith(home) or any(ord(c) < 33 or c == "\\" for c in asked):
        return home
    return asked


def _page(form: Form, target: str) -> str:
    opened = deployment()
    return render_template(
        "staff/sign_in.html",
        form=form,
        next=target,
        has_passkeys=passkeys.party_of(opened.config.base_url, opened.config.brand) is not None,
        has_provider=opened.provider is not None,
    )
