"""Merging customers through the API, and what the number of the one who is gone does then."""

from tests.web.api.conftest import problem
from tests.web.conftest import Brand


def url(brand: Brand, index: int) -> str:
    return "http://localhost" + brand.path(index)


def test_two_become_one_and_either_number_stands_for_it(api):
    ann, bo = api.customer("ann"), api.customer("bo")
    merged = api.post(f"/customers/{bo}/merge", {"other_id": ann, "reason": "ticket 17"})
    assert merged.status_code == 200
    assert merged.json["id"] == ann
    assert api.get(f"/customers/{bo}").json == merged.json
    assert api.get(f"/customers/{bo}/tree").json["id"] == ann
    assert api.customer("bo") == ann
    again = api.post(f"/customers/{bo}/merge", {"other_id": ann, "reason": "ticket 17"})
    assert (again.status_code, again.json) == (200, merged.json)


def test_the_younger_one_is_kept_where_that_is_asked_for(api):
    ann, bo = api.customer("ann"), api.customer("bo")
    body = {"other_id": bo, "keep": bo, "reason": "the shop knows bo"}
    assert api.post(f"/customers/{ann}/merge", body).json["id"] == bo


def test_what_is_sent_for_the_one_who_is_gone_is_the_kept_ones(api, brand):
    ann, bo, cy = api.customer("ann"), api.customer("bo"), api.customer("cy")
    token = api.token(bo)
    api.post(f"/customers/{ann}/merge", {"other_id": bo, "reason": "one person"})
    claimed = api.made("/claims", {"url": url(brand, 1), "customer_id": bo})
    assert {each["customer_id"] for each in claimed["rewards"]} == {ann}
    own = api.made("/claims", {"url": url(brand, 2), "customer_id": ann, "via": token})
    assert own["via_reason"] == "own-link"
    brought = api.made("/claims", {"url": url(brand, 3), "customer_id": cy, "via": token})
    assert brought["referrer_id"] == ann
    assert api.get(f"/customers/{ann}").json["claims"] == 2


def test_details_of_two_are_refused_and_merge_nobody(api):
    ann = api.made("/customers", {"external_id": "ann"})["id"]
    api.made("/customers", {"phone": "13800138000"})
    both = {"external_id": "ann", "phone": "13800138000"}
    assert problem(api.post("/customers", both)) == (409, "customer-exists")
    assert api.get(f"/customers/{ann}").json["id"] == ann


def test_bad_requests_merge_nobody(api):
    ann, bo, cy = api.customer("ann"), api.customer("bo"), api.customer("cy")
    for body, expected in (
        ({"other_id": 4711, "reason": "typo"}, (404, "unknown-customer")),
        ({"other_id": bo}, (422, "invalid-input")),
        ({"other_id": bo, "reason": " "}, (422, "invalid-input")),
        ({"other_id": bo, "reason": "x" * 201}, (422, "invalid-input")),
        ({"other_id": bo, "keep": cy, "reason": "why not"}, (422, "invalid-input")),
        ({"reason": "nobody"}, (422, "invalid-input")),
    ):
        assert problem(api.post(f"/customers/{ann}/merge", body)) == expected, body
    assert problem(api.post("/customers/4711/merge", {"other_id": ann, "reason": "typo"})) == (
        404,
        "unknown-customer",
    )
    assert api.get(f"/customers/{bo}").json["id"] == bo
