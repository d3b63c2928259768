"""How links spread from hand to hand: a branching process in continuous time, many runs at once.

Every person begets a negative binomial number of people who open the link (Lloyd-Smith et al. 2005,
10.1038/nature04153), each after a lognormal wait (Iribarren and Moro 2009,
10.1103/PhysRevLett.103.038702). What happens after the last day is left out, with all that would
have come of it. Pure: the same generator and parameters give the same runs.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

TAIL = 1e-12
"""Numbers of children rarer than this are not drawn."""
MEAN_MIN = 1e-9
"""Below it nobody has any."""
CHILDREN_MAX = 200_000
"""Nobody has more, however unlikely that is."""
OPENINGS_MAX = 5
"""How many openings of one generation are looked at, for everybody there is: of so many, all but
one in 150 people are reached."""
NOBODY = -1


@dataclass(frozen=True)
class Offspring:
    """How many people open a person's link: negative binomial with this mean and dispersion k."""

    mean: float
    dispersion: float

    @cached_property
    def upto(self) -> Floats:
        """The probability of at most 0, 1, 2, ... of them, up to where it is as good as 1."""
        k, mean = self.dispersion, self.mean
        if mean < MEAN_MIN:
            return np.ones(1)
        # As far as the tail of a geometric one with the same ratio reaches, and then some.
        log_ratio = np.log(mean / (k + mean))
        size = min(int(-np.log(TAIL) / -log_ratio + 20 * (mean + k + 1)), CHILDREN_MAX)
        counts = np.arange(1, size + 1)
        steps = np.log((counts - 1 + k) / counts) + log_ratio
        logs = np.concatenate(([0.0], np.cumsum(steps))) + k * np.log(k / (k + mean))
        summed: Floats = np.cumsum(np.exp(logs))
        summed /= summed[-1]
        return summed

    @property
    def none(self) -> float:
        """How likely nobody opens it."""
        return float(self.upto[0])

    def drawn(self, uniform: Floats) -> Ints:
        """How many, for each number that is evenly distributed between 0 and 1."""
        return np.searchsorted(self.upto, uniform, side="right").astype(np.int64)


@dataclass(frozen=True)
class Lognormal:
    """A heavy-tailed waiting time: its median in days and the spread of its logarithm."""

    median: float
    spread: float

    def drawn(self, rng: np.random.Generator, size: int) -> Floats:
        drawn: Floats = rng.standard_normal(size)
        drawn *= self.spread
        return self.median * np.exp(drawn)


@dataclass(frozen=True)
class Process:
    """What a run is drawn from. Times are in days."""

    seeds: int
    """People whose links are the first ones, spread evenly over the days."""
    days: int
    of_seeds: Offspring
    of_openers: Offspring
    wait: Lognormal
    """Between two openings, one below the other."""
    conversion: float
    """How many of those who open a link buy and claim."""
    wait_to_buy: Lognormal
    audience: int | None
    """How many people there are to be reached; None for as many as it takes."""
    most: int
    """With how many people a run is cut off."""


@dataclass
class Bought:
    """First purchases by people who opened a link, in no order."""

    run: Ints
    at: Floats
    buyer: Ints
    referrer: Ints
    above: Ints
    """Who brought the referrer in; `NOBODY` for nobody."""


@dataclass
class Runs:
    """Several runs of a process."""

    opened: Ints
    """How many people opened a link, by run and day."""
    bought: Bought
    hops: Ints
    """How far links went, by run."""
    is_cut: Bools
    """Whether a run came to the most people, by run."""


@dataclass
class _Generation:
    """People with links that somebody will open; in the order of their runs."""

    run: Ints
    at: Floats
    node: Ints
    referrer: Ints
    bought_at: Floats
    """Infinity for who buys nothing; minus infinity for who was a customer before."""
    children: Ints


@dataclass
class _Drawing:
    rng: np.random.Generator
    process: Process
    runs: int
    referrers: list[Ints] = field(default_factory=list)
    """Of all nodes, generation by generation."""
    bought: list[Bought] = field(default_factory=list)

    def run(self) -> Runs:
        p = self.process
        opened = np.zeros(self.runs * p.days, dtype=np.int64)
        reached = np.zeros(self.runs, dtype=np.int64)
        hops = np.zeros(self.runs, dtype=np.int64)
        is_cut = np.zeros(self.runs, dtype=np.bool_)
        parents = self._seeds()
        hop = 0
        while len(parents.run):
            hop += 1
            run, at, parent = self._openings(parents)
            kept = self._kept(run, reached, is_cut)
            run, at, parent = run[kept], at[kept], parent[kept]
            opened += np.bincount(run * p.days + at.astype(np.int64), minlength=len(opened))
            hops[np.unique(run)] = hop
            parents = self._next(parents, run, at, parent)
        return Runs(opened.reshape(self.runs, p.days), self._all_bought(), hops, is_cut)

    def _seeds(self) -> _Generation:
        """Those of the seeds whose links somebody opens."""
        p, rng = self.process, self.rng
        none = p.of_seeds.none
        with_children = rng.binomial(p.seeds, 1 - none, self.runs)
        run = np.repeat(np.arange(self.runs), with_children)
        size = len(run)
        at = p.days * rng.random(size)
        children = p.of_seeds.drawn(none + (1 - none) * rng.random(size))
        referrer = np.full(size, NOBODY)
        self.referrers.append(referrer)
        customer_before = np.full(size, -np.inf)
        return _Generation(run, at, np.arange(size), referrer, customer_before, children)

    def _openings(self, parents: _Generation) -> tuple[Ints, Floats, Ints]:
        """The next openings in time: their run, their moment and the place of the parent."""
        children = self._thinned(parents)
        parent = np.repeat(np.arange(len(parents.run)), children)
        at = parents.at[parent] + self.process.wait.drawn(self.rng, len(parent))
        in_time = at < self.process.days
        parent = parent[in_time]
        return parents.run[parent], at[in_time], parent

    def _thinned(self, parents: _Generation) -> Ints:
        """The children of each parent; a part of them where they are many more than people."""
        p = self.process
        most = OPENINGS_MAX * (p.audience or p.most)
        in_run = np.bincount(parents.run, parents.children, minlength=self.runs)
        if (in_run <= most).all():
            return parents.children
        share = np.minimum(1.0, most / np.maximum(in_run, 1))
        return self.rng.binomial(parents.children, share[parents.run])

    def _kept(self, run: Ints, reached: Ints, is_cut: Bools) -> Bools:
        """Which openings are by somebody new; counts them as `reached`."""
        p = self.process
        wanted = np.bincount(run, minlength=self.runs)
        kept = np.ones(len(run), dtype=np.bool_)
        left = np.maximum((p.most if p.audience is None else p.audience) - reached, 0)
        if p.audience is not None:
            # So many openings, each by anybody: this is how many different new people they are.
            new = left * -np.expm1(-wanted / p.audience)
            share = np.divide(new, wanted, out=np.zeros(self.runs), where=wanted > 0)
            kept = self.rng.random(len(run)) < share[run]
        place = np.cumsum(kept) - 1
        before = np.concatenate(([0], np.cumsum(np.bincount(run[kept], minlength=self.runs))[:-1]))
        fits = place - before[run] < np.minimum(left, p.most - reached)[run]
        is_cut |= np.bincount(run[kept & ~fits], minlength=self.runs) > 0
        kept &= fits
        reached += np.bincount(run[kept], minlength=self.runs)
        return kept

    def _next(self, parents: _Generation, run: Ints, at: Floats, parent: Ints) -> _Generation:
        """Who opened: what they buy, and those of them whose own links are opened."""
        p, rng = self.process, self.rng
        size = len(run)
        node = np.arange(size) + sum(map(len, self.referrers))
        bought_at = np.full(size, np.inf)
        buys = np.flatnonzero(rng.random(size) < p.conversion)
        bought_at[buys] = at[buys] + p.wait_to_buy.drawn(rng, len(buys))
        bought_at[bought_at >= p.days] = np.inf
        above_at = parents.bought_at[parent]
        # The nearest customer above, as it is when somebody buys.
        is_parent = (above_at <= bought_at) & (above_at < np.inf)
        referrer = np.where(is_parent, parents.node[parent], parents.referrer[parent])
        self.referrers.append(referrer)
        buyers = np.flatnonzero(np.isfinite(bought_at))
        self.bought.append(
            Bought(run[buyers], bought_at[buyers], node[buyers], referrer[buyers], buyers[:0])
        )
        uniform = rng.random(size)
        fertile = np.flatnonzero(uniform >= p.of_openers.none)
        return _Generation(
            run[fertile],
            at[fertile],
            node[fertile],
            referrer[fertile],
            bought_at[fertile],
            p.of_openers.drawn(uniform[fertile]),
        )

    def _all_bought(self) -> Bought:
        no_ints, no_floats = np.zeros(0, np.int64), np.zeros(0)
        referrer = np.concatenate([no_ints, *(each.referrer for each in self.bought)])
        return Bought(
            run=np.concatenate([no_ints, *(each.run for each in self.bought)]),
            at=np.concatenate([no_floats, *(each.at for each in self.bought)]),
            buyer=np.concatenate([no_ints, *(each.buyer for each in self.bought)]),
            referrer=referrer,
            above=np.concatenate([no_ints, *self.referrers])[referrer],
        )


def drawn(rng: np.random.Generator, process: Process, runs: int) -> Runs:
    """That many runs."""
    return _Drawing(rng, process, runs).run()
