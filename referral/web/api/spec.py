"""The OpenAPI document: APIFlask lists the calls, and what each takes and answers is put in here.

The schemas come straight from the pydantic models, once each, as their own mode has them: bodies
as they are checked, answers as they are written.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

from apiflask import APIBlueprint, APIFlask
from flask import current_app
from flask.blueprints import BlueprintSetupState
from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from referral.errors import InvalidInput, NotFound, Problem, Unavailable
from referral.idempotency import KEY_LENGTH_MAX, IdempotencyMismatch, InFlight
from referral.web.api.endpoint import OPERATIONS, Operation
from referral.web.api.idempotent import HEADER, REPLAYED_HEADER
from referral.web.context import deployment
from referral.web.errors import TooLarge, Unexpected
from referral.web.problems import MIMETYPE, InvalidJSON, Unauthorized, WrongContentType

BEARER = "bearer"
WRITES = {"post", "patch"}
PROBLEM_REF = {"$ref": "#/components/schemas/Problem"}
REF_TEMPLATE = "#/components/schemas/{model}"

ALWAYS: tuple[type[Problem], ...] = (Unauthorized, Unexpected, Unavailable)
ON_WRITE: tuple[type[Problem], ...] = (
    InvalidJSON,
    InvalidInput,
    WrongContentType,
    TooLarge,
    InFlight,
    IdempotencyMismatch,
)

Document = dict[str, Any]
Schemas = Mapping[tuple[type[BaseModel], JsonSchemaMode], Document]

PROBLEM_SCHEMA: Document = {
    "type": "object",
    "description": "RFC 9457. Some kinds have members of their own.",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {
            "type": "string",
            "format": "uri",
            "description": "Names the kind, and ends in its word; stable.",
        },
        "title": {"type": "string", "description": "What is the matter with this kind."},
        "status": {"type": "integer", "description": "The HTTP status."},
        "detail": {"type": "string", "description": "What to do, or what it was this time."},
        "errors": {
            "type": "array",
            "description": "The fields that are wrong.",
            "items": {
                "type": "object",
                "required": ["field", "message"],
                "properties": {
                    "field": {
                        "type": "string",
                        "description": "Its path, parted by dots; empty for the whole.",
                    },
                    "message": {"type": "string"},
                },
            },
        },
    },
}

TAGS = {
    "products": "Trade items, keyed by their GTIN-14.",
    "stores": "Outlets that sell, and distributors that supply them.",
    "batches": "Codes of one product made together; what happens to them, by index range.",
    "codes": "The identity of one package, for support desks and distributors.",
    "cases": "Purchases that the risk rules want somebody to look at, and what was decided.",
    "flags": "Codes of which something was odd when they were scanned.",
    "alarms": "Where more wrong codes are tried than mistyping and chance explain.",
    "pictures": "What campaigns show; uploaded once, named by their hash.",
    "campaigns": "Content, dates, budget and reward rules; and what came of them.",
    "pools": "Codes of coupons that rules give out.",
    "coupons": "What a shop asks of one coupon's code.",
    "customers": "People with an identity, and the tree of who brought in whom.",
    "links": "Share links of customers, for where no browser is at hand.",
    "claims": "A customer takes a code, once, ever: the proof of purchase.",
    "orders": "Purchases that the brand's shop reports, the other proof, and their refunds.",
    "items": "What points are redeemed for.",
    "redemptions": "Points, or a right that was won, turned into an item, with its voucher.",
}
"""In the order in which a brand meets them."""

DESCRIPTION = """\
Amounts are whole numbers in minor units. Times are RFC 3339, in UTC. Lists come in pages,
`{"items": [...], "next": cursor-or-null}`. What goes wrong is answered as RFC 9457 problem+json.
Every POST and PATCH accepts an `Idempotency-Key`."""


def set_up(state: BlueprintSetupState) -> None:
    """Have the app's OpenAPI document completed here."""
    app = state.app
    if not isinstance(app, APIFlask):
        raise TypeError("the API is a blueprint of an APIFlask application")
    app.config.update(
        # Everything that these would guess at is said below.
        AUTO_200_RESPONSE=False,
        AUTO_404_RESPONSE=False,
        AUTO_AUTH_ERROR_RESPONSE=False,
        AUTO_SERVERS=False,
        AUTO_TAGS=False,
        AUTO_VALIDATION_ERROR_RESPONSE=False,
        DESCRIPTION=DESCRIPTION,
        SPEC_DECORATORS=[_leave_plain_blueprints_out],
    )
    app.spec_processor(lambda spec: _complete(cast(Document, spec)))


def document(app: APIFlask) -> Document:
    """The OpenAPI document of an application, in the context of a request."""
    made: Document = _leave_plain_blueprints_out(lambda: app.spec)()
    return made


def _leave_plain_blueprints_out(view: Callable[[], Any]) -> Callable[[], Any]:
    """APIFlask asks every blueprint with a `before_request` for an attribute only its own have."""

    def run() -> Any:
        for blueprint in current_app.blueprints.values():
            if not isinstance(blueprint, APIBlueprint):
                blueprint.enable_openapi = False  # type: ignore[attr-defined]
        return view()

    return run


def _complete(spec: Document) -> Document:
    schemas, definitions = _schemas()
    spec["servers"] = [{"url": deployment().config.base_url}]
    spec["security"] = [{BEARER: []}]
    spec["tags"] = [{"name": name, "description": text} for name, text in TAGS.items()]
    spec["components"] = {
        "schemas": {"Problem": PROBLEM_SCHEMA, **definitions},
        "securitySchemes": {
            BEARER: {
                "type": "http",
                "scheme": "bearer",
                "description": "A key of the brand, `rk_...`; only its hash is kept.",
            }
        },
    }
    for methods in spec["paths"].values():
        for method, entry in methods.items():
            _fill_in(entry, OPERATIONS[entry["operationId"]], method, schemas)
    return spec


def _schemas() -> tuple[Schemas, Document]:
    """Where each model's schema is, and all the schemas."""
    wanted: list[tuple[type[BaseModel], JsonSchemaMode]] = []
    for operation in OPERATIONS.values():
        wanted.append((operation.answer, "serialization"))
        if operation.body:
            wanted.append((operation.body, "validation"))
    references, made = models_json_schema(wanted, ref_template=REF_TEMPLATE)
    return cast(Schemas, references), made["$defs"]


def _fill_in(entry: Document, operation: Operation, method: str, schemas: Schemas) -> None:
    entry["responses"] = {
        **_successes(operation, method, schemas[operation.answer, "serialization"]),
        **_refusals(_problems_of(entry, operation, method)),
    }
    if operation.query:
        entry["parameters"] += _query_parameters(operation.query)
    if method in WRITES:
        entry["parameters"].append(_idempotency_parameter())
    if operation.body:
        required = any(field.is_required() for field in operation.body.model_fields.values())
        schema = schemas[operation.body, "validation"]
        entry["requestBody"] = {
            "required": required,
            "content": {"application/json": {"schema": schema}},
        }


def _problems_of(entry: Document, operation: Operation, method: str) -> set[type[Problem]]:
    found = {*ALWAYS, *operation.problems}
    if method in WRITES:
        found.update(ON_WRITE)
    if operation.query:
        found.add(InvalidInput)
    if any(parameter["in"] == "path" for parameter in entry["parameters"]):
        found.add(NotFound)
    return found


def _successes(operation: Operation, method: str, schema: Document) -> Document:
    headers = {
        REPLAYED_HEADER: {
            "description": "`true` when this is the stored answer to an earlier request.",
            "schema": {"type": "string", "enum": ["true"]},
        }
    }
    return {
        str(status): {
            "description": description,
            "content": {"application/json": {"schema": schema}},
            **({"headers": headers} if method in WRITES else {}),
        }
        for status, description in operation.statuses.items()
    }


def _refusals(problems: Iterable[type[Problem]]) -> Document:
    by_status: dict[int, list[type[Problem]]] = defaultdict(list)
    for problem in sorted(problems, key=lambda each: (each.status, each.slug)):
        by_status[problem.status].append(problem)
    return {str(status): _refusal(kinds) for status, kinds in by_status.items()}


def _refusal(kinds: list[type[Problem]]) -> Document:
    response: Document = {
        "description": "\n".join(f"- `{kind.slug}`: {kind.title}" for kind in kinds),
        "content": {MIMETYPE: {"schema": PROBLEM_REF}},
        "x-problems": [kind.slug for kind in kinds],
    }
    if Unauthorized in kinds:
        response["headers"] = {"WWW-Authenticate": {"schema": {"type": "string"}}}
    if Unavailable in kinds:
        seconds = {"type": "integer", "description": "Seconds to wait."}
        response["headers"] = {"Retry-After": {"schema": seconds}}
    return response


def _query_parameters(query: type[BaseModel]) -> list[Document]:
    schema = query.model_json_schema(ref_template=REF_TEMPLATE)
    parameters = []
    for name, field in schema["properties"].items():
        description = field.pop("description", "")
        parameter = {"name": name, "in": "query", "required": False, "schema": field}
        parameters.append({**parameter, "description": description})
    return parameters


def _idempotency_parameter() -> Document:
    return {
        "name": HEADER,
        "in": "header",
        "required": False,
        "description": (
            "Any word of your own. The same word with the same request is answered as it was the "
            "first time, for 24 hours, and nothing is done twice."
        ),
        "schema": {"type": "string", "minLength": 1, "maxLength": KEY_LENGTH_MAX},
    }
