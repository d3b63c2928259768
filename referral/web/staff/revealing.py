"""A customer's whole numbers and addresses: shown in one answer, for a reason that is kept."""

from enum import StrEnum

from flask import make_response, redirect, render_template, request, url_for
from flask_babel import gettext as _

from referral import actions, people
from referral.errors import N_
from referral.reports import customers
from referral.staff import Right, StaffMember
from referral.web.context import deployment
from referral.web.staff.auth import Page, name_of, require
from referral.web.staff.blueprint import staff
from referral.web.staff.forms import Form

REASON_LENGTH_MIN, REASON_LENGTH_MAX = 5, 200
_SHOW = "/customers/<int(max=9223372036854775807):customer_id>/contacts"


class Why(StrEnum):
    complaint = "complaint"
    delivery = "delivery"
    identity = "identity"
    fraud = "fraud"
    request = "request"
    other = "other"


WHYS = {
    Why.complaint: N_("To answer a complaint"),
    Why.delivery: N_("To hand over or send something"),
    Why.identity: N_("To make sure who somebody is"),
    Why.fraud: N_("To look into misuse"),
    Why.request: N_("The person asks what is kept"),
    Why.other: N_("Something else"),
}


@staff.get(_SHOW)
@require(Right.see_people)
def ask_for_contacts(member: StaffMember, customer_id: int) -> Page:
    with deployment().db.read() as tx:
        person = people.customer_by_id(tx, customer_id)
    if person.id != customer_id:
        return redirect(url_for(".ask_for_contacts", customer_id=person.id))
    return _form(customer_id, Form())


@staff.post(_SHOW)
@require(Right.see_people)
def show_contacts(member: StaffMember, customer_id: int) -> Page:
    form = Form(request.form)
    why = form.one_of("why", set(Why))
    reason = form.text("reason", least=REASON_LENGTH_MIN, most=REASON_LENGTH_MAX)
    if not form.ok or why is None:
        return _form(customer_id, form), 422
    deployment().limits.see_contacts(member.id)
    found = actions.see_contacts(
        deployment(), customer_id, why=why, reason=reason, by=name_of(member)
    )
    page = render_template("staff/contacts.html", customer_id=customer_id, contacts=found)
    response = make_response(page)
    response.headers["Cache-Control"] = "no-store"
    return response


def _form(customer_id: int, form: Form) -> str:
    with deployment().db.read() as tx:
        masked = customers.masked_contacts(tx, deployment().keys, customer_id)
    return render_template(
        "staff/contacts_form.html",
        customer_id=customer_id,
        contacts=masked,
        whys=[(why.value, _(said)) for why, said in WHYS.items()],
        form=form,
    )
