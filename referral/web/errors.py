"""When something goes wrong: a kind page for people, problem+json for machines, never a trace."""

import structlog
from apiflask import APIFlask
from flask import Response, current_app, render_template, request, session, url_for
from flask_babel import gettext as _
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import DBAPIError
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from referral.errors import N_, InvalidInput, NotFound, Problem, TooMany, Unavailable
from referral.guessing import SignInToCheck
from referral.web.problems import problem_response

RETRY_SECONDS = 3
log = structlog.get_logger()


class NotAllowedHere(Problem):
    slug = "method-not-allowed"
    status = 405
    title = N_("This address cannot be used that way.")
    advice = N_("Please start again from the page before.")


class TooLarge(Problem):
    slug = "too-large"
    status = 413
    title = N_("That is too much at once.")
    advice = N_("Please send less than 1 MB.")


class FormExpired(Problem):
    slug = "form-expired"
    status = 400
    title = N_("This page was open for too long.")
    advice = N_("Nothing was changed. Please go back, reload the page and press the button again.")


class Unexpected(Problem):
    slug = "unexpected"
    status = 500
    title = N_("Something went wrong on our side.")
    advice = N_("Nothing was lost. Please try again; if it stays so, please tell us.")


_BY_STATUS: dict[int, type[Problem]] = {
    404: NotFound,
    405: NotAllowedHere,
    413: TooLarge,
    429: TooMany,
    503: Unavailable,
}


def set_up(app: APIFlask) -> None:
    app.register_error_handler(Problem, answer)
    app.register_error_handler(CSRFError, lambda error: answer(FormExpired()))
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _unexpected)


def answer(problem: Problem) -> Response:
    """The answer to a named problem, in the form the asker can read."""
    if request.path.startswith("/api/"):
        response = problem_response(problem)
    else:
        response = Response(_page(problem), problem.status, mimetype="text/html")
    response.headers.update(wait(problem))
    return response


def wait(problem: Problem) -> dict[str, str]:
    """The header that says when to come again, where that helps."""
    if isinstance(problem, Unavailable):
        return {"Retry-After": str(RETRY_SECONDS)}
    if isinstance(problem, TooMany) and "retry_after" in problem.details:
        return {"Retry-After": str(problem.details["retry_after"])}
    return {}


def _page(problem: Problem) -> str:
    # Nothing here may need the database: this is also the page for when it is gone.
    is_staff = request.path.startswith("/staff/")
    actions = [(_("Type a code"), url_for("codes.typed_code"))]
    if is_staff:
        actions = [(_("Overview"), url_for("staff.home"))]
    if isinstance(problem, SignInToCheck):
        actions = [(_("Sign in"), url_for("member.sign_in", next=request.path))]
    if isinstance(problem, FormExpired) and _is_page(request.path):
        actions = [(_("Open the page again"), request.path), *actions]
    if session.get("customer") and not is_staff:
        actions.append((_("My page"), url_for("member.me")))
    return render_template(
        "problem.html",
        title=_(problem.title),
        advice=_(problem.advice),
        slug=problem.slug,
        status=problem.status,
        actions=actions,
    )


def _is_page(path: str) -> bool:
    """Whether a page can be asked for where a form was sent to."""
    adapter = current_app.create_url_adapter(request)
    return adapter is not None and adapter.test(path, "GET")


def _http_error(error: HTTPException) -> Response | HTTPException:
    if error.code is None or error.code < 400:
        return error  # a redirect that routing raised
    problem = _BY_STATUS.get(error.code, InvalidInput if error.code < 500 else Unexpected)
    response = answer(problem())
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        response.allow.update(error.valid_methods)
    return response


def _unexpected(error: Exception) -> Response:
    if isinstance(error, DBAPIError):
        # The database's own words repeat the row that was refused.
        state = getattr(error.orig, "sqlstate", None)
        kind = type(error.orig).__name__
        log.error("unexpected", endpoint=request.endpoint, error=kind, sqlstate=state)
    else:
        log.error("unexpected", endpoint=request.endpoint, exc_info=error)
    return answer(Unexpected())
