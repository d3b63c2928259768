"""What every call of the API has in common: who asks, what was sent, how it is answered.

A view takes its path's arguments and a checked `body` or `query`, and returns a model, or a model
and a status. `get`, `post` and `patch` make it a view of the blueprint and note it for the OpenAPI
document.
"""

import functools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from apiflask import APIBlueprint
from flask import Response
from pydantic import BaseModel, ConfigDict

from referral.errors import NotFound, Problem
from referral.idempotency import StoredAnswer
from referral.web.api import auth
from referral.web.api.idempotent import REPLAYED_HEADER, answer_once
from referral.web.api.reading import INT64_MAX, raw_body, read_body, read_query
from referral.web.problems import MIMETYPE as PROBLEM_MIMETYPE

api = APIBlueprint("api", __name__, url_prefix="/api/v1")

View = TypeVar("View", bound=Callable[..., BaseModel | tuple[BaseModel, int]])


class Output(BaseModel):
    """An answer, or a part of one."""

    model_config = ConfigDict(use_attribute_docstrings=True)


@dataclass(frozen=True)
class Operation:
    """One call of the API, as the OpenAPI document describes it."""

    tag: str
    answer: type[BaseModel]
    statuses: dict[int, str]
    problems: tuple[type[Problem], ...]
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None


OPERATIONS: dict[str, Operation] = {}
"""By operation id, which is the view's name."""


def get(
    rule: str,
    *,
    answer: type[BaseModel],
    query: type[BaseModel] | None = None,
    problems: Sequence[type[Problem]] = (),
) -> Callable[[View], View]:
    """Register a view that reads."""

    def register(view: View) -> View:
        @functools.wraps(view)
        def run(**path: Any) -> Response:
            auth.check()
            arguments = {"query": read_query(query)} if query else {}
            return _response(_answer(view(**_storable(path), **arguments), 200))

        operation = Operation(_tag(rule), answer, {200: "OK"}, tuple(problems), query=query)
        api.get(rule)(_described(run, operation))
        return view

    return register


def post(
    rule: str,
    *,
    body: type[BaseModel],
    answer: type[BaseModel],
    statuses: dict[int, str],
    problems: Sequence[type[Problem]] = (),
    query: type[BaseModel] | None = None,
) -> Callable[[View], View]:
    """Register a view that writes; the first of `statuses` is the usual one."""
    return _writing(api.post, rule, body, answer, statuses, problems, query)


def patch(
    rule: str,
    *,
    body: type[BaseModel],
    answer: type[BaseModel],
    statuses: dict[int, str],
    problems: Sequence[type[Problem]] = (),
) -> Callable[[View], View]:
    """Register a view that changes what is said, and leaves the rest as it is."""
    return _writing(api.patch, rule, body, answer, statuses, problems)


def _writing(
    method: Callable[[str], Callable[[Callable[..., Response]], Any]],
    rule: str,
    body: type[BaseModel],
    answer: type[BaseModel],
    statuses: dict[int, str],
    problems: Sequence[type[Problem]],
    query: type[BaseModel] | None = None,
) -> Callable[[View], View]:
    def register(view: View) -> View:
        usual = next(iter(statuses))

        @functools.wraps(view)
        def run(**path: Any) -> Response:
            api_key_id = auth.check()
            raw = raw_body()
            if query:
                path["query"] = read_query(query)
            stored, replayed = answer_once(
                api_key_id,
                raw,
                lambda: _answer(view(**_storable(path), body=read_body(raw, body)), usual),
            )
            return _response(stored, replayed=replayed)

        operation = Operation(_tag(rule), answer, statuses, tuple(problems), body=body, query=query)
        method(rule)(_described(run, operation))
        return view

    return register


def _storable(path: dict[str, Any]) -> dict[str, Any]:
    """What stands in a path, made harmless for the database. Raises `NotFound`."""
    if any("\0" in value for value in path.values() if isinstance(value, str)):
        raise NotFound()
    # Nothing has a number as large as a column holds, nor a larger one.
    return {
        name: min(value, INT64_MAX) if isinstance(value, int) else value
        for name, value in path.items()
    }


def _answer(said: BaseModel | tuple[BaseModel, int], usual: int) -> StoredAnswer:
    model, status = said if isinstance(said, tuple) else (said, usual)
    return StoredAnswer(status, model.model_dump_json(by_alias=True))


def _response(answer: StoredAnswer, *, replayed: bool = False) -> Response:
    mimetype = PROBLEM_MIMETYPE if answer.status >= 400 else "application/json"
    response = Response(answer.body, answer.status, mimetype=mimetype)
    response.headers["Cache-Control"] = "no-store"
    if replayed:
        response.headers[REPLAYED_HEADER] = "true"
    return response


def _tag(rule: str) -> str:
    """Calls are grouped by the first word of their path."""
    found = re.match(r"/(\w+)", rule)
    if found is None:
        raise ValueError(f"a path begins with a noun, unlike {rule}")
    return found[1]


def _described(run: Callable[..., Response], operation: Operation) -> Callable[..., Response]:
    OPERATIONS[run.__name__] = operation
    return api.doc(operation_id=run.__name__, tags=[operation.tag])(run)
