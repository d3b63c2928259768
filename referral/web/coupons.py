"""A customer's coupons: the code of each, how to use it, and what has become of it."""

from dataclasses import dataclass
from datetime import datetime

from flask import redirect, render_template, request, url_for
from sqlalchemy.orm import Session

from referral import coupons
from referral.coupons import CouponState, Held
from referral.web.context import customer, deployment, now
from referral.web.language import language
from referral.web.member import Page, member

SHOWN = 3
"""How many her own page shows; the rest is on a page of its own."""
SHOWN_ALONE = 25
OFFSET_DIGITS_MAX = 9


@dataclass(frozen=True)
class Shown:
    """A coupon as its holder sees it."""

    title: str
    how_to: list[str]
    state: str
    code: str | None
    """Only of one that is or was good: a withdrawn one is nobody's."""
    shop_url: str | None
    expires_at: datetime | None
    used_at: datetime | None


@dataclass(frozen=True)
class Shelf:
    coupons: list[Shown]
    next: int | None
    """The offset of the following ones; None when these are the last."""


def shelf(tx: Session, customer_id: int, offset: int = 0, limit: int = SHOWN) -> Shelf:
    """A customer's coupons that can be used or could be, newest first."""
    found = coupons.held_by_customer(tx, customer_id, offset=offset, limit=limit + 1)
    following = offset + limit if len(found) > limit else None
    return Shelf([_shown(each) for each in found[:limit]], following)


def _shown(held: Held) -> Shown:
    state = held.state_at(now())
    said = held.pool.title_in(language())
    is_good = state in {CouponState.valid, CouponState.used}
    return Shown(
        title=said.title,
        how_to=said.how_to.split("\n\n") if said.how_to and state is CouponState.valid else [],
        state=state,
        code=held.code(deployment().keys) if is_good else None,
        shop_url=held.pool.shop_url if state is CouponState.valid else None,
        expires_at=held.coupon.expires_at,
        used_at=held.coupon.used_at,
    )


@member.get("/me/coupons")
def own_coupons() -> Page:
    """All of a customer's coupons."""
    signed_in = customer()
    if signed_in is None:
        return redirect(url_for("member.sign_in", next=url_for("member.own_coupons")))
    typed = request.args.get("offset", "")
    is_offset = typed.isascii() and typed.isdigit() and len(typed) <= OFFSET_DIGITS_MAX
    with deployment().db.read() as tx:
        found = shelf(tx, signed_in.id, int(typed) if is_offset else 0, SHOWN_ALONE)
    return render_template("me_coupons.html", shelf=found)
