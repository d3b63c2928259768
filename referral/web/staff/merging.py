"""Two customers who are one person: what both have, side by side, and making them one."""

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _

from referral import actions, people
from referral.people import REASON_LENGTH_MAX
from referral.reports import lists, merging
from referral.staff import Right, StaffMember
from referral.web.context import deployment
from referral.web.staff.auth import Page, name_of, require
from referral.web.staff.blueprint import staff
from referral.web.staff.forms import Form
from referral.web.staff.search import QUERY_LENGTH_MAX, customers_named

_CUSTOMER = "<int(max=9223372036854775807):customer_id>"
_OTHER = "<int(max=9223372036854775807):other_id>"


# A form and no address: what is typed is often a phone number, and addresses end up in logs.
@staff.post(f"/customers/{_CUSTOMER}/same")
@require(Right.help)
def find_same(member: StaffMember, customer_id: int) -> Page:
    form = Form(request.form)
    typed = form.text("other", least=1, most=QUERY_LENGTH_MAX)
    with deployment().db.read() as tx:
        here = people.customer_by_id(tx, customer_id).id
        found = customers_named(tx, typed) if form.ok else []
        names = lists.names(tx, deployment().keys, found)
    others = [each for each in found if each != here]
    if len(others) == 1:
        return redirect(url_for(".same", customer_id=here, other_id=others[0]), 303)
    if found and not others:
        form.refuse("other", _("This is the customer whose page you came from."))
    elif not others:
        form.refuse("other", _("We know no other customer by this."))
    page = render_template(
        "staff/same.html", form=form, origin=here, others=others, names=names, found=None
    )
    return page, 200 if form.ok else 422


@staff.get(f"/customers/{_CUSTOMER}/same/{_OTHER}")
@require(Right.help)
def same(member: StaffMember, customer_id: int, other_id: int) -> Page:
    return _preview(customer_id, other_id, Form())


@staff.post(f"/customers/{_CUSTOMER}/same/{_OTHER}")
@require(Right.help)
def merge_customers(member: StaffMember, customer_id: int, other_id: int) -> Page:
    form = Form(request.form)
    reason = form.text("reason", least=1, most=REASON_LENGTH_MAX)
    keep = form.typed("keep")
    if keep not in {str(customer_id), str(other_id)}:
        form.refuse("keep", _("Choose one of the two."))
    if not form.ok:
        return _preview(customer_id, other_id, form)
    merged = actions.merge_customers(
        deployment(), customer_id, other_id, by=name_of(member), reason=reason, keep=int(keep)
    )
    if merged.gone is None:
        flash(_("These two had been made one before."))
    else:
        flash(_("They are one customer now."))
    return redirect(url_for(".customer", customer_id=merged.kept), 303)


def _preview(customer_id: int, other_id: int, form: Form) -> Page:
    with deployment().db.read() as tx:
        found = merging.preview(tx, deployment().keys, customer_id, other_id)
        here = people.customer_by_id(tx, customer_id).id
    if found is None:
        flash(_("These two had been made one before."))
        return redirect(url_for(".customer", customer_id=here), 303)
    page = render_template(
        "staff/same.html", form=form, origin=here, others=[], names={}, found=found
    )
    return page, 200 if form.ok else 422
