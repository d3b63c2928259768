"""Vouchers: all of them by state, store and item, one of them, and undoing it within a day."""

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _

from referral import actions, audit
from referral.redemption import vouchers
from referral.redemption.vouchers import (
    REASON_LENGTH_MAX,
    TooLateToUndo,
    UnknownVoucher,
    VoucherExpired,
    VoucherState,
)
from referral.reports import customers
from referral.reports import items as item_report
from referral.reports import stores as store_report
from referral.reports import vouchers as report
from referral.staff import Right, StaffMember
from referral.web.context import deployment, now
from referral.web.language import in_words, language
from referral.web.staff import words
from referral.web.staff.auth import Page, name_of, require
from referral.web.staff.blueprint import staff
from referral.web.staff.forms import Form, offset_of

TYPED_LENGTH_MAX = 200


@staff.get("/vouchers")
@require(Right.read)
def vouchers_list(member: StaffMember) -> Page:
    return _list_page(Form())


# A form and no address: who has a code can use the voucher, and addresses end up in logs.
@staff.post("/vouchers")
@require(Right.read)
def find_voucher(member: StaffMember) -> Page:
    form = Form(request.form)
    typed = form.text("code", least=1, most=TYPED_LENGTH_MAX)
    if form.ok:
        try:
            with deployment().db.read() as tx:
                found = vouchers.by_code(tx, deployment().keys, vouchers.read_code(typed))
            return redirect(url_for(".voucher", voucher_id=found.id), 303)
        except UnknownVoucher as problem:
            form.refuse("code", _(problem.title))
    return _list_page(form), 422


@staff.get("/vouchers/<int(max=9223372036854775807):voucher_id>")
@require(Right.read)
def voucher(member: StaffMember, voucher_id: int) -> Page:
    return _page(voucher_id, Form())


@staff.post("/vouchers/<int(max=9223372036854775807):voucher_id>")
@require(Right.help)
def undo_voucher(member: StaffMember, voucher_id: int) -> Page:
    form = Form(request.form)
    reason = form.text("reason", least=1, most=REASON_LENGTH_MAX)
    if not form.ok:
        return _page(voucher_id, form), 422
    try:
        actions.undo_redemption(deployment(), voucher_id, reason=reason, by=name_of(member))
    except (TooLateToUndo, VoucherExpired) as problem:
        form.refuse("", in_words(problem))
        return _page(voucher_id, form), problem.status
    flash(_("Undone. What was paid went back, and the item is in stock again."))
    return redirect(url_for(".voucher", voucher_id=voucher_id), 303)


def _list_page(form: Form) -> str:
    with deployment().db.read() as tx:
        stores, items = store_report.choices(tx), item_report.choices(tx)
        state = request.args.get("state")
        store = next((s for s in stores if s.slug == request.args.get("store")), None)
        item = next((i for i in items if i.slug == request.args.get("item")), None)
        chosen = {
            "state": state if state in set(VoucherState) else None,
            "store": store.slug if store else None,
            "item": item.slug if item else None,
        }
        listed = report.all_of(
            tx,
            state=chosen["state"],
            store_id=store.id if store else None,
            item_id=item.id if item else None,
            offset=offset_of(request.args),
        )
    return render_template(
        "staff/vouchers.html",
        listed=listed,
        form=form,
        chosen=chosen,
        options={
            "state": [(each.value, words.voucher_state(each)) for each in VoucherState],
            "store": [(each.slug, each.name) for each in stores],
            "item": [(each.slug, each.title_in(language())) for each in items],
        },
        language=language(),
    )


def _page(voucher_id: int, form: Form) -> str:
    with deployment().db.read() as tx:
        line = report.one(tx, voucher_id)
        return render_template(
            "staff/voucher.html",
            line=line,
            voucher=line.voucher,
            title=line.item.title_in(language()),
            name=customers.name_of(tx, deployment().keys, line.voucher.customer_id),
            can_be_undone=(
                line.voucher.state in {VoucherState.issued, VoucherState.accepted}
                and now() < line.voucher.undo_until
            ),
            notes=audit.of_subject(tx, f"voucher:{voucher_id}"),
            form=form,
        )
