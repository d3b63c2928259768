"""Batches: the list, the form that issues one, and a batch's page with its ranges."""

from flask import flash, redirect, render_template, request, url_for
from flask_babel import format_number
from flask_babel import gettext as _

from referral import actions, batches
from referral.batches import (
    NAME_LENGTH_MAX,
    REASON_LENGTH_MAX,
    SIZE_MAX,
    BadRange,
    RangeState,
    Span,
    UnknownBatch,
)
from referral.codes import Code
from referral.errors import Problem, Unavailable
from referral.reports import lists
from referral.staff import Right, StaffMember
from referral.web.context import deployment
from referral.web.language import in_words
from referral.web.staff import words
from referral.web.staff.auth import Page, name_of, require
from referral.web.staff.blueprint import staff
from referral.web.staff.forms import Form, offset_of

CODES_SHOWN = 5
PRODUCTS_OFFERED = 500
SETTABLE = {"activated": RangeState.activated, "voided": RangeState.voided}


@staff.get("/batches")
@require(Right.read)
def batch_list(member: StaffMember) -> Page:
    form = Form()
    form.values["gtin"] = request.args.get("gtin", "")
    return _list_page(form)


@staff.post("/batches")
@require(Right.change)
def issue_batch(member: StaffMember) -> Page:
    form = Form(request.form)
    count = form.whole("count", low=1, high=SIZE_MAX)
    name = form.text("name", least=1, most=NAME_LENGTH_MAX)
    if not form.typed("gtin"):
        form.refuse("gtin", _("Please choose a product."))
    if form.ok and count is not None:
        try:
            batch = actions.issue_batch(
                deployment(), gtin=form.typed("gtin"), count=count, name=name, by=name_of(member)
            )
        except Unavailable:
            raise
        except batches.CodesExhausted as problem:
            form.refuse("count", in_words(problem))
        except Problem:
            form.refuse("gtin", _("Please choose a product."))
        else:
            flash(
                _(
                    "%(count)s codes are issued. They stay dark until you activate them.",
                    count=format_number(count),
                )
            )
            return redirect(url_for(".batch", batch_id=batch.id), 303)
    return _list_page(form), 422


def _list_page(form: Form) -> str:
    with deployment().db.read() as tx:
        return render_template(
            "staff/batches.html",
            listed=lists.batches(tx, offset=offset_of(request.args)),
            products=lists.products(tx, limit=PRODUCTS_OFFERED).rows,
            form=form,
        )


@staff.get("/batches/<int(max=9223372036854775807):batch_id>")
@require(Right.read)
def batch(member: StaffMember, batch_id: int) -> Page:
    return _page(member, batch_id, Form())


@staff.post("/batches/<int(max=9223372036854775807):batch_id>")
@require(Right.change)
def set_range(member: StaffMember, batch_id: int) -> Page:
    """Activate or void a range; both ends are asked for, so that nothing happens to more."""
    with deployment().db.read() as tx:
        size = batches.batch_by_id(tx, batch_id).size
    form = Form(request.form)
    state = SETTABLE.get(form.typed("state"))
    start = form.whole("start", low=0, high=size - 1)
    end = form.whole("end", low=1, high=size)
    # A withdrawal is looked into later, so its reason is not optional.
    least = 1 if state is RangeState.voided else 0
    reason = form.text("reason", least=least, most=REASON_LENGTH_MAX)
    if form.ok and state is not None:
        try:
            actions.set_range(
                deployment(),
                batch_id,
                state,
                start=start,
                end=end,
                reason=reason,
                by=name_of(member),
            )
        except BadRange:
            form.refuse("end", _("The end must lie after the start."))
        else:
            flash(_("The range is %(state)s now.", state=words.state(state).lower()))
            return redirect(url_for(".batch", batch_id=batch_id), 303)
    return _page(member, batch_id, form), 422


def _page(member: StaffMember, batch_id: int, form: Form) -> str:
    with deployment().db.read() as tx:
        found = lists.batch(tx, batch_id)
        if found is None:
            raise UnknownBatch()
        spans = batches.ranges(tx, batch_id)
        return render_template(
            "staff/batch.html",
            batch=found,
            spans=spans,
            scans=lists.batch_scans(tx, batch_id),
            changes=lists.range_changes(tx, batch_id),
            # A code is worth what it pays: only those who may issue them see unclaimed ones.
            codes=_first_codes(batch_id, found.size) if member.may(Right.change) else None,
            activate=_form_for(form, "activated", spans),
            void=_form_for(form, "voided", spans),
        )


def _form_for(sent: Form, state: str, spans: list[Span]) -> Form:
    """What was sent for this state; else the first range that is not activated yet."""
    if sent.values.get("state") == state:
        return sent
    form = Form()
    waiting = next((span for span in spans if span.state == RangeState.issued), None)
    if state == RangeState.activated and waiting is not None:
        form.values |= {"start": str(waiting.start), "end": str(waiting.end)}
    return form


def _first_codes(batch_id: int, size: int) -> list[tuple[Code, str]]:
    """The batch's first codes, each with the address that is printed."""
    entry = deployment().directory.batch(batch_id)
    codes = [deployment().codes.encode(entry, index) for index in range(min(size, CODES_SHOWN))]
    return [(code, deployment().address(f"/01/{entry.gtin}/21/{code.text}")) for code in codes]
