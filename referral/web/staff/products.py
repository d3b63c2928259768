"""Products: the list, and the form that adds one."""

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _

from referral import actions
from referral.catalog import NAME_LENGTH_MAX, ProductExists
from referral.codes import Labels
from referral.gs1.gtin import BadGTIN, gtin14
from referral.reports import lists
from referral.staff import Right, StaffMember
from referral.web.context import deployment
from referral.web.staff import words
from referral.web.staff.auth import Page, name_of, require
from referral.web.staff.blueprint import staff
from referral.web.staff.forms import Form, offset_of
from referral.web.staff.words import LABEL_SETS as LABELS

CURRENCY_DEFAULT = "CNY"


@staff.get("/products")
@require(Right.read)
def products(member: StaffMember) -> Page:
    return _page(Form())


@staff.post("/products")
@require(Right.change)
def add_product(member: StaffMember) -> Page:
    form = Form(request.form)
    gtin = _gtin(form)
    name = form.text("name", least=1, most=NAME_LENGTH_MAX)
    currency = form.currency("currency")
    price = form.price("price", currency)
    # Left out by forms that are older than the choice.
    labels = form.typed("labels") or Labels.single
    if labels not in set(Labels):
        form.refuse("labels", _("Please choose one of these."))
    if form.ok and price is not None and currency is not None:
        with form.refusing({ProductExists: "gtin"}):
            actions.add_product(
                deployment(),
                gtin=gtin,
                name=name,
                price=price,
                currency=currency,
                labels=Labels(labels),
                by=name_of(member),
            )
            flash(_("“%(name)s” is added.", name=name))
            return redirect(url_for(".product", gtin=gtin), 303)
    return _page(form), 422


def _gtin(form: Form) -> str:
    try:
        return gtin14(form.typed("gtin").replace(" ", "").replace("-", ""))
    except BadGTIN:
        form.refuse(
            "gtin",
            _("This is not a GTIN: it has 8, 12, 13 or 14 digits and the last one checks them."),
        )
        return ""


def _page(form: Form) -> str:
    with deployment().db.read() as tx:
        listed = lists.products(tx, offset=offset_of(request.args))
    used = listed.rows[0].currency if listed.rows else CURRENCY_DEFAULT
    form.values.setdefault("currency", used)
    labels = [(value, _(word)) for value, word in LABELS.items()]
    return render_template(
        "staff/products.html", listed=listed, form=form, words=words, labels=labels
    )
