"""Budgets: how much is left of each, day by day, and the day on which it ends."""

from datetime import date, timedelta
from typing import Any

from flask import render_template, request
from flask_babel import gettext as _

from referral.campaigns import campaign_by_slug
from referral.reports import burn_down
from referral.reports.burn_down import BudgetLine, Day, Forecast
from referral.staff import Right, StaffMember
from referral.web.context import deployment
from referral.web.staff.auth import Page, require
from referral.web.staff.blueprint import staff
from referral.web.staff.forms import offset_of
from referral.web.staff.money import chart_unit, short, sums_of, today_of

POINTS_MAX = 120
"""How many days of the past a chart shows, and how many rows the table beside it."""
AHEAD_MAX = 60


@staff.get("/money/budgets")
@require(Right.read)
def money_budgets(member: StaffMember) -> Page:
    with deployment().db.read() as tx:
        sums = sums_of(tx)
        listed = burn_down.budgets(tx, sums, offset=offset_of(request.args))
    return render_template(
        "staff/money_budgets.html",
        sums=sums,
        listed=listed,
        ends=_ends(listed.rows, today_of(sums)),
    )


@staff.get("/money/budgets/<slug>")
@require(Right.read)
def money_budget(member: StaffMember, slug: str) -> Page:
    with deployment().db.read() as tx:
        campaign = campaign_by_slug(tx, slug)
        sums = sums_of(tx)
        lines = burn_down.of_campaign(tx, sums, campaign)
        asked = request.args.get("unit", "")
        line = next((each for each in lines if each.unit == asked), lines[0] if lines else None)
        days = burn_down.days(sums, campaign.id, line.unit) if line else []
    today = today_of(sums)
    return render_template(
        "staff/money_budget.html",
        campaign=campaign,
        sums=sums,
        lines=lines,
        line=line,
        days=days[-POINTS_MAX:][::-1],
        is_cut=len(days) > POINTS_MAX,
        chart=_chart(line, days, today) if line and days else None,
        ends=_ends(lines, today),
        look_back=burn_down.LOOK_BACK,
        days_least=burn_down.DAYS_LEAST,
    )


def _ends(lines: list[BudgetLine], today: date) -> dict[tuple[int, str], dict[str, Any]]:
    """The days on which budgets end, by campaign and unit."""
    return {
        (line.campaign.id, line.unit): _days_of(line.forecast, line, today)
        for line in lines
        if line.forecast
    }


def _days_of(found: Forecast, line: BudgetLine, today: date) -> dict[str, Any]:
    zone_end = line.campaign.ends_at
    return {
        "day": today + timedelta(days=int(found.days)),
        "soonest": today + timedelta(days=int(found.soonest)),
        "latest": None if found.latest is None else today + timedelta(days=int(found.latest)),
        "a_day": round(found.a_day),
        "of_days": found.of_days,
        "outlasts": today + timedelta(days=int(found.days)) > zone_end.date(),
    }


def _chart(line: BudgetLine, days: list[Day], today: date) -> dict[str, Any]:
    """What was left at the end of each day, and what will be if it goes on as lately."""
    past = days[-POINTS_MAX:]
    found = line.forecast
    ahead = 0 if found is None else min(AHEAD_MAX, int(found.latest or 2 * found.days) + 1)
    future = [today + timedelta(days=n) for n in range(1, ahead + 1)]
    series: list[dict[str, Any]] = [
        {"name": _("Left"), "values": [each.left for each in past] + [None] * ahead}
    ]
    if found is not None:
        for name, ends in (
            (_("Expected"), found.days),
            (_("Sooner"), found.soonest),
            (_("Later"), found.latest),
        ):
            if ends is not None:
                values = [max(0, round(line.left * (1 - n / ends))) for n in range(ahead + 1)]
                head: list[int | None] = [None] * (len(past) - 1)
                series.append({"name": name, "values": head + values, "dashed": True})
    return {
        "kind": "lines",
        "x": [short(each.day) for each in past] + [short(each) for each in future],
        "series": series,
        "unit": chart_unit(line.unit),
    }
