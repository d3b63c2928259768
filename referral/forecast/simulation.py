"""What a campaign may bring and cost before it starts: simulated many times over. Pure.

Links spread as in `branching`; what people buy (`purchases`) is paid for by the campaign's own
rules (`tariffs`, `payments`), within their limits and the budget, day by day. The same seed gives
the same figures. What the model leaves out is in docs/forecast.md.
"""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from referral.forecast import branching, purchases
from referral.forecast.assumptions import Assumptions
from referral.forecast.branching import Floats
from referral.forecast.grid import Grid
from referral.forecast.outcome import Forecast, Part, summed
from referral.forecast.payments import Cashier, within
from referral.forecast.tariffs import Tariff
from referral.forecast.terms import Terms

RUNS_DEFAULT = 1_000
RUNS_MAX = 10_000
SEED_DEFAULT = 1
NODES_MAX = 20_000_000
"""How many people all runs together may have; with more, there are fewer runs."""
_CHUNK_NODES = 1_000_000
_CHUNK_DAYS = 60_000
"""How much is simulated at once: people, and days of all runs."""


def forecast(
    rng: np.random.Generator,
    assumptions: Assumptions,
    terms: Terms,
    runs: int = RUNS_DEFAULT,
    *,
    most: int = NODES_MAX,
) -> Forecast:
    """Simulate a campaign that many times, or as often as `most` people in all allow."""
    done = max(1, min(runs, int(most // max(assumptions.nodes, 1))))
    tariffs = terms.tariffs()
    of_nodes = _CHUNK_NODES / max(assumptions.nodes, 1)
    at_once = max(1, int(min(of_nodes, _CHUNK_DAYS / assumptions.days)))
    # The spread has a generator of its own: other rules leave it as it is.
    spreading, paying = rng.spawn(2)
    parts = []
    for start in range(0, done, at_once):
        size = min(at_once, done - start)
        chunk = _Chunk(spreading, paying, assumptions, terms, tariffs, size)
        parts.append(chunk.simulate())
    return summed(parts, assumptions, terms, runs)


@dataclass
class _Chunk:
    """Runs that are drawn together."""

    spreading: np.random.Generator
    paying: np.random.Generator
    assumptions: Assumptions
    terms: Terms
    tariffs: list[Tariff]
    runs: int

    def simulate(self) -> Part:
        grid = Grid(self.runs, self.assumptions.days)
        spread = branching.drawn(self.spreading, self.assumptions.process, self.runs)
        bought = spread.bought
        first = grid.counted(grid.cell(bought.run, bought.at))
        listed = purchases.listed(self.paying, self.assumptions, bought)
        counted = purchases.counted(self.paying, self.assumptions, self.runs)
        of_kinds = zip(counted.counts, counted.kinds, strict=True)
        new = sum((counts for counts, kind in of_kinds if kind.is_first), first)
        cashier = Cashier(self.paying, grid, listed, counted, self.terms.is_for_some)
        wanted: dict[str, Floats] = defaultdict(grid.zeros)
        for tariff in self.tariffs:
            for unit, amounts in cashier.pay(tariff).amounts.items():
                wanted[unit] = wanted[unit] + amounts
        paid = {unit: within(each, self.terms.budgets.get(unit)) for unit, each in wanted.items()}
        return Part(
            opened=spread.opened,
            purchases=sum(counted.counts, grid.counted(grid.cell(listed.run, listed.at))),
            new=new,
            brought_in=first,
            hops=spread.hops,
            is_cut=spread.is_cut,
            paid=paid,
            wanted=dict(wanted),
        )
