"""Rates against figures by hand, and against processes whose rates are known."""

from datetime import timedelta

import numpy as np
import pytest

from referral import people
from referral.clock import HeldClock
from referral.deployment import Deployment
from referral.forecast.branching import Offspring
from referral.reports import forecasts, spread_rates
from referral.reports.spread_rates import Rates, Scope
from referral.rollups.sharers import Sharer
from tests.cast import Brand, Person, open_brand
from tests.conftest import START


def measured(deployment: Deployment, **of: object) -> Rates:
    now = deployment.clock.now()
    scope = Scope(**{"since": START - timedelta(days=1), "until": now, **of})  # type: ignore[arg-type]
    with deployment.db.read() as tx:
        return spread_rates.rates(tx, scope)


def somebody(brand: Brand, number: int) -> Person:
    return Person(brand, people.email(f"somebody.{number}@example.com"))


def test_the_offspring_of_a_known_distribution_are_found_again() -> None:
    rng = np.random.default_rng(3)
    inside = {"r": 0, "k": 0}
    for _ in range(40):
        children = Offspring(0.4, 0.2).drawn(rng.random(3_000))
        r, k = spread_rates.mean_offspring(children), spread_rates.dispersion(children)
        assert k.low <= k.value <= k.high
        inside["r"] += r.low <= 0.4 <= r.high
        inside["k"] += k.low <= 0.2 <= k.high
    # 38 of 40 are expected; fewer than 33 happen once in two thousand times.
    assert inside["r"] >= 33
    assert inside["k"] >= 33


def test_offspring_without_dispersion_have_a_large_k() -> None:
    children = np.random.default_rng(1).poisson(0.5, 20_000)
    assert spread_rates.dispersion(children).value > 10


def test_no_children_at_all_leave_an_upper_bound() -> None:
    none = spread_rates.mean_offspring(np.zeros(300, np.int64))
    assert (none.value, none.low, none.high) == (0, 0, 0.01)


def test_a_share_has_wilsons_interval() -> None:
    found = spread_rates.share(15, 100)
    assert (found.value, found.low, found.high) == pytest.approx((0.15, 0.0931, 0.2328), abs=1e-4)
    assert spread_rates.share(0, 50).low == 0
    assert spread_rates.share(50, 50).high == pytest.approx(1)


def test_an_empty_brand_has_no_rates_and_the_fields_figures_stand(deployment: Deployment) -> None:
    brand = open_brand(deployment)
    found = measured(deployment)
    assert (found.people, found.seeds, found.purchases) == (0, 0, 0)
    rates = (found.reproduction, found.dispersion, found.conversion, found.repeat)
    assert rates == (None, None, None, None)
    begun = forecasts.beginning(brand.campaign, [brand.product], found)
    assert begun.measured == frozenset()
    assert begun.assumptions.reproduction == 0.35
    assert begun.assumptions.days == 90


def test_rates_are_those_of_what_happened(deployment: Deployment, clock: HeldClock) -> None:
    """Alice's link is opened by 40 people; of four of them, each by three. Ten buy."""
    brand = open_brand(deployment)
    alice = somebody(brand, 0)
    alice.claim(0)
    readers = [somebody(brand, number) for number in range(1, 41)]
    for reader in readers:
        clock.advance(minutes=1)
        reader.open(alice.link())
    below = [somebody(brand, number) for number in range(41, 53)]
    clock.advance(days=1)
    for number, reader in enumerate(below):
        reader.open(readers[number % 4].link())
    clock.advance(days=1)
    for number in range(10):
        readers[number].claim(1 + number)
    clock.advance(days=20)
    young = somebody(brand, 99)
    young.open(alice.link())
    readers[0].claim(50)
    alice.claim(51)
    clock.advance(minutes=1)

    found = measured(deployment, campaign_id=brand.campaign.id)
    assert (found.people, found.left_out) == (52, 1)
    assert found.reproduction is not None
    assert found.reproduction.value == pytest.approx(12 / 52)
    assert found.reproduction.low < 12 / 52 < found.reproduction.high
    assert found.dispersion is not None
    assert found.dispersion.value < 0.3
    assert found.conversion is not None
    assert found.conversion.value == pytest.approx(10 / 52)
    assert found.seeds == 1
    assert found.wait_days == pytest.approx(1, abs=0.05)
    assert found.buying_days == pytest.approx(2, abs=0.05)
    # Alice's two; the first of them is a first one. Who was brought in bought once more.
    assert (found.purchases, found.new_share, found.referred_share) == (2, 0.5, 0)
    assert found.orders == 0
    begun = forecasts.beginning(brand.campaign, [brand.product], found)
    assert begun.assumptions.reproduction == 0.231
    assert {"reproduction", "conversion", "wait_days"} <= begun.measured
    assert "per_seed" not in begun.measured

    other = measured(deployment, campaign_id=brand.campaign.id + 1)
    assert (other.people, other.purchases) == (0, 0)


def test_of_too_many_people_the_latest_are_measured_and_all_who_began_counted(
    deployment: Deployment, clock: HeldClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alice's friends buy, and a month later Bob's do not: of the latest 31 people none bought."""
    brand = open_brand(deployment)
    for first in (0, 100):
        sharer = somebody(brand, first)
        sharer.claim(first)
        for number in range(first + 1, first + 31):
            clock.advance(minutes=1)
            reader = somebody(brand, number)
            reader.open(sharer.link())
            if not first:
                reader.claim(number)
        clock.advance(days=30)
    monkeypatch.setattr(spread_rates, "NODES_MAX", 31)
    found = measured(deployment)
    assert found.conversion is not None
    assert (found.people, found.conversion.value) == (30, 0)
    assert found.seeds == 2


def test_whose_share_is_too_young_is_not_taken_for_one_whom_nobody_follows(
    deployment: Deployment, clock: HeldClock
) -> None:
    """Thirty share a month ago and nobody opens their links; thirty share just now."""
    brand = open_brand(deployment)
    for number in range(60):
        if number == 30:
            clock.advance(days=30)
        said = {"campaign_id": brand.campaign.id, "visitor_id": number + 1, "at": clock.now()}
        deployment.db.transact(lambda tx, said=said: tx.add(Sharer(**said)))  # type: ignore[misc]
    clock.advance(minutes=1)
    found = measured(deployment)
    assert found.seeds == 60
    assert found.per_seed is not None
    assert found.per_seed.high == 3 / 30, "the rule of three, for 30 and not for 60"
