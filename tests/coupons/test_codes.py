"""The codes of a pool: kept encrypted, found however they are typed, and in one pool once."""

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral import actions, coupons
from referral.coupons import Coupon, CouponState, PoolFull, UnknownCoupon, codes
from referral.coupons.lists import KNOWN, BadCouponList, Fault
from referral.crypto import KeyRing
from referral.deployment import Deployment
from tests.pools import add_pool, find, listed


def test_codes_are_kept_encrypted_and_found_however_they_are_typed(deployment: Deployment) -> None:
    add_pool(deployment, "TEA-Ab12", "TEA-CD34")
    with deployment.db.read() as tx:
        kept = tx.scalars(sa.select(Coupon).order_by(Coupon.id)).all()
    assert not any("TEA" in each.code_encrypted for each in kept)
    for typed in ("TEA-Ab12", "tea ab12", " ＴＥＡ-ab12 ", "teaab12"):
        held = find(deployment, typed)
        assert held.code(deployment.keys) == "TEA-Ab12", "it is shown as the shop wrote it"
        assert (held.holder, held.state_at(deployment.clock.now())) == (None, CouponState.free)
    for typed in ("TEA-AB13", "", "x", "茶", "TEA\0", "x" * 5000, "%"):
        with pytest.raises(UnknownCoupon):
            find(deployment, typed)


def test_codes_are_found_after_the_keys_were_rotated(deployment: Deployment) -> None:
    old = KeyRing(["an-older-key-for-the-tests-only"])
    add_pool(deployment)

    def add(tx: Session, keys: KeyRing) -> int:
        pool = coupons.pool_by_slug(tx, "tea")
        return coupons.add_codes(tx, pool, coupons.sealed(keys, listed("TEA-0001")))

    deployment.db.transact(lambda tx: add(tx, old))
    assert find(deployment, "tea0001").code(deployment.keys) == "TEA-0001"
    with pytest.raises(BadCouponList):
        deployment.db.transact(lambda tx: add(tx, deployment.keys))


def test_a_code_is_in_one_pool_once(deployment: Deployment) -> None:
    add_pool(deployment, "TEA-0001", "TEA-0002")
    add_pool(deployment, slug="other")
    for slug in ("tea", "other"):
        codes = listed("NEW-0001", "tea 0002", "NEW-0002", "TEA0001")
        with pytest.raises(BadCouponList) as refused:
            actions.add_coupons(deployment, slug, codes, by="tests")
        assert refused.value.faults == [Fault(2, KNOWN), Fault(4, KNOWN)]
    with pytest.raises(UnknownCoupon):
        find(deployment, "NEW-0001")  # all or none


def test_a_pool_is_no_bottomless_pit(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(codes, "POOL_MAX", 2)
    add_pool(deployment, "TEA-0001")
    with pytest.raises(PoolFull):
        actions.generate_coupons(deployment, "tea", prefix="", count=2, by="tests")


def test_codes_can_be_made_up_and_taken_out_again(deployment: Deployment) -> None:
    add_pool(deployment)
    made = actions.generate_coupons(deployment, "tea", prefix="TEA", count=25, by="tests")
    assert actions.take_out_coupons(deployment, "tea", by="tests") == made
    with deployment.db.read() as tx:
        pool = coupons.pool_by_slug(tx, "tea")
        first = coupons.page_of_codes(tx, deployment.keys, pool, after=0, limit=20)
        rest = coupons.page_of_codes(tx, deployment.keys, pool, after=first.last, limit=20)
    assert [*first.codes, *rest.codes] == made
    assert (first.is_more, rest.is_more) == (True, False)
