"""The codes of a pool, one for one reward, kept encrypted, with a blind index to find each by."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral.coupons import lists
from referral.coupons.lists import BadCouponList, Fault, Listed
from referral.coupons.pools import CouponPool, PoolFull
from referral.crypto import KeyRing
from referral.db import Base, RowId, insert_new, lock

POOL_MAX = 5_000_000
"""How many codes one pool may have."""
_CHUNK = 1000
"""How many codes one statement asks for or writes."""
_PURPOSE = "coupon"


class Coupon(Base):
    """One code, free until a reward has it."""

    __tablename__ = "coupons"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    pool_id: Mapped[int] = mapped_column(sa.ForeignKey("coupon_pools.id"))
    blind_index: Mapped[str] = mapped_column(sa.String(64), unique=True)
    code_encrypted: Mapped[str] = mapped_column(sa.Text)
    reward_id: Mapped[int | None] = mapped_column(sa.ForeignKey("rewards.id"), unique=True)
    given_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]
    used_at: Mapped[datetime | None]
    used_by: Mapped[str | None] = mapped_column(sa.String(160))
    """What it was used for, once: the order."""

    __table_args__ = (
        sa.CheckConstraint(
            "(reward_id IS NULL) = (given_at IS NULL) "
            "AND (given_at IS NULL) = (expires_at IS NULL)",
            name="given_whole",
        ),
        sa.CheckConstraint("(used_at IS NULL) = (used_by IS NULL)", name="used_whole"),
        sa.CheckConstraint("used_at IS NULL OR reward_id IS NOT NULL", name="given_before_used"),
        sa.Index(
            "ix_coupons_free",
            "pool_id",
            "id",
            sqlite_where=sa.text("reward_id IS NULL"),
            postgresql_where=sa.text("reward_id IS NULL"),
        ),
        sa.Index(None, "pool_id", "id"),
    )


@dataclass(frozen=True)
class Sealed:
    """A code of a list as it is kept: encrypted, with its blind indexes, the newest key's first."""

    line: int
    indexes: list[str]
    encrypted: str


def sealed(keys: KeyRing, codes: Iterable[Listed]) -> list[Sealed]:
    """Codes made ready to be kept. To be done before the transaction: it takes most of the time."""
    return [
        Sealed(each.line, indexes_of(keys, each.code), keys.encrypt(each.code)) for each in codes
    ]


def add_codes(tx: Session, pool: CouponPool, codes: Sequence[Sealed]) -> int:
    """Put codes into a pool. Returns how many; all or, where one is in a pool already, none.

    Raises `BadCouponList`, which names the lines, `PoolFull`.
    """
    lock(tx, "coupon codes")  # two lists at once may have a code in common, under different keys
    there = tx.scalar(sa.select(sa.func.count()).where(Coupon.pool_id == pool.id)) or 0
    if there + len(codes) > POOL_MAX:
        raise PoolFull()
    chunks = [codes[start : start + _CHUNK] for start in range(0, len(codes), _CHUNK)]
    faults: list[Fault] = []
    for chunk in chunks:
        known = _known(tx, [index for each in chunk for index in each.indexes])
        faults += [
            Fault(each.line, lists.KNOWN) for each in chunk if known.intersection(each.indexes)
        ]
    if faults:
        raise BadCouponList(faults)
    for chunk in chunks:
        rows = [
            {
                "pool_id": pool.id,
                "blind_index": each.indexes[0],
                "code_encrypted": each.encrypted,
            }
            for each in chunk
        ]
        insert_new(tx, Coupon, rows)
    return len(codes)


def encrypted_codes(tx: Session, pool: CouponPool) -> list[str]:
    """All codes of a pool in their order, as they are kept."""
    of_pool = sa.select(Coupon.code_encrypted).where(Coupon.pool_id == pool.id)
    return list(tx.scalars(of_pool.order_by(Coupon.id)))


@dataclass(frozen=True)
class CodePage:
    """Some of a pool's codes. `last` is the number of the last one, for the page after it."""

    codes: list[str]
    last: int
    is_more: bool


def page_of_codes(
    tx: Session, keys: KeyRing, pool: CouponPool, *, after: int, limit: int
) -> CodePage:
    """The codes of a pool behind the one numbered `after`. Raises `LostKey`."""
    rows = tx.execute(
        sa.select(Coupon.id, Coupon.code_encrypted)
        .where(Coupon.pool_id == pool.id, Coupon.id > after)
        .order_by(Coupon.id)
        .limit(limit + 1)
    ).all()
    page = rows[:limit]
    codes = [keys.decrypt(encrypted) for _, encrypted in page]
    return CodePage(codes, page[-1].id if page else after, len(rows) > limit)


def _known(tx: Session, indexes: list[str]) -> set[str]:
    return set(tx.scalars(sa.select(Coupon.blind_index).where(Coupon.blind_index.in_(indexes))))


def indexes_of(keys: KeyRing, code: str) -> list[str]:
    """The blind indexes of a code, the newest key's first."""
    return keys.blind_indexes(_PURPOSE, lists.normal(code))
