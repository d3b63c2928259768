"""A store's page: a clerk scans a voucher, sees what to hand over to whom, and accepts it, once.

Whoever has a till's link signs a device in with a cookie of its own. Every GET only looks. The
press that accepts a voucher is named by the page it is made on: sent again, it gets its first
answer.
"""

import secrets
from datetime import timedelta
from typing import Any

from flask import (
    Blueprint,
    after_this_request,
    jsonify,
    redirect,
    render_template,
    request,
    url_for,
)
from flask_babel import format_datetime
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from referral import actions
from referral.errors import Problem, TooMany
from referral.redemption import tills, vouchers
from referral.redemption.tills import Till, TillTokens
from referral.redemption.vouchers import KEY_LENGTH_MAX, UnknownVoucher, Voucher
from referral.reports import items as item_report
from referral.reports import vouchers as report
from referral.reports.vouchers import AtTill
from referral.stores import Store
from referral.web import errors, redeeming
from referral.web.context import deployment, now, remote_address, signed_in_id
from referral.web.language import in_words, language

COOKIE = "referral_till"
COOKIE_LIFETIME = timedelta(days=400)
"""As long as browsers let a cookie live; closing the till ends it sooner."""
TYPED_LENGTH_MAX = 200
SHOWN = 5
Page = str | tuple[str, int] | tuple[str, int, dict[str, str]] | tuple[Response, int] | Response

till = Blueprint("till", __name__)


@till.get("/till/<token>")
def sign_in(token: str) -> Page:
    """Sign this device in, and go on to an address without the token."""
    till_id = _tokens().read(token)
    with deployment().db.read() as tx:
        found = tills.open_till(tx, till_id) if till_id is not None else None
    if found is None:
        raise tills.UnknownTill()
    response = redirect(url_for("till.counter"))
    response.set_cookie(
        COOKIE,
        token,
        max_age=COOKIE_LIFETIME,
        httponly=True,
        samesite="Lax",
        secure=deployment().config.is_https,
    )
    response.headers["Cache-Control"] = "no-store"
    return response


@till.get("/till")
def counter() -> Page:
    """Where a clerk scans or types a voucher."""
    return _counter_page()


@till.post("/till/leave")
def leave() -> Page:
    response = redirect(url_for("till.counter"), 303)
    response.delete_cookie(COOKIE, samesite="Lax")
    return response


@till.get("/v")
def typed() -> Page:
    """A code that was typed, on to the voucher's page."""
    code = request.args.get("code", "")
    read = vouchers.read_code(code[:TYPED_LENGTH_MAX])
    if read is None:
        return _counter_page(code, in_words(UnknownVoucher())), UnknownVoucher.status
    return redirect(url_for("till.shown", code=read))


@till.get("/v/<code>")
def shown(code: str) -> Page:
    """A voucher: for a till what to hand over; for its customer her own page; else a hint."""
    at = _here()
    try:
        found = _look(code, at)
    except (UnknownVoucher, TooMany) as problem:
        return _counter_page("", in_words(problem)), problem.status, errors.wait(problem)
    if at is not None and isinstance(found, AtTill):
        return _voucher_page(code, found, at, press=_press(request.args))
    assert isinstance(found, Voucher)
    if found.customer_id == signed_in_id():
        return redirect(url_for("member.voucher", voucher_id=found.id))
    return _stranger_page(found)


@till.post("/v/<code>/accept")
def accept(code: str) -> Page:
    """Accept a voucher; the same press again gets the first answer."""
    at, press = _here(), _press(request.form)
    try:
        if at is None or press is None:
            raise tills.TillClosed()
        _look(code, at)
        read = vouchers.read_code(code[:TYPED_LENGTH_MAX])
        accepted = actions.accept_voucher(deployment(), at[0].id, read, press=press)
    except (*_REFUSALS, TooMany) as problem:
        return _refused(code, at, problem)
    if _wants_json():
        return jsonify(_told(accepted.voucher)), 200
    return redirect(url_for("till.shown", code=code, press=press), 303)


_REFUSALS = (
    tills.TillClosed,
    vouchers.UnknownVoucher,
    vouchers.HandedOver,
    vouchers.VoucherUndone,
    vouchers.VoucherExpired,
    vouchers.OtherStore,
)


def _refused(code: str, at: tuple[Till, Store] | None, problem: Problem) -> Page:
    if _wants_json():
        # The whole story is on the voucher's page; this is what the waiting script says.
        answer = jsonify({"accepted": False, "title": _(problem.title), "text": _(problem.advice)})
        answer.headers.update(errors.wait(problem))
        return answer, problem.status
    if at is None or isinstance(problem, UnknownVoucher | TooMany):
        page = _counter_page("", in_words(problem))
        return page, problem.status, errors.wait(problem)
    found = _look(code, at)
    assert isinstance(found, AtTill)
    return _voucher_page(code, found, at), problem.status


def _told(accepted: Voucher) -> dict[str, Any]:
    with deployment().db.read() as tx:
        line = report.one(tx, accepted.id)
    return {
        "accepted": True,
        "title": _("Accepted: hand it over"),
        "text": line.item.title_in(language()),
        "at": _at(accepted),
    }


def _look(code: str, at: tuple[Till, Store] | None) -> AtTill | Voucher:
    """A voucher as this device may see it; wrong codes count.

    Raises `UnknownVoucher`, `TooMany`.
    """
    d = deployment()
    signed_in = signed_in_id()
    if at is not None:
        tried = d.limits.voucher(f"till {at[0].id}")
    elif signed_in is not None:
        tried = d.limits.voucher(f"customer {signed_in}")
    else:
        tried = d.limits.voucher_address(remote_address())
    read = vouchers.read_code(code[:TYPED_LENGTH_MAX])
    with d.db.read() as tx:
        found: AtTill | Voucher = (
            report.at_till(tx, d.keys, read, at[1], now())
            if at is not None
            else vouchers.by_code(tx, d.keys, read)
        )
    d.limits.give_back(tried)
    return found


def _here() -> tuple[Till, Store] | None:
    """The till that this device is signed in as, and its store."""
    till_id = _tokens().read(request.cookies.get(COOKIE, ""))
    if till_id is None:
        return None
    with deployment().db.read() as tx:
        return tills.open_till(tx, till_id)


def _tokens() -> TillTokens:
    return TillTokens(deployment().keys)


def _press(sent: Any) -> str | None:
    """What a press is named by."""
    press = str(sent.get("press", ""))
    is_one = 16 <= len(press) <= KEY_LENGTH_MAX and press.isascii() and press.isprintable()
    return press if is_one else None


def _wants_json() -> bool:
    return request.accept_mimetypes.best == "application/json"


def _at(voucher: Voucher) -> str:
    return str(format_datetime(voucher.accepted_at, "medium"))


def _counter_page(typed: str = "", error: str | None = None) -> str:
    at = _here()
    with deployment().db.read() as tx:
        lately = report.of_till(tx, at[0].id, SHOWN) if at else []
    if at is not None:
        after_this_request(_let_camera)
    return render_template(
        "till.html",
        till=at[0] if at else None,
        store=at[1] if at else None,
        typed=typed[:TYPED_LENGTH_MAX],
        error=error,
        lately=[(line, line.item.title_in(language())) for line in lately],
    )


def _let_camera(response: Response) -> Response:
    """The page scans with the camera where the browser can."""
    response.headers["Permissions-Policy"] = "camera=(self), microphone=(), geolocation=()"
    return response


def _voucher_page(
    code: str, found: AtTill, at: tuple[Till, Store], press: str | None = None
) -> str:
    voucher = found.line.voucher
    was_this = press is not None and (voucher.till_id, voucher.press) == (at[0].id, press)
    refused = None if was_this and found.refused is vouchers.HandedOver else found.refused
    return render_template(
        "till_voucher.html",
        till=at[0],
        store=at[1],
        voucher=voucher,
        title=found.line.item.title_in(language()),
        name=f"{found.name}**" if found.name else _("A customer without a name"),
        is_accepted=was_this and refused is None,
        refused=(_(refused.title), _(refused.advice)) if refused else None,
        accepted=(found.line.store, _at(voucher)) if voucher.accepted_at else None,
        stores=redeeming.joined(found.stores) if found.stores else None,
        code=code,
        press=secrets.token_urlsafe(),
    )


def _stranger_page(found: Voucher) -> str:
    """For whoever has a voucher's code and is neither a till nor its customer."""
    with deployment().db.read() as tx:
        line = report.one(tx, found.id)
        names = item_report.store_names(tx, line.item.id)
    return render_template(
        "voucher_hint.html",
        title=line.item.title_in(language()),
        state=redeeming.state_text(found),
        stores=redeeming.joined(names) if names else None,
    )
