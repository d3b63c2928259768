"""A coupon's page: found by its code, and made good again with a reason."""

import pytest
import sqlalchemy as sa

from referral import actions
from referral.clock import HeldClock
from referral.coupons import Coupon, CouponState
from referral.deployment import Deployment
from referral.orders import RefundIn
from tests.cast import Brand, cast_of
from tests.pools import find, open_with, order, state
from tests.readers import Reader
from tests.web.staff.conftest import text


@pytest.fixture
def used(deployment: Deployment) -> str:
    """The page of a coupon that an order has used."""
    brand: Brand = open_with(deployment, "TEA-0001", "TEA-0002")
    cast_of(brand)[0].claim(0)
    order(deployment, "A-1", "TEA-0001")
    return f"/staff/coupon/{find(deployment, 'TEA-0001').coupon.id}"


def test_a_coupon_is_found_by_its_code_and_its_page_says_who_used_it(
    owner: Reader, used: str
) -> None:
    owner.get("/staff/coupon")
    answer = owner.send("/staff/coupon", code=" tea 0001 ")
    assert (answer.status_code, answer.location) == (303, used)
    owner.get(used)
    assert "Used A-1" in text(owner)
    assert "Customer 1" in text(owner)
    assert "TEA-0001" not in owner.page, "codes are money: they are not on a page"
    owner.get("/staff/orders/1")
    assert f'href="{used}"' in owner.page


@pytest.mark.parametrize(
    "code, says", [("TEA-9999", "There is no coupon with this code."), ("", "Please fill this in.")]
)
def test_a_code_that_there_is_not_is_said(owner: Reader, used: str, code: str, says: str) -> None:
    owner.get("/staff/coupon")
    assert owner.send("/staff/coupon", code=code).status_code == 422
    assert says in text(owner)


def test_it_is_made_good_with_a_reason_once(
    owner: Reader, used: str, deployment: Deployment
) -> None:
    owner.get(used)
    assert owner.send(used).status_code == 422
    assert state(deployment, "TEA-0001") is CouponState.used
    owner.get(used)
    assert owner.send(used, reason="The shop was out of it").status_code == 303
    assert state(deployment, "TEA-0001") is CouponState.valid
    owner.get(used)
    for said in ("Can be used", "The shop was out of it", "Only a used coupon"):
        assert said in text(owner)
    assert owner.send(used, reason="again").status_code == 409
    assert "This coupon is not used." in text(owner)


def test_one_that_is_over_is_said_to_last_longer(
    owner: Reader, used: str, deployment: Deployment, clock: HeldClock
) -> None:
    owner.get(used)
    assert "it will be good for 30 days more" not in text(owner)
    number = int(used.rpartition("/")[2])
    over = sa.update(Coupon).where(Coupon.id == number).values(expires_at=clock.now())
    deployment.db.transact(lambda tx: tx.execute(over))
    owner.get(used)
    assert "it will be good for 30 days more" in text(owner)


def test_a_coupon_that_nobody_has_and_one_that_there_is_not(
    owner: Reader, used: str, deployment: Deployment
) -> None:
    number = find(deployment, "TEA-0002").coupon.id
    owner.get(f"/staff/coupon/{number}")
    assert "Nobody has it yet" in text(owner)
    assert owner.get("/staff/coupon/999").status_code == 404
    assert owner.get(f"/staff/coupon/{2**70}").status_code == 404


def test_after_a_full_refund_the_order_shows_no_coupon(
    owner: Reader, used: str, deployment: Deployment
) -> None:
    actions.refund_order(deployment, "A-1", RefundIn(external_id="R", amount=5000))
    owner.get("/staff/orders/1")
    assert f'href="{used}"' not in owner.page
