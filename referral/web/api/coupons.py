"""Coupons: pools of codes, what is in them, and what a shop asks of one code."""

from datetime import datetime
from typing import Annotated

from flask import g
from pydantic import Field

from referral import actions, coupons
from referral.coupons import (
    CouponState,
    Held,
    PoolDraft,
    PoolExists,
    PoolFull,
    PoolOver,
    Title,
    UnknownCoupon,
    UnknownPool,
)
from referral.coupons.lists import (
    CODES_MAX,
    BadCouponList,
    BadPrefix,
    CouponListTooLong,
    Listed,
    NotACouponList,
    checked,
)
from referral.coupons.returns import CouponNotUsed
from referral.errors import TooMany
from referral.people import REASON_LENGTH_MAX
from referral.reports import coupons as report
from referral.reports.coupons import PoolLine
from referral.texts import Line
from referral.web.api.auth import caller
from referral.web.api.endpoint import Output, get, post
from referral.web.api.paging import Page, following
from referral.web.api.reading import Input
from referral.web.context import deployment, now

UPLOAD_MAX = 10_000
"""How many codes one call may bring."""


class CouponsIn(Input):
    """Codes to put into a pool."""

    codes: list[Annotated[str, Field(max_length=200)]] = Field(min_length=1, max_length=UPLOAD_MAX)
    """4 to 60 letters, digits and dashes each; capitals, spaces and dashes make no difference."""


class GenerateIn(Input):
    """Codes to make up."""

    count: int = Field(ge=1, le=CODES_MAX)
    prefix: str = Field(default="", max_length=12, examples=["TEA"])
    """What each begins with: capital letters and digits."""


class MakeGoodIn(Input):
    """Why a used coupon is to be good again."""

    reason: Line = Field(min_length=1, max_length=REASON_LENGTH_MAX)


class PayerOut(Output):
    """A campaign that gives coupons of a pool."""

    campaign: str
    budget: int
    """How many it may still give."""


class PoolOut(Output):
    """A pool of coupons."""

    slug: str
    unit: str
    """What the ledger and a campaign's budgets call its coupons."""
    content: dict[str, Title]
    """The texts by language."""
    value: int
    """Of one coupon, in minor units."""
    currency: str
    shop_url: str | None
    expires_at: datetime | None
    """When all of them end; null where each lasts `lasts_days` from when it can be used."""
    lasts_days: int | None
    left: int
    """How many codes are free."""
    given: int
    """How many were given, those that were used or withdrawn among them."""
    used: int
    withdrawn: int
    missing: int
    """How many codes it is short of what campaigns may still give."""
    campaigns: list[PayerOut]
    created_at: datetime


class PoolList(Output):
    """A page of pools, newest first."""

    items: list[PoolOut]
    next: str | None


class AddedOut(Output):
    """How many codes were added, and how many are free now."""

    added: int
    left: int


class CodeList(Output):
    """A page of a pool's codes, in their order."""

    items: list[str]
    next: str | None


class CouponOut(Output):
    """What a coupon is good for. Nothing is said of who holds it."""

    state: CouponState
    """Only a `valid` one is to be taken."""
    pool: str
    title: str
    value: int
    """In minor units."""
    currency: str
    expires_at: datetime | None
    used_at: datetime | None
    used_by: str | None
    """The order it was used for."""


@post(
    "/pools",
    body=PoolDraft,
    answer=PoolOut,
    statuses={201: "Added"},
    problems=[PoolExists, PoolOver],
)
def add_pool(body: PoolDraft) -> PoolOut:
    """Add a pool of coupons.

    It is empty at first. A rule with `"what": "coupon"` names it in `of`.
    """
    return _shown(actions.add_pool(deployment(), body, by=caller()).slug)


@get("/pools", query=Page, answer=PoolList)
def list_pools(query: Page) -> PoolList:
    """List pools of coupons."""
    with deployment().db.read() as tx:
        found = report.lines(tx, now(), offset=query.offset, limit=query.size)
    return PoolList(items=[_out(line) for line in found.rows], next=following(found))


@get("/pools/<slug>", answer=PoolOut, problems=[UnknownPool])
def get_pool(slug: str) -> PoolOut:
    """Get a pool of coupons."""
    return _shown(slug)


@post(
    "/pools/<slug>/codes",
    body=CouponsIn,
    answer=AddedOut,
    statuses={201: "Added"},
    problems=[
        UnknownPool,
        BadCouponList,
        NotACouponList,
        CouponListTooLong,
        PoolOver,
        PoolFull,
    ],
)
def add_coupons(slug: str, body: CouponsIn) -> AddedOut:
    """Put codes into a pool.

    All of them, or none: where one cannot be used or is in a pool already, `errors` says which.
    """
    codes = checked([Listed(at, code) for at, code in enumerate(body.codes, start=1)])
    added = actions.add_coupons(deployment(), slug, codes, by=caller())
    return AddedOut(added=added, left=_shown(slug).left)


@post(
    "/pools/<slug>/generate",
    body=GenerateIn,
    answer=AddedOut,
    statuses={201: "Made"},
    problems=[UnknownPool, BadPrefix, PoolOver, PoolFull],
)
def generate_coupons(slug: str, body: GenerateIn) -> AddedOut:
    """Make codes up.

    Random ones, without letters that are taken for others. They are put into the pool; its list
    of codes has them for the shop.
    """
    made = actions.generate_coupons(
        deployment(), slug, prefix=body.prefix, count=body.count, by=caller()
    )
    return AddedOut(added=len(made), left=_shown(slug).left)


@get("/pools/<slug>/codes", query=Page, answer=CodeList, problems=[UnknownPool])
def list_coupons(slug: str, query: Page) -> CodeList:
    """List a pool's codes.

    For the shop that is to take them. Whoever has one can use it: keep them secret.
    """
    with deployment().db.read() as tx:
        pool = coupons.pool_by_slug(tx, slug)
        found = coupons.page_of_codes(
            tx, deployment().keys, pool, after=query.after_id, limit=query.size
        )
    return CodeList(items=found.codes, next=str(found.last) if found.is_more else None)


@get("/coupons/<code>", answer=CouponOut, problems=[UnknownCoupon, TooMany])
def get_coupon(code: str) -> CouponOut:
    """Look a coupon up.

    Capitals, spaces and dashes make no difference. To use it, report the order with it.
    """
    return _coupon(_found(code))


@post(
    "/coupons/<code>/make-good",
    body=MakeGoodIn,
    answer=CouponOut,
    statuses={200: "Good again"},
    problems=[UnknownCoupon, CouponNotUsed, TooMany],
)
def make_coupon_good(code: str, body: MakeGoodIn) -> CouponOut:
    """Make a used coupon good again.

    Such as when the shop could not deliver. When all of an order is refunded this happens by
    itself, while the coupon has not expired; one that has is good for 30 days more. The reason is
    kept in the audit log.
    """
    found = _found(code)
    actions.make_coupon_good(deployment(), found.coupon.id, reason=body.reason, by=caller())
    return _coupon(_found(code))


def _found(code: str) -> Held:
    """Raises `UnknownCoupon`, `TooMany`: trying codes out is limited."""
    limits = deployment().limits
    tried = limits.coupon_lookup(g.api_key_id)
    with deployment().db.read() as tx:
        held = coupons.find(tx, deployment().keys, code)
    limits.give_back(tried)
    return held


def _coupon(held: Held) -> CouponOut:
    return CouponOut(
        state=held.state_at(now()),
        pool=held.pool.slug,
        title=held.pool.title_in(deployment().config.lang).title,
        value=held.pool.value,
        currency=held.pool.currency,
        expires_at=held.coupon.expires_at or held.pool.expires_at,
        used_at=held.coupon.used_at,
        used_by=held.coupon.used_by,
    )


def _shown(slug: str) -> PoolOut:
    with deployment().db.read() as tx:
        return _out(report.line(tx, coupons.pool_by_slug(tx, slug), now()))


def _out(line: PoolLine) -> PoolOut:
    pool = line.pool
    return PoolOut(
        slug=pool.slug,
        unit=pool.unit,
        content={lang: Title.model_validate(said) for lang, said in pool.content.items()},
        value=pool.value,
        currency=pool.currency,
        shop_url=pool.shop_url,
        expires_at=pool.expires_at,
        lasts_days=pool.lasts_days,
        left=line.counts.left,
        given=line.counts.given,
        used=line.counts.used,
        withdrawn=line.counts.withdrawn,
        missing=line.missing,
        campaigns=[PayerOut(campaign=each.slug, budget=each.budget) for each in line.payers],
        created_at=pool.created_at,
    )
