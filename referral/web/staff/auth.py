"""Who may work here: signing in and out, and the one helper that loads and authorises staff.

A staff session is a cookie of its own, sent to the console only, so that somebody who tries the
consumer pages in the same browser is not signed out of either.
"""

import functools
import struct
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from flask import g, make_response, redirect, render_template, request, session, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from referral.crypto import TokenSigner
from referral.errors import Problem, TooMany, Unavailable
from referral.staff import (
    NotAllowed,
    Right,
    StaffMember,
    WrongPassword,
    check_password,
    staff_by_id,
)
from referral.web import errors
from referral.web.context import deployment, now, remote_address
from referral.web.language import in_words
from referral.web.staff import words
from referral.web.staff.blueprint import staff
from referral.web.staff.forms import Form

COOKIE = "referral_staff"
SESSION_LIFETIME = timedelta(hours=12)
"""From the sign-in on, however busy somebody is."""
EMAIL_LENGTH_MAX = 254
"""How much of an address is kept beside what somebody changed."""
_SESSION = struct.Struct(">QI")

P = ParamSpec("P")
R = TypeVar("R")
Page = str | tuple[str, int] | Response
View = Callable[Concatenate[StaffMember, P], R]


def require(right: Right) -> Callable[[View[P, R]], Callable[P, R | Response]]:
    """Hand the signed-in member to a view; somebody else is sent to sign in.

    Raises `NotAllowed` for a member whose role does not have the right.
    """

    def protect(view: View[P, R]) -> Callable[P, R | Response]:
        @functools.wraps(view)
        def run(*args: P.args, **kwargs: P.kwargs) -> R | Response:
            member = signed_in()
            if member is None:
                return redirect(url_for("staff.sign_in", next=_here()), 303)
            if not member.may(right):
                raise NotAllowed()
            return view(member, *args, **kwargs)

        return run

    return protect


def signed_in() -> StaffMember | None:
    """The member this browser is signed in as; the role is read anew for every request."""
    if "staff_member" not in g:
        staff_id = _session_of(request.cookies.get(COOKIE))
        g.staff_member = None
        if staff_id is not None:
            with deployment().db.read() as tx:
                g.staff_member = staff_by_id(tx, staff_id)
    return cast(StaffMember | None, g.staff_member)


def name_of(member: StaffMember) -> str:
    """Who did something, as it is kept beside it."""
    return member.email


@staff.get("/sign-in")
def sign_in() -> Page:
    target = _target(request.args.get("next"))
    if signed_in() is not None:
        return redirect(target)
    return render_template("staff/sign_in.html", form=Form(), next=target)


@staff.post("/sign-in")
def check_sign_in() -> Page | tuple[str, int, dict[str, str]]:
    form = Form(request.form)
    target = _target(form.values.get("next"))
    email = form.text("email", most=EMAIL_LENGTH_MAX).lower()
    password = form.values.pop("password", "")
    try:
        if not form.ok:
            raise WrongPassword()
        member = _checked(email, password)
    except (WrongPassword, TooMany) as problem:
        form.refuse("", in_words(problem))
        page = render_template("staff/sign_in.html", form=form, next=target)
        return page, problem.status, errors.wait(problem)
    # A form that was open before belongs to whoever sat here before.
    session.pop("csrf_token", None)
    response = redirect(target, 303)
    response.set_cookie(COOKIE, _new_session(member), max_age=SESSION_LIFETIME, **_cookie())
    return response


def _checked(email: str, password: str) -> StaffMember:
    """The member with this password. Raises `WrongPassword`, `TooMany`."""
    limits, address = deployment().limits, remote_address()
    limits.staff_sign_in_address(address)
    tried = limits.staff_sign_in(email, address)
    try:
        member = check_password(deployment().db, email, password)
    except TooMany:
        limits.give_back(tried)  # it had no turn, so it did not fail
        raise
    limits.give_back(tried)
    return member


@staff.post("/sign-out")
def sign_out() -> Page:
    session.pop("csrf_token", None)
    response = redirect(url_for(".sign_in"), 303)
    response.delete_cookie(COOKIE, **_cookie())
    return response


@staff.context_processor
def _context() -> dict[str, Any]:
    """What every page of the console may say."""
    member = cast(StaffMember | None, g.get("staff_member"))
    return {
        "member": member,
        "may_change": member is not None and member.may(Right.change),
        "words": words,
    }


@staff.errorhandler(Problem)
def _problem(problem: Problem) -> Response:
    """A named problem inside the console, with the way back into it."""
    # Without the database nobody can be told from anybody: the public page is for that.
    if isinstance(problem, Unavailable | TooMany) or g.get("staff_member") is None:
        return errors.answer(problem)
    page = render_template(
        "staff/problem.html", title=_(problem.title), advice=_(problem.advice), slug=problem.slug
    )
    return make_response(page, problem.status)


def _cookie() -> dict[str, Any]:
    return {
        "path": f"{request.script_root}/staff",
        "httponly": True,
        "samesite": "Lax",
        "secure": deployment().config.is_https,
    }


def _signer() -> TokenSigner:
    return TokenSigner(deployment().keys, "staff-session")


def _new_session(member: StaffMember) -> str:
    return _signer().sign(_SESSION.pack(member.id, int(now().timestamp())))


def _session_of(cookie: str | None) -> int | None:
    """The staff id in a cookie that is ours and not too old."""
    signed = _signer().unsign(cookie) if cookie else None
    if signed is None:
        return None
    staff_id, seconds = _SESSION.unpack(signed[0])
    if now() - datetime.fromtimestamp(seconds, UTC) >= SESSION_LIFETIME:
        return None
    return int(staff_id)


def _here() -> str:
    """Where to go on after signing in: this page, or for a form the page it is on."""
    path = request.full_path if request.query_string else request.path
    return request.script_root + path if request.method == "GET" else url_for("staff.home")


def _target(asked: str | None) -> str:
    """`asked` when it is a page of the console, else its first page."""
    home = url_for("staff.home")
    if not asked or not asked.startswith(home) or any(ord(c) < 33 or c == "\\" for c in asked):
        return home
    return asked
