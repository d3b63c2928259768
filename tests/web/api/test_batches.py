"""Batches: issued with what holds for them, and told with their ranges."""

from tests.web.api.conftest import PRODUCT, problem

NOTHING_SAID = {
    "lot": None,
    "made_on": None,
    "expires_on": None,
    "market": [],
    "store": None,
    "sale_from": None,
    "sale_until": None,
}
TERMS = {
    "lot": "L2603",
    "made_on": "2026-03-01",
    "expires_on": "2027-03-01",
    "market": ["CN-GX", "CN-GD"],
    "store": "east",
    "sale_from": "2026-05-01T00:00:00+08:00",
    "sale_until": "2026-06-01T00:00:00+08:00",
}
TOLD = {
    **TERMS,
    "market": ["CN-GD", "CN-GX"],
    "sale_from": "2026-04-30T16:00:00Z",
    "sale_until": "2026-05-31T16:00:00Z",
}


def test_a_batch_is_issued(api):
    api.made("/products", PRODUCT)
    response = api.post("/batches", {"gtin": "6901234567892", "count": 100, "name": "order 4711"})
    assert response.status_code == 201
    batch = response.json
    assert batch == {
        "id": batch["id"],
        "gtin": PRODUCT["gtin"],
        "name": "order 4711",
        "count": 100,
        "labels": "single",
        "scheme": "https",
        "created_at": "2026-03-02T09:30:00Z",
        "ranges": [{"start": 0, "end": 100, "state": "issued", "terms": NOTHING_SAID}],
        "has_more_ranges": False,
    }
    assert api.get(f"/batches/{batch['id']}").json == batch


def test_a_batch_is_issued_with_what_holds_for_all_of_it(api):
    api.made("/products", {**PRODUCT, "labels": "pair"})
    api.made("/stores", {"slug": "east", "name": "East"})
    order = {"gtin": PRODUCT["gtin"], "count": 100, "name": "b", "scheme": "HTTPS"}
    batch = api.made("/batches", {**order, "terms": TERMS})
    assert (batch["labels"], batch["scheme"]) == ("pair", "HTTPS")
    assert batch["ranges"] == [{"start": 0, "end": 100, "state": "issued", "terms": TOLD}]
    (change,) = api.get(f"/batches/{batch['id']}/changes").json["items"]
    assert change["terms"] == TOLD
    assert api.made("/batches", {**order, "terms": None})["ranges"][0]["terms"] == NOTHING_SAID


def test_terms_that_cannot_be_are_refused(api, brand):
    order = {"gtin": PRODUCT["gtin"], "count": 5, "name": "n"}
    path = f"/batches/{brand.batch.id}/assign"
    for terms, expected in (
        ({"store": "nowhere"}, (404, "unknown-store")),
        ({"lot": "L 1"}, (422, "bad-lot")),
        ({"lot": ""}, (422, "bad-lot")),
        ({"lot": "L" * 21}, (422, "bad-lot")),
        ({"market": ["XX"]}, (422, "bad-region")),
        ({"market": [""]}, (422, "bad-region")),
        ({"made_on": "2026-03-02", "expires_on": "2026-03-01"}, (422, "bad-terms")),
        ({"market": "CN"}, (422, "invalid-input")),
        ({"market": ["CN"] * 41}, (422, "invalid-input")),
        ({"made_on": "2026-02-30"}, (422, "invalid-input")),
        ({"made_on": "1999-12-31"}, (422, "invalid-input")),
        ({"made_on": 20260301}, (422, "invalid-input")),
        ({"sale_from": "2026-05-01T00:00:00"}, (422, "invalid-input")),
        ({"sale_from": "0001-01-01T00:00:00+14:00"}, (422, "invalid-input")),
        ({"colour": "red"}, (422, "invalid-input")),
    ):
        assert problem(api.post("/batches", {**order, "terms": terms})) == expected, terms
        assert problem(api.post(path, {"terms": terms})) == expected, terms
    assert [batch["id"] for batch in api.get("/batches").json["items"]] == [brand.batch.id]
    assert problem(api.post("/batches", {**order, "scheme": "http"})) == (422, "invalid-input")


def test_batches_come_in_pages(api, brand):
    for number in range(4):
        api.made("/batches", {"gtin": PRODUCT["gtin"], "count": 5, "name": f"more {number}"})
    names, after = [], None
    for _ in range(3):
        page = api.get(f"/batches?limit=2{f'&after={after}' if after else ''}").json
        names += [batch["name"] for batch in page["items"]]
        after = page["next"]
    assert names == ["first batch", "more 0", "more 1", "more 2", "more 3"]
    assert after is None
    assert problem(api.get("/batches?after=more")) == (422, "invalid-input")
    assert problem(api.get("/batches?after=99999999999999999999")) == (422, "invalid-input")


def test_a_batch_that_fell_into_many_ranges_is_told_in_parts(api, brand, deployment):
    path = f"/batches/{brand.batch.id}"
    for index in range(0, 104, 2):
        api.made(f"{path}/void", {"start": index, "end": index + 1})
    batch = api.get(path).json
    assert (len(batch["ranges"]), batch["has_more_ranges"]) == (100, True)
    assert batch["ranges"][-1]["end"] == 100
    listed = api.get("/batches").json["items"][0]
    assert (len(listed["ranges"]), listed["has_more_ranges"]) == (100, True)
    spans, after = [], ""
    for _ in range(3):
        page = api.get(f"{path}/ranges?limit=50{after}").json
        spans += page["items"]
        after = f"&after={page['next']}"
    assert page["next"] is None
    assert spans[:100] == batch["ranges"]
    assert (spans[-1]["end"], len(spans)) == (1000, 105)
    assert problem(api.get("/batches/999/ranges")) == (404, "unknown-batch")
    assert api.get(f"{path}/ranges?after={2**63 - 1}").json == {"items": [], "next": None}
