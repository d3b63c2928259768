"""One coupon: found by its code, what has become of it, and making it good again."""

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _

from referral import actions, audit, coupons, orders
from referral.actions.coupons import subject_of
from referral.coupons import UnknownCoupon, returns
from referral.coupons.returns import CouponNotUsed
from referral.people import REASON_LENGTH_MAX
from referral.reports import customers
from referral.staff import Right, StaffMember
from referral.web.context import deployment, now
from referral.web.language import in_words
from referral.web.staff.auth import Page, name_of, require
from referral.web.staff.blueprint import staff
from referral.web.staff.forms import Form

TYPED_LENGTH_MAX = 200
_PAGE = "/coupon/<int(max=9223372036854775807):coupon_id>"


@staff.get("/coupon")
@require(Right.read)
def coupon_search(member: StaffMember) -> Page:
    return render_template("staff/coupon_search.html", form=Form())


# A form and no address: who has a code can use the coupon, and addresses end up in logs.
@staff.post("/coupon")
@require(Right.read)
def find_coupon(member: StaffMember) -> Page:
    form = Form(request.form)
    typed = form.text("code", least=1, most=TYPED_LENGTH_MAX)
    if form.ok:
        try:
            with deployment().db.read() as tx:
                found = coupons.find(tx, deployment().keys, typed)
            return redirect(url_for(".coupon", coupon_id=found.coupon.id), 303)
        except UnknownCoupon as problem:
            form.refuse("code", in_words(problem))
    return render_template("staff/coupon_search.html", form=form), 422


@staff.get(_PAGE)
@require(Right.read)
def coupon(member: StaffMember, coupon_id: int) -> Page:
    return _page(coupon_id, Form())


@staff.post(_PAGE)
@require(Right.help)
def make_coupon_good(member: StaffMember, coupon_id: int) -> Page:
    form = Form(request.form)
    reason = form.text("reason", least=1, most=REASON_LENGTH_MAX)
    if not form.ok:
        return _page(coupon_id, form), 422
    try:
        actions.make_coupon_good(deployment(), coupon_id, reason=reason, by=name_of(member))
    except CouponNotUsed as problem:
        form.refuse("", in_words(problem))
        return _page(coupon_id, form), problem.status
    flash(_("Done. What the order had taken is given back."))
    return redirect(url_for(".coupon", coupon_id=coupon_id), 303)


def _page(coupon_id: int, form: Form) -> str:
    with deployment().db.read() as tx:
        held = returns.by_id(tx, coupon_id)
        used_by = held.coupon.used_by
        name = customers.name_of(tx, deployment().keys, held.holder) if held.holder else None
        return render_template(
            "staff/coupon.html",
            coupon=held.coupon,
            pool=held.pool,
            holder=held.holder,
            name=name,
            state=held.state_at(now()),
            is_over=held.coupon.expires_at is not None and held.coupon.expires_at <= now(),
            order=orders.find_order(tx, used_by) if used_by else None,
            decisions=audit.of_subject(tx, subject_of(coupon_id)),
            form=form,
        )
