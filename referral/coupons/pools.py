"""Pools of coupons: what each of their codes is worth, and how to use it."""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, HttpUrl, model_validator
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral.db import Base, RowId, insert_new
from referral.errors import N_, Conflict, InvalidInput, NotFound
from referral.rewards import Rule, What
from referral.texts import Language, Line, Paragraphs

SLUG_PATTERN = r"[a-z0-9][a-z0-9-]{0,39}"
TITLE_LENGTH_MAX = 80
HOW_TO_LENGTH_MAX = 500
URL_LENGTH_MAX = 500
VALUE_MAX = 10**9
LASTS_DAYS_MAX = 3650


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
    if not re.fullmatch(SLUG_PATTERN, slug):  # PostgreSQL refuses some texts
        raise UnknownPool()
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
