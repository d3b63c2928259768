"""Whatever is wrong with a request: problem+json, and nothing is stored."""

import json

import pytest
import sqlalchemy as sa

from referral import actions
from referral.errors import Unavailable
from referral.staff import ApiKey
from tests.web.api.conftest import PRODUCT, problem

DRAFT = {"slug": "s", "title": "T", "budget": 100, "rules": []}


# Keys


def test_without_a_key_nothing_is_answered(api, app):
    client = app.test_client()
    for headers in (
        {},
        {"Authorization": api.key},
        {"Authorization": f"Basic {api.key}"},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer \xff\xfe"},
        {"Authorization": f"Bearer {api.key}x"},
    ):
        refused = client.get("/api/v1/batches", headers=headers)
        assert problem(refused) == (401, "unauthorized")
        assert refused.headers["WWW-Authenticate"] == 'Bearer realm="api"'
    refused = client.post("/api/v1/products", json=PRODUCT)
    assert problem(refused) == (401, "unauthorized")


def test_a_revoked_key_is_no_key(api, deployment, clock):
    assert api.get("/batches").status_code == 200
    revoke = sa.update(ApiKey).values(revoked_at=clock.now())
    deployment.db.transact(lambda tx: tx.execute(revoke))
    assert problem(api.get("/batches")) == (401, "unauthorized")


def test_a_session_of_a_browser_does_not_count(app, api):
    client = app.test_client()
    with client.session_transaction() as session:
        session["customer"] = 1
    assert problem(client.get("/api/v1/batches")) == (401, "unauthorized")


# Bodies


NOT_JSON = [
    "{",
    "nonsense",
    '{"gtin": "06901234567892",}',
    '{"price": NaN}',
    b'{"name": "\xff"}',
    '{"name": "tea"}'.encode("utf-16"),
    b'\xef\xbb\xbf{"name": "tea"}',
    '{"name": "a\0b"}',
    "[" * 100_000,
]


def test_json_that_is_not_json(api):
    for body in NOT_JSON:
        assert problem(api.post("/products", body)) == (400, "invalid-json"), body[:30]


def test_a_body_of_another_type_is_refused(api):
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""):
        refused = api.post("/products", json.dumps(PRODUCT), **{"Content-Type": kind})
        assert problem(refused) == (415, "wrong-content-type")
    kind = "application/json; charset=utf-8"
    assert api.post("/products", PRODUCT, **{"Content-Type": kind}).status_code == 201


def test_a_body_over_a_mebibyte_is_refused(api):
    padding = " " * (1024 * 1024)
    assert problem(api.post("/products", json.dumps(PRODUCT) + padding)) == (413, "too-large")
    assert api.post("/products", (json.dumps(PRODUCT) + padding)[: 1024 * 1024]).status_code == 201


def test_json_of_another_shape(api):
    for body in ("[]", "null", '"text"', "5", '{"gtin": 5}', '{"unknown": 1}'):
        refused = api.post("/products", body)
        assert problem(refused) == (422, "invalid-input")
        assert all(set(error) == {"field", "message"} for error in refused.json["errors"])


def test_every_wrong_field_is_named(api):
    refused = api.post("/products", {"gtin": 6901234567892, "price": "20", "nmae": "Tea"})
    assert {error["field"]: error["message"] for error in refused.json["errors"]} == {
        "gtin": "Input should be a valid string",
        "price": "Input should be a valid integer",
        "name": "Field required",
        "currency": "Field required",
        "nmae": "Extra inputs are not permitted",
    }


def test_not_more_errors_than_anybody_reads(api):
    refused = api.post("/products", {f"f{number}": 1 for number in range(5000)})
    assert len(refused.json["errors"]) == 50


BODIES = {
    "/products": PRODUCT,
    "/batches": {
        "gtin": PRODUCT["gtin"],
        "count": 5,
        "name": "n",
        "scheme": "https",
        "terms": {"lot": "L1", "store": "east"},
    },
    "/batches/1/activate": {"start": 0, "end": 5, "reason": "r", "reinstate": True},
    "/batches/1/void": {"start": 0, "end": 5, "reason": "r"},
    "/batches/1/recall": {"start": 0, "end": 5, "reason": "r"},
    "/batches/1/assign": {
        "start": 0,
        "end": 5,
        "terms": {
            "lot": "L1",
            "made_on": "2026-03-01",
            "expires_on": "2027-03-01",
            "market": ["CN"],
            "store": "east",
            "sale_from": "2026-05-01T00:00:00Z",
            "sale_until": "2026-06-01T00:00:00Z",
        },
    },
    "/codes/check": {"code": "0" * 16, "outer": "0" * 16},
    "/stores": {"slug": "west", "name": "n", "kind": "store", "region": "CN"},
    "/campaigns": {
        **DRAFT,
        "organiser": "o",
        "buy_url": "https://shop.example/",
        "starts_at": "2026-05-01T00:00:00Z",
        "gtins": [PRODUCT["gtin"]],
        "content": {"en": {"title": "t", "body": "b"}},
        "rules": [{"when": "claim", "for": "person", "what": "points", "amount": 1}],
        "hold_days": 1,
    },
    "/campaigns/spring/publish": {"x": "x"},
    "/customers": {"external_id": "1", "phone": "13800138000", "email": "a@b.cn", "name": "n"},
    "/links": {"campaign": "spring", "customer_id": 1, "channel": "copy"},
    "/claims": {"code": "0" * 16, "customer_id": 1, "via": "v"},
    "/orders": {
        "external_id": "A/1",
        "customer_id": 1,
        "member_id": "1",
        "phone": "13800138000",
        "coupon": "TEA-1",
        "via": "v",
        "amount": 5,
        "currency": "CNY",
        "at": "2026-03-02T09:00:00Z",
        "gtins": [PRODUCT["gtin"]],
    },
    "/orders/A/1/refunds": {"external_id": "R", "amount": 1},
}
HOSTILE = [
    r'"a\u0000b"',
    r'"\ud800"',
    json.dumps("\U0001f375" * 4000),
    json.dumps("\u202e\x1b[2J"),
    str(2**63),
    "1" + "0" * 5000,
    "-1",
    "1.5",
    "1e400",
    "null",
    r'["a\u0000b"]',
    r'{"a\u0000b": 1}',
]
"""In JSON."""


def places(value, at=()):
    """The path of every value in a JSON document."""
    yield at
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from places(value[key], (*at, key))


def with_value(document, at, value):
    if not at:
        return value
    copy = dict(document) if isinstance(document, dict) else list(document)
    copy[at[0]] = with_value(document[at[0]], at[1:], value)
    return copy


@pytest.mark.parametrize("path", BODIES)
def test_no_value_anywhere_breaks_anything(api, brand, path):
    api.customer("1")
    api.made("/stores", {"slug": "east", "name": "East"})
    for at in places(BODIES[path]):
        text = json.dumps(with_value(BODIES[path], at, "@@"))
        for value in HOSTILE:
            response = api.post(path, text.replace('"@@"', value))
            assert response.status_code < 500, (at, value[:40], response.text)
            if response.status_code >= 400:
                problem(response)


def test_characters_that_cannot_be_stored(api):
    for value in ("a\0b", "\ud800"):
        for path, body in (
            ("/products", {**PRODUCT, "name": value}),
            ("/campaigns", {**DRAFT, "content": {"en": {"title": value}}}),
            ("/customers", {"external_id": "1", "name": value}),
        ):
            assert problem(api.post(path, body)) == (422, "invalid-input")


def test_an_address_that_grows_when_it_is_encoded(api):
    for length, expected in ((100, 422), (30, 201)):
        body = {**DRAFT, "buy_url": "https://shop.example/" + "茶" * length}
        assert api.post("/campaigns", body).status_code == expected


# Paths


def test_paths_that_lead_nowhere(api, app):
    for path in ("/api/v1/nothing", "/api/v2/batches", "/api/nothing", "/api/v1/batches/x"):
        assert problem(app.test_client().get(path)) == (404, "not-found")
    for path in ("/campaigns/%00", "/campaigns/a%00b/metrics"):
        assert problem(api.get(path))[0] == 404
    for number in ("0", str(2**63 - 1), str(2**63), "9" * 400):
        assert problem(api.get(f"/customers/{number}")) == (404, "unknown-customer")
        assert problem(api.post(f"/batches/{number}/void")) == (404, "unknown-batch")
        assert problem(api.get(f"/batches/{number}/codes")) == (404, "unknown-batch")


def test_a_method_that_is_not_offered(api):
    assert problem(api.get("/products")) == (405, "method-not-allowed")
    assert problem(api.post("/batches/1")) == (405, "method-not-allowed")


def test_queries_that_cannot_be_read(api, brand):
    path = f"/batches/{brand.batch.id}/codes"
    for query in ("start=-1", "start=x", "count=0", "count=", f"start={2**63}", "start=1.5"):
        refused = api.get(f"{path}?{query}")
        assert problem(refused) == (422, "invalid-input")
        assert refused.json["errors"][0]["field"] == query.partition("=")[0]
    assert api.get(f"{path}?utm_source=x").status_code == 200


# Outages


def test_a_database_that_is_gone(api, monkeypatch, deployment):
    def gone(*args, **kwargs):
        raise Unavailable

    with monkeypatch.context() as patch:
        patch.setattr(deployment.db, "transact", gone)
        refused = api.post("/products", PRODUCT)
        assert problem(refused) == (503, "unavailable")
        assert int(refused.headers["Retry-After"]) > 0
    with monkeypatch.context() as patch:
        patch.setattr(deployment.db, "read", gone)
        assert problem(api.get("/batches")) == (503, "unavailable")
    assert api.post("/products", PRODUCT).status_code == 201


def test_a_mistake_of_ours_tells_nothing(api, monkeypatch):
    def fail(*args, **kwargs):
        raise RuntimeError("the password is secret")

    monkeypatch.setattr(actions, "add_product", fail)
    refused = api.post("/products", PRODUCT)
    assert problem(refused) == (500, "unexpected")
    assert "secret" not in refused.text
