"""What the pages of a batch and of a product say of a period: how long it is, and its charts."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from referral.reports import periods
from referral.reports.activity import SlotCounts
from referral.reports.periods import Period
from referral.web.context import deployment, now
from referral.web.staff.charts import Chart, chart

PERIODS = {"30": timedelta(days=29), "90": timedelta(days=89)}
"""How far back the figures go, by what the address says; any other word is the whole life."""
PERIOD_DEFAULT = "30"


def period_of(born_at: datetime, asked: str) -> Period:
    """What the figures are of; never so short that two bars fill the chart."""
    until = now()
    shortest = until - PERIODS[PERIOD_DEFAULT]
    since = until - PERIODS[asked] if asked in PERIODS else min(born_at, shortest)
    return periods.between(since, until, ZoneInfo(deployment().config.timezone))


def charts_of(counts: Sequence[SlotCounts], *, has_outer: bool) -> dict[str, Chart]:
    outer = {"outer_scans": chart(counts, "outer_scans")} if has_outer else {}
    return {
        "scans": chart(counts, "first_scans", "repeats"),
        **outer,
        "claims": chart(counts, "claims"),
        "misses": chart(counts, "misses"),
    }
