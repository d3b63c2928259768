"""How rewards get their coupons: a code is set aside for each, and given once it is granted."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral.coupons.codes import Coupon
from referral.coupons.pools import CouponPool
from referral.db import run
from referral.rewards import Grant, Reward, What

Owner = tuple[str, int]
"""Of a coupon that is set aside: the id of the rule, and the beneficiary."""


@dataclass(frozen=True)
class SetAside:
    """A code that this transaction holds for a grant."""

    coupon_id: int
    expires_at: datetime


def owner_of(grant: Grant) -> Owner:
    return grant.rule.id, grant.beneficiary


_FREE = (
    sa.select(Coupon.id)
    .where(Coupon.pool_id == sa.bindparam("pool"), Coupon.reward_id.is_(None))
    .where(Coupon.id.not_in(sa.bindparam("beside", expanding=True)))
    .order_by(Coupon.id)
    .limit(sa.bindparam("count"))
)
_FREE_NOW = _FREE.with_for_update(skip_locked=True)
_FREE_LATER = _FREE.with_for_update()
_GIVE = (
    sa.update(Coupon)
    .where(Coupon.id == sa.bindparam("coupon"), Coupon.reward_id.is_(None))
    .values(
        reward_id=sa.bindparam("reward"),
        given_at=sa.bindparam("given"),
        expires_at=sa.bindparam("expires"),
    )
)
_EXPIRES = (
    sa.update(Reward.__table__)  # type: ignore[arg-type]
    .where(Reward.__table__.c.id == sa.bindparam("reward"))
    .values(expires_at=sa.bindparam("expires"))
)


def set_aside(tx: Session, grants: Sequence[Grant], usable_at: datetime) -> dict[Owner, SetAside]:
    """Hold a code for each grant of a coupon, as far as the pools reach; locked until the commit.

    `usable_at` is when the rewards become available: a code that has expired by then is of no use
    to anybody and is not given.
    """
    wanted: dict[str, list[Grant]] = {}
    for grant in grants:
        if grant.what is What.coupon and grant.of:
            wanted.setdefault(grant.of, []).append(grant)
    held: dict[Owner, SetAside] = {}
    for slug, asking in sorted(wanted.items()):
        pool = tx.scalar(sa.select(CouponPool).where(CouponPool.slug == slug))
        if pool is None or pool.end_of(usable_at) <= usable_at:
            continue
        found = _take(tx, pool.id, len(asking))
        for grant, coupon_id in zip(asking, found, strict=False):
            held[owner_of(grant)] = SetAside(coupon_id, pool.end_of(usable_at))
    return held


def _take(tx: Session, pool_id: int, count: int) -> list[int]:
    """Free codes that nobody else is about to take. Where all that are left are being taken, it
    waits: whoever holds them may not need them."""
    named = {"pool": pool_id}
    found = list(run(tx, _FREE_NOW, **named, beside=[0], count=count).scalars())
    if len(found) < count:
        more = run(tx, _FREE_LATER, **named, beside=found or [0], count=count - len(found))
        found += more.scalars()
    return found


def can_be_given(grant: Grant, held: Mapping[Owner, SetAside]) -> bool:
    """Whether there is a code for a grant, or it needs none."""
    return grant.what is not What.coupon or owner_of(grant) in held


def give(
    tx: Session, held: Mapping[Owner, SetAside], rewards: Iterable[Reward], now: datetime
) -> None:
    """Hand what was set aside to the rewards that were granted; they expire with their codes."""
    for reward in rewards:
        code = held.get((reward.rule, reward.beneficiary_id))
        if code is None:
            continue
        given = {"coupon": code.coupon_id, "reward": reward.id, "given": now}
        if run(tx, _GIVE, **given, expires=code.expires_at).rowcount != 1:
            raise AssertionError("a code that was set aside is gone")
        # One that is on hold was not loaded from its row: setting it would write nothing.
        run(tx, _EXPIRES, reward=reward.id, expires=code.expires_at)
        reward.expires_at = code.expires_at
    tx.flush()
