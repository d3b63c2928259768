"""Activity: what happened to a batch's codes, in all, by day and by region."""

from datetime import date, datetime, time, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import Field

from referral import batches
from referral.batches import UnknownBatch
from referral.reports import activity as report
from referral.reports import periods
from referral.reports.periods import Period, Step
from referral.terms import YEAR_MAX, YEAR_MIN
from referral.web.api.endpoint import Output, get
from referral.web.api.reading import Query
from referral.web.context import deployment
from referral.web.problems import invalid_field

DAYS_DEFAULT = 30
DAYS_MAX = 3660

Day = Annotated[date, Field(ge=date(YEAR_MIN, 1, 1), le=date(YEAR_MAX, 12, 31))]


class ActivityQuery(Query):
    first: Day | None = None
    """The first day of the period, in the brand's time zone; left out: 29 days before the last."""
    last: Day | None = None
    """The last day of the period; left out: today."""


class CountsOut(Output):
    """Counts of what happened."""

    scans: int
    """Every time a person's browser loaded a code that claims."""
    first_scans: int
    """How many different codes these were the first scans of."""
    repeats: int
    """Scans of codes that had been scanned before."""
    outer_scans: int
    """Scans of outer labels, for looking before buying; not among `scans`."""
    claims: int
    misses: int
    """Codes tried near the batch that do not exist."""


class TotalsOut(CountsOut):
    """A batch's figures since it was issued, whatever period was asked for."""

    outer_seen: int
    """Different outer labels that were scanned."""
    activated: int
    """How many codes are on sale."""
    seen_of_activated: int
    """How many of these have been scanned."""
    first_scan_rate: float | None
    """Their share; null when none is on sale."""


class SlotOut(CountsOut):
    """A day, week or month."""

    first: date
    last: date


class RegionOut(CountsOut):
    """A region in the period. Claims are counted where their codes were first scanned."""

    region: str | None
    """ISO 3166; null where it is not known."""


class ActivityOut(Output):
    """What happened to a batch's codes."""

    totals: TotalsOut
    step: Step
    """How long a slot is: of more than 62 days they are weeks, of more than 434 months."""
    slots: list[SlotOut]
    """The period, in order and without gaps; whole weeks and months, so it may be longer than
    what was asked for."""
    regions: list[RegionOut]
    """Of the same period, the most scans first; the unknown one last."""


@get(
    "/batches/<int:batch_id>/activity",
    query=ActivityQuery,
    answer=ActivityOut,
    problems=[UnknownBatch],
)
def get_activity(batch_id: int, query: ActivityQuery) -> ActivityOut:
    """Get what happened to a batch.

    Scans, claims and codes that do not exist: in all, over a period, and by region.
    """
    period = _period(query)
    with deployment().db.read() as tx:
        batches.batch_by_id(tx, batch_id)
        totals = report.totals(tx, batch_id)
        slots = report.over_time(tx, [batch_id], period)
        regions = report.by_region(tx, [batch_id], period)
    return ActivityOut(
        totals=TotalsOut.model_validate(totals, from_attributes=True),
        step=period.step,
        slots=[
            SlotOut(**_counts(counts), first=counts.slot.first, last=counts.slot.last)
            for counts in slots
        ],
        regions=[RegionOut(**_counts(counts), region=counts.region) for counts in regions],
    )


def _counts(counts: report.Counts) -> dict[str, int]:
    return {name: getattr(counts, name) for name in CountsOut.model_fields}


def _period(query: ActivityQuery) -> Period:
    """Raises `InvalidInput`."""
    last = query.last or deployment().local_now().date()
    first = query.first or last - timedelta(days=DAYS_DEFAULT - 1)
    if first > last:
        raise invalid_field("first", "This is later than the last day.")
    if (last - first).days >= DAYS_MAX:
        raise invalid_field("first", f"A period has {DAYS_MAX} days at most.")
    zone = ZoneInfo(deployment().config.timezone)
    noon = time(12, tzinfo=zone)
    return periods.between(datetime.combine(first, noon), datetime.combine(last, noon), zone)
