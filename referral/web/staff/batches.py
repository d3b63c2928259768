"""Batches: the list, and the form that issues one."""

from zoneinfo import ZoneInfo

from flask import flash, redirect, render_template, request, url_for
from flask_babel import format_number
from flask_babel import gettext as _

from referral import actions, batches
from referral.batches import NAME_LENGTH_MAX, SIZE_MAX, Scheme
from referral.errors import Problem, Unavailable
from referral.ranges import Terms
from referral.reports import batches as report
from referral.reports import lists, stores
from referral.staff import Right, StaffMember
from referral.web.context import deployment
from referral.web.language import in_words
from referral.web.staff import terms
from referral.web.staff.auth import Page, name_of, require
from referral.web.staff.blueprint import staff
from referral.web.staff.forms import Form, offset_of

PRODUCTS_OFFERED = 500


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
    # Left out by forms that are older than the choice.
    scheme = form.one_of("scheme", list(Scheme)) if form.typed("scheme") else str(Scheme.small)
    with deployment().db.read() as tx:
        offered = stores.choices(tx)
    filled = terms.read(form, offered, ZoneInfo(deployment().config.timezone))
    if not form.typed("gtin"):
        form.refuse("gtin", _("Please choose a product."))
    if form.ok and count is not None and scheme is not None:
        try:
            batch = actions.issue_batch(
                deployment(),
                gtin=form.typed("gtin"),
                count=count,
                name=name,
                scheme=Scheme(scheme),
                terms=Terms(**filled),
                by=name_of(member),
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
            listed=report.lines(tx, offset=offset_of(request.args)),
            products=lists.products(tx, limit=PRODUCTS_OFFERED).rows,
            stores=stores.choices(tx),
            terms_filled=any(form.typed(name) for name in terms.FIELDS),
            form=form,
        )
