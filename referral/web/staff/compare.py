"""Two campaigns, or two times of one, side by side."""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from flask import render_template, request
from flask_babel import format_decimal
from flask_babel import gettext as _
from sqlalchemy.orm import Session

from referral.campaigns import Campaign, CampaignState, campaign_by_slug
from referral.errors import N_
from referral.reports import comparison
from referral.reports.comparison import Compared, Difference, Figure, Side
from referral.reports.spread_rates import FEW, Rate
from referral.staff import Right, StaffMember
from referral.web.context import deployment
from referral.web.staff import outcome, spans
from referral.web.staff.auth import Page, require
from referral.web.staff.blueprint import staff
from referral.web.staff.forms import Form
from referral.web.staff.funnel import STEPS
from referral.web.staff.spans import Asked

CHOICES_MAX = 200
"""How many campaigns the form offers, the latest."""
FIGURES = {
    Figure.brought_in: (
        N_("Brought in by friends"),
        N_("Of the new customers of these days, how many another one brought in."),
    ),
    Figure.conversion: (
        N_("Openers who bought"),
        N_("Of those who opened a friend's link, since each campaign began."),
    ),
    Figure.reproduction: (
        N_("R, people brought in by each"),
        N_("How many people open the link of somebody who opened one, since each campaign began."),
    ),
}


@dataclass(frozen=True)
class Line:
    """A rate on both sides, in words."""

    name: str
    says: str
    first: str
    second: str
    intervals: tuple[str, str]
    difference: str
    conclusion: str


# Not below /campaigns/: that is where campaigns have the names a brand gives them.
@staff.get("/compare-campaigns")
@require(Right.read)
def compare_campaigns(member: StaffMember) -> Page:
    """Without a second campaign, the first one's days are held against those right before."""
    with deployment().db.read() as tx:
        choices = _choices(tx)
        if not choices:
            return render_template("staff/campaign_compare.html", choices=[], sides=None)
        first, second = _asked(tx, "a", choices), _asked(tx, "b", choices)
        sides = _sides(tx, first, second)
        page = render_template(
            "staff/campaign_compare.html",
            choices=[(each.slug, each.title) for each in choices],
            forms={"a": sides[0][1], "b": sides[1][1]},
            sides=[side for side, _form in sides],
            steps=[(step.value, _(word)) for step, word in STEPS.items()],
            lines=[_line(each) for each in comparison.compared(sides[0][0], sides[1][0])],
            picture_spec=_picture(*[side for side, _form in sides]),
            price_of=lambda side: outcome.price_of_one(side.results, side.campaign),
            happened=any(any(side.counts.values()) for side, _form in sides),
            few=FEW,
        )
        is_right = all(form.ok for _side, form in sides)
    return page if is_right else (page, 422)


def _choices(tx: Session) -> list[Campaign]:
    return list(
        tx.scalars(
            sa.select(Campaign)
            .where(Campaign.state == CampaignState.published.value)
            .order_by(Campaign.id.desc())
            .limit(CHOICES_MAX)
        )
    )


def _asked(tx: Session, prefix: str, choices: list[Campaign]) -> tuple[Campaign, Asked] | None:
    """The campaign of a side and its days: of the first the latest where the address names none, of
    the second None. Raises `UnknownCampaign`."""
    slug = request.args.get(prefix, "")
    if not slug and prefix == "b":
        return None
    campaign = campaign_by_slug(tx, slug) if slug else choices[0]
    now = deployment().clock.now()
    return campaign, spans.asked(request.args, campaign, now, f"{prefix}_")


def _sides(
    tx: Session, first: tuple[Campaign, Asked] | None, second: tuple[Campaign, Asked] | None
) -> list[tuple[Side, Form]]:
    """Both sides with the form of each. The spread is compared of two campaigns only: it is of all
    their days."""
    assert first is not None
    campaign, asked = first
    if second is None:
        second = campaign, Asked(asked.span.before, spans.OWN, Form())
    is_other = second[0].id != campaign.id
    now = deployment().clock.now()
    return [
        (comparison.side(tx, each, days.span, now, with_spread=is_other), _form(each, days))
        for each, days in (first, second)
    ]


def _form(campaign: Campaign, asked: Asked) -> Form:
    """What the fields of a side say: what was typed where it is wrong, else the days shown."""
    if not asked.form.ok:
        asked.form.values["slug"] = campaign.slug
        return asked.form
    span = asked.span
    return Form({"slug": campaign.slug, "from": str(span.first), "to": str(span.last)})


def _line(compared: Compared) -> Line:
    name, says = FIGURES[compared.figure]
    is_share = compared.figure is not Figure.reproduction

    def told(rate: Rate | None) -> str:
        return outcome.rate_in_words(rate, is_share) if rate else "—"

    def between(rate: Rate | None, of: int) -> str:
        if rate is None:
            return _("of %(count)s people: too few", count=of)
        return outcome.interval(rate, is_share)

    found = compared.difference
    return Line(
        _(name),
        _(says),
        told(compared.first),
        told(compared.second),
        (between(compared.first, compared.of[0]), between(compared.second, compared.of[1])),
        _difference(found, is_share) if found else "—",
        _conclusion(found),
    )


def _difference(found: Difference, is_share: bool) -> str:
    """With its interval; of shares in percentage points."""
    ends = found.value, found.low, found.high
    if is_share:
        value, low, high = (_signed(100 * each, "0.0") for each in ends)
        return _("%(value)s points (%(low)s to %(high)s)", value=value, low=low, high=high)
    value, low, high = (_signed(each, "0.00") for each in ends)
    return _("%(value)s (%(low)s to %(high)s)", value=value, low=low, high=high)


def _signed(value: float, digits: str) -> str:
    return str(format_decimal(value, f"+#,##{digits};−#,##{digits}"))


def _conclusion(found: Difference | None) -> str:
    if found is None:
        return _("Not enough to compare.")
    if not found.is_clear:
        return _("May be chance.")
    return _("The second is higher.") if found.value > 0 else _("The second is lower.")


def _picture(first: Side, second: Side) -> dict[str, Any]:
    return {
        "kind": "bars",
        "x": [_(word) for word in STEPS.values()],
        "series": [
            {"name": name, "values": [side.counts[step.value] for step in STEPS]}
            for name, side in zip((_("First"), _("Second")), (first, second), strict=True)
        ],
        "unit": "count",
    }
