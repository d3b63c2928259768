"""Coupons: pools of codes, uploaded or made up. Every list that comes in or goes out is noted, and
every used one that is made good again by hand."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime

from sqlalchemy.orm import Session

from referral import audit, coupons, people
from referral.coupons import CouponPool, Held, PoolDraft, Sealed, lists, returns
from referral.coupons.lists import Listed
from referral.db import transaction
from referral.deployment import Deployment


@transaction
def add_pool(tx: Session, deployment: Deployment, draft: PoolDraft, *, by: str) -> CouponPool:
    """Raises `PoolExists`, `PoolOver`."""
    now = deployment.clock.now()
    pool = coupons.add_pool(tx, draft, now)
    details = {"value": pool.value, "currency": pool.currency}
    audit.note(tx, by=by, action="pool added", subject=pool.unit, details=details, now=now)
    return pool


def add_coupons(deployment: Deployment, slug: str, codes: Sequence[Listed], *, by: str) -> int:
    """Put a list of codes into a pool, as a whole. Returns how many.

    Raises `UnknownPool`, `PoolOver`, `BadCouponList`, `PoolFull`.
    """
    ready = coupons.sealed(deployment.keys, codes)
    return _put(deployment, slug, ready, action="coupons added", by=by)


def generate_coupons(
    deployment: Deployment, slug: str, *, prefix: str, count: int, by: str
) -> list[str]:
    """Put new random codes into a pool; they are returned.

    Raises `UnknownPool`, `PoolOver`, `BadPrefix`, `CouponListTooLong`, `PoolFull`.
    """
    codes = lists.made_up(prefix, count)
    listed = [Listed(line, code) for line, code in enumerate(codes, start=1)]
    ready = coupons.sealed(deployment.keys, listed)
    _put(deployment, slug, ready, action="coupons made", by=by)
    return codes


def take_out_coupons(deployment: Deployment, slug: str, *, by: str) -> list[str]:
    """All codes of a pool, for the shop that is to take them. Raises `UnknownPool`, `LostKey`."""
    return [deployment.keys.decrypt(each) for each in _take_out(deployment, slug, by=by)]


@transaction
def _put(
    tx: Session, deployment: Deployment, slug: str, codes: Sequence[Sealed], *, action: str, by: str
) -> int:
    now = deployment.clock.now()
    pool = coupons.pool_by_slug(tx, slug)
    if pool.expires_at is not None and pool.expires_at <= now:
        raise coupons.PoolOver()
    added = coupons.add_codes(tx, pool, codes)
    _note(tx, pool, action, added, by, now)
    return added


@transaction
def _take_out(tx: Session, deployment: Deployment, slug: str, *, by: str) -> list[str]:
    pool = coupons.pool_by_slug(tx, slug)
    codes = coupons.encrypted_codes(tx, pool)
    _note(tx, pool, "coupons exported", len(codes), by, deployment.clock.now())
    return codes


def use_by_order(tx: Session, deployment: Deployment, code: str, order: str, now: datetime) -> None:
    """Mark the coupon that an order named as used by it; its holder is locked by the caller.

    One that is not good is left alone: the shop took it, and the purchase was made all the same.
    """
    with suppress(coupons.UnknownCoupon, coupons.CouponUsed, coupons.CouponNotGood):
        coupons.use(tx, deployment.keys, code, by=order, now=now)


@transaction
def make_coupon_good(
    tx: Session, deployment: Deployment, coupon_id: int, *, reason: str, by: str
) -> Held:
    """Make a used coupon good again, whatever became of the order; one that has expired for 30
    days more.

    Raises `NoSuchCoupon`, `CouponNotUsed`.
    """
    holder = returns.by_id(tx, coupon_id).holder
    if holder is not None:
        people.lock_customer(tx, holder)
    held, now = returns.by_id(tx, coupon_id, for_update=True), deployment.clock.now()
    order = returns.make_good(tx, held, now)
    audit.note(
        tx,
        by=by,
        action="coupon made good",
        subject=subject_of(coupon_id),
        details={"order": order, "reason": reason},
        now=now,
    )
    return held


def subject_of(coupon_id: int) -> str:
    """What the audit log calls a coupon: its code is nobody's to read there."""
    return f"coupon-code:{coupon_id}"


def make_good_for_refund(tx: Session, coupon_id: int, order: str, now: datetime) -> None:
    """Make the coupon good again that a refunded order had used, while it has not expired; its
    holder is locked by the caller."""
    held = returns.by_id(tx, coupon_id, for_update=True)
    is_over = held.coupon.expires_at is not None and held.coupon.expires_at <= now
    # Staff may have made it good in the meantime, and another order have used it.
    if not is_over and held.coupon.used_by == order:
        returns.make_good(tx, held, now)


def _note(tx: Session, pool: CouponPool, action: str, count: int, by: str, now: datetime) -> None:
    details = {"count": count}
    audit.note(tx, by=by, action=action, subject=pool.unit, details=details, now=now)
