"""Pools of coupons: how many codes are left, given, used and withdrawn, and who gives from them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral import ledger
from referral.campaigns import Campaign, CampaignState
from referral.coupons import Coupon, CouponPool, pools_of
from referral.ledger import Kind
from referral.reports import lists
from referral.reports.lists import PAGE, Listed
from referral.rewards import Reward, RewardState


@dataclass(frozen=True)
class Counts:
    """How many codes of a pool stand how. Those used or withdrawn were `given` as well."""

    left: int = 0
    given: int = 0
    used: int = 0
    withdrawn: int = 0
    """Given, not used, and taken back."""

    @property
    def size(self) -> int:
        return self.left + self.given


@dataclass(frozen=True)
class Payer:
    """A campaign that gives coupons of a pool."""

    slug: str
    title: str
    state: str
    budget: int
    """How many it may still give; of a draft, how many it is to give."""


@dataclass(frozen=True)
class PoolLine:
    pool: CouponPool
    counts: Counts
    payers: list[Payer]

    @property
    def promised(self) -> int:
        """How many the campaigns may still give in all."""
        return sum(payer.budget for payer in self.payers)

    @property
    def missing(self) -> int:
        """How many codes the pool is short of what campaigns may give; 0 for none."""
        return max(0, self.promised - self.counts.left)


def lines(tx: Session, now: datetime, *, offset: int = 0, limit: int = PAGE) -> Listed[PoolLine]:
    """Newest first."""
    newest = sa.select(CouponPool).order_by(CouponPool.id.desc()).offset(offset).limit(limit + 1)
    page = lists.listed(tx.scalars(newest).all(), offset, limit)
    return Listed(_lines(tx, page.rows, now), page.next)


def line(tx: Session, pool: CouponPool, now: datetime) -> PoolLine:
    return _lines(tx, [pool], now)[0]


def _lines(tx: Session, pools: Sequence[CouponPool], now: datetime) -> list[PoolLine]:
    counted = _counts(tx, [pool.id for pool in pools])
    payers = _payers(tx, {pool.slug for pool in pools}, now)
    return [
        PoolLine(pool, counted.get(pool.id, Counts()), payers.get(pool.slug, [])) for pool in pools
    ]


def _counts(tx: Session, pool_ids: Sequence[int]) -> dict[int, Counts]:
    is_used = Coupon.used_at.is_not(None)
    # As in `Held.state_at`: what made up for another one that was used and then taken back.
    is_gone = sa.and_(Reward.state == RewardState.available, Reward.left == 0)
    is_withdrawn = sa.and_(~is_used, sa.or_(Reward.state == RewardState.reversed, is_gone))

    def count(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
        return sa.func.coalesce(sa.func.sum(sa.case((condition, 1), else_=0)), 0)

    rows = tx.execute(
        sa.select(
            Coupon.pool_id,
            count(Coupon.reward_id.is_(None)),
            count(Coupon.reward_id.is_not(None)),
            count(is_used),
            count(is_withdrawn),
        )
        .outerjoin(Reward, Reward.id == Coupon.reward_id)
        .where(Coupon.pool_id.in_(pool_ids))
        .group_by(Coupon.pool_id)
    )
    return {pool_id: Counts(*map(int, counts)) for pool_id, *counts in rows}


def _payers(tx: Session, slugs: set[str], now: datetime) -> dict[str, list[Payer]]:
    """By pool: the campaigns that run or may come to run and give from it."""
    campaigns = tx.scalars(sa.select(Campaign).where(Campaign.ends_at > now).order_by(Campaign.id))
    found: dict[str, list[Payer]] = {}
    for campaign in campaigns:
        for slug in sorted(slugs & pools_of(campaign.checked_rules)):
            unit = f"coupon:{slug}"
            budget = campaign.budgets.get(unit, 0)
            if campaign.state == CampaignState.published:
                budget = ledger.balances(tx, Kind.budget, campaign.id).get(unit, 0)
            payer = Payer(campaign.slug, campaign.title, campaign.state, budget)
            found.setdefault(slug, []).append(payer)
    return found
