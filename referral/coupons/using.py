"""Looking a coupon up, and using it once.

What has become of one follows from its row and from its reward: nothing else says whether it was
taken back.
"""

import unicodedata
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral import ledger
from referral.coupons import lists
from referral.coupons.codes import Coupon, indexes_of
from referral.coupons.pools import CouponPool
from referral.crypto import KeyRing
from referral.errors import N_, Conflict, NotFound
from referral.ledger import Kind, Move
from referral.rewards import Reward, RewardState
from referral.rewards.wallets import Lot

TYPED_LENGTH_MAX = 200


class CouponState(StrEnum):
    """What a coupon is good for."""

    free = "free"
    """Nobody has it yet."""
    waiting = "waiting"
    """Given, and its reward is still on hold."""
    valid = "valid"
    used = "used"
    withdrawn = "withdrawn"
    """What earned it was undone."""
    expired = "expired"


class UnknownCoupon(NotFound):
    slug = "unknown-coupon"
    title = N_("There is no coupon with this code.")
    advice = N_("Check the letters; capitals, spaces and dashes do not matter.")


class CouponNotGood(Conflict):
    slug = "coupon-not-good"
    title = N_("This coupon cannot be used.")
    advice = N_("It was withdrawn, has expired or is still on hold; its holder's page says which.")


class CouponUsed(Conflict):
    slug = "coupon-used"
    title = N_("This coupon has been used already.")
    advice = N_("A coupon is good for one order.")


@dataclass(frozen=True)
class Held:
    """A coupon that was found, and how it stands."""

    coupon: Coupon
    pool: CouponPool
    reward: Reward | None

    @property
    def holder(self) -> int | None:
        """The customer who has it; None for nobody."""
        return self.reward.holder_id if self.reward else None

    def state_at(self, now: datetime) -> CouponState:
        coupon, reward = self.coupon, self.reward
        if coupon.used_at is not None:
            return CouponState.used
        if reward is None:
            is_over = self.pool.expires_at is not None and self.pool.expires_at <= now
            return CouponState.expired if is_over else CouponState.free
        if reward.state == RewardState.reversed:
            return CouponState.withdrawn
        if reward.state == RewardState.expired or (coupon.expires_at or now) <= now:
            return CouponState.expired
        if reward.state == RewardState.pending:
            return CouponState.waiting
        # Nothing left of it: it made up for one that was used and then taken back.
        return CouponState.valid if reward.left else CouponState.withdrawn

    def code(self, keys: KeyRing) -> str:
        """Raises `LostKey`."""
        return keys.decrypt(self.coupon.code_encrypted)


_HELD = (
    sa.select(Coupon, CouponPool, Reward)
    .join(CouponPool, CouponPool.id == Coupon.pool_id)
    .outerjoin(Reward, Reward.id == Coupon.reward_id)
)


def find(tx: Session, keys: KeyRing, code: str, *, for_update: bool = False) -> Held:
    """The coupon with this code, as typed. Raises `UnknownCoupon`."""
    typed = unicodedata.normalize("NFKC", code[:TYPED_LENGTH_MAX]).strip()
    if not lists.is_code(typed):
        raise UnknownCoupon()
    indexes = indexes_of(keys, typed)
    if for_update:
        locked = sa.select(Coupon.reward_id).where(Coupon.blind_index.in_(indexes))
        given = tx.scalar(locked.with_for_update())
        # The nightly expiry holds rewards and no customers.
        tx.execute(sa.select(Reward.id).where(Reward.id == given).with_for_update()).all()
    statement = _HELD.where(Coupon.blind_index.in_(indexes))
    row = tx.execute(statement, execution_options={"populate_existing": for_update}).first()
    if row is None:
        raise UnknownCoupon()
    return Held(*row)


def holder_of(tx: Session, keys: KeyRing, code: str) -> int | None:
    """The customer who holds the coupon with this code; None for nobody, and for no coupon."""
    try:
        return find(tx, keys, code).holder
    except UnknownCoupon:
        return None


def held_by_customer(
    tx: Session, customer_id: int, *, offset: int = 0, limit: int = 50
) -> list[Held]:
    """The coupons that a customer has or had, newest first; not those whose reward is on hold."""
    rows = tx.execute(
        _HELD.where(Reward.holder_id == customer_id, Reward.state != RewardState.pending)
        .order_by(Coupon.reward_id.desc())
        .offset(offset)
        .limit(limit)
    )
    return [Held(*row) for row in rows]


def key_of_use(order: str) -> str:
    """The ledger's key for the use of a coupon by an order, which uses one."""
    return f"coupon used|{order}"


def use(tx: Session, keys: KeyRing, code: str, *, by: str, now: datetime) -> Held:
    """Mark a coupon used by an order, once; the same order again gets the same answer.

    The holder is locked by the caller. Raises `UnknownCoupon`, `CouponUsed`, `CouponNotGood`.
    """
    held = find(tx, keys, code, for_update=True)
    coupon, reward = held.coupon, held.reward
    if coupon.used_by is not None:
        if coupon.used_by != by:
            raise CouponUsed()
        return held
    state = held.state_at(now)
    if state is not CouponState.valid or reward is None:
        raise CouponNotGood(state=state)
    # This reward and not the one that expires first, as with points: each coupon is its own.
    source = ledger.account(tx, Kind.wallet, reward.holder_id, reward.unit)
    try:
        entry_id = ledger.post(
            tx,
            key=key_of_use(by),
            what="coupon used",
            moves=[Move(source, ledger.account(tx, Kind.redeemed, 0, reward.unit), reward.left)],
            now=now,
        )
    except ledger.Insufficient:
        raise CouponNotGood(state=CouponState.expired) from None
    tx.add(Lot(entry_id=entry_id, reward_id=reward.id, amount=reward.left))
    reward.left = 0
    coupon.used_at, coupon.used_by = now, by
    tx.flush()
    return held
