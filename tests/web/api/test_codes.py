"""Codes: listed for printing, and looked up by whoever has a package in hand."""

import pytest
import sqlalchemy as sa

from referral import actions, intake
from referral.codes import Label, Labels
from referral.flags import Flag
from referral.misses import NONE, CodeMisses
from referral.people import new_visitor_id
from referral.ranges import RangeState
from referral.visits import Kind, Visit, new_event_id
from tests.web.api.conftest import PRODUCT, problem
from tests.web.api.test_batches import NOTHING_SAID

OTHER = "06900000000007"


@pytest.fixture
def pairs(api, brand, deployment):
    """A batch whose packages carry two codes, all on sale."""
    actions.set_labels(deployment, PRODUCT["gtin"], Labels.pair)
    made = api.made("/batches", {"gtin": PRODUCT["gtin"], "count": 10, "name": "pairs"})
    api.made(f"/batches/{made['id']}/activate")
    return deployment.directory.batch(made["id"])


def both(deployment, batch, index):
    """The outer and the inner code of a package."""
    return (
        deployment.codes.encode(batch, index, Label.outer).text,
        deployment.codes.encode(batch, index).text,
    )


def scan(deployment, batch, index, label=Label.inner, **more):
    intake.hand_in(
        deployment,
        Visit(
            Kind.scan,
            deployment.clock.now(),
            new_event_id(),
            visitor=new_visitor_id(),
            batch=batch.id,
            code_index=index,
            label=label,
            **more,
        ),
    )


# Listing


def test_codes_are_listed_with_what_to_print(api, brand, deployment):
    path = f"/batches/{brand.batch.id}/codes"
    page = api.get(f"{path}?start=998&count=10").json
    assert [code["index"] for code in page["items"]] == [998, 999]
    assert page["next"] is None
    code = page["items"][0]
    assert code == {
        "index": 998,
        "code": deployment.codes.encode(brand.batch, 998).text,
        "url": f"http://localhost{brand.path(998)}",
        "printed": f"http://LOCALHOST{brand.path(998)}",
    }

    page = api.get(f"{path}?count=3").json
    assert ([code["index"] for code in page["items"]], page["next"]) == ([0, 1, 2], 3)
    assert len(api.get(f"{path}?start=0").json["items"]) == 100
    assert api.get(f"{path}?start=1000").json == {"items": [], "next": None}
    assert api.get(f"{path}?start={2**63 - 1}").json == {"items": [], "next": None}
    assert problem(api.get("/batches/999/codes")) == (404, "unknown-batch")


def test_an_answer_holds_at_most_1000_codes(api, brand):
    batch = api.made("/batches", {"gtin": PRODUCT["gtin"], "count": 1001, "name": "more"})
    page = api.get(f"/batches/{batch['id']}/codes?count=5000").json
    assert (len(page["items"]), page["next"]) == (1000, 1000)


def test_the_scheme_is_printed_as_the_batch_has_it(api, brand):
    order = {"gtin": PRODUCT["gtin"], "count": 1, "name": "n", "scheme": "HTTPS"}
    batch = api.made("/batches", order)
    (code,) = api.get(f"/batches/{batch['id']}/codes").json["items"]
    assert code["url"] == f"http://localhost/01/{PRODUCT['gtin']}/21/{code['code']}"
    assert code["printed"] == f"HTTP://LOCALHOST/01/{PRODUCT['gtin']}/21/{code['code']}"


def test_outer_codes_are_listed_where_there_are_some(api, brand, deployment, pairs):
    path = f"/batches/{pairs.id}/codes"
    outer = [code["code"] for code in api.get(f"{path}?label=outer").json["items"]]
    inner = [code["code"] for code in api.get(path).json["items"]]
    assert [*zip(outer, inner, strict=True)] == [both(deployment, pairs, n) for n in range(10)]
    refused = api.get(f"/batches/{brand.batch.id}/codes?label=outer")
    assert problem(refused) == (422, "no-such-label")
    assert problem(api.get(f"{path}?label=top")) == (422, "invalid-input")


# Looking one up


def test_a_code_is_looked_up(api, brand, deployment, clock):
    code = deployment.codes.encode(brand.batch, 3)
    found = api.made("/codes/check", {"code": code.grouped.lower()})
    assert found == {
        "code": code.text,
        "label": "inner",
        "gtin": PRODUCT["gtin"],
        "product": PRODUCT["name"],
        "batch": brand.batch.id,
        "index": 3,
        "state": "activated",
        "availability": "on_sale",
        "terms": NOTHING_SAID,
        "first_seen_at": None,
        "first_seen_in": None,
        "devices": 0,
        "claimed": False,
        "claimed_at": None,
        "flags": [],
        "labels_match": None,
    }
    for url in (brand.path(3), f"HTTPS://BRAND.EXAMPLE{brand.path(3)}?17=270301"):
        assert api.made("/codes/check", {"url": url}) == found
    assert api.post("/codes/check", {"url": brand.path(3)}).status_code == 200
    lot = brand.path(3).replace("/21/", "/10/L1/21/")
    assert api.made("/codes/check", {"url": lot}) == found


def test_what_became_of_a_code_is_told(api, brand, deployment, clock):
    code = deployment.codes.encode(brand.batch, 3)
    api.made("/stores", {"slug": "east", "name": "East"})
    terms = {"market": ["CN-GD"], "store": "east", "sale_until": "2026-03-02T10:00:00Z"}
    api.made(f"/batches/{brand.batch.id}/assign", {"terms": terms})
    scan(deployment, brand.batch, 3, region="CN-SH", flags=(Flag.other_market,))
    clock.advance(minutes=1)
    scan(deployment, brand.batch, 3, region="CN-BJ", flags=(Flag.other_market,))
    api.made("/claims", {"code": code.text, "customer_id": api.customer("ann")})
    clock.advance(minutes=29)
    found = api.made("/codes/check", {"code": code.text})
    assert found["availability"] == "expired"
    assert found["terms"] == {**NOTHING_SAID, **terms}
    assert (found["first_seen_at"], found["first_seen_in"]) == ("2026-03-02T09:30:00Z", "CN-SH")
    assert found["devices"] == 2
    assert (found["claimed"], found["claimed_at"]) == (True, "2026-03-02T09:31:00Z")
    assert found["flags"] == [
        {
            "kind": "other_market",
            "first_at": "2026-03-02T09:30:00Z",
            "last_at": "2026-03-02T09:31:00Z",
            "times": 2,
            "region": "CN-BJ",
        }
    ]
    other = api.made("/codes/check", {"code": deployment.codes.encode(brand.batch, 4).text})
    assert (other["devices"], other["claimed"], other["flags"]) == (0, False, [])


def test_the_best_before_day_ends_where_the_brand_is(api, brand, deployment, clock):
    path = f"/batches/{brand.batch.id}/assign"
    api.made(path, {"terms": {"expires_on": "2026-03-02"}})
    code = {"url": brand.path(3)}
    clock.advance(minutes=360)  # 23:30 in Shanghai
    assert api.made("/codes/check", code)["availability"] == "on_sale"
    clock.advance(minutes=30)
    assert api.made("/codes/check", code)["availability"] == "expired"


def test_each_label_has_been_seen_by_itself(api, deployment, pairs):
    outer, inner = both(deployment, pairs, 3)
    scan(deployment, pairs, 3, Label.outer)
    found = api.made("/codes/check", {"code": outer})
    assert (found["label"], found["index"], found["devices"]) == ("outer", 3, 1)
    found = api.made("/codes/check", {"code": inner})
    assert (found["label"], found["index"], found["devices"]) == ("inner", 3, 0)


def test_two_labels_are_compared(api, deployment, pairs):
    outer, inner = both(deployment, pairs, 3)
    strange, _ = both(deployment, pairs, 4)
    gtin = PRODUCT["gtin"]
    for first, second in ((inner, outer), (outer, inner), (inner, f"/01/{gtin}/21/{outer}")):
        found = api.made("/codes/check", {"code": first, "outer": second})
        assert (found["code"], found["labels_match"], found["flags"]) == (first, True, [])
    found = api.made("/codes/check", {"code": inner, "outer": strange})
    assert found["labels_match"] is False
    assert [(flag["kind"], flag["times"]) for flag in found["flags"]] == [("labels_differ", 1)]
    flagged = api.get("/flags").json["items"]
    assert {flag["index"] for flag in flagged} == {3, 4}
    for same in (inner, both(deployment, pairs, 4)[1]):
        refused = api.post("/codes/check", {"code": inner, "outer": same})
        assert problem(refused) == (422, "same-label")
    refused = api.post("/codes/check", {"code": inner, "outer": "0" * 16})
    assert problem(refused) == (404, "unknown-code")


def test_codes_that_are_none(api, brand, deployment):
    code, gtin = deployment.codes.encode(brand.batch, 3).text, PRODUCT["gtin"]
    api.made("/products", {**PRODUCT, "gtin": OTHER})
    altered = code[:-1] + ("A" if code[-1] != "A" else "B")
    cases = [
        ({"code": altered}, (404, "unknown-code")),
        ({"url": f"/01/{gtin}/21/{altered}"}, (404, "unknown-code")),
        ({"code": code[:-1]}, (400, "mistyped-code")),
        ({"code": ""}, (400, "mistyped-code")),
        ({"url": f"/01/{gtin[:-1]}{int(gtin[-1]) ^ 1}/21/{code}"}, (400, "bad-gtin")),
        ({"url": f"/01/{OTHER}/21/{code}"}, (404, "wrong-product")),
        ({"url": "https://brand.example/"}, (422, "invalid-input")),
        ({"url": "https://[brand.example/01/1/21/2"}, (422, "invalid-input")),
        ({"url": brand.path(3), "code": code}, (422, "invalid-input")),
        ({"outer": code}, (422, "invalid-input")),
        ({}, (422, "invalid-input")),
    ]
    for sent, expected in cases:
        assert problem(api.post("/codes/check", sent)) == expected, sent
    assert deployment.misses.flush() == 2


def test_a_miss_is_counted_at_its_product_however_its_gtin_is_written(api, brand, deployment):
    code, gtin = deployment.codes.encode(brand.batch, 3).text, PRODUCT["gtin"]
    altered = code[:-1] + ("A" if code[-1] != "A" else "B")
    for written in (gtin, gtin[1:]):
        refused = api.post("/codes/check", {"url": f"/01/{written}/21/{altered}"})
        assert problem(refused) == (404, "unknown-code")
    api.post("/codes/check", {"code": altered})
    deployment.misses.flush()
    with deployment.db.read() as tx:
        counted = tx.execute(
            sa.select(CodeMisses.product_id, sa.func.sum(CodeMisses.count)).group_by(
                CodeMisses.product_id
            )
        )
        found = {product_id: int(count) for product_id, count in counted}
    assert found == {deployment.directory.batch(brand.batch.id).product_id: 2, NONE: 1}


def test_a_withdrawn_code_says_so(api, brand):
    path = f"/batches/{brand.batch.id}"
    for call, state in (("void", RangeState.voided), ("recall", RangeState.recalled)):
        api.made(f"{path}/{call}", {"start": 3, "end": 4})
        found = api.made("/codes/check", {"url": brand.path(3)})
        assert (found["state"], found["availability"]) == (state, state)
