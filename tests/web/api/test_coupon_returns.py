"""A used coupon is good again: by a full refund, or by a call with a reason."""

import pytest

from referral import limits
from referral.audit import of_subject
from referral.deployment import Deployment
from tests.cast import cast_of
from tests.pools import open_with
from tests.web.api.conftest import Api, problem

ORDER = {"external_id": "A-1", "amount": 5000, "currency": "CNY", "coupon": "TEA-0001"}


@pytest.fixture
def api_with_order(api: Api, deployment: Deployment) -> Api:
    brand = open_with(deployment, "TEA-0001", "TEA-0002")
    cast_of(brand)[0].claim(0)
    api.made("/orders", ORDER)
    return api


def state(api: Api) -> str:
    found: str = api.get("/coupons/TEA-0001").json["state"]
    return found


def test_a_full_refund_makes_it_good(api_with_order: Api) -> None:
    api = api_with_order
    api.made("/orders/A-1/refunds", {"external_id": "R-1", "amount": 4999})
    assert state(api) == "used"
    api.made("/orders/A-1/refunds", {"external_id": "R-2", "amount": 1})
    assert state(api) == "valid"


def test_a_shop_that_keeps_it_says_so(api_with_order: Api) -> None:
    api = api_with_order
    refund = {"external_id": "R-1", "amount": 5000, "coupon_back": False}
    api.made("/orders/A-1/refunds", refund)
    assert state(api) == "used"


def test_it_is_made_good_with_a_reason(api_with_order: Api, deployment: Deployment) -> None:
    api = api_with_order
    path = "/coupons/tea0001/make-good"
    for body in ({}, {"reason": ""}, {"reason": "x" * 201}, {"reason": "x", "by": "me"}):
        assert problem(api.post(path, body)) == (422, "invalid-input")
    said = api.post(path, {"reason": "out of stock"}).json
    assert (said["state"], said["used_at"], said["used_by"]) == ("valid", None, None)
    assert problem(api.post(path, {"reason": "again"})) == (409, "coupon-not-used")
    assert problem(api.post("/coupons/TEA-0009/make-good", {"reason": "x"})) == (
        404,
        "unknown-coupon",
    )
    with deployment.db.read() as tx:
        (kept,) = of_subject(tx, "coupon-code:1")
    assert kept.details == {"order": "A-1", "reason": "out of stock"}


def test_codes_are_not_tried_out_with_it(
    api_with_order: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = limits.Limit("coupon-lookup", 1, limits.HOUR, closed=True)
    monkeypatch.setattr(
        limits.Limits, "coupon_lookup", lambda self, key: self._spend(few, str(key))
    )
    answers = [
        api_with_order.post(f"/coupons/TEA-00{n}/make-good", {"reason": "x"}).status_code
        for n in (71, 72)
    ]
    assert answers == [404, 429]
