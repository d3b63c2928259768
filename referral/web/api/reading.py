"""Reading what was sent: JSON bodies and query strings, checked by pydantic models.

Whatever is wrong becomes a problem that names the fields; nothing that the database could not
store gets past here.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, TypeVar

from flask import request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json

from referral.errors import InvalidInput
from referral.rewards.rules import FORMS
from referral.web.problems import InvalidJSON, WrongContentType, invalid_field

INT64_MAX = 2**63 - 1
ERRORS_MAX = 50
"""How many wrong fields one answer lists."""

M = TypeVar("M", bound=BaseModel)


Id = Annotated[int, Field(ge=1, le=INT64_MAX)]
Index = Annotated[int, Field(ge=0, le=INT64_MAX)]


class Input(BaseModel):
    """A body. A field nobody knows is refused: it is most likely a known one, misspelled."""

    model_config = ConfigDict(
        extra="forbid", strict=True, str_strip_whitespace=True, use_attribute_docstrings=True
    )


class Query(BaseModel):
    """A query string. As everywhere on the web, parameters nobody knows are left alone."""

    model_config = ConfigDict(extra="ignore", use_attribute_docstrings=True)


class Nothing(Input):
    """An empty body."""


def raw_body() -> bytes:
    """The bytes that were sent. Raises `WrongContentType`, and werkzeug's error for too many."""
    raw = request.get_data()
    if raw and not request.is_json:
        raise WrongContentType()
    return raw


def read_body(raw: bytes, model: type[M]) -> M:
    """No body at all is taken as an empty object. Raises `InvalidJSON`, `InvalidInput`."""
    raw = raw or b"{}"
    try:
        sent = from_json(raw, allow_inf_nan=False)
    except ValueError as error:
        if _is_json(raw):
            # Halves of surrogate pairs, and numbers of thousands of digits.
            raise invalid_field("", f"This cannot be stored: {error}.") from None
        raise InvalidJSON(f"{error}.") from None
    _refuse_nul(sent)
    try:
        return model.model_validate_json(raw, strict=True)
    except ValidationError as error:
        raise _invalid(error) from None


def read_query(model: type[M]) -> M:
    """Raises `InvalidInput`."""
    sent = request.args.to_dict()
    _refuse_nul(sent)
    try:
        return model.model_validate_strings(sent)
    except ValidationError as error:
        raise _invalid(error) from None


def checked(model: type[M], sent: Mapping[str, Any]) -> M:
    """A model of what was sent, put together with what was there. Raises `InvalidInput`."""
    try:
        return model.model_validate(sent)
    except ValidationError as error:
        raise _invalid(error) from None


def _is_json(raw: bytes) -> bool:
    """Whether the grammar of JSON is kept, whatever it says."""
    try:
        json.loads(raw.decode(), parse_int=len, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return False
    return True


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _refuse_nul(sent: Any) -> None:
    """PostgreSQL stores every character but this one."""
    for field, text in _texts(sent, ()):
        if "\0" in text:
            raise invalid_field(_dotted(field), "A NUL character cannot be stored.")


def _texts(value: Any, at: tuple[int | str, ...]) -> Iterator[tuple[tuple[int | str, ...], str]]:
    """Every string in a JSON value, keys among them, with its place."""
    if isinstance(value, str):
        yield at, value
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from _texts(each, (*at, number))
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield (*at, key), key
            yield from _texts(each, (*at, key))


def _invalid(error: ValidationError) -> InvalidInput:
    found = error.errors(include_url=False, include_input=False)[:ERRORS_MAX]
    return InvalidInput(
        errors=[
            {
                "field": _dotted(each["loc"]),
                # pydantic puts this before what our own validators say.
                "message": each["msg"].removeprefix("Value error, "),
            }
            for each in found
        ]
    )


def _dotted(place: tuple[int | str, ...]) -> str:
    # Which form of an amount was checked is no part of the path to it.
    return ".".join(str(step) for step in place if step not in FORMS)
