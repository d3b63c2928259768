"""A product's page: its data, its batches, what its packages carry and where it leads to."""

import re

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _

from referral import actions, catalog, product_links
from referral.codes import Labels
from referral.config import LANGUAGES
from referral.errors import N_
from referral.gs1 import link_types
from referral.gs1.target import Target
from referral.product_links import LINKS_MAX, BadLinks
from referral.reports import products as report
from referral.staff import Right, StaffMember
from referral.web.context import deployment
from referral.web.language import OWN_NAMES
from referral.web.staff.auth import Page, name_of, require
from referral.web.staff.blueprint import staff
from referral.web.staff.forms import Form
from referral.web.staff.words import LABEL_SETS

EMPTY_ROWS = 2
"""How many links can be added at once."""
OWN_PAGE = "own"
"""The value of the field that says that no link is the default."""
TEXT_LENGTH_MAX = 2000
"""Of one field as it is sent; what is wrong with it is said later and better."""

LINK_TYPES = {
    "pip": N_("Product page"),
    "instructions": N_("Instructions"),
    "ingredientsInfo": N_("Ingredients"),
    "nutritionalInfo": N_("Nutrition facts"),
    "allergenInfo": N_("Allergens"),
    "recipeInfo": N_("Recipes"),
    "consumerHandlingStorageInfo": N_("Storage and handling"),
    "safetyInfo": N_("Safety"),
    "recallStatus": N_("Recalls"),
    "certificationInfo": N_("Certificates"),
    "sustainabilityInfo": N_("Sustainability"),
    "traceability": N_("Where it comes from"),
    "hasRetailers": N_("Where to buy"),
    "loyaltyProgram": N_("Loyalty programme"),
    "promotion": N_("Promotion"),
    "review": N_("Reviews"),
    "relatedVideo": N_("Video"),
    "socialMedia": N_("Social media"),
    "support": N_("Customer service"),
    "faqs": N_("Questions and answers"),
}
"""The types a consumer brand needs, in words; the others are offered by GS1's own names."""
MEDIA_TYPES = {
    "text/html": N_("Web page"),
    "application/pdf": "PDF",
    "image/jpeg": N_("Picture"),
    "video/mp4": N_("Video"),
    "application/json": "JSON",
}

# Field names of a row, and the fields of `Target` that they are.
_FIELDS = {
    "type": "link_type",
    "href": "href",
    "title": "title",
    "language": "language",
    "media": "media_type",
}
_ROW = re.compile(r"href-([0-9]{1,3})")


@staff.get("/products/<gtin>")
@require(Right.read)
def product(member: StaffMember, gtin: str) -> Page:
    with deployment().db.read() as tx:
        found = catalog.product_by_gtin(tx, gtin)
        targets = product_links.links_of(tx, found.id)
    return _page(gtin, _form_of(targets))


@staff.post("/products/<gtin>")
@require(Right.change)
def set_links(member: StaffMember, gtin: str) -> Page:
    form = Form(request.form)
    rows = _filled_rows(form)
    try:
        targets = [_target(form, row) for row in rows]
        actions.set_product_links(deployment(), gtin, targets, by=name_of(member))
    except BadLinks as problem:
        _show_faults(form, rows, problem)
        return _page(gtin, form), 422
    flash(_("The links are kept."))
    return redirect(url_for(".product", gtin=gtin), 303)


@staff.post("/products/<gtin>/labels")
@require(Right.change)
def set_labels(member: StaffMember, gtin: str) -> Page:
    chosen = Form(request.form).typed("labels")
    if chosen in set(Labels):
        actions.set_labels(deployment(), gtin, Labels(chosen), by=name_of(member))
        flash(_("The next batch is issued that way."))
    return redirect(url_for(".product", gtin=gtin), 303)


def _form_of(targets: list[Target]) -> Form:
    form = Form()
    form.values["default"] = OWN_PAGE
    for row, target in enumerate(targets):
        for field, name in _FIELDS.items():
            form.values[f"{field}-{row}"] = getattr(target, name)
        if target.is_default:
            form.values["default"] = str(row)
    return form


def _filled_rows(form: Form) -> list[int]:
    """The numbers of the rows in which there is something, in their order."""
    found = sorted({int(match[1]) for name in form.values if (match := _ROW.fullmatch(name))})
    return [row for row in found if form.typed(f"href-{row}") or form.typed(f"title-{row}")]


def _target(form: Form, row: int) -> Target:
    href = form.values.get(f"href-{row}", "").strip()
    return Target(
        link_type=link_types.short(form.typed(f"type-{row}")),
        href=href,
        title=form.text(f"title-{row}", most=TEXT_LENGTH_MAX),
        language=form.typed(f"language-{row}"),
        media_type=form.typed(f"media-{row}"),
        is_default=form.typed("default") == str(row),
    )


def _show_faults(form: Form, rows: list[int], problem: BadLinks) -> None:
    fields = {name: field for field, name in _FIELDS.items()}
    for fault in problem.faults:
        if fault.position < len(rows) and fault.field in fields:
            name = f"{fields[fault.field]}-{rows[fault.position]}"
            form.refuse(name, _(fault.message))
        else:
            form.refuse("", _(fault.message))


def _page(gtin: str, form: Form) -> str:
    with deployment().db.read() as tx:
        found = catalog.product_by_gtin(tx, gtin)
        used = report.usage(tx, found)
    filled = _filled_rows(form)
    rows = [*filled, *range(max(filled, default=-1) + 1, LINKS_MAX)][: len(filled) + EMPTY_ROWS]
    return render_template(
        "staff/product.html",
        product=found,
        address=deployment().address(f"/01/{found.gtin}"),
        usage=used,
        form=form,
        rows=rows,
        own_page=OWN_PAGE,
        labels=LABEL_SETS,
        link_types=LINK_TYPES,
        other_types=sorted(link_types.DESCRIPTIVE - set(LINK_TYPES)),
        languages_offered={tag: OWN_NAMES[tag] for tag in LANGUAGES},
        media_types=MEDIA_TYPES,
    )
