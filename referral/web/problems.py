"""Problems as ``application/problem+json`` (RFC 9457), and those only a caller of the API has."""

import json
from typing import Any

from flask import Response

from referral.errors import N_, InvalidInput, Problem
from referral.web.context import deployment

MIMETYPE = "application/problem+json"


class Unauthorized(Problem):
    slug = "unauthorized"
    status = 401
    title = N_("This needs a key.")
    advice = N_("Send a key that is in force: Authorization: Bearer rk_...")


class InvalidJSON(Problem):
    slug = "invalid-json"
    status = 400
    title = N_("The body is not JSON.")
    advice = N_("Send one JSON object, in UTF-8.")


class WrongContentType(Problem):
    slug = "wrong-content-type"
    status = 415
    title = N_("The body is of another type than JSON.")
    advice = N_("Send JSON, with the header Content-Type: application/json.")


def invalid_field(field: str, message: str) -> InvalidInput:
    """One field is wrong."""
    return InvalidInput(errors=[{"field": field, "message": message}])


def problem_type(slug: str) -> str:
    """The address that names a kind of problem; the page there explains it."""
    return deployment().address(f"/api/docs#{slug}")


def problem_text(problem: Problem, status: int | None = None, **extra: Any) -> str:
    """The JSON of a problem. Its texts are English: the caller is a program, and its developer."""
    members = {
        "type": problem_type(problem.slug),
        "title": problem.title,
        "status": status or problem.status,
        "detail": problem.detail or problem.advice,
    }
    return json.dumps({**members, **problem.details, **extra, **members}, default=str)


def problem_response(problem: Problem, status: int | None = None, **extra: Any) -> Response:
    """The answer that reports a problem; `extra` are further members of it."""
    response = Response(
        problem_text(problem, status, **extra), status or problem.status, mimetype=MIMETYPE
    )
    response.headers["Cache-Control"] = "no-store"
    if response.status_code == 401:
        response.headers["WWW-Authenticate"] = 'Bearer realm="api"'
    return response
