"""Items: what customers get for points or win, its stock, and the form for both."""

from decimal import Decimal
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from babel.numbers import get_currency_precision
from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from pydantic import ValidationError

from referral import actions, audit
from referral.config import LANGUAGES
from referral.pictures import UnknownPicture
from referral.redemption import items
from referral.redemption.items import (
    PER_PERSON_MAX,
    POINTS_MAX,
    SLUG_LENGTH_MAX,
    STOCK_MAX,
    TITLE_LENGTH_MAX,
    VOUCHER_DAYS_DEFAULT,
    VOUCHER_DAYS_MAX,
    Item,
    ItemDraft,
    ItemExists,
    ItemTerms,
    NotSoMuchStock,
)
from referral.reports import items as report
from referral.reports import stores as store_report
from referral.staff import Right, StaffMember
from referral.web.context import deployment
from referral.web.language import OWN_NAMES, language
from referral.web.pictures import picture_url
from referral.web.staff.auth import Page, name_of, require
from referral.web.staff.blueprint import staff
from referral.web.staff.contents import picture_of
from referral.web.staff.forms import Form, as_typed, offset_of
from referral.web.staff.uploads import FIRST, take_pictures

REASON_LENGTH_MAX = 200
CHANGES_SHOWN = 20
CURRENCY_DEFAULT = "CNY"
T = TypeVar("T", bound=ItemTerms)


@staff.get("/items")
@require(Right.read)
def items_list(member: StaffMember) -> Page:
    with deployment().db.read() as tx:
        listed = report.lines(tx, offset=offset_of(request.args))
    return render_template("staff/items.html", listed=listed, language=language())


# Not below /items/: that is where items have the names a brand gives them.
@staff.get("/new-item")
@require(Right.change)
def new_item(member: StaffMember) -> Page:
    form = Form({"currency": CURRENCY_DEFAULT, "voucher_days": str(VOUCHER_DAYS_DEFAULT)})
    return _form_page(form, None)


@staff.post("/new-item")
@require(Right.change)
def add_item(member: StaffMember) -> Page:
    form = Form(request.form)
    take_pictures(form)
    slug = form.text("slug", least=1, most=SLUG_LENGTH_MAX)
    stock = form.whole("stock", low=0, high=STOCK_MAX)
    terms = _read(form)
    draft = _checked(form, ItemDraft, {**terms, "slug": slug, "stock": stock})
    if draft is not None:
        with form.refusing({ItemExists: "slug", UnknownPicture: FIRST}):
            actions.add_item(deployment(), draft, by=name_of(member))
            flash(_("“%(name)s” is added.", name=items.title_of(draft.titles, language())))
            return redirect(url_for(".item", slug=draft.slug), 303)
    return _form_page(form, None), 422


@staff.get("/items/<slug>")
@require(Right.read)
def item(member: StaffMember, slug: str) -> Page:
    with deployment().db.read() as tx:
        line = report.line(tx, slug)
    return _form_page(_form_of(line.item, line.stores), slug)


@staff.post("/items/<slug>")
@require(Right.change)
def revise_item(member: StaffMember, slug: str) -> Page:
    form = Form(request.form)
    take_pictures(form)
    change = _stock_change(form)
    reason = form.text("reason", most=REASON_LENGTH_MAX)
    terms = _checked(form, ItemTerms, _read(form))
    if terms is not None:
        with form.refusing({NotSoMuchStock: "change_stock", UnknownPicture: FIRST}):
            actions.revise_item(
                deployment(), slug, terms, change_stock=change, reason=reason, by=name_of(member)
            )
            flash(_("Kept. Customers see it from now on."))
            return redirect(url_for(".item", slug=slug), 303)
    return _form_page(form, slug), 422


def _stock_change(form: Form) -> int:
    """How many are added; below zero for taken away."""
    sign = -1 if form.typed("stock_way") == "less" else 1
    return sign * (form.whole("change_stock", low=0, high=STOCK_MAX, optional=True) or 0)


def _read(form: Form) -> dict[str, Any]:
    """The fields of `ItemTerms` as they were typed, each checked."""
    titles = {tag: form.text(f"title-{tag}", most=TITLE_LENGTH_MAX) for tag in LANGUAGES}
    if not any(titles.values()):
        form.refuse(f"title-{LANGUAGES[0]}", _("Please fill this in."))
    currency = form.currency("currency")
    zone = ZoneInfo(deployment().config.timezone)
    starts_at, ends_at = form.moment("starts_at", zone), form.moment("ends_at", zone)
    if starts_at and ends_at and ends_at <= starts_at:
        form.refuse("ends_at", _("The end must lie after the start."))
    with deployment().db.read() as tx:
        known = [store.slug for store in store_report.choices(tx)]
    return {
        "titles": {tag: title for tag, title in titles.items() if title},
        "picture": picture_of(form),
        "price": form.whole("price", low=1, high=POINTS_MAX, optional=True),
        "value": 0 if form.typed("value") == "0" else form.price("value", currency),
        "currency": currency,
        "stores": form.chosen("stores", known),
        "starts_at": starts_at,
        "ends_at": ends_at,
        "per_person": form.whole("per_person", low=1, high=PER_PERSON_MAX, optional=True),
        "voucher_days": form.whole("voucher_days", low=1, high=VOUCHER_DAYS_MAX),
    }


def _checked(form: Form, model: type[T], typed: dict[str, Any]) -> T | None:
    """None when something in it is not right."""
    if not form.ok:
        return None
    try:
        return model.model_validate(typed)
    except ValidationError as error:
        if any("slug" in each["loc"] for each in error.errors()):
            form.refuse("slug", _("Use small letters and digits, parted by single dashes."))
        form.refuse("", _("Something in what you entered is not right."))
        return None


def _form_of(found: Item, stores: list[str]) -> Form:
    form = Form()
    zone = ZoneInfo(deployment().config.timezone)
    form.values = {
        **{f"title-{tag}": title for tag, title in found.titles.items()},
        "picture": found.picture or "",
        "price": str(found.price or ""),
        "value": str(Decimal(found.value).scaleb(-get_currency_precision(found.currency))),
        "currency": found.currency,
        "starts_at": as_typed(found.starts_at, zone) if found.starts_at else "",
        "ends_at": as_typed(found.ends_at, zone) if found.ends_at else "",
        "per_person": str(found.per_person or ""),
        "voucher_days": str(found.voucher_days),
    }
    form.lists.setlist("stores", stores)
    return form


def _form_page(form: Form, slug: str | None) -> str:
    with deployment().db.read() as tx:
        line = report.line(tx, slug) if slug else None
        changes = audit.of_subject(tx, line.item.subject) if line else []
        stores = store_report.choices(tx)
    return render_template(
        "staff/item.html",
        form=form,
        line=line,
        title=line.item.title_in(language()) if line else None,
        picture=picture_url(picture_of(form)),
        texts=[(tag, OWN_NAMES[tag]) for tag in LANGUAGES],
        stores=stores,
        changes=changes[: -CHANGES_SHOWN - 1 : -1],
    )
