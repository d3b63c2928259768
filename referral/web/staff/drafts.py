"""The campaign form: rows a marketer fills in, read into a draft and written back out of one."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from flask_babel import gettext as _
from pydantic import ValidationError

from referral.campaigns import (
    BUDGET_MAX,
    HOLD_DAYS_DEFAULT,
    LASTS_DAYS_DEFAULT,
    PERMIT_LENGTH_MAX,
    SLUG,
    UNIT_PATTERN,
    WINDOW_DAYS_DEFAULT,
    Campaign,
    CreditedTouch,
    Draft,
)
from referral.campaigns.content import Landing
from referral.campaigns.markets import DEFAULT, NAMES
from referral.campaigns.payouts import units_of
from referral.config import KEEP_MONTHS_MAX
from referral.errors import N_
from referral.rewards import NO_CURRENCY, Rule, What
from referral.web.staff import contents, rule_rows
from referral.web.staff.forms import Form, as_typed

HOLD_DAYS_MAX = 90
LASTS_DAYS_MAX = 3650
WINDOW_DAYS_MAX = 365
SEGMENT_MAX = 2**31 - 1
"""Of the number of a segment."""

TOUCHES = (
    (
        CreditedTouch.first,
        N_("The first link opened"),
        N_("Whose link somebody opened first is credited; links opened later change nothing."),
    ),
    (
        CreditedTouch.last,
        N_("The last link opened"),
        N_("Whose link somebody opened last before the first claim is credited."),
    ),
)
"""Which link counts: value, label and what it means."""
_UNIT = re.compile(UNIT_PATTERN)


def new_form() -> Form:
    form = Form()
    form.values |= {"hold_days": str(HOLD_DAYS_DEFAULT), "window_days": str(WINDOW_DAYS_DEFAULT)}
    form.values |= {"touch": CreditedTouch.first, "landing": Landing.page, "market": DEFAULT}
    form.values["lasts_days"] = str(LASTS_DAYS_DEFAULT)
    rule_rows.fill_in_new(form)
    return form


def form_of(campaign: Campaign, zone: ZoneInfo, currency: str | None = None) -> Form:
    """The form as it would have been filled in for this campaign; `currency` is that of its
    products."""
    form = contents.form_of(campaign)
    form.values |= terms_of(campaign, zone, currency) | {
        "slug": campaign.slug,
        "touch": campaign.touch,
        "market": campaign.market or DEFAULT,
        "permit": campaign.permit or "",
        "keep_months": str(campaign.keep_months or ""),
        "audience": str((campaign.audience or {}).get("segment", "")),
        "starts_at": as_typed(campaign.starts_at, zone),
    }
    form.lists.setlist("gtins", campaign.gtins)
    rule_rows.fill_in(form, campaign.checked_rules, currency)
    return form


def terms_of(campaign: Campaign, zone: ZoneInfo, currency: str | None) -> dict[str, str]:
    """The fields of the terms that may get better later, but for the rules."""
    values = {
        "budget": str(campaign.budget),
        "hold_days": str(campaign.hold_days),
        "lasts_days": str(campaign.lasts_days or ""),
        "window_days": str(campaign.window_days),
        "ends_at": as_typed(campaign.ends_at, zone),
    }
    for unit, amount in (campaign.budgets or {}).items():
        is_money = unit == currency
        values[f"budget-{unit}"] = rule_rows.as_money(amount, currency) if is_money else str(amount)
    return values


def read(
    form: Form,
    gtins: list[str],
    zone: ZoneInfo,
    campaign: Campaign | None = None,
    currency: str | None = None,
) -> Draft | None:
    """The draft that was typed; None when something in it is not right.

    Of a campaign that is edited stays its short name.
    """
    starts_at = moment(form, "starts_at", zone, campaign.starts_at if campaign else None)
    ends_at = moment(form, "ends_at", zone, campaign.ends_at if campaign else None)
    if starts_at and ends_at and ends_at <= starts_at:
        form.refuse("ends_at", _("The end must lie after the start."))
    rules = rule_rows.read(form, currency)
    typed = {
        "slug": campaign.slug if campaign else _slug(form),
        **contents.read_fields(form),
        **read_terms(form, rules, currency),
        "gtins": form.chosen("gtins", gtins),
        "starts_at": starts_at,
        "ends_at": ends_at,
        "touch": form.choice("touch", CreditedTouch, CreditedTouch.first),
        "market": form.one_of("market", NAMES) if form.typed("market") else DEFAULT,
        "permit": form.text("permit", most=PERMIT_LENGTH_MAX),
        "keep_months": keep_months(form),
        "audience": form.whole("audience", low=1, high=SEGMENT_MAX, optional=True),
    }
    if not form.ok:
        return None
    try:
        return Draft.model_validate(typed)
    except ValidationError:
        # Every field was checked above; this is for what only all of them together can break.
        form.refuse("", _("Something in what you entered is not right."))
        return None


def keep_months(form: Form) -> int | None:
    """For how many months visits are to be kept; None where nothing is typed."""
    return form.whole("keep_months", low=1, high=KEEP_MONTHS_MAX, optional=True)


def read_terms(form: Form, rules: Sequence[Rule], currency: str | None) -> dict[str, Any]:
    """Rules, budgets and days as they were typed."""
    of_points = any(what is What.points for rule in rules for what, _of in rule.prizes)
    return {
        "rules": rules,
        # Without rules yet, a budget has to be said all the same: most campaigns pay points.
        "budget": form.whole(
            "budget",
            low=1 if of_points or not rules else 0,
            high=BUDGET_MAX,
            optional=bool(rules) and not of_points,
        )
        or 0,
        "budgets": _budgets(form, rules, currency),
        "hold_days": form.whole("hold_days", low=0, high=HOLD_DAYS_MAX),
        "lasts_days": form.whole("lasts_days", low=1, high=LASTS_DAYS_MAX, optional=True),
        "window_days": form.whole("window_days", low=1, high=WINDOW_DAYS_MAX),
    }


def _budgets(form: Form, rules: Sequence[Rule], currency: str | None) -> Mapping[str, int]:
    """What is put up beside points: what the rules pay needs one, anything else may have one."""
    needed = units_of(rules, currency) - {"points"}
    budgets = {}
    for unit in sorted(needed | set(budget_units(form, currency))):
        name = f"budget-{unit}"
        if unit not in needed and not form.typed(name):
            continue
        if unit == NO_CURRENCY:
            form.refuse("budget", _("Add a product first: its price says in which currency."))
            continue
        amount = (
            form.price(name, currency)
            if unit == currency
            else form.whole(name, low=1, high=BUDGET_MAX)
        )
        if amount is not None:
            budgets[unit] = amount
    return budgets


def budget_units(form: Form, currency: str | None) -> list[str]:
    """The units, beside points, that the form has a budget for or pays."""
    paid = {what for what in rule_rows.whats_in(form) if ":" in what}
    if currency and What.credit in rule_rows.whats_in(form):
        paid.add(currency)
    typed = {
        name.removeprefix("budget-")
        for name, value in form.values.items()
        if name.startswith("budget-") and value
    }
    return sorted(unit for unit in paid | typed if _UNIT.fullmatch(unit))


def moment(form: Form, name: str, zone: ZoneInfo, was: datetime | None) -> datetime | None:
    """The time that was typed. The one it was stays as it was: the field has no seconds."""
    if was is not None and form.typed(name) == as_typed(was, zone):
        return was
    return form.moment(name, zone)


def _slug(form: Form) -> str:
    slug = form.typed("slug")
    if not SLUG.fullmatch(slug):
        form.refuse(
            "slug", _("Use small letters, digits and dashes, beginning with a letter or digit.")
        )
    return slug
