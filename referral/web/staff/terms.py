"""The terms of a range as staff fill them in, and as they are told afterwards."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from flask_babel import gettext as _

from referral.ranges import LOT_LENGTH_MAX, MARKET_REGIONS_MAX, BadLot, Terms
from referral.stores import Store
from referral.web.language import in_words
from referral.web.staff import regions
from referral.web.staff.forms import Form

MARKET_LENGTH_MAX = 2_000
"""Of the list of regions as it is typed, by their names."""
FIELDS = {
    "lot": "lot",
    "made_on": "made_on",
    "expires_on": "expires_on",
    "market": "market",
    "store": "store_id",
    "sale_from": "sale_from",
    "sale_until": "sale_until",
}
"""The names of the form's fields, and of the terms that they are."""


def read(form: Form, offered: Sequence[Store], zone: ZoneInfo) -> dict[str, Any]:
    """The terms that were filled in, by their names."""
    terms: dict[str, Any] = {
        "lot": _lot(form),
        "made_on": form.day("made_on"),
        "expires_on": form.day("expires_on"),
        "market": _market(form),
        "store_id": _store(form, offered),
        "sale_from": form.moment("sale_from", zone),
        "sale_until": form.moment("sale_until", zone),
    }
    made_on, expires_on = terms["made_on"], terms["expires_on"]
    if made_on and expires_on and expires_on < made_on:
        form.refuse("expires_on", _("The best-before date lies after the production."))
    sale_from, sale_until = terms["sale_from"], terms["sale_until"]
    if sale_from and sale_until and sale_until <= sale_from:
        form.refuse("sale_until", _("The end must lie after the start."))
    return {name: value for name, value in terms.items() if value}


def changes(form: Form, offered: Sequence[Store], zone: ZoneInfo) -> dict[str, Any]:
    """What is to become of a range's terms: those filled in, and those ticked to be cleared."""
    filled = read(form, offered, zone)
    cleared = form.chosen("clear", FIELDS)
    for field in cleared:
        if FIELDS[field] in filled:
            form.refuse(field, _("This is filled in and ticked to be cleared. Choose one."))
    none = asdict(Terms())
    return filled | {FIELDS[field]: none[FIELDS[field]] for field in cleared}


def _lot(form: Form) -> str:
    lot = form.text("lot", most=LOT_LENGTH_MAX)
    try:
        Terms(lot=lot or None).check()
    except BadLot as problem:
        form.refuse("lot", in_words(problem))
    return lot


def _market(form: Form) -> tuple[str, ...]:
    found, unknown = regions.read(form.text("market", most=MARKET_LENGTH_MAX))
    if unknown:
        form.refuse(
            "market",
            _(
                "“%(name)s” is not a region we know. Write a province or a country by its name or "
                "its code, such as CN-GD.",
                name=unknown[0][:40],
            ),
        )
    if len(found) > MARKET_REGIONS_MAX:
        form.refuse("market", _("At most %(most)s regions fit.", most=MARKET_REGIONS_MAX))
    return tuple(found)


def _store(form: Form, offered: Sequence[Store]) -> int | None:
    slug = form.typed("store")
    if not slug:
        return None
    store = next((store for store in offered if store.slug == slug), None)
    if store is None:
        form.refuse("store", _("Please choose one of these."))
    return store.id if store else None


def told(noted: Mapping[str, Any]) -> dict[str, Any]:
    """Terms that were noted with a change as JSON, with dates and times as such again."""
    return {name: _read_again(name, value) for name, value in noted.items()}


def _read_again(name: str, value: Any) -> Any:
    if value and name in {"made_on", "expires_on"}:
        return date.fromisoformat(value)
    if value and name in {"sale_from", "sale_until"}:
        return datetime.fromisoformat(value)
    return value
