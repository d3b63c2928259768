"""What a forecast goes by: figures that cannot be are refused, and the work is known before."""

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import ValidationError

from referral.forecast.assumptions import Assumptions
from referral.forecast.branching import drawn


@pytest.mark.parametrize(
    "said",
    [
        {"seeds": -1},
        {"days": 0},
        {"days": 367},
        {"reproduction": float("nan")},
        {"reproduction": float("inf"), "audience": 10},
        {"reproduction": -0.1},
        {"dispersion": 0},
        {"conversion": 1.01},
        {"wait_days": 0},
        {"new_share": 2},
        {"audience": 0},
        {"audience": 1_000_001},
        {"order_amount": -1},
        {"colour": "red"},
        {"reproduction": 1.0},
        {"reproduction": 5},
    ],
)
def test_what_cannot_be_is_refused(said: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Assumptions(**said)


def test_a_spread_that_does_not_end_needs_an_audience() -> None:
    with pytest.raises(ValidationError, match="audience"):
        Assumptions(reproduction=1.2)
    assert Assumptions(reproduction=1.2, audience=5_000).process.audience == 5_000


def test_the_process_is_what_was_said() -> None:
    said = Assumptions(
        seeds=7, days=9, reproduction=0.4, per_seed=2.5, dispersion=0.3, conversion=0.2,
        wait_days=0.5, wait_spread=1.1, buying_days=3.0, buying_spread=0.7, audience=99,
    )  # fmt: skip
    process = said.process
    assert (process.seeds, process.days, process.conversion, process.audience) == (7, 9, 0.2, 99)
    assert (process.of_seeds.mean, process.of_openers.mean) == (2.5, 0.4)
    assert {process.of_seeds.dispersion, process.of_openers.dispersion} == {0.3}
    assert (process.wait.median, process.wait.spread) == (0.5, 1.1)
    assert (process.wait_to_buy.median, process.wait_to_buy.spread) == (3.0, 0.7)
    assert Assumptions(reproduction=0.4).process.of_seeds.mean == 0.4, "seeds as anybody else"
    assert Assumptions(reproduction=0.4, per_seed=0).process.of_seeds.mean == 0, "0 is said"


@given(
    seeds=st.integers(0, 300),
    r=st.floats(0, 0.8),
    per_seed=st.none() | st.floats(0, 3),
    k=st.floats(0.3, 5),
)
def test_a_run_has_as_many_openings_as_were_expected(
    seeds: int, r: float, per_seed: float | None, k: float
) -> None:
    said = Assumptions(
        seeds=seeds, reproduction=r, per_seed=per_seed, dispersion=k,
        days=366, wait_days=0.01, wait_spread=0,
    )  # fmt: skip
    assume(said.nodes < 2_000)
    opened = drawn(np.random.default_rng(1), said.process, 60).opened.sum(axis=1)
    error = 5 * (opened.std() + 1) / np.sqrt(len(opened))
    # Who begins is in the figure as well, where somebody opened the link.
    assert opened.mean() <= said.nodes + error
    assert said.nodes <= opened.mean() + seeds + error


def test_what_an_audience_can_do_is_bounded() -> None:
    wild = Assumptions(seeds=1_000_000, reproduction=20, audience=1_000)
    assert wild.nodes < 1_000_000 + 30 * 1_000
    assert Assumptions(seeds=0).nodes == 0
    calm = [Assumptions(reproduction=r).nodes for r in (0.0, 0.2, 0.5, 0.9)]
    assert calm == sorted(calm)
    assert calm[0] == 0
