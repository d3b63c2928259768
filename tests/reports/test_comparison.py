"""Rates side by side: differences with intervals, and nothing said of a few people."""

from datetime import date, timedelta
from zoneinfo import ZoneInfo

import pytest

from referral.reports import comparison
from referral.reports.comparison import Figure, difference
from referral.reports.funnel import Span
from referral.reports.spread_rates import FEW, Rate, share
from tests.cast import Brand, cast_of


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        # Newcombe 1998, table II, method 10: 56/70 - 48/80 and those that follow it.
        ((48, 80), (56, 70), (0.2000, 0.0524, 0.3339)),
        ((3, 10), (9, 10), (0.6000, 0.1705, 0.8090)),
        ((2, 7), (6, 7), (0.5714, 0.0582, 0.8062)),
        ((0, 29), (5, 56), (0.0893, -0.0381, 0.1926)),
        ((0, 20), (0, 10), (0.0, -0.1611, 0.2775)),
        ((0, 10), (10, 10), (1.0, 0.6075, 1.0)),
    ],
)
def test_a_difference_of_shares_has_the_published_interval(
    first: tuple[int, int], second: tuple[int, int], expected: tuple[float, float, float]
) -> None:
    found = difference(share(*first), share(*second))
    assert (found.value, found.low, found.high) == pytest.approx(expected, abs=5e-5)


def test_turned_round_it_is_the_same_with_the_other_sign() -> None:
    one, other = share(12, 80), share(30, 90)
    there, back = difference(one, other), difference(other, one)
    assert (there.value, there.low, there.high) == pytest.approx(
        (-back.value, -back.high, -back.low)
    )
    assert there.is_clear
    assert back.is_clear


def test_of_the_same_nothing_is_clear() -> None:
    found = difference(Rate(0.4, 0.3, 0.5), Rate(0.4, 0.3, 0.5))
    assert found.value == 0
    assert not found.is_clear


def test_fewer_people_than_enough_are_not_compared(brand: Brand) -> None:
    alice, bob, _ = cast_of(brand)
    alice.claim(0)
    bob.open(alice.link())
    bob.claim(1)
    now = brand.deployment.clock.now()
    today = now.astimezone(ZoneInfo("UTC")).date()
    span = Span(today - timedelta(days=1), today, ZoneInfo("UTC"))
    with brand.deployment.db.read() as tx:
        one, before = (
            comparison.side(tx, brand.campaign, days, now, with_spread=False)
            for days in (span, span.before)
        )
        [line] = comparison.compared(one, before)
    assert (one.results.new, one.results.brought_in, before.results.new) == (2, 1, 0)
    assert one.counts["claim"] == 2
    assert line.figure is Figure.brought_in
    assert (line.of, line.first, line.difference) == ((2, 0), None, None)
    assert FEW > 2
    assert span.before.last == span.first - timedelta(days=1)
    assert span.before.days == span.days == 2
    assert isinstance(span.first, date)
