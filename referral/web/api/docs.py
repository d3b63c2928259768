"""The page a developer reads: every call with its fields, and every kind of problem.

It is made of the OpenAPI document, so the two cannot disagree.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from apiflask import APIFlask
from flask import Blueprint, current_app, render_template

from referral.errors import Problem
from referral.web.api.endpoint import OPERATIONS
from referral.web.api.reading import INT64_MAX
from referral.web.api.spec import Document, document
from referral.web.context import deployment

api_docs = Blueprint("api_docs", __name__)

_WORDS = {"string": "text", "boolean": "true or false", "date-time": "time", "uri": "address"}


@dataclass(frozen=True)
class FieldRow:
    """A parameter, or a field of a body or an answer; `name` is its path."""

    name: str
    kind: str
    required: bool
    about: str


@dataclass(frozen=True)
class Call:
    id: str
    method: str
    path: str
    summary: str
    about: str
    parameters: list[FieldRow]
    body: list[FieldRow]
    answer: list[FieldRow]
    statuses: list[tuple[str, str]]
    problems: list[str]
    """Slugs."""


@dataclass(frozen=True)
class Resource:
    name: str
    about: str
    calls: list[Call]


@api_docs.get("/api/docs")
def show() -> str:
    """The documentation of the API."""
    app = cast(APIFlask, current_app)
    kept = app.extensions.setdefault("referral-api-docs", {})
    if not kept:
        spec = document(app)
        kept.update(resources=_resources(spec), version=spec["info"]["version"])
    problems = {problem.slug: problem for problem in Problem.every()}
    return render_template(
        "api_docs.html",
        **kept,
        problems=[problems[slug] for slug in sorted(problems)],
        base_url=deployment().config.base_url,
    )


def _resources(spec: Document) -> list[Resource]:
    calls = [
        (entry["tags"][0], _call(method, path, entry, spec["components"]["schemas"]))
        for path, methods in spec["paths"].items()
        for method, entry in methods.items()
    ]
    order = list(OPERATIONS)
    calls.sort(key=lambda listed: order.index(listed[1].id))
    return [
        Resource(tag["name"], tag["description"], [call for of, call in calls if of == tag["name"]])
        for tag in spec["tags"]
    ]


def _call(method: str, path: str, entry: Document, schemas: Document) -> Call:
    responses = entry["responses"]
    good = {status: each for status, each in responses.items() if status < "300"}
    answer = next(iter(good.values()))["content"]["application/json"]["schema"]
    body = entry.get("requestBody", {}).get("content", {}).get("application/json", {})
    return Call(
        id=entry["operationId"],
        method=method.upper(),
        path=path,
        summary=entry["summary"],
        about=entry.get("description", ""),
        parameters=[
            FieldRow(
                each["name"],
                _kind(each["schema"], schemas),
                each["required"],
                _about(each, each["schema"]),
            )
            for each in entry["parameters"]
            if each["in"] != "header"
        ],
        body=list(_rows(body.get("schema", {}), schemas)),
        answer=list(_rows(answer, schemas)),
        statuses=[(status, each["description"]) for status, each in good.items()],
        problems=[slug for each in responses.values() for slug in each.get("x-problems", [])],
    )


def _rows(
    schema: Document, schemas: Document, at: str = "", above: tuple[str, ...] = ()
) -> Iterator[FieldRow]:
    """The fields of an object and of the objects in it; a model in itself is shown once."""
    model = schema.get("$ref", "")
    if model and model in above:
        return
    schema = _resolved(schema, schemas)
    for name, field in schema.get("properties", {}).items():
        place = f"{at}.{name}" if at else name
        required = name in schema.get("required", [])
        yield FieldRow(place, _kind(field, schemas), required, _about(field))
        inner, suffix = _inner(_resolved(field, schemas), field)
        yield from _rows(inner, schemas, place + suffix, (*above, model))


def _inner(resolved: Document, field: Document) -> tuple[Document, str]:
    """What a field holds, and how that is written behind its name."""
    if resolved.get("type") == "array":
        return resolved["items"], "[]"
    values = resolved.get("additionalProperties")
    if isinstance(values, dict):
        return values, ".*"
    return field, ""


def _resolved(schema: Document, schemas: Document) -> Document:
    """A schema without its reference, and without the null it may be."""
    if "anyOf" in schema:
        schema = next(each for each in schema["anyOf"] if each.get("type") != "null")
    if "$ref" in schema:
        return cast(Document, schemas[schema["$ref"].rpartition("/")[2]])
    return schema


def _kind(schema: Document, schemas: Document) -> str:
    """A field's type in words."""
    found = _resolved(schema, schemas)
    kind = found.get("type", "object")
    if "enum" in found:
        words = "one of " + ", ".join(found["enum"])
    elif "const" in found:
        words = f"always {found['const']}"
    elif kind == "array":
        words = f"list of {_many(found['items'], schemas)}"
    elif kind == "object" and isinstance(found.get("additionalProperties"), dict):
        keys = found.get("propertyNames", {}).get("enum", [])
        of_keys = f" by {', '.join(keys)}" if keys else ""
        words = f"map of {_many(found['additionalProperties'], schemas)}{of_keys}"
    else:
        word: str = _WORDS.get(found.get("format") or kind) or kind
        words = word + _bounds(found)
    is_nullable = any(each.get("type") == "null" for each in schema.get("anyOf", []))
    return f"{words}, or null" if is_nullable else words


def _many(schema: Document, schemas: Document) -> str:
    kind = _kind(schema, schemas)
    return "objects" if kind == "object" else kind


def _bounds(schema: Document) -> str:
    if "maxLength" in schema:
        return f", up to {schema['maxLength']} characters"
    low = schema.get("minimum")
    if "exclusiveMinimum" in schema:
        low = schema["exclusiveMinimum"] + 1
    if low is None:
        return ""
    # The end of 64 bits is the database's business, and no news to anybody.
    high = schema.get("maximum", INT64_MAX)
    return f", {low:,} or more" if high == INT64_MAX else f", {low:,} to {high:,}"


def _about(*schemas: Document) -> str:
    """What a field means, and what it is when left out."""
    said: str = next((each["description"] for each in schemas if "description" in each), "")
    default: Any = schemas[-1].get("default")
    if default not in (None, "", {}, []):
        said = f"{said} Default: {default}.".strip()
    return said
