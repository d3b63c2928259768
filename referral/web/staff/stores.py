"""Stores: the outlets and distributors that codes go to, and the form that adds one."""

import re

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _

from referral import actions
from referral.reports import stores as report
from referral.staff import Right, StaffMember
from referral.stores import (
    NAME_LENGTH_MAX,
    SLUG_LENGTH_MAX,
    SLUG_PATTERN,
    StoreExists,
    StoreKind,
)
from referral.web.context import deployment
from referral.web.staff import regions, words
from referral.web.staff.auth import Page, name_of, require
from referral.web.staff.blueprint import staff
from referral.web.staff.forms import Form, offset_of

REGION_TYPED_MAX = 80


@staff.get("/stores")
@require(Right.read)
def stores(member: StaffMember) -> Page:
    return _page(Form())


@staff.post("/stores")
@require(Right.change)
def add_store(member: StaffMember) -> Page:
    form = Form(request.form)
    name = form.text("name", least=1, most=NAME_LENGTH_MAX)
    slug = _slug(form)
    kind = form.one_of("kind", set(StoreKind))
    region = _region(form)
    if form.ok and kind is not None:
        with form.refusing({StoreExists: "slug"}):
            actions.add_store(
                deployment(),
                slug=slug,
                name=name,
                kind=StoreKind(kind),
                region=region,
                by=name_of(member),
            )
            flash(_("“%(name)s” is added.", name=name))
            return redirect(url_for(".stores"), 303)
    return _page(form), 422


def _slug(form: Form) -> str:
    slug = form.text("slug", least=1, most=SLUG_LENGTH_MAX)
    if slug and not re.fullmatch(SLUG_PATTERN, slug):
        form.refuse("slug", _("Use small letters and digits, parted by single dashes."))
    return slug


def _region(form: Form) -> str | None:
    found, unknown = regions.read(form.text("region", most=REGION_TYPED_MAX))
    if unknown or len(found) > 1:
        form.refuse(
            "region",
            _("Please give one province or country, by its name or its code such as CN-GD."),
        )
    return found[0] if found else None


def _page(form: Form) -> str:
    with deployment().db.read() as tx:
        listed = report.lines(tx, offset=offset_of(request.args))
    kinds = [(kind.value, words.store_kind(kind)) for kind in StoreKind]
    return render_template("staff/stores.html", listed=listed, form=form, kinds=kinds)
