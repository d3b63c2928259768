"""A customer's items: what there is for her points, what she has won, and her vouchers."""

import secrets
from collections.abc import Callable
from typing import Any

from babel.lists import format_list
from flask import redirect, render_template, request, session, url_for
from flask_babel import format_date, format_number, get_locale, ngettext
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from referral import actions, people
from referral.actions import redeeming
from referral.errors import Problem
from referral.printing import qr
from referral.redemption import items, vouchers
from referral.redemption.vouchers import Voucher, VoucherState
from referral.reports import customers
from referral.reports import items as report
from referral.reports import vouchers as voucher_report
from referral.reports.items import Offer
from referral.web.context import SignedInCustomer, customer, deployment, now
from referral.web.language import in_words, language
from referral.web.member import Page, member
from referral.web.pictures import picture_url

FEW = 20
"""From how few left on the number is said."""
KEY_LENGTH_MAX = 80
SHOWN = 25
_REFUSALS = (
    items.ItemNotBegun,
    items.ItemOver,
    items.OutOfStock,
    redeeming.NotEnoughPoints,
    redeeming.OnlyWon,
    redeeming.EnoughOfThese,
    redeeming.PriceChanged,
)
STATES: dict[str, Callable[[], str]] = {
    VoucherState.issued: lambda: _("Show it at the store"),
    VoucherState.accepted: lambda: _("Handed over"),
    VoucherState.undone: lambda: _("Undone"),
    VoucherState.expired: lambda: _("Expired"),
}


@member.get("/me/items")
def offered() -> Page:
    signed_in = _signed_in()
    if isinstance(signed_in, Response):
        return signed_in
    with deployment().db.read() as tx:
        offers = report.offers(tx, signed_in.id, now())
        points = customers.balances(tx, signed_in.id)[0]
        open_vouchers = voucher_report.open_count(tx, signed_in.id, now())
    return render_template(
        "items.html",
        offers=[(offer, offer.item.title_in(language()), standing(offer)) for offer in offers],
        points=points,
        open_vouchers=open_vouchers,
        picture_url=picture_url,
        left=left_text,
    )


@member.get("/me/items/<slug>")
def offered_item(slug: str) -> Page:
    signed_in = _signed_in(slug=slug)
    return signed_in if isinstance(signed_in, Response) else _item_page(signed_in, slug)


@member.post("/me/items/<slug>")
def redeem(slug: str) -> Page:
    signed_in = _signed_in(slug=slug)
    if isinstance(signed_in, Response):
        return signed_in
    # A form without its key was not made by a page of ours; it is one request by itself.
    key = request.form.get("key", "")[:KEY_LENGTH_MAX] or secrets.token_urlsafe()
    price = request.form.get("price", "")
    told = int(price) if price.isascii() and price.isdigit() and len(price) < 12 else None
    try:
        redeemed = actions.redeem(deployment(), signed_in.id, slug, key=key, price=told)
    except _REFUSALS as problem:
        return _item_page(signed_in, slug, problem), problem.status
    return redirect(url_for("member.voucher", voucher_id=redeemed.voucher.id), 303)


def _item_page(signed_in: SignedInCustomer, slug: str, problem: Problem | None = None) -> str:
    with deployment().db.read() as tx:
        offer = report.offer(tx, signed_in.id, slug, now())
        points = customers.balances(tx, signed_in.id)[0]
    return render_template(
        "item.html",
        offer=offer,
        title=offer.item.title_in(language()),
        standing=standing(offer),
        said=in_words(problem) if problem else None,
        points=points,
        key=secrets.token_urlsafe(),
        picture=picture_url(offer.item.picture),
        left=left_text(offer),
    )


@member.get("/me/vouchers")
def own_vouchers() -> Page:
    signed_in = _signed_in()
    if isinstance(signed_in, Response):
        return signed_in
    offset = request.args.get("offset", "")
    start = int(offset) if offset.isascii() and offset.isdigit() and len(offset) <= 9 else 0
    with deployment().db.read() as tx:
        listed = voucher_report.of_customer(tx, signed_in.id, offset=start, limit=SHOWN)
    shown = [
        (line, line.item.title_in(language()), state_text(line.voucher)) for line in listed.rows
    ]
    return render_template("vouchers.html", shown=shown, next=listed.next)


@member.get("/me/vouchers/<int(max=9223372036854775807):voucher_id>")
def voucher(voucher_id: int) -> Page:
    signed_in = _signed_in(voucher_id=voucher_id)
    if isinstance(signed_in, Response):
        return signed_in
    with deployment().db.read() as tx:
        line = voucher_report.one(tx, voucher_id)
        if line.voucher.customer_id != signed_in.id:
            raise vouchers.UnknownVoucher()
        names = report.store_names(tx, line.item.id)
    return render_template("voucher.html", **own_voucher(line, names))


def own_voucher(line: voucher_report.VoucherLine, names: list[str]) -> dict[str, Any]:
    """What her page says of a voucher."""
    found = line.voucher
    code = vouchers.code_of(deployment().keys, found.seed, found.key_id)
    is_open = found.can_be_used(now())
    return {
        "voucher": found,
        "title": line.item.title_in(language()),
        "is_open": is_open,
        "code": vouchers.grouped(code) if code and is_open else None,
        "drawn": _drawn(deployment().address(f"/v/{code}")) if code and is_open else None,
        "stores": joined(names) if names else None,
        "store": line.store,
        "state": state_text(found),
        "paid": paid_text(found),
    }


def _drawn(address: str) -> dict[str, Any]:
    """A QR code as one path, with its size in modules."""
    modules = qr.modules_of(address)
    runs = sorted(qr.runs_of(modules))
    path = "".join(f"M{x} {y}h{wide}v{high}h-{wide}z" for x, y, wide, high in runs)
    return {"path": path, "size": len(modules)}


def standing(offer: Offer) -> str | None:
    """What stands between a customer and an item; None for nothing."""
    item = offer.item
    if offer.is_over and not offer.won:
        return _("Over since %(day)s", day=format_date(item.ends_at, "long"))
    if not offer.has_begun:
        return _("From %(day)s on", day=format_date(item.starts_at, "long"))
    if item.stock == 0:
        return _("None left")
    if offer.won:
        return None
    if offer.is_enough:
        return _("You have had as many as one person gets.")
    if offer.missing:
        return ngettext(
            "%(points)s more point needed",
            "%(points)s more points needed",
            offer.missing,
            points=format_number(offer.missing),
        )
    return None


def left_text(offer: Offer) -> str | None:
    """How many are left, where they are few."""
    stock = offer.item.stock
    if not 0 < stock <= FEW:
        return None
    return ngettext("%(num)s left", "%(num)s left", stock)


def joined(names: list[str]) -> str:
    return format_list(names, locale=get_locale())


def state_text(found: Voucher) -> str:
    if found.state == VoucherState.issued and not found.can_be_used(now()):
        return STATES[VoucherState.expired]()
    return STATES[VoucherState(found.state)]()


def paid_text(found: Voucher) -> str:
    """What a voucher was paid with."""
    if not found.is_for_points:
        return _("Won")
    return ngettext(
        "%(amount)s point", "%(amount)s points", found.amount, amount=format_number(found.amount)
    )


def _signed_in(**path: Any) -> SignedInCustomer | Response:
    """Who is signed in here; somebody else is sent to sign in and back to this page."""
    signed_in = customer()
    if signed_in is not None:
        with deployment().db.read() as tx:
            if people.is_customer(tx, signed_in.id):
                return signed_in
        session.clear()  # older than a database that was set up anew
    return redirect(url_for("member.sign_in", next=url_for(request.endpoint or "", **path)), 303)
