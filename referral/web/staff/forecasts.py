"""What a campaign may come to before it starts, and what its rules would have come to."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from babel.numbers import get_currency_precision
from flask import render_template, request
from flask_babel import format_currency, format_decimal, format_number
from flask_babel import gettext as _
from pydantic import ValidationError
from sqlalchemy.orm import Session

from referral import actions, catalog
from referral.campaigns import Campaign, campaign_by_slug
from referral.errors import N_
from referral.forecast import SEED_DEFAULT, Forecast, Terms, forecast
from referral.forecast.assumptions import DAYS_MAX, RUN_NODES_MAX, Assumptions
from referral.reports import audiences, forecasts
from referral.reports import dry_run as trials
from referral.reports.dry_run import DryRun, Line
from referral.reports.forecasts import Beginning
from referral.reports.spread_rates import Rate
from referral.rewards import NO_CURRENCY, ForWhom
from referral.staff import Right, StaffMember
from referral.web import order_words, promises
from referral.web.context import deployment
from referral.web.staff import words
from referral.web.staff.auth import Page, require
from referral.web.staff.bands import band
from referral.web.staff.blueprint import staff
from referral.web.staff.forms import Form

RUNS = 400
NODES_MAX = 3_000_000
"""How many people all runs of one page have: it takes a second at most."""
SOURCES = {
    "all": N_("All campaigns of the last 90 days"),
    "own": N_("This campaign so far"),
    "field": N_("Field studies"),
}


@dataclass(frozen=True)
class Entry:
    """A field of the form, and the assumption it is."""

    name: str
    label: str
    hint: str
    low: float
    high: float
    is_whole: bool = False
    scale: int = 1
    """What is typed, in terms of the assumption: 100 for a percentage."""
    is_optional: bool = False


SPREAD = (
    Entry("days", N_("Days"), N_("How long it runs."), 1, DAYS_MAX, True),
    Entry(
        "seeds",
        N_("People who begin"),
        N_("Customers who share, or buyers who scan a code."),
        0,
        1_000_000,
        True,
    ),
    Entry(
        "claims",
        N_("Purchases without a friend's link"),
        N_("In all of its days."),
        0,
        10_000_000,
        True,
    ),
    Entry("new_share", N_("New customers among these, in percent"), "", 0, 100, scale=100),
    Entry(
        "reproduction",
        N_("R: openings for each opening"),
        N_("How many people open the link of somebody who opened one."),
        0,
        20,
    ),
    Entry(
        "conversion",
        N_("Who buys, in percent"),
        N_("Of those who open a link."),
        0,
        100,
        scale=100,
    ),
    Entry(
        "audience",
        N_("People within reach"),
        N_("Needed where R is 1 or more; else empty for as many as it takes."),
        1,
        RUN_NODES_MAX,
        True,
        is_optional=True,
    ),
)
MORE = (
    Entry(
        "per_seed",
        N_("Openings for each who begins"),
        N_("Empty for as many as R."),
        0,
        100,
        is_optional=True,
    ),
    Entry(
        "dispersion",
        N_("k: how evenly people pass it on"),
        N_("The smaller, the more of it comes from a few."),
        0.01,
        100,
    ),
    Entry(
        "wait_days",
        N_("Days between two openings"),
        N_("Half of the waits are shorter."),
        0.001,
        365,
    ),
    Entry("wait_spread", N_("Spread of these waits"), N_("Of their logarithm."), 0, 4),
    Entry(
        "buying_days",
        N_("Days from opening to purchase"),
        N_("Half of the waits are shorter."),
        0.001,
        365,
    ),
    Entry("buying_spread", N_("Spread of these waits"), N_("Of their logarithm."), 0, 4),
    Entry(
        "repeat",
        N_("Further purchases in 30 days"),
        N_("Of somebody who was brought in."),
        0,
        100,
    ),
    Entry(
        "referred_share",
        N_("Brought in before, in percent"),
        N_("Of purchases without a link that are no first ones."),
        0,
        100,
        scale=100,
    ),
    Entry("orders", N_("Shop orders, in percent"), N_("Of all purchases."), 0, 100, scale=100),
    Entry("order_spread", N_("Spread of their amounts"), N_("Of their logarithm."), 0, 3),
)
AMOUNT = "order_amount"
_NUMBER = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?")


@staff.get("/campaigns/<slug>/forecast")
@require(Right.read)
def campaign_forecast(member: StaffMember, slug: str) -> Page:
    """The form with the measured rates filled in; once it is sent, what may come of it."""
    source = request.args.get("from", "")
    with deployment().db.read() as tx:
        campaign = campaign_by_slug(tx, slug)
        source = source if source in SOURCES else _best_source(tx, campaign)
        terms, begun = _beginning(tx, campaign, source)
    is_sent = "seeds" in request.args
    currency = terms.currency or NO_CURRENCY
    form = Form(request.args) if is_sent else _form_of(begun.assumptions, currency)
    found = None
    if is_sent:
        assumptions = _read(form, currency)
        if assumptions is not None:
            rng = np.random.default_rng(SEED_DEFAULT)
            found = forecast(rng, assumptions, terms, RUNS, most=NODES_MAX)
    page = render_template(
        "staff/forecast.html",
        campaign=campaign,
        form=form,
        source=source,
        sources=SOURCES,
        rates=begun.rates,
        spread=SPREAD,
        more=MORE,
        hints=_hints(begun, terms),
        has_orders=any(rule.when.of_orders and not rule.when.of_claims for rule in terms.rules),
        terms=terms,
        found=found,
        **(_pictures(found, terms) if found else {}),
    )
    return page if form.ok else (page, 422)


@staff.get("/campaigns/<slug>/dry-run")
@require(Right.read)
def campaign_dry_run(member: StaffMember, slug: str) -> Page:
    """What its rules would have paid in the last days, beside what was paid."""
    form = Form(request.args)
    form.values.setdefault("days", str(trials.DAYS_DEFAULT))
    days = form.whole("days", low=1, high=trials.DAYS_MAX)
    found, lines = None, []
    with deployment().db.read() as tx:
        campaign = campaign_by_slug(tx, slug)
        terms, _begun = _beginning(tx, campaign, "field")
        if days is not None:
            zone = ZoneInfo(deployment().config.timezone)
            now = deployment().clock.now()
            found = trials.of_campaign(tx, deployment().keys, zone, campaign, now, days=days)
            lines = _lines(found, terms)
    page = render_template(
        "staff/dry_run.html",
        campaign=campaign,
        form=form,
        found=found,
        lines=lines,
        withheld=order_words.withheld,
        is_for_some=terms.is_for_some,
    )
    return page if form.ok else (page, 422)


def _best_source(tx: Session, campaign: Campaign) -> str:
    """A campaign's own figures while it runs and they are enough, or else those of all."""
    now = deployment().clock.now()
    if not campaign.runs_at(now):
        return "all"
    return "own" if forecasts.measured(tx, now, campaign=campaign).reproduction else "all"


def _beginning(tx: Session, campaign: Campaign, source: str) -> tuple[Terms, Beginning]:
    products = catalog.products_in(tx, campaign.gtins)
    bare = forecasts.terms_of(campaign, products, {})
    worth = actions.worth_of(tx, bare.rules, bare.currency)
    rates = None
    if source != "field":
        of = campaign if source == "own" else None
        rates = forecasts.measured(tx, deployment().clock.now(), campaign=of)
    terms = forecasts.terms_of(campaign, products, worth)
    whom = audiences.size(tx, campaign, deployment().clock.now())
    return terms, forecasts.beginning(campaign, products, rates, whom)


# The form


def _form_of(assumptions: Assumptions, currency: str) -> Form:
    form = Form()
    for entry in (*SPREAD, *MORE):
        value = getattr(assumptions, entry.name)
        form.values[entry.name] = "" if value is None else _typed(value * entry.scale)
    form.values[AMOUNT] = ""
    if assumptions.order_amount:
        places = get_currency_precision(currency)
        form.values[AMOUNT] = f"{assumptions.order_amount / 10**places:.{places}f}"
    return form


def _typed(value: float) -> str:
    """A number as somebody would type it."""
    return f"{value:.6f}".rstrip("0").rstrip(".")


def _read(form: Form, currency: str) -> Assumptions | None:
    """What was entered; None with sentences beside the fields that are wrong."""
    values: dict[str, Any] = {}
    for entry in (*SPREAD, *MORE):
        values[entry.name] = _number(form, entry)
    if form.typed(AMOUNT):
        values[AMOUNT] = form.price(AMOUNT, currency)
    elif values["orders"]:
        form.refuse(AMOUNT, _("Please fill this in: some of the purchases are orders."))
    if not form.ok:
        return None
    try:
        return Assumptions.model_validate(
            {name: value for name, value in values.items() if value is not None}
        )
    except ValidationError:
        # All else was checked above.
        form.refuse(
            "audience",
            _("With an R of 1 or more it does not end by itself: say how many people there are."),
        )
        return None


def _number(form: Form, entry: Entry) -> float | None:
    if entry.is_whole:
        low, high = int(entry.low), int(entry.high)
        return form.whole(entry.name, low=low, high=high, optional=entry.is_optional)
    value = form.typed(entry.name)
    if not value and entry.is_optional:
        return None
    number = float(value) if _NUMBER.fullmatch(value) else math.nan
    if not entry.low <= number <= entry.high:
        form.refuse(
            entry.name,
            _(
                "Please enter a number from %(low)s to %(high)s, with a point such as 0.35.",
                low=format_decimal(entry.low),
                high=format_decimal(entry.high),
            ),
        )
        return None
    return number / entry.scale


def _hints(begun: Beginning, terms: Terms) -> Mapping[str, str]:
    """Where each figure comes from, and how sure it is."""
    hints = {}
    for entry in (*SPREAD, *MORE):
        rate = getattr(begun.rates, entry.name, None)
        if entry.name == "seeds" and terms.is_for_some:
            hints[entry.name] = _("Begun with: all customers of its segment.")
        elif entry.name in begun.measured and isinstance(rate, Rate):
            hints[entry.name] = _(
                "Measured: %(value)s, in 95 of 100 cases from %(low)s to %(high)s.",
                value=_short(rate.value * entry.scale),
                low=_short(rate.low * entry.scale),
                high=_short(rate.high * entry.scale),
            )
        elif entry.name in begun.measured:
            value = getattr(begun.assumptions, entry.name) * entry.scale
            told = format_number(value) if entry.is_whole else _short(value)
            hints[entry.name] = _("Measured: %(value)s.", value=told)
    return hints


def _short(value: float) -> str:
    """Three figures that count."""
    return format_decimal(float(f"{value:.3g}"))


# What came of it


def _pictures(found: Forecast, terms: Terms) -> dict[str, Any]:
    budget = terms.budget_in_money
    return {
        "charts": {
            "people": band([day.people for day in found.by_day]),
            "customers": band([day.customers for day in found.by_day]),
            "cost": band([day.cost for day in found.by_day], budget),
        },
        "budget": budget,
        "in_money": lambda amount: in_money(amount, terms.currency),
    }


def in_money(minor: float, currency: str | None) -> str:
    """An amount that is an estimate: without cents where there are hundreds."""
    if currency is None:
        return format_number(round(minor))
    places = get_currency_precision(currency)
    amount = minor / 10**places
    digits = "¤#,##0" if amount >= 100 or not places else "¤#,##0.00"
    return format_currency(amount, currency, digits, currency_digits=False)


@dataclass(frozen=True)
class Compared:
    """A line of what would have been paid beside what was."""

    label: str
    unit: str
    would: Line | None
    really: Line | None


def _lines(found: DryRun, terms: Terms) -> list[Compared]:
    would = {(line.rule, line.depth, line.unit): line for line in found.would.by_rule}
    really = {(line.rule, line.depth, line.unit): line for line in found.really.by_rule}
    labels = _labels(terms)
    return [
        Compared(
            labels.get(key[:2]) or words.reward(key[0], key[1]),
            key[2],
            would.get(key),
            really.get(key),
        )
        for key in dict.fromkeys([*would, *really])
    ]


def _labels(terms: Terms) -> dict[tuple[str, int], str]:
    """What each rule promises to each side."""
    labels: dict[tuple[str, int], str] = {}
    for rule in terms.rules:
        depths = []
        if rule.for_whom is not ForWhom.referrer:
            depths.append(0)
        if rule.for_whom is not ForWhom.person:
            depths.append(rule.depth)
        said = promises.sentences(rule, terms.currency)
        labels |= {(rule.id, depth): each for depth, each in zip(depths, said, strict=True)}
    return labels
