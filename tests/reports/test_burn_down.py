"""Budgets over time: what is left day by day, and a forecast that says how sure it is."""

import random
from datetime import date

import pytest

from referral.clock import HeldClock
from referral.deployment import Deployment
from referral.reports import burn_down
from referral.reports.burn_down import DAYS_LEAST, LOOK_BACK, forecast
from referral.reports.money_sums import Sums
from referral.rollups import money
from tests.cast import BUDGET, PER_CLAIM, Brand, cast_of, open_brand
from tests.rollups.test_money import SHANGHAI


def test_an_even_spending_ends_on_its_day() -> None:
    found = forecast(1_000, [50] * 10)
    assert found is not None
    assert (found.days, found.soonest, found.latest) == (20.0, 20.0, 20.0)
    assert (found.a_day, found.of_days) == (50.0, 10)


@pytest.mark.parametrize(
    ("left", "spent"),
    [
        (1_000, [50] * (DAYS_LEAST - 1)),
        (1_000, [0] * 20),
        (1_000, [-5] * 20),
        (0, [50] * 20),
        (10**12, [1] * 20),
    ],
)
def test_nothing_is_said_where_nothing_can_be(left: int, spent: list[int]) -> None:
    assert forecast(left, spent) is None


def test_the_interval_is_the_roots_of_what_is_documented() -> None:
    spent = [40, 60, 55, 45, 50, 70, 30, 50]
    found = forecast(2_000, spent)
    assert found is not None
    assert found.latest is not None
    mean, n = 50.0, len(spent)
    variance = sum((each - mean) ** 2 for each in spent) / (n - 1)
    for t, z in ((found.soonest, burn_down.Z), (found.latest, -burn_down.Z)):
        spread = (variance * (t + t * t / n)) ** 0.5
        assert mean * t + z * spread == pytest.approx(2_000)
    assert found.soonest < found.days < found.latest


def test_days_that_are_all_different_say_that_it_may_last() -> None:
    found = forecast(10_000, [0, 0, 0, 0, 0, 400])
    assert found is not None
    assert found.latest is None
    assert found.soonest < found.days


def test_only_the_last_days_count() -> None:
    assert forecast(1_000, [9_999] * 100 + [50] * LOOK_BACK) == forecast(1_000, [50] * LOOK_BACK)


def test_the_interval_holds_as_often_as_it_says() -> None:
    """Four of five times, for days that are alike, as the docstring says."""
    chance = random.Random(7)
    day = lambda: max(0, round(chance.gauss(100, 40)))  # noqa: E731
    inside = runs = 0
    for _ in range(1_500):
        found = forecast(1_500, [day() for _ in range(14)])
        assert found is not None
        left, t = 1_500.0, 0.0
        while left > 0:
            spent = day()
            t += min(1.0, left / spent) if spent else 1.0
            left -= spent
        runs += 1
        inside += found.soonest <= t <= (found.latest or float("inf"))
    assert 0.76 < inside / runs < 0.86


@pytest.fixture
def brand(deployment: Deployment) -> Brand:
    return open_brand(deployment)


def sums_of(brand: Brand, clock: HeldClock) -> list[burn_down.Day]:
    with brand.deployment.db.read() as tx:
        return burn_down.days(Sums(tx, SHANGHAI, clock.now()), brand.campaign.id, "points")


def test_a_budget_day_by_day_also_on_days_without_anything(brand: Brand, clock: HeldClock) -> None:
    alice, _, _ = cast_of(brand)
    alice.claim(0)
    clock.advance(days=2)
    alice.claim(1)
    clock.advance(days=1)
    found = sums_of(brand, clock)
    by_day = {each.day: each for each in found}
    assert [each.spent for each in found[-4:]] == [PER_CLAIM, 0, PER_CLAIM, 0]
    assert found[-1].left == BUDGET - 2 * PER_CLAIM == brand.budget_left()
    assert by_day[date(2026, 3, 2)].left == BUDGET - PER_CLAIM
    assert sum(each.put_up for each in found) == BUDGET
    now = clock.now() + money.LATE
    brand.deployment.db.transact(lambda tx: money.tally(tx, SHANGHAI, now))
    assert sums_of(brand, clock) == found


def test_a_running_campaigns_budget_has_a_forecast(
    deployment: Deployment, clock: HeldClock
) -> None:
    brand = open_brand(deployment, budget=1_000)
    alice, _, _ = cast_of(brand)
    for n in range(8):
        clock.advance(days=1)
        alice.claim(n)
    clock.advance(days=1)
    with brand.deployment.db.read() as tx:
        sums = Sums(tx, SHANGHAI, clock.now())
        [line] = burn_down.budgets(tx, sums).rows
        assert (line.unit, line.put_up, line.left) == ("points", 1_000, 840)
        assert line.spent_lately == 7 * PER_CLAIM
        assert burn_down.of_campaign(tx, sums, line.campaign) == [line]
    assert line.forecast is not None
    assert (line.forecast.days, line.forecast.of_days) == (840 / PER_CLAIM, 8)
    assert line.share_left == 0.84
    clock.set(brand.campaign.ends_at)
    with brand.deployment.db.read() as tx:
        [line] = burn_down.budgets(tx, Sums(tx, SHANGHAI, clock.now())).rows
    assert line.forecast is None, "it is over"


def test_what_was_spent_on_the_day_a_campaign_began_was_spent_lately(
    brand: Brand, clock: HeldClock
) -> None:
    alice, _, _ = cast_of(brand)
    alice.claim(0)
    for days, spent in ((1, PER_CLAIM), (6, PER_CLAIM), (1, 0)):
        clock.advance(days=days)
        with brand.deployment.db.read() as tx:
            [line] = burn_down.budgets(tx, Sums(tx, SHANGHAI, clock.now())).rows
        assert line.spent_lately == spent
