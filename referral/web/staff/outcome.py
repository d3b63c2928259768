"""What came of a campaign in some days, as its page tells it: an answer in a sentence, and the
figures behind it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from babel.numbers import get_currency_precision
from flask_babel import format_decimal, format_number, format_timedelta, ngettext
from flask_babel import gettext as _
from sqlalchemy.orm import Session

from referral.campaigns import Campaign
from referral.reports import lists, results, sharers, spread_figures
from referral.reports.funnel import Span
from referral.reports.results import Results
from referral.reports.shape import Generation
from referral.reports.spread_figures import SpreadFigures
from referral.reports.spread_rates import FEW, Rate
from referral.web.context import deployment
from referral.web.staff import funnel, spans, what_if, words
from referral.web.staff.forecasts import in_money
from referral.web.staff.forms import Form
from referral.web.staff.funnel import Shown
from referral.web.staff.spans import Asked
from referral.web.staff.what_if import WhatIf


@dataclass(frozen=True)
class Told:
    """A figure, how sure it is, and what it says in one sentence."""

    name: str
    value: str
    says: str
    interval: str = ""


@dataclass(frozen=True)
class TopSharer:
    customer_id: int
    name: str | None
    verified: int
    open: int
    opened: int
    """How many people opened a link of theirs first of all."""


@dataclass(frozen=True)
class Outcome:
    """All that the page says of these days, and of the campaign's spread since it began."""

    asked: Asked
    answer: str
    funnel: Shown
    results: Results
    cost: str | None
    """Of a new customer, in money."""
    advertising: str | None
    """What advertising costs for one, beside it."""
    verdict: str | None
    """How the two compare."""
    spread: SpreadFigures | None
    told: list[Told]
    generations: list[tuple[Generation, str, str]]
    """Each with its R and its interval in words."""
    generation_picture: dict[str, Any] | None
    sharers: list[TopSharer]
    what_if: WhatIf

    @property
    def span(self) -> Span:
        return self.asked.span

    @property
    def is_right(self) -> bool:
        """Whether everything in the address could be read."""
        return self.asked.form.ok and self.what_if.form.ok


def of_campaign(tx: Session, campaign: Campaign, args: Mapping[str, str]) -> Outcome:
    now = deployment().clock.now()
    asked = spans.asked(args, campaign, now)
    came = results.results(tx, campaign, asked.span)
    found = spread_figures.figures(tx, campaign, now)
    shown = funnel.shown(tx, campaign, asked.span, args.get("by", ""))
    return Outcome(
        asked=asked,
        answer=answer(came, asked.span, campaign),
        funnel=shown,
        results=came,
        cost=price_of_one(came, campaign),
        advertising=_money(campaign.advertising_cost, campaign),
        verdict=_verdict(came, campaign),
        spread=found,
        told=figures_told(found) if found else [],
        generations=_generations(found) if found else [],
        generation_picture=_generation_picture(found) if found else None,
        sharers=_sharers(tx, campaign, found) if found else [],
        what_if=what_if.asked(tx, args, campaign, asked.span, shown.totals),
    )


# The answer


def answer(came: Results, span: Span, campaign: Campaign) -> str:
    """What a marketer wants to know first."""
    when = words_of(span)
    if not came.new:
        return _("%(when)s nobody bought for the first time here.", when=when)
    new = format_number(came.new)
    people = ngettext("%(count)s person", "%(count)s people", came.new, count=new)
    brought = format_number(came.brought_in)
    price = price_of_one(came, campaign)
    if price is None:
        return _(
            "%(when)s %(people)s bought for the first time, %(brought)s of them brought in by "
            "friends.",
            when=when,
            people=people,
            brought=brought,
        )
    return _(
        "%(when)s %(people)s bought for the first time, %(brought)s of them brought in by friends, "
        "at %(price)s each.",
        when=when,
        people=people,
        brought=brought,
        price=price,
    )


def words_of(span: Span) -> str:
    """How a sentence about these days begins."""
    if span.days == 1:
        return _("On %(day)s", day=words.short_day(span.first))
    days = format_number(span.days)
    return ngettext("In this %(count)s day", "In these %(count)s days", span.days, count=days)


def price_of_one(came: Results, campaign: Campaign) -> str | None:
    return _money(came.per_new, campaign)


def _money(minor: float | None, campaign: Campaign) -> str | None:
    if minor is None or campaign.currency is None:
        return None
    return in_money(minor, campaign.currency)


def _verdict(came: Results, campaign: Campaign) -> str | None:
    """The campaign's price of a new customer beside that of advertising."""
    if not campaign.advertising_cost or came.per_new is None:
        return None
    if came.new < FEW:
        return _(
            "There are too few new customers to hold it against advertising: %(few)s at least.",
            few=FEW,
        )
    part = came.per_new / campaign.advertising_cost
    return _("That is %(share)s of what advertising costs for one.", share=words.share(part))


def advertising_form(campaign: Campaign) -> Form:
    """The form as it is first shown."""
    if campaign.advertising_cost is None or campaign.currency is None:
        return Form({"advertising_cost": ""})
    places = get_currency_precision(campaign.currency)
    typed = f"{campaign.advertising_cost / 10**places:.{places}f}"
    return Form({"advertising_cost": typed})


# The spread


def figures_told(found: SpreadFigures) -> list[Told]:
    """Every figure of the spread with what it says; those that could not be measured are left
    out."""
    rates, shape = found.rates, found.shape
    told: list[Told | None] = [
        _told(
            _("R, people brought in by each"),
            rates.reproduction,
            _(
                "How many people open the link of somebody who opened one. From 1 on it grows by "
                "itself."
            ),
        ),
        _told(
            _("k, how evenly"),
            rates.dispersion,
            _("How evenly people pass it on: the smaller, the more of it comes from a few."),
        ),
        _told(
            _("Openers who bought"),
            rates.conversion,
            _("How many of those who opened a friend's link bought."),
            is_share=True,
        ),
    ]
    if rates.wait_days is not None:
        told.append(
            Told(
                _("Cycle time"),
                duration(rates.wait_days),
                _("Half of the next openings come within this time of one's own."),
            )
        )
    if shape.cascades:
        depth = format_number(shape.depth)
        told.append(
            Told(
                _("Depth"),
                ngettext("%(count)s hop", "%(count)s hops", shape.depth, count=depth),
                _("How far the longest chain of forwards went from whoever began it."),
            )
        )
    if shape.virality is not None:
        told.append(
            Told(
                _("Structural virality"),
                format_decimal(shape.virality, "#,##0.00"),
                _(
                    "How far apart two people of one cascade are. Up to 2, one tells many; above, "
                    "friends tell friends."
                ),
                ngettext(
                    "middle one of %(count)s cascade of 10 people and more",
                    "middle one of %(count)s cascades of 10 people and more",
                    shape.measured,
                    count=format_number(shape.measured),
                ),
            )
        )
    if shape.largest_share is not None:
        told.append(
            Told(
                _("Largest cascade"),
                words.share(shape.largest_share),
                _(
                    "How many of all people came through the one who reached most. The more, the "
                    "more hangs on one person."
                ),
                ngettext(
                    "%(count)s person of %(all)s",
                    "%(count)s people of %(all)s",
                    shape.largest,
                    count=format_number(shape.largest),
                    all=format_number(shape.people),
                ),
            )
        )
    return [each for each in told if each is not None]


def _told(name: str, rate: Rate | None, says: str, *, is_share: bool = False) -> Told | None:
    if rate is None:
        return None
    return Told(name, rate_in_words(rate, is_share), says, interval(rate, is_share))


def rate_in_words(rate: Rate, is_share: bool) -> str:
    return words.share(rate.value) if is_share else format_decimal(rate.value, "#,##0.00")


def interval(rate: Rate, is_share: bool) -> str:
    """Where the true figure is, in 95 of 100 cases."""
    low, high = Rate(rate.low, 0, 0), Rate(rate.high, 0, 0)
    return _(
        "%(low)s to %(high)s",
        low=rate_in_words(low, is_share),
        high=rate_in_words(high, is_share),
    )


def duration(days: float) -> str:
    return str(format_timedelta(timedelta(days=days), threshold=1.5))


def _generations(found: SpreadFigures) -> list[tuple[Generation, str, str]]:
    return [
        (
            each,
            rate_in_words(each.reproduction, False) if each.reproduction else "—",
            interval(each.reproduction, False) if each.reproduction else "—",
        )
        for each in found.shape.generations
    ]


def _generation_picture(found: SpreadFigures) -> dict[str, Any] | None:
    """None where no generation is large enough."""
    rates = [each.reproduction for each in found.shape.generations]
    if not any(rates):
        return None
    return {
        "kind": "bars",
        "x": [generation(each.hop) for each in found.shape.generations],
        "series": [{"name": "R", "values": [rate and round(rate.value, 3) for rate in rates]}],
        "unit": "count",
    }


def generation(hop: int) -> str:
    return _("Who began") if hop == 0 else _("Hop %(hop)s", hop=hop)


def _sharers(tx: Session, campaign: Campaign, found: SpreadFigures) -> list[TopSharer]:
    customers = [each.customer_id for each in found.sharers]
    names = lists.names(tx, deployment().keys, customers)
    opened = sharers.opened(tx, campaign.id, customers)
    return [
        TopSharer(
            each.customer_id,
            names.get(each.customer_id),
            each.verified,
            each.open,
            opened[each.customer_id],
        )
        for each in found.sharers
    ]
