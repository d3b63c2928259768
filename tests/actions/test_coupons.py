"""Coupons and orders: an order uses the coupon that it names, once; and what staff do is kept."""

from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from referral import actions, ledger
from referral.audit import AuditEntry
from referral.clock import HeldClock
from referral.coupons import CouponState, PoolOver
from referral.deployment import Deployment
from referral.orders import OrderIn
from referral.rewards.draws import DrawChanged
from tests.cast import add_product, cast_of, publish
from tests.pools import add_pool, find, listed, open_with, state


def place(deployment: Deployment, number: str, coupon: str) -> int:
    sent = {"external_id": number, "amount": 5000, "currency": "CNY", "coupon": coupon}
    return actions.place_order(deployment, OrderIn.model_validate(sent)).order.customer_id


def test_an_order_uses_the_coupon_that_it_names(deployment: Deployment) -> None:
    brand = open_with(deployment, "TEA-0001", "TEA-0002")
    alice = cast_of(brand)[0]
    alice.claim(0)
    assert place(deployment, "A-1", "tea 0001") == alice.customer
    assert state(deployment, "TEA-0001") is CouponState.used
    assert find(deployment, "TEA-0001").coupon.used_by == "A-1"
    assert place(deployment, "A-1", "tea 0001") == alice.customer, "the same order again"
    # The shop took it a second time: the purchase was made, and the coupon stays the first one's.
    assert place(deployment, "A-2", "tea 0001") == alice.customer
    assert find(deployment, "TEA-0001").coupon.used_by == "A-1"
    with deployment.db.read() as tx:
        assert ledger.balances(tx, ledger.Kind.redeemed, 0) == {"coupon:tea": 1}


def test_nothing_goes_into_a_pool_that_is_over(deployment: Deployment, clock: HeldClock) -> None:
    ends = clock.now() + timedelta(days=1)
    add_pool(deployment, lasts_days=None, expires_at=ends)
    clock.advance(days=1)
    with pytest.raises(PoolOver):
        actions.add_coupons(deployment, "tea", listed("TEA-0001"), by="tests")
    with pytest.raises(PoolOver):
        actions.generate_coupons(deployment, "tea", prefix="", count=1, by="tests")
    with deployment.db.read() as tx:
        assert tx.scalars(sa.select(AuditEntry.action)).all() == ["pool added"]


def test_the_odds_of_a_running_draw_are_not_changed(deployment: Deployment) -> None:
    add_product(deployment)
    odds = [{"per_million": 500_000, "amount": 5}]
    rule = {"when": "claim", "for": "person", "amount": {"odds": odds}}
    campaign = publish(deployment, rules=[rule], organiser="Tea Brand Ltd")
    better = campaign.checked_rules[0].model_validate({**rule, "amount": 5})
    with pytest.raises(DrawChanged):
        actions.amend(deployment, "spring", lambda was: replace(was, rules=[better]), by="tests")
    actions.amend(deployment, "spring", lambda was: replace(was, budget=200_000), by="tests")
    with deployment.db.read() as tx:
        kept = tx.get_one(type(campaign), campaign.id)
    assert kept.draw_commitment == campaign.draw_commitment
    assert kept.rules == campaign.rules
