"""A band over days: its picture holds every figure, and says the same as they do."""

import re

from hypothesis import given
from hypothesis import strategies as st

from referral.forecast import Interval
from referral.web.staff.bands import WIDTH, band
from referral.web.staff.charts import HEIGHT


def day(low: float, middle: float, high: float) -> Interval:
    return Interval(low, middle, high, mean=middle)


intervals = st.lists(st.floats(0, 1e7), min_size=3, max_size=3).map(
    lambda found: day(*sorted(found))
)


def points(path: str) -> list[tuple[float, float]]:
    found = re.findall(r"(-?[\d.]+) (-?[\d.]+)", path)
    assert re.fullmatch(r"M[-\d. L]+Z?", path)
    return [(float(x), float(y)) for x, y in found]


@given(st.lists(intervals, min_size=1, max_size=40), st.none() | st.integers(0, 10**8))
def test_every_point_is_inside_the_picture(days: list[Interval], line: int | None) -> None:
    made = band(days, line)
    outline, middle = points(made.area), points(made.middle)
    assert (len(outline), len(middle)) == (2 * len(days) + 2, len(days) + 1)
    for x, y in outline + middle:
        assert 0 <= x <= WIDTH
        assert 0 <= y <= HEIGHT
    assert made.line is None or 0 <= made.line <= HEIGHT
    assert made.top >= max(each.high for each in days)


@given(st.lists(intervals, min_size=1, max_size=40))
def test_the_middle_runs_between_the_edges(days: list[Interval]) -> None:
    made = band(days)
    outline, middle = points(made.area), points(made.middle)
    high, low = outline[: len(days) + 1], outline[len(days) + 1 :][::-1]
    for (x, top), (at, line), (below, bottom) in zip(high, middle, low, strict=True):
        assert top <= line + 0.011
        assert line <= bottom + 0.011
        assert x == at == below
    assert (high[0], low[0]) == ((0.0, HEIGHT), (0.0, HEIGHT)), "nothing before the first day"
    assert middle[-1][0] == WIDTH


def test_a_band_by_hand() -> None:
    days = [day(0, 5, 10), day(10, 15, 20)]
    made = band(days)
    assert made.top == 20
    up, down = "M0.00 100.00L150.00 50.00L300.00 0.00", "L300.00 50.00L150.00 100.00L0.00 100.00Z"
    assert made.area == up + down
    assert made.middle == "M0.00 100.00L150.00 75.00L300.00 25.00"


def test_a_line_across_is_drawn_unless_it_is_far_above() -> None:
    days = [day(0, 5, 10)]
    assert band(days, 5).line == 50
    assert (band(days, 20).line, band(days, 20).top) == (0, 20), "the axis makes room for it"
    assert (band(days, 21).line, band(days, 21).top) == (None, 10)
    assert band([day(0, 0, 0)]).top == 2, "nothing at all has an axis"
