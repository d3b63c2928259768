"""The measures of a chart of what may be: a band over days with its middle line, drawn as SVG by
templates, which say the same in a table."""

from collections.abc import Sequence
from dataclasses import dataclass

from referral.forecast import Interval
from referral.web.staff.charts import HEIGHT, top_of

WIDTH = 300


@dataclass(frozen=True)
class Band:
    """A band in a picture `WIDTH` wide and `HEIGHT` high; the days are those of its ends."""

    top: int
    """Where the axis ends."""
    area: str
    """The outline of where nine runs of ten are, as a path."""
    middle: str
    """Half of the runs are below this path."""
    line: float | None
    """How far down the line across is; None where there is none, or where it is far above."""


def band(days: Sequence[Interval], line: int | None = None) -> Band:
    """The band of figures at the ends of days; they are nothing before the first day."""
    highest = max(day.high for day in days)
    if line is not None and line > 2 * highest:
        line = None
    top = top_of(round(max(highest, line or 0, 2)))
    low = _points([day.low for day in days], top)
    high = _points([day.high for day in days], top)
    return Band(
        top,
        f"M{'L'.join(high)}L{'L'.join(reversed(low))}Z",
        f"M{'L'.join(_points([day.middle for day in days], top))}",
        None if line is None else round(HEIGHT * (1 - line / top), 2),
    )


def _points(values: Sequence[float], top: int) -> list[str]:
    return [
        f"{WIDTH * day / len(values):.2f} {HEIGHT * (1 - value / top):.2f}"
        for day, value in enumerate([0.0, *values])
    ]
