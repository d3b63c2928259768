"""The funnel of a campaign as its page shows it: pictures, and the same numbers as tables."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flask_babel import gettext as _
from sqlalchemy.orm import Session

from referral import places
from referral.campaigns import Campaign
from referral.errors import N_
from referral.reports import funnel as report
from referral.reports import periods
from referral.reports.funnel import Counts, Funnel, Line, Span
from referral.reports.periods import Slot
from referral.reports.periods import Step as Length
from referral.rollups.day_parts import FUNNEL, Part, Step
from referral.web.language import language
from referral.web.staff import words

BARS_MAX = 12
"""How many channels, stores or regions a picture has."""
STEPS = {
    Step.open: N_("Opened a link"),
    Step.engagement: N_("Read the page"),
    Step.scan: N_("Scanned a code"),
    Step.sign_in: N_("Signed in"),
    Step.claim: N_("Claimed"),
    Step.order: N_("Ordered"),
    Step.share: N_("Shared on"),
}
PARTS = {
    Part.channel: N_("By channel"),
    Part.store: N_("By store"),
    Part.region: N_("By region"),
}


@dataclass(frozen=True)
class Row:
    """A line of a table: what it is of, and how often each step was taken."""

    label: str
    counts: Counts


@dataclass(frozen=True)
class Shown:
    """What the page says of a funnel."""

    steps: Sequence[tuple[str, str]]
    """Each step with its word."""
    totals: Counts
    picture: dict[str, Any]
    by_time: Sequence[Row]
    time_picture: dict[str, Any]
    length: str
    """Of the pieces of time: a day, a week or a month."""
    part: Part
    parts: Sequence[tuple[str, str]]
    by_part: Sequence[Row]
    part_picture: dict[str, Any]

    @property
    def is_empty(self) -> bool:
        return not any(self.totals.values())


def shown(tx: Session, campaign: Campaign, span: Span, part: str) -> Shown:
    """The funnel of these days; `part` is what an address asks to have it parted by."""
    by = Part(part) if part in {each.value for each in PARTS} else Part.channel
    found = report.funnel(tx, campaign.id, span)
    lines = report.by_part(tx, campaign.id, span, by)
    by_part = [Row(_name(by, line), line.counts) for line in lines]
    length, by_time = _by_time(found, span)
    return Shown(
        steps=[(step.value, _(word)) for step, word in STEPS.items()],
        totals=found.totals,
        picture=_funnel(found.totals),
        by_time=by_time,
        time_picture=_picture("lines", by_time),
        length=length.value,
        part=by,
        parts=[(each.value, _(word)) for each, word in PARTS.items()],
        by_part=by_part,
        part_picture=_picture("bars", by_part[:BARS_MAX]),
    )


def _funnel(totals: Counts) -> dict[str, Any]:
    return {
        "kind": "funnel",
        "x": [_(word) for word in STEPS.values()],
        "series": [{"name": _("Times"), "values": [totals[step.value] for step in STEPS]}],
        "unit": "count",
    }


def _picture(kind: str, rows: Sequence[Row]) -> dict[str, Any]:
    """The steps that anybody took."""
    taken = [step for step in FUNNEL if any(row.counts[step.value] for row in rows)]
    return {
        "kind": kind,
        "x": [row.label for row in rows],
        "series": [
            {"name": _(STEPS[step]), "values": [row.counts[step.value] for row in rows]}
            for step in taken
        ],
        "unit": "count",
    }


def _by_time(found: Funnel, span: Span) -> tuple[Length, list[Row]]:
    """In pieces that are long enough to be told apart."""
    period = periods.between(span.since, _end(span), span.zone)
    sums = {slot: Counter[str]() for slot in period.slots}
    slots = iter(period.slots)
    slot = next(slots)
    for day, counts in found.by_day:
        while day > slot.last:
            slot = next(slots)
        sums[slot].update(counts)
    return period.step, [
        Row(_slot(slot, period.step, span), dict(sums[slot])) for slot in period.slots
    ]


def _end(span: Span) -> datetime:
    """The last moment of some days."""
    return span.until - timedelta(microseconds=1)


def _slot(slot: Slot, step: Length, span: Span) -> str:
    text = words.slot(slot, step)
    several = step is not Length.month and span.first.year != span.last.year
    return f"{text} {slot.last.year}" if several else text


def _name(part: Part, line: Line) -> str:
    if line.is_rest:
        return _("All others")
    if not line.value:
        return _("Not known")
    if part is Part.channel:
        return words.channel(line.value)
    if part is Part.region:
        return places.place_name(line.value, language())
    return line.name or _("Store %(number)s", number=line.value)
