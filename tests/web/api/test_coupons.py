"""Pools of coupons and what a shop asks of one code."""

import pytest

from referral import limits
from referral.deployment import Deployment
from tests.cast import Brand, Person, cast_of
from tests.pools import open_with, undo, use
from tests.web.api.conftest import Api, problem

POOL = {
    "slug": "tea",
    "content": {"zh-Hans": {"title": "满减十元", "how_to": "结账时出示。"}},
    "value": 1000,
    "currency": "CNY",
    "lasts_days": 30,
}


def test_a_pool_is_added_once_and_filled(api: Api) -> None:
    made = api.made("/pools", POOL)
    assert (made["unit"], made["left"], made["missing"]) == ("coupon:tea", 0, 0)
    assert made["content"]["zh-Hans"]["title"] == "满减十元"
    assert problem(api.post("/pools", POOL)) == (409, "pool-exists")
    added = api.made("/pools/tea/codes", {"codes": ["TEA-0001", " tea 0002 "]})
    assert added == {"added": 2, "left": 2}
    assert api.made("/pools/tea/generate", {"count": 3}) == {"added": 3, "left": 5}
    first = api.get("/pools/tea/codes?limit=2").json
    assert first["items"] == ["TEA-0001", "tea 0002"]
    rest = api.get(f"/pools/tea/codes?limit=9&after={first['next']}").json
    assert (len(rest["items"]), rest["next"]) == (3, None)
    assert [pool["left"] for pool in api.get("/pools").json["items"]] == [5]
    assert api.get("/pools/tea").json["left"] == 5


def test_sent_again_it_is_done_once(api: Api) -> None:
    api.made("/pools", POOL)
    for _ in range(2):
        assert api.made("/pools/tea/generate", {"count": 3}, once="a")["added"] == 3
        assert api.made("/pools/tea/codes", {"codes": ["TEA-0001"]}, once="b")["added"] == 1
    assert api.get("/pools/tea").json["left"] == 4


@pytest.mark.parametrize(
    "changes",
    [
        {"slug": "Tea"},
        {"value": 0},
        {"value": "1000"},
        {"currency": "yuan"},
        {"lasts_days": None},
        {"content": {"fr": {"title": "x"}}},
        {"shop_url": "ftp://shop.example"},
        {"colour": "red"},
    ],
)
def test_what_is_no_pool_is_refused(api: Api, changes: dict[str, object]) -> None:
    assert problem(api.post("/pools", {**POOL, **changes})) == (422, "invalid-input")


def test_what_is_wrong_with_a_list_is_said_by_its_place(api: Api) -> None:
    api.made("/pools", POOL)
    api.made("/pools/tea/codes", {"codes": ["TEA-0001"]})
    refused = api.post("/pools/tea/codes", {"codes": ["TEA-0002", "x", "TEA-0002"]})
    assert problem(refused) == (422, "bad-coupon-list")
    assert [each["field"] for each in refused.json["errors"]] == ["codes.1", "codes.2"]
    assert "TEA-0002" not in refused.text
    refused = api.post("/pools/tea/codes", {"codes": ["NEW-0001", "tea0001"]})
    assert [each["field"] for each in refused.json["errors"]] == ["codes.1"]
    assert problem(api.post("/pools/tea/codes", {"codes": []})) == (422, "invalid-input")
    assert problem(api.post("/pools/no/codes", {"codes": ["TEA-0003"]})) == (404, "unknown-pool")
    assert problem(api.get("/pools/no")) == (404, "unknown-pool")
    bad = api.post("/pools/tea/generate", {"count": 1, "prefix": "a-b"})
    assert problem(bad) == (422, "bad-prefix")


# What a shop asks


@pytest.fixture
def brand(deployment: Deployment) -> Brand:
    return open_with(deployment, "TEA-0001", "TEA-0002", "TEA-0003", budget=9)


@pytest.fixture
def alice(brand: Brand) -> Person:
    return cast_of(brand)[0]


def state(api: Api, code: str) -> str:
    return str(api.get(f"/coupons/{code}").json["state"])


def test_a_shop_is_told_what_a_coupon_is_good_for(
    api: Api, brand: Brand, alice: Person, deployment: Deployment
) -> None:
    assert state(api, "tea-0001") == "free"
    event = alice.claim(0).claim.event
    alice.claim(1)
    assert api.get("/coupons/tea%200001").json == {
        "state": "valid",
        "pool": "tea",
        "title": "满减十元",
        "value": 1000,
        "currency": "CNY",
        "expires_at": "2026-04-01T09:30:00Z",
        "used_at": None,
        "used_by": None,
    }
    undo(deployment, event)
    assert state(api, "tea-0001") == "withdrawn"
    use(deployment, "tea-0002", "order:7")
    used = api.get("/coupons/TEA-0002").json
    assert (used["state"], used["used_by"]) == ("used", "order:7")
    (pool,) = api.get("/pools").json["items"]
    counts = {name: pool[name] for name in ("left", "given", "used", "withdrawn", "missing")}
    assert counts == {"left": 1, "given": 2, "used": 1, "withdrawn": 1, "missing": 7}
    assert pool["campaigns"] == [{"campaign": "spring", "budget": 8}]


def test_trying_codes_out_is_limited_and_looking_them_up_is_not(
    api: Api, brand: Brand, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = limits.Limit("coupon-lookup", 3, limits.HOUR, closed=True)
    monkeypatch.setattr(
        limits.Limits, "coupon_lookup", lambda self, key: self._spend(few, str(key))
    )
    for _ in range(6):
        assert state(api, "tea-0001") == "free"
    for _ in range(3):
        assert problem(api.get("/coupons/TEA-9999")) == (404, "unknown-coupon")
    assert problem(api.get("/coupons/TEA-9999")) == (429, "too-many-attempts")


def test_codes_that_cannot_be_are_unknown(api: Api) -> None:
    for code in ("x", "%20", "%E8%8C%B6", "TEA-0001%00", "x" * 900):
        assert api.get(f"/coupons/{code}").status_code == 404


def test_without_a_key_nothing_is_said(api: Api, brand: Brand) -> None:
    stranger = Api(api.app, "rk_nobody")
    assert problem(stranger.get("/coupons/tea-0001"))[0] == 401
    assert problem(stranger.get("/pools/tea/codes"))[0] == 401
