"""The life of codes by index range: printed, on sale, withdrawn, called back; and their terms."""

from tests.web.api.conftest import PRODUCT, problem
from tests.web.api.test_batches import NOTHING_SAID


def states(batch):
    return [(span["start"], span["end"], span["state"]) for span in batch["ranges"]]


def test_ranges_change_their_state(api):
    api.made("/products", PRODUCT)
    batch = api.made("/batches", {"gtin": PRODUCT["gtin"], "count": 100, "name": "n"})
    path = f"/batches/{batch['id']}"
    api.made(f"{path}/printed", {"start": 0, "end": 80})
    api.made(f"{path}/activate", {"start": 10, "end": 60})
    api.made(f"{path}/void", {"start": 20, "end": 30, "reason": "damaged pallet"})
    answer = api.made(f"{path}/recall", {"start": 50, "end": 60})
    assert states(answer) == [
        (0, 10, "printed"),
        (10, 20, "activated"),
        (20, 30, "voided"),
        (30, 50, "activated"),
        (50, 60, "recalled"),
        (60, 80, "printed"),
        (80, 100, "issued"),
    ]
    assert answer == api.get(path).json


def test_without_a_range_the_whole_batch_is_meant(api, brand):
    path = f"/batches/{brand.batch.id}"
    assert states(api.made(f"{path}/activate")) == [(0, 1000, "activated")]
    assert states(api.made(f"{path}/printed")) == [(0, 1000, "activated")]
    api.made(f"{path}/void", {"start": 990})
    api.made(f"{path}/void", {"end": 5})
    assert states(api.get(path).json) == [
        (0, 5, "voided"),
        (5, 990, "activated"),
        (990, 1000, "voided"),
    ]
    plain = {"Content-Type": "text/plain"}
    assert states(api.made(f"{path}/recall", "", **plain)) == [(0, 1000, "recalled")]


def test_withdrawn_codes_come_back_only_when_that_is_said(api, brand):
    path = f"/batches/{brand.batch.id}"
    api.made(f"{path}/void", {"start": 3, "end": 4})
    api.made(f"{path}/recall", {"start": 4, "end": 5})
    api.made(f"{path}/activate")
    assert states(api.get(path).json)[1:3] == [(3, 4, "voided"), (4, 5, "recalled")]
    only = {"start": 3, "end": 5}
    assert problem(api.post(f"{path}/activate", only)) == (409, "codes-withdrawn")
    assert problem(api.post(f"{path}/printed", only)) == (409, "codes-withdrawn")
    refused = api.post(f"{path}/void", {**only, "reinstate": True})
    assert problem(refused) == (422, "invalid-input")
    answer = api.made(f"{path}/activate", {**only, "reinstate": True, "reason": "found again"})
    assert states(answer) == [(0, 1000, "activated")]
    change = api.get(f"{path}/changes?limit=1").json["items"][0]
    assert (change["reinstate"], change["terms"]) == (True, None)


def test_a_range_outside_the_batch_is_refused(api, brand):
    for call in ("printed", "activate", "void", "recall"):
        path = f"/batches/{brand.batch.id}/{call}"
        for range_ in ({"start": 0, "end": 1001}, {"start": 5, "end": 5}, {"start": 9, "end": 3}):
            assert problem(api.post(path, range_)) == (422, "bad-range")
        assert problem(api.post(f"/batches/999/{call}")) == (404, "unknown-batch")
    assert problem(api.get("/batches/999")) == (404, "unknown-batch")
    path, terms = f"/batches/{brand.batch.id}/assign", {"lot": "L1"}
    outside = {"start": 0, "end": 1001, "terms": terms}
    assert problem(api.post(path, outside)) == (422, "bad-range")
    assert problem(api.post("/batches/999/assign", {"terms": terms})) == (404, "unknown-batch")


def test_one_code_is_voided_by_itself(api, brand, deployment):
    path = f"/batches/{brand.batch.id}"
    code = deployment.codes.encode(brand.batch, 7)
    answer = api.made(f"{path}/void", {"code": code.grouped.lower(), "reason": "stolen"})
    assert states(answer)[1] == (7, 8, "voided")
    answer = api.made(f"{path}/void", {"code": f"https://brand.example{brand.path(8)}"})
    assert states(answer)[1] == (7, 9, "voided")
    change = api.get(f"{path}/changes").json["items"][1]
    assert (change["start"], change["end"], change["reason"]) == (7, 8, "stolen")


def test_one_code_that_is_not_the_batchs_voids_nothing(api, brand, deployment):
    other = api.made("/batches", {"gtin": PRODUCT["gtin"], "count": 5, "name": "other"})
    path, code = f"/batches/{brand.batch.id}/void", deployment.codes.encode(brand.batch, 7).text
    elsewhere = f"/batches/{other['id']}/void"
    before = api.get("/batches").json
    altered = code[:-1] + ("A" if code[-1] != "A" else "B")
    assert problem(api.post(elsewhere, {"code": code})) == (422, "other-batch")
    assert problem(api.post(path, {"code": altered})) == (404, "unknown-code")
    assert problem(api.post(path, {"code": ""})) == (400, "mistyped-code")
    assert problem(api.post(path, {"code": code, "start": 7})) == (422, "invalid-input")
    assert problem(api.post("/batches/999/void", {"code": code})) == (404, "unknown-batch")
    wrong = f"/01/06900000000007/21/{code}"
    assert problem(api.post(path, {"code": wrong})) == (404, "wrong-product")
    assert api.get("/batches").json == before


def test_terms_are_said_and_taken_back(api, brand):
    api.made("/stores", {"slug": "east", "name": "East", "kind": "distributor"})
    path = f"/batches/{brand.batch.id}"
    said = {"lot": "L1", "market": ["CN-GD"], "store": "east", "expires_on": "2027-03-01"}
    answer = api.made(f"{path}/assign", {"start": 0, "end": 100, "terms": said})
    assert answer["ranges"][0]["terms"] == {**NOTHING_SAID, **said}
    assert answer["ranges"][1]["terms"] == NOTHING_SAID
    taken = {"market": None, "store": None}
    answer = api.made(f"{path}/assign", {"end": 50, "terms": taken, "reason": "sold on"})
    assert answer["ranges"][0]["terms"] == {
        **NOTHING_SAID,
        "lot": "L1",
        "expires_on": "2027-03-01",
    }
    assert answer["ranges"][1]["terms"]["store"] == "east"
    stores = api.get("/stores").json["items"]
    assert [(s["slug"], s["codes"], s["batches"]) for s in stores] == [("east", 50, 1)]
    for nothing in ({}, {"terms": {}}, {"terms": None}):
        assert problem(api.post(f"{path}/assign", nothing)) == (422, "invalid-input")
    changes = api.get(f"{path}/changes").json["items"]
    assert [(c["state"], c["terms"], c["reason"]) for c in changes[:2]] == [
        ("assigned", {"market": [], "store": None}, "sold on"),
        ("assigned", said, ""),
    ]


def test_who_did_what_when_is_told_newest_first(api, brand, deployment, clock):
    path = f"/batches/{brand.batch.id}"
    clock.advance(minutes=5)
    api.made(f"{path}/void", {"start": 3, "end": 4, "reason": "torn"})
    page = api.get(f"{path}/changes?limit=2").json
    assert page["items"][0] == {
        "id": page["items"][0]["id"],
        "at": "2026-03-02T09:35:00Z",
        "by": "api key 1",
        "start": 3,
        "end": 4,
        "state": "voided",
        "reinstate": False,
        "terms": None,
        "reason": "torn",
    }
    last = api.get(f"{path}/changes?limit=2&after={page['next']}").json
    states_told = [change["state"] for change in page["items"] + last["items"]]
    assert states_told == ["voided", "activated", "issued"]
    assert [change["by"] for change in last["items"]] == ["tests"]
    assert last["next"] is None
    assert problem(api.get("/batches/999/changes")) == (404, "unknown-batch")
    assert problem(api.get(f"{path}/changes?after=x")) == (422, "invalid-input")


def test_one_batchs_changes_are_not_anothers(api, brand):
    other = api.made("/batches", {"gtin": PRODUCT["gtin"], "count": 5, "name": "other"})
    assert len(api.get(f"/batches/{other['id']}/changes").json["items"]) == 1
