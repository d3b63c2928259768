"""The measures of bar charts; templates draw them as SVG, and say the same in a table."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from referral.reports.activity import Counts

HEIGHT = 100


@dataclass(frozen=True)
class Part:
    """A figure's part of a bar, from the top of the picture down."""

    figure: str
    y: float
    height: float


@dataclass(frozen=True)
class Chart:
    """Bars of one or several figures on top of one another, `HEIGHT` high."""

    figures: tuple[str, ...]
    top: int
    """Where the axis ends."""
    total: int
    largest: int
    bars: tuple[tuple[Part, ...], ...]


def chart(counts: Sequence[Counts], *figures: str) -> Chart:
    """A bar for each of the counts, the first figure at the bottom."""
    values = [[int(getattr(each, figure)) for figure in figures] for each in counts]
    sums = [sum(each) for each in values]
    top = top_of(max(sums, default=0))
    return Chart(
        figures,
        top,
        sum(sums),
        max(sums, default=0),
        tuple(
            tuple(
                Part(figure, round(HEIGHT * (1 - upto / top), 2), round(HEIGHT * value / top, 2))
                for figure, value, upto in zip(figures, each, accumulate(each), strict=True)
                if value
            )
            for each in values
        ),
    )


def top_of(largest: int) -> int:
    """Where an axis ends: a round number that can be halved, at or above `largest`."""
    unit = 1
    while largest > 10 * unit:
        unit *= 10
    return next(step * unit for step in (2, 4, 6, 8, 10) if step * unit >= largest)
