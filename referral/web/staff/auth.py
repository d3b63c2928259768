"""Who may work here: the session of this browser, and the one helper that authorises staff.

A staff session is a cookie of its own, sent to the console only, so that somebody who tries the
consumer pages in the same browser is not signed out of either. What it holds is a secret; all else
of the session is a row (`referral.staff.sessions`), which can be ended.
"""

import contextlib
import functools
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from flask import g, make_response, redirect, render_template, request, session, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from referral import actions
from referral.errors import Problem, TooMany, Unavailable
from referral.staff import How, NotAllowed, Right, StaffMember, StaffSession, sessions
from referral.staff.browsers import browser_label
from referral.web import errors
from referral.web.context import deployment, now, remote_address
from referral.web.staff import words
from referral.web.staff.blueprint import staff
from referral.web.staff.menu import menu_of

COOKIE = "referral_staff"
EMAIL_LENGTH_MAX = 254
"""How much of an address is kept beside what somebody changed."""
SECRET_LENGTH_MAX = 100
"""No secret is longer: what is, is not looked up."""

P = ParamSpec("P")
R = TypeVar("R")
Page = str | tuple[str, int] | Response
View = Callable[Concatenate[StaffMember, P], R]


def require(*rights: Right) -> Callable[[View[P, R]], Callable[P, R | Response]]:
    """Hand the signed-in member to a view; somebody else is sent to sign in.

    Raises `NotAllowed` for a member whose role has none of the rights; without any of them the view
    is for every member.
    """

    def protect(view: View[P, R]) -> Callable[P, R | Response]:
        @functools.wraps(view)
        def run(*args: P.args, **kwargs: P.kwargs) -> R | Response:
            member = signed_in()
            if member is None:
                return redirect(url_for("staff.sign_in", next=_here()), 303)
            if rights and not any(member.may(right) for right in rights):
                raise NotAllowed()
            return view(member, *args, **kwargs)

        return run

    return protect


def signed_in() -> StaffMember | None:
    """The member this browser is signed in as; the role is read anew for every request."""
    if "staff_member" not in g:
        g.staff_member, g.staff_session = None, None
        secret = request.cookies.get(COOKIE, "")
        if secret and len(secret) <= SECRET_LENGTH_MAX:
            with deployment().db.read() as tx:
                found = sessions.current(tx, secret, now())
            if found is not None:
                g.staff_member, g.staff_session = found
                _note_use(found[1])
    return cast(StaffMember | None, g.staff_member)


def this_session() -> StaffSession | None:
    """The session of this browser."""
    signed_in()
    return cast(StaffSession | None, g.staff_session)


def _note_use(session: StaffSession) -> None:
    if sessions.is_use_due(session, now()):
        # A page that can be read is better than a time of day that is right.
        with contextlib.suppress(Unavailable):
            actions.note_staff_use(deployment(), session.id)


def name_of(member: StaffMember) -> str:
    """Who did something, as it is kept beside it."""
    return member.email


def let_in(member: StaffMember, how: How, target: str) -> Response:
    """Begin a session of a member who proved to be himself, and lead him on to a page."""
    secret = actions.begin_staff_session(
        deployment(), member, how=how, browser=this_browser(), address=remote_address()
    )
    return with_session(secret, target)


def with_session(secret: str, target: str) -> Response:
    """Hand this browser a session that has begun, and lead it on to a page."""
    leave()
    return give_session(redirect(target, 303), secret)


def give_session(response: Response, secret: str) -> Response:
    """Hand this browser a session that has begun, with the answer."""
    response.set_cookie(COOKIE, secret, max_age=sessions.LIFETIME, **_cookie())
    return response


def take_session(response: Response) -> Response:
    """Have this browser forget its session, with the answer."""
    response.delete_cookie(COOKIE, **_cookie())
    return response


def leave() -> None:
    """End what this browser is signed in as, if anything."""
    member = signed_in()
    if member is not None:
        actions.sign_staff_out(deployment(), g.staff_session.id, by=name_of(member))
    # A form that was open before belongs to whoever sat here before.
    session.pop("csrf_token", None)


def this_browser() -> str:
    """What it says it is, coarsely."""
    return browser_label(request.headers.get("User-Agent", ""))


@staff.context_processor
def _context() -> dict[str, Any]:
    """What every page of the console may say."""
    member = cast(StaffMember | None, g.get("staff_member"))
    return {
        "member": member,
        "may": lambda right: member is not None and member.may(Right(right)),
        "may_change": member is not None and member.may(Right.change),
        "may_help": member is not None and member.may(Right.help),
        "menu_of": menu_of,
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


def _here() -> str:
    """Where to go on after signing in: this page, or for a form the page it is on."""
    path = request.full_path if request.query_string else request.path
    return request.script_root + path if request.method == "GET" else url_for("staff.home")
