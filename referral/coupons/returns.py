"""Coupons that were used and are good again: all of the order was refunded, or staff say so."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral import ledger
from referral.coupons.codes import Coupon
from referral.coupons.pools import CouponPool
from referral.coupons.using import Held, key_of_use
from referral.db import run
from referral.errors import N_, Conflict, NotFound
from referral.ledger import Kind, LedgerEntry
from referral.rewards import Reward
from referral.rewards.wallets import Lot, give_back


class CouponNotUsed(Conflict):
    slug = "coupon-not-used"
    title = N_("This coupon is not used.")
    advice = N_("Only one that an order has used can be made good again.")


class NoSuchCoupon(NotFound):
    slug = "no-such-coupon"
    title = N_("There is no coupon with this number.")
    advice = N_("Look for it by its code.")


_USED_BY = (
    sa.select(Coupon.id)
    .join(Lot, Lot.reward_id == Coupon.reward_id)
    .join(LedgerEntry, LedgerEntry.id == Lot.entry_id)
    .where(LedgerEntry.key == sa.bindparam("key"), Coupon.used_by == sa.bindparam("by"))
)
_WHOLE = (
    sa.select(Coupon, CouponPool, Reward)
    .join(CouponPool, CouponPool.id == Coupon.pool_id)
    .outerjoin(Reward, Reward.id == Coupon.reward_id)
    .where(Coupon.id == sa.bindparam("coupon"))
)
_LOCK = sa.select(Coupon.reward_id).where(Coupon.id == sa.bindparam("coupon")).with_for_update()
_LOCK_REWARD = sa.select(Reward.id).where(Reward.id == sa.bindparam("reward")).with_for_update()


def used_by(tx: Session, order: str) -> Held | None:
    """The coupon that an order used and that was not made good again since."""
    found = run(tx, _USED_BY, key=key_of_use(order), by=order).scalar()
    return None if found is None else by_id(tx, found)


def by_id(tx: Session, coupon_id: int, *, for_update: bool = False) -> Held:
    """The coupon with this number. Raises `NoSuchCoupon`."""
    if for_update:
        # The coupon before its reward, as for an order that uses it.
        given = run(tx, _LOCK, coupon=coupon_id).scalar()
        run(tx, _LOCK_REWARD, reward=given).all()
    options = {"populate_existing": for_update}
    row = tx.execute(_WHOLE, {"coupon": coupon_id}, execution_options=options).first()
    if row is None:
        raise NoSuchCoupon()
    return Held(*row)


def make_good(tx: Session, held: Held, now: datetime) -> str:
    """Make a used coupon good again; returns the order that had used it.

    It goes back where it came from: what its holder owes is paid first, as with anything that is
    given back, and where what earned it was undone it stands in for the next of its pool that was
    withdrawn for it. One that has expired lasts for `BACK_LASTS` more.

    The holder is locked by the caller, and the coupon as well. Raises `CouponNotUsed`.
    """
    coupon, reward = held.coupon, held.reward
    if coupon.used_by is None or reward is None:
        raise CouponNotUsed()
    order, coupon.used_at, coupon.used_by = coupon.used_by, None, None
    tx.flush()
    use = tx.scalars(sa.select(sa.func.max(Lot.entry_id)).where(Lot.reward_id == reward.id)).one()
    others = sa.select(Coupon.id).where(Coupon.reward_id == Reward.id, Coupon.used_at.is_not(None))
    give_back(
        tx,
        reward.holder_id,
        reward.unit,
        use,
        source=ledger.account(tx, Kind.redeemed, 0, reward.unit),
        key=f"coupon good again|{use}",
        what="coupon good again",
        now=now,
        among=~others.exists(),
    )
    _let_last(tx, reward.holder_id, reward.unit)
    return order


def _let_last(tx: Session, holder: int, unit: str) -> None:
    """A coupon lasts as long as its reward, which may have been given more time."""
    longer = tx.execute(
        sa.select(Coupon, Reward.expires_at)
        .join(Reward, Reward.id == Coupon.reward_id)
        .where(Reward.holder_id == holder, Reward.unit == unit, Reward.left > 0)
        .where(Coupon.expires_at < Reward.expires_at)
    )
    for coupon, expires_at in longer:
        coupon.expires_at = expires_at
    tx.flush()
