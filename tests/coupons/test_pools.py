"""Pools of coupons: what they say, and what is none."""

from typing import Any

import pytest

from referral import coupons
from referral.coupons import PoolExists, PoolOver, UnknownPool
from referral.deployment import Deployment
from tests.pools import add_pool, pool_draft


def test_a_pool_says_what_its_coupons_are_in_every_language(deployment: Deployment) -> None:
    add_pool(deployment, shop_url="https://shop.example/tea")
    with deployment.db.read() as tx:
        pool = coupons.pool_by_slug(tx, "tea")
        assert pool.unit == "coupon:tea"
        assert pool.title_in("en").title == "10 yuan off"
        assert pool.title_in("zh-Hant").title == "满减十元"
        for unknown in ("coffee", "a\0b", "\ud800"):
            with pytest.raises(UnknownPool):
                coupons.pool_by_slug(tx, unknown)
    with pytest.raises(PoolExists):
        add_pool(deployment)
    with pytest.raises(PoolOver):
        add_pool(deployment, slug="old", lasts_days=None, expires_at=deployment.clock.now())


@pytest.mark.parametrize(
    "changes",
    [
        {"lasts_days": None},
        {"expires_at": "2030-01-01T00:00:00Z"},
        {"expires_at": "2030-01-01T00:00:00", "lasts_days": None},
        {"content": {}},
        {"content": {"en": {"title": " "}}},
        {"value": 0},
        {"currency": "yuan"},
        {"slug": "Tea"},
        {"shop_url": "http://shop.example"},
        {"shop_url": "https://me:secret@shop.example"},
        {"shop_url": f"https://shop.example/{'x' * 500}"},
    ],
)
def test_what_is_no_pool_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        pool_draft(**changes)
