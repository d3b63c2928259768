"""Coupons: pools of codes that a shop takes, given out as rewards, one code for one reward.

A code is kept encrypted, with a blind index to find it by. What has become of one follows from its
row and from its reward: nothing else says whether it was taken back.
"""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, HttpUrl, model_validator
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral import ledger
from referral.coupons import lists
from referral.coupons.lists import BadCouponList, Fault, Listed
from referral.crypto import KeyRing
from referral.db import Base, RowId, insert_new, lock, run
from referral.errors import N_, Conflict, InvalidInput, NotFound
from referral.ledger import Kind, Move
from referral.rewards import Grant, Reward, RewardState, Rule, What
from referral.rewards.wallets import Lot
from referral.texts import Language, Line, Paragraphs

SLUG_PATTERN = r"[a-z0-9][a-z0-9-]{0,39}"
TITLE_LENGTH_MAX = 80
HOW_TO_LENGTH_MAX = 500
URL_LENGTH_MAX = 500
VALUE_MAX = 10**9
LASTS_DAYS_MAX = 3650
POOL_MAX = 5_000_000
"""How many codes one pool may have."""
TYPED_LENGTH_MAX = 200
_CHUNK = 1000
"""How many codes one statement asks for or writes."""
_PURPOSE = "coupon"


class Title(BaseModel):
    """What a pool says in one language."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    title: Line = Field(min_length=1, max_length=TITLE_LENGTH_MAX)
    """What one gets, such as “10 yuan off any tea”."""
    how_to: Paragraphs = Field(default="", max_length=HOW_TO_LENGTH_MAX)
    """How to use it."""


class PoolDraft(BaseModel):
    """A pool as staff or the API hand it in."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    slug: str = Field(pattern=f"^{SLUG_PATTERN}$", examples=["tea-10"])
    """Its short name; a rule names it in `of`, and the ledger's unit is `coupon:` and it."""
    content: dict[Language, Title] = Field(min_length=1)
    """The texts by language; another language's where one is missing."""
    value: int = Field(gt=0, le=VALUE_MAX, strict=True)
    """What one coupon is worth, in minor units."""
    currency: str = Field(pattern="^[A-Z]{3}$")
    shop_url: HttpUrl | None = None
    """Where to use it, `https`."""
    expires_at: AwareDatetime | None = None
    """When the coupons end, all at once; or else `lasts_days`."""
    lasts_days: int | None = Field(default=None, ge=1, le=LASTS_DAYS_MAX, strict=True)
    """How long each of them lasts from when its holder can use it."""

    @model_validator(mode="after")
    def _consistent(self) -> "PoolDraft":
        if (self.expires_at is None) == (self.lasts_days is None):
            raise ValueError("say either when the coupons expire or how many days each lasts")
        if self.shop_url and (self.shop_url.scheme != "https" or self.shop_url.username):
            raise ValueError("a shop's address begins with https:// and names no user")
        if self.shop_url and len(str(self.shop_url)) > URL_LENGTH_MAX:
            raise ValueError(f"an address may have {URL_LENGTH_MAX} characters")
        return self


class CouponPool(Base):
    """Codes of one kind: what each is worth, and how to use it."""

    __tablename__ = "coupon_pools"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    slug: Mapped[str] = mapped_column(sa.String(40), unique=True)
    content: Mapped[dict[str, Any]]
    """By language, as in `Title`."""
    value: Mapped[int] = mapped_column(sa.BigInteger)
    """In minor units of `currency`."""
    currency: Mapped[str] = mapped_column(sa.String(3))
    shop_url: Mapped[str | None] = mapped_column(sa.String(URL_LENGTH_MAX))
    expires_at: Mapped[datetime | None]
    """When its coupons end; None where each lasts `lasts_days` from when it can be used."""
    lasts_days: Mapped[int | None] = mapped_column(sa.Integer)
    created_at: Mapped[datetime]

    __table_args__ = (
        sa.CheckConstraint("value > 0", name="value_positive"),
        sa.CheckConstraint("(expires_at IS NULL) <> (lasts_days IS NULL)", name="one_end"),
    )

    @property
    def unit(self) -> str:
        """The ledger's unit of its coupons."""
        return f"coupon:{self.slug}"

    def title_in(self, lang: str) -> Title:
        """Its texts in a language, or in another one where there are none."""
        found = self.content.get(lang) or self.content.get("zh-Hans")
        return Title.model_validate(found or next(iter(self.content.values())))

    def end_of(self, usable_at: datetime) -> datetime:
        """When a coupon expires that can be used from `usable_at` on."""
        if self.expires_at is not None:
            return self.expires_at
        return usable_at + timedelta(days=self.lasts_days or 0)


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


class UnknownPool(NotFound):
    slug = "unknown-pool"
    title = N_("There is no such pool of coupons.")
    advice = N_("Choose one from the list of coupons, or add it first.")


class PoolExists(Conflict):
    slug = "pool-exists"
    title = N_("There is a pool of coupons with this short name already.")


class PoolOver(InvalidInput):
    slug = "pool-over"
    title = N_("The coupons of this pool have expired.")
    advice = N_("Make a new pool with a later date.")


class PoolFull(InvalidInput):
    slug = "pool-full"
    title = N_("So many codes do not fit into one pool.")
    advice = N_("A pool has 5 million codes at most. Make another one.")


class NoSuchPool(InvalidInput):
    slug = "no-such-pool"
    title = N_("A rule gives coupons of a pool that there is not.")
    advice = N_("Add the pool first, or name another one in the rule.")


class PoolCurrency(InvalidInput):
    slug = "pool-currency"
    title = N_("The coupons are worth another currency than the products' prices.")
    advice = N_("Use a pool in the currency of the campaign's products.")


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


# Pools


def add_pool(tx: Session, draft: PoolDraft, now: datetime) -> CouponPool:
    """Raises `PoolExists`, `PoolOver`."""
    if draft.expires_at is not None and draft.expires_at <= now:
        raise PoolOver()
    row = {
        "slug": draft.slug,
        "content": {lang: said.model_dump() for lang, said in draft.content.items()},
        "value": draft.value,
        "currency": draft.currency,
        "shop_url": str(draft.shop_url) if draft.shop_url else None,
        "expires_at": draft.expires_at,
        "lasts_days": draft.lasts_days,
        "created_at": now,
    }
    if not insert_new(tx, CouponPool, row):
        raise PoolExists()
    return pool_by_slug(tx, draft.slug)


def pool_by_slug(tx: Session, slug: str) -> CouponPool:
    """Raises `UnknownPool`."""
    pool = tx.scalar(sa.select(CouponPool).where(CouponPool.slug == slug))
    if pool is None:
        raise UnknownPool()
    return pool


def pools_by_slug(tx: Session, slugs: Iterable[str]) -> dict[str, CouponPool]:
    """Those of these pools that there are."""
    wanted = set(slugs)
    if not wanted:
        return {}
    found = tx.scalars(sa.select(CouponPool).where(CouponPool.slug.in_(wanted)))
    return {pool.slug: pool for pool in found}


def pools_of(rules: Iterable[Rule]) -> set[str]:
    """The short names of the pools that rules give coupons from."""
    return {
        of for rule in rules for what, of in rule.prizes if what is What.coupon and of is not None
    }


def check_pools(tx: Session, rules: Sequence[Rule], currency: str | None, now: datetime) -> None:
    """Raises `NoSuchPool`, `PoolOver`, `PoolCurrency` where rules name a pool that cannot be given
    from."""
    wanted = pools_of(rules)
    found = pools_by_slug(tx, wanted)
    if missing := sorted(wanted - found.keys()):
        raise NoSuchPool(f"There is no pool “{missing[0]}”.", pools=missing)
    for pool in found.values():
        if pool.expires_at is not None and pool.expires_at <= now:
            raise PoolOver(f"Those of “{pool.slug}” have.")
        if currency is not None and pool.currency != currency:
            raise PoolCurrency(f"Those of “{pool.slug}” are worth {pool.currency}.")


@dataclass(frozen=True)
class Sealed:
    """A code of a list as it is kept: encrypted, with its blind indexes, the newest key's first."""

    line: int
    indexes: list[str]
    encrypted: str


def sealed(keys: KeyRing, codes: Iterable[Listed]) -> list[Sealed]:
    """Codes made ready to be kept. To be done before the transaction: it takes most of the time."""
    return [Sealed(each.line, _indexes(keys, each.code), keys.encrypt(each.code)) for each in codes]


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


def _indexes(keys: KeyRing, code: str) -> list[str]:
    return keys.blind_indexes(_PURPOSE, lists.normal(code))


# Giving


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


# Looking up and using


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
    indexes = _indexes(keys, typed)
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
            key=f"coupon|{coupon.id}",
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
