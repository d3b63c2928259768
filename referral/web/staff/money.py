"""Money: what the brand owes and has spent, by kind of account; what rules granted; and what
accounting takes out."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from babel.dates import format_skeleton
from flask import render_template, request
from flask_babel import get_locale
from flask_babel import gettext as _
from sqlalchemy.orm import Session

from referral.ledger import Kind
from referral.reports import lists
from referral.reports.money_sums import Sums
from referral.rollups.money import Granted, Moved
from referral.staff import Right, StaffMember
from referral.web.context import deployment, now
from referral.web.staff.auth import Page, require
from referral.web.staff.blueprint import staff

SHOWN_DAYS = 30
SHOWN_MONTHS = 12
MONTHS_OFFERED = 36
RULES_SHOWN = 200
KINDS = (
    Kind.budget,
    Kind.pending,
    Kind.wallet,
    Kind.owed,
    Kind.redeemed,
    Kind.expired,
    Kind.issue,
)
"""In the order in which points go through them."""


@staff.get("/money")
@require(Right.read)
def money(member: StaffMember) -> Page:
    with deployment().db.read() as tx:
        sums = sums_of(tx)
        held = sums.moved(("kind", "unit"))
        unit = _unit({of for _kind, of in held})
        today = today_of(sums)
        first = today - timedelta(days=SHOWN_DAYS - 1)
        lately = sums.moved(("kind", "day", "what"), unit=unit, first=first, last=today)
    by_kind: dict[str, Moved] = defaultdict(Moved)
    reasons: dict[str, Moved] = defaultdict(Moved)
    by_day: dict[tuple[str, date], Moved] = defaultdict(Moved)
    for (kind, day, what), each in lately.items():
        by_kind[kind] += each
        by_day[kind, day] += each
        if kind in (Kind.wallet, Kind.pending):
            reasons[what] += each
    return render_template(
        "staff/money.html",
        sums=sums,
        unit_shown=unit,
        units=sorted({of for _kind, of in held}, key=lambda of: (of != "points", of)),
        kinds=[(kind.value, held.get((kind, unit), Moved()).net, by_kind[kind]) for kind in KINDS],
        reasons=sorted(reasons.items(), key=lambda each: -each[1].entries),
        chart=_lately(by_day, first, unit),
        days=SHOWN_DAYS,
    )


def _lately(by_day: dict[tuple[str, date], Moved], first: date, unit: str) -> dict[str, Any]:
    """What budgets gave and what customers spent, day by day."""
    days = [first + timedelta(days=n) for n in range(SHOWN_DAYS)]
    granted = [max(0, -_net(by_day[Kind.budget, day])) for day in days]
    spent = [by_day[Kind.redeemed, day].plus for day in days]
    return {
        "kind": "bars",
        "x": [short(day) for day in days],
        "series": [
            {"name": _("Granted"), "values": granted},
            {"name": _("Spent by customers"), "values": spent},
        ],
        "unit": chart_unit(unit),
    }


def _net(moved: Moved) -> int:
    return moved.net


# Reasons


@staff.get("/money/rewards")
@require(Right.read)
def money_rewards(member: StaffMember) -> Page:
    """What was granted, taken back and expired, by campaign and rule, in a month or ever."""
    with deployment().db.read() as tx:
        sums = sums_of(tx)
        today = today_of(sums)
        month = _month(today)
        first, last = (month, _last_of(month)) if month else (None, None)
        found = sums.granted(("campaign_id", "unit", "rule"), first=first, last=last)
        since = months_before(today.replace(day=1), SHOWN_MONTHS - 1)
        by_day = sums.granted(("unit", "day"), first=since)
        titles = lists.campaign_titles(tx, sorted({key[0] for key in found}))
    rows = sorted(found.items(), key=lambda each: (-each[0][0], -each[1].granted, each[0]))
    unit = _unit({of for of, _day in by_day} or {"points"})
    return render_template(
        "staff/money_rewards.html",
        sums=sums,
        rows=rows[:RULES_SHOWN],
        is_cut=len(rows) > RULES_SHOWN,
        titles=titles,
        month=month,
        months=offered_months(today),
        chart=_by_month(by_day, since, unit),
        unit_shown=unit,
        units=sorted({of for of, _day in by_day}, key=lambda of: (of != "points", of)),
    )


def _by_month(by_day: dict[tuple[Any, ...], Granted], since: date, unit: str) -> dict[str, Any]:
    months: dict[date, Granted] = defaultdict(Granted)
    for (of, day), each in by_day.items():
        if of == unit:
            months[day.replace(day=1)] += each
    shown = [months_before(since, -n) for n in range(SHOWN_MONTHS)]
    return {
        "kind": "bars",
        "x": [month_text(each) for each in shown],
        "series": [
            {"name": _("Granted"), "values": [months[each].granted for each in shown]},
            {"name": _("Taken back"), "values": [months[each].reversed for each in shown]},
            {"name": _("Expired"), "values": [months[each].expired for each in shown]},
        ],
        "unit": chart_unit(unit),
        "links": [f"?month={each:%Y-%m}" for each in shown],
    }


# Accounting


@staff.get("/money/accounting")
@require(Right.read)
def money_accounting(member: StaffMember) -> Page:
    """A month's totals by account, which add up to nothing, and the files of it."""
    with deployment().db.read() as tx:
        sums = sums_of(tx)
        today = today_of(sums)
        month = _month(today) or today.replace(day=1)
        last = _last_of(month)
        keys = ("unit", "kind", "owner")
        before = sums.moved(keys, last=month - timedelta(days=1))
        within = sums.moved(keys, first=month, last=last)
        every = sorted({*before, *within}, key=lambda key: (key[0] != "points", *key))
        titles = lists.campaign_titles(tx, sorted({owner for _u, _k, owner in every if owner}))
    lines = [(key, before.get(key, Moved()).net, within.get(key, Moved())) for key in every]
    by_unit: dict[str, list[Any]] = defaultdict(list)
    for (unit, kind, owner), opening, moved in lines:
        by_unit[unit].append((kind, owner, opening, moved))
    return render_template(
        "staff/money_accounting.html",
        sums=sums,
        month=month,
        last=last,
        months=offered_months(today),
        by_unit=dict(by_unit),
        titles=titles,
        may_export=member.may(Right.export),
    )


# What these pages share


def sums_of(tx: Session) -> Sums:
    return Sums(tx, ZoneInfo(deployment().config.timezone), now())


def today_of(sums: Sums) -> date:
    return sums.now.astimezone(sums.zone).date()


def _unit(units: Iterable[str]) -> str:
    """The unit that is asked for, where there is such a one."""
    asked = request.args.get("unit", "")
    known = set(units)
    if asked in known or not known:
        return asked if asked in known else "points"
    return "points" if "points" in known else min(known)


def chart_unit(unit: str) -> str:
    """What a chart calls a unit."""
    return unit if len(unit) == 3 and unit.isupper() else "count"


def _month(today: date) -> date | None:
    """The first day of the month that is asked for."""
    asked = request.args.get("month", "")
    offered = {value: month for value, month, _text in offered_months(today)}
    return offered.get(asked)


def offered_months(today: date) -> list[tuple[str, date, str]]:
    """The months one can choose, the latest first: as an address has them, and in words."""
    first = today.replace(day=1)
    months = [months_before(first, n) for n in range(MONTHS_OFFERED)]
    return [(f"{each:%Y-%m}", each, month_text(each)) for each in months]


def months_before(first: date, count: int) -> date:
    """The first of a month, so many months before another one."""
    number = first.year * 12 + first.month - 1 - count
    return date(number // 12, number % 12 + 1, 1)


def _last_of(month: date) -> date:
    return months_before(month, -1) - timedelta(days=1)


def month_text(month: date) -> str:
    return str(format_skeleton("yMMM", month, locale=get_locale()))


def short(day: date) -> str:
    return str(format_skeleton("MMMd", day, locale=get_locale()))
