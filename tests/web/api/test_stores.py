"""Stores, distributors, and the codes that were flagged."""

from referral.flags import Flag, raise_flags
from tests.web.api.conftest import PRODUCT, problem

EAST = {"slug": "guangzhou-east", "name": "广州东店", "kind": "store", "region": "CN-GD"}


def test_a_store_is_added_once(api):
    response = api.post("/stores", EAST)
    assert response.status_code == 201
    assert response.json == {**EAST, "codes": 0, "batches": 0}
    assert problem(api.post("/stores", EAST)) == (409, "store-exists")
    plain = api.made("/stores", {"slug": "b", "name": "B"})
    assert (plain["kind"], plain["region"]) == ("store", None)


def test_what_is_no_store_is_refused(api):
    for changes, expected in (
        ({"slug": "East"}, (422, "invalid-input")),
        ({"slug": "a--b"}, (422, "invalid-input")),
        ({"slug": "a\n"}, (201, "")),
        ({"slug": "x" * 61}, (422, "invalid-input")),
        ({"name": " "}, (422, "invalid-input")),
        ({"kind": "kiosk"}, (422, "invalid-input")),
        ({"region": "XX"}, (422, "bad-region")),
        ({"region": "CN-ZZ"}, (422, "bad-region")),
    ):
        response = api.post("/stores", {**EAST, **changes})
        if expected[0] == 201:  # white space around a text is never meant
            assert response.json["slug"] == "a"
        else:
            assert problem(response) == expected, changes
    assert [store["slug"] for store in api.get("/stores").json["items"]] == ["a"]


def test_stores_come_in_pages_by_name(api, brand):
    for name in "DBEAC":
        api.made("/stores", {"slug": name.lower(), "name": name})
    terms = {"store": "b"}
    api.made(f"/batches/{brand.batch.id}/assign", {"start": 5, "end": 15, "terms": terms})
    stores, after = [], ""
    for _ in range(3):
        page = api.get(f"/stores?limit=2{after}").json
        stores += page["items"]
        after = f"&after={page['next']}"
    assert page["next"] is None
    assert [store["name"] for store in stores] == ["A", "B", "C", "D", "E"]
    assert [store["codes"] for store in stores] == [0, 10, 0, 0, 0]
    assert problem(api.get("/stores?after=x")) == (422, "invalid-input")


def test_flags_are_listed_the_latest_first(api, brand, deployment, clock):
    other = api.made("/batches", {"gtin": PRODUCT["gtin"], "count": 5, "name": "other"})["id"]
    assert api.get("/flags").json == {"items": [], "next": None}
    for batch, index, flags in (
        (brand.batch.id, 7, [Flag.other_market]),
        (other, 2, [Flag.not_on_sale]),
        (brand.batch.id, 8, [Flag.expired]),
        (brand.batch.id, 7, [Flag.other_market]),
    ):
        clock.advance(minutes=1)
        now = clock.now()
        deployment.db.transact(
            lambda tx, b=batch, i=index, f=flags, n=now: raise_flags(tx, b, i, f, "CN-SH", n)
        )
    items = api.get("/flags").json["items"]
    assert items[0] == {
        "batch": brand.batch.id,
        "index": 7,
        "kind": "other_market",
        "first_at": "2026-03-02T09:31:00Z",
        "last_at": "2026-03-02T09:34:00Z",
        "times": 2,
        "region": "CN-SH",
    }
    assert [(flag["batch"], flag["index"]) for flag in items[1:]] == [
        (brand.batch.id, 8),
        (other, 2),
    ]
    first = api.get("/flags?limit=2").json
    rest = api.get(f"/flags?limit=2&after={first['next']}").json
    assert [*first["items"], *rest["items"]] == items
    assert rest["next"] is None
    assert api.get(f"/flags?batch={other}").json["items"] == [items[2]]
    assert api.get("/flags?batch=999").json["items"] == []
    for query in ("batch=x", "batch=0", "after=x"):
        assert problem(api.get(f"/flags?{query}")) == (422, "invalid-input")
