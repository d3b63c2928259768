"""The calendar: slots without gaps, in the brand's own time zone, and never too many."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from referral.reports import periods
from referral.reports.periods import SLOTS_MAX, Step

SHANGHAI, NEW_YORK, KOLKATA = map(ZoneInfo, ("Asia/Shanghai", "America/New_York", "Asia/Kolkata"))
NOON = datetime(2026, 3, 15, 12, tzinfo=UTC)


def test_a_day_begins_at_the_zones_midnight() -> None:
    late = datetime(2026, 3, 15, 16, 30, tzinfo=UTC)
    (slot,) = periods.between(late, late, SHANGHAI).slots
    assert (slot.first, slot.last) == (date(2026, 3, 16), date(2026, 3, 16))
    assert slot.since == datetime(2026, 3, 15, 16, tzinfo=UTC)
    assert slot.until == datetime(2026, 3, 16, 16, tzinfo=UTC)


@pytest.mark.parametrize("zone", [SHANGHAI, NEW_YORK, KOLKATA])
@pytest.mark.parametrize("days", [0, 1, 29, 61, 62, 90, 400, 433, 434, 800, 1800])
def test_slots_follow_one_another_and_hold_the_period(days: int, zone: ZoneInfo) -> None:
    since = NOON - timedelta(days=days)
    period = periods.between(since, NOON, zone)
    assert period.since <= since < period.slots[0].until
    assert period.slots[-1].since <= NOON < period.until
    for one, two in pairwise(period.slots):
        assert one.until == two.since
        assert one.last + timedelta(days=1) == two.first
    assert len(period.slots) <= SLOTS_MAX + 1


def test_a_day_on_which_the_clock_is_changed_has_another_length() -> None:
    period = periods.between(
        datetime(2026, 3, 7, 12, tzinfo=UTC), datetime(2026, 3, 9, 12, tzinfo=UTC), NEW_YORK
    )
    assert [(s.until - s.since) / timedelta(hours=1) for s in period.slots] == [24, 23, 24]


def test_long_periods_are_in_weeks_and_months() -> None:
    def step(days: int) -> Step:
        return periods.between(NOON - timedelta(days=days), NOON, SHANGHAI).step

    assert [step(SLOTS_MAX - 1), step(SLOTS_MAX)] == [Step.day, Step.week]
    assert [step(7 * SLOTS_MAX - 1), step(7 * SLOTS_MAX)] == [Step.week, Step.month]
    week = periods.between(NOON - timedelta(days=SLOTS_MAX), NOON, SHANGHAI).slots[0]
    assert (week.first.weekday(), week.last.weekday()) == (0, 6)
    month = periods.between(NOON - timedelta(days=900), NOON, SHANGHAI).slots[1]
    assert (month.first, month.last) == (date(2023, 10, 1), date(2023, 10, 31))


def test_a_period_that_ends_before_it_begins_is_its_first_day() -> None:
    """Two clocks that differ a little: the database's and this machine's."""
    period = periods.between(NOON, NOON - timedelta(days=3), SHANGHAI)
    assert [slot.first for slot in period.slots] == [date(2026, 3, 15)]
