"""How far people went in a campaign, from an opening to sharing on: in all, by day, by part."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from referral import stores
from referral.rollups import days
from referral.rollups.day_parts import FUNNEL, Part, Step, midnight

LINES_MAX = 50
"""How many channels, stores or regions a table has; what is beyond is one line more."""
SPAN_DAYS_MAX = 3_660


@dataclass(frozen=True)
class Span:
    """Whole days of the brand's calendar, both ends included."""

    first: date
    last: date
    zone: ZoneInfo

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1

    @property
    def since(self) -> datetime:
        return midnight(self.first, self.zone)

    @property
    def until(self) -> datetime:
        """Not included."""
        return midnight(self.last + timedelta(days=1), self.zone)

    @property
    def before(self) -> "Span":
        """As many days right before it."""
        length = timedelta(days=self.days)
        return Span(self.first - length, self.last - length, self.zone)


Counts = Mapping[str, int]
"""How often each step was taken."""


@dataclass(frozen=True)
class Line:
    """A channel, store or region."""

    value: str
    """Empty where it is not known."""
    counts: Counts
    name: str | None = None
    """Of a store."""
    is_rest: bool = False
    """Whether it is all that have no line of their own."""


@dataclass(frozen=True)
class Funnel:
    """Steps are counted each for itself: somebody may scan without ever having opened a link, and
    come more than once."""

    totals: Counts
    by_day: Sequence[tuple[date, Counts]] = field(default_factory=list)


def funnel(tx: Session, campaign_id: int, span: Span) -> Funnel:
    """The steps of a campaign in these days, as a whole and day by day."""
    by_day: dict[date, Counter[str]] = defaultdict(Counter)
    totals = Counter[str]()
    found = days.read(tx, campaign_id, Part.all, span.first, span.last, span.zone)
    for (day, step, _), count in found.items():
        by_day[day][step] += count
        totals[step] += count
    every = [span.first + timedelta(days=n) for n in range(span.days)]
    return Funnel(_steps(totals), [(day, _steps(by_day[day])) for day in every])


def by_part(tx: Session, campaign_id: int, span: Span, part: Part) -> list[Line]:
    """The same by channel, store or region: the most first, what is not known last."""
    by_value: dict[str, Counter[str]] = defaultdict(Counter)
    found = days.read_sums(tx, campaign_id, part, span.first, span.last, span.zone)
    for (step, value), count in found.items():
        by_value["" if value in _UNKNOWN else value][step] += count
    ordered = sorted(by_value, key=lambda value: (not value, -by_value[value].total(), value))
    shown, rest = ordered[:LINES_MAX], ordered[LINES_MAX:]
    names = stores.names(tx, map(int, filter(None, shown))) if part is Part.store else {}
    lines = [
        Line(value, _steps(by_value[value]), names.get(int(value)) if names and value else None)
        for value in shown
    ]
    if rest:
        together = sum((by_value[value] for value in rest), Counter[str]())
        lines.append(Line("", _steps(together), is_rest=True))
    return lines


_UNKNOWN = {"", "0", "unknown"}


def _steps(counts: Counter[str]) -> Counts:
    return {step.value: counts[step.value] for step in FUNNEL}


def granted(tx: Session, campaign_id: int, span: Span) -> dict[str, tuple[int, int]]:
    """What left the budget in these days and what came back, by unit."""
    found: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    kept = days.read_sums(tx, campaign_id, Part.unit, span.first, span.last, span.zone)
    for (step, unit), amount in kept.items():
        found[unit][step == Step.reversed] += amount
    return {unit: (out, back) for unit, (out, back) in sorted(found.items())}
