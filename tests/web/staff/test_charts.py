"""Charts: an axis that can be read, and bars as high as their numbers."""

import pytest

from referral.reports.activity import Counts
from referral.web.staff.charts import chart, top_of


@pytest.mark.parametrize(
    ("largest", "top"),
    [(0, 2), (1, 2), (2, 2), (3, 4), (5, 6), (9, 10), (11, 20), (41, 60), (100, 100), (101, 200)],
)
def test_an_axis_ends_at_a_round_number(largest: int, top: int) -> None:
    assert top_of(largest) == top


def test_every_axis_holds_its_bars_and_is_not_twice_as_high() -> None:
    for largest in range(2, 3000):
        assert largest <= top_of(largest) <= 2 * largest


def test_bars_stand_on_one_another() -> None:
    counts = [
        Counts(scans=6, first_scans=4, outer_scans=0, claims=0, misses=0),
        Counts(scans=10, first_scans=10, outer_scans=0, claims=0, misses=0),
        Counts(scans=0, first_scans=0, outer_scans=0, claims=0, misses=0),
    ]
    made = chart(counts, "first_scans", "repeats")
    assert (made.top, made.total, made.largest) == (10, 16, 10)
    assert [[(p.figure, p.y, p.height) for p in bar] for bar in made.bars] == [
        [("first_scans", 60, 40), ("repeats", 40, 20)],
        [("first_scans", 0, 100)],
        [],
    ]


def test_a_chart_without_numbers_is_empty() -> None:
    assert chart([], "claims").bars == ()
