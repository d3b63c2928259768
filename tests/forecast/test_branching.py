"""Branching processes against what is known of them in closed form."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from referral.forecast.branching import NOBODY, Lognormal, Offspring, Process, Runs, drawn

AT_ONCE = Lognormal(1e-6, 0.0)


def process(r: float, k: float = 0.3, **changes: Any) -> Process:
    """A process that is over long before its last day."""
    offspring = Offspring(r, k)
    plain = Process(1, 100, offspring, offspring, AT_ONCE, 0.5, AT_ONCE, None, 1_000_000)
    return replace(plain, **changes)


def runs(of: Process, count: int = 20_000, seed: int = 5) -> Runs:
    return drawn(np.random.default_rng(seed), of, count)


@pytest.mark.parametrize(("mean", "k"), [(0.35, 0.15), (0.9, 0.05), (3.0, 50.0), (12.0, 0.5)])
def test_offspring_have_the_moments_of_a_negative_binomial(mean: float, k: float) -> None:
    offspring = Offspring(mean, k)
    chances = np.diff(offspring.upto, prepend=0.0)
    counts = np.arange(len(chances))
    assert (counts * chances).sum() == pytest.approx(mean, rel=1e-6)
    variance = (counts**2 * chances).sum() - mean**2
    assert variance == pytest.approx(mean + mean**2 / k, rel=1e-5)
    assert offspring.none == pytest.approx((k / (k + mean)) ** k)
    rng = np.random.default_rng(1)
    assert offspring.drawn(rng.random(200_000)).mean() == pytest.approx(mean, rel=0.05)


def test_who_has_no_offspring_has_none() -> None:
    assert Offspring(0.0, 0.2).drawn(np.array([0.0, 0.5, 0.999])).tolist() == [0, 0, 0]
    assert runs(process(0.0), 10).opened.sum() == 0


@pytest.mark.parametrize(("r", "k"), [(0.2, 0.1), (0.47, 0.3), (0.7, 2.0)])
def test_cascades_have_the_size_and_the_variance_of_the_closed_forms(r: float, k: float) -> None:
    sizes = runs(process(r, k)).opened.sum(axis=1) + 1
    variance_of_one = r + r * r / k
    expected_variance = variance_of_one / (1 - r) ** 3
    error = np.sqrt(expected_variance / len(sizes))
    assert abs(sizes.mean() - 1 / (1 - r)) < 4 * error
    assert sizes.var() == pytest.approx(expected_variance, rel=0.25)


def test_seeds_may_have_other_offspring_than_who_opens_a_link() -> None:
    found = runs(process(0.4, of_seeds=Offspring(2.0, 1.0), seeds=10), 2_000)
    assert found.opened.sum(axis=1).mean() == pytest.approx(10 * 2.0 / 0.6, rel=0.03)


def test_half_of_those_who_open_buy_and_are_credited_to_the_nearest_customer() -> None:
    found = runs(process(0.6, seeds=20), 500)
    bought = found.bought
    assert len(bought.run) / found.opened.sum() == pytest.approx(0.5, abs=0.01)
    assert (bought.referrer != bought.buyer).all()
    assert len(np.unique(bought.buyer)) == len(bought.buyer)
    # A referrer was there before, and bought before; above a seed there is nobody.
    assert (bought.referrer < bought.buyer).all()
    place = dict(zip(bought.buyer, bought.at, strict=True))
    referrers = dict(zip(bought.buyer, bought.referrer, strict=True))
    rows = zip(bought.buyer, bought.at, bought.referrer, bought.above, strict=True)
    for _, at, referrer, above in rows:
        assert place.get(referrer, -1.0) <= at
        assert above == referrers.get(referrer, NOBODY)


def test_what_comes_after_the_last_day_is_left_out() -> None:
    slow = process(0.5, seeds=2_000, days=1, wait=Lognormal(3.0, 1.0))
    found = runs(slow, 20)
    assert found.opened.shape == (20, 1)
    assert found.opened.sum(axis=1).mean() < 0.2 * 2_000
    assert (found.bought.at < 1).all()


def test_an_audience_is_never_exceeded_and_nearly_filled_where_the_spread_grows() -> None:
    found = runs(process(3.0, 5.0, seeds=50, audience=4_000), 30)
    reached = found.opened.sum(axis=1)
    assert (reached <= 4_000).all()
    # Of an epidemic with R = 3, all but 6 % are reached.
    assert reached.mean() == pytest.approx(0.94 * 4_000, rel=0.03)
    assert not found.is_cut.any()


def test_a_run_without_an_audience_is_cut_off_and_says_so() -> None:
    found = runs(process(2.0, 1.0, seeds=10, most=500), 10)
    assert found.opened.sum(axis=1).max() == 500
    assert found.is_cut.any()


def test_the_same_seed_gives_the_same_runs() -> None:
    of = process(0.5, seeds=50)
    first, again, other = runs(of, 40, 1), runs(of, 40, 1), runs(of, 40, 2)
    assert (first.opened == again.opened).all()
    assert (first.bought.at == again.bought.at).all()
    assert (first.opened != other.opened).any()
