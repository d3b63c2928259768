"""Rates that take long are kept by the hour, and pages show the kept ones; others are fresh."""

import pytest

from referral import actions, people
from referral.clock import HeldClock
from referral.deployment import Deployment
from referral.reports import forecasts
from referral.reports.spread_rates import Rates
from tests.cast import Brand, Person, open_brand


@pytest.fixture
def brand(deployment: Deployment) -> Brand:
    return open_brand(deployment)


def measured(brand: Brand, **more: int) -> Rates:
    d = brand.deployment
    with d.db.read() as tx:
        return forecasts.measured(tx, d.clock.now(), campaign=brand.campaign, **more)


def claim(brand: Brand, number: int) -> None:
    Person(brand, people.email(f"somebody.{number}@example.com")).claim(number)


def test_a_little_is_measured_for_each_page(brand: Brand, clock: HeldClock) -> None:
    claim(brand, 0)
    clock.advance(minutes=1)
    assert actions.measure_rates(brand.deployment) == 0
    assert measured(brand).purchases == 1


def test_much_is_measured_by_the_hour(
    brand: Brand, clock: HeldClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    d = brand.deployment
    monkeypatch.setattr(forecasts, "LARGE", 2)
    claim(brand, 0)
    assert actions.measure_rates(d) == 0
    claim(brand, 1)
    clock.advance(minutes=1)
    assert measured(brand).purchases == 2, "nothing is kept yet"
    assert actions.measure_rates(d) == 2, "the campaign, and all of them"
    first = measured(brand)
    assert (first.purchases, first.until) == (2, clock.now())
    claim(brand, 2)
    clock.advance(minutes=1)
    assert actions.measure_rates(d) == 0, "it was done a minute ago"
    assert measured(brand) == first
    assert measured(brand, days=30).purchases == 3, "of another time none are kept"
    clock.advance(minutes=60)
    assert actions.measure_rates(d) == 2
    assert measured(brand).purchases == 3
    clock.advance(days=1000)
    assert actions.measure_rates(d) == 1, "the campaign is over"
