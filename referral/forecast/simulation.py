"""What a campaign may bring and cost before it starts: simulated many times over. Pure.

Links spread as in `branching`; what people buy is paid for by the campaign's own rules (`tariffs`),
within their limits and the budget, day by day. The same seed gives the same figures. What the model
leaves out is in docs/forecast.md.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from statistics import NormalDist

import numpy as np

from referral.forecast import branching
from referral.forecast.assumptions import DAYS_MAX, Assumptions
from referral.forecast.branching import NOBODY, Bools, Bought, Floats, Ints
from referral.forecast.tariffs import DEPTHS, Kind, Tariff
from referral.rewards import POINT_VALUE, Limits, Proof, Rule, When

RUNS_DEFAULT = 1_000
RUNS_MAX = 10_000
SEED_DEFAULT = 1
NODES_MAX = 20_000_000
"""How many people all runs together may have; with more, there are fewer runs."""
_CHUNK_NODES = 1_000_000
_CHUNK_DAYS = 60_000
"""How much is simulated at once: people, and days of all runs."""
ORDER_SIZES = 16
"""How many different amounts orders are simulated with."""
LOW, MIDDLE, HIGH = 0.05, 0.5, 0.95
"""Nine runs of ten lie between the first and the last."""
MONTH_DAYS = 30


@dataclass(frozen=True)
class Terms:
    """What a campaign promises."""

    rules: Sequence[Rule]
    budgets: Mapping[str, int] = field(default_factory=dict)
    """By unit; a unit that is not there has no bound."""
    currency: str | None = None
    """Of prices and store credit."""
    worth: Mapping[str, int] = field(default_factory=dict)
    """What a coupon or an item is worth in minor units, by unit; 0 where it is not said."""

    def money(self, unit: str) -> int:
        """What one of a unit is worth, in minor units of the currency."""
        if unit == "points":
            return POINT_VALUE
        return self.worth.get(unit, 0) if ":" in unit else 1

    @property
    def budget_in_money(self) -> int | None:
        """None where something that is paid has no bound."""
        units = {unit for rule in self.rules for unit in _units(Tariff(rule, self.currency))}
        if not units or not units <= set(self.budgets):
            return None
        return sum(self.budgets[unit] * self.money(unit) for unit in units)


@dataclass(frozen=True)
class Interval:
    """Nine runs of ten lie between `low` and `high`, half of them below `middle`."""

    low: float
    middle: float
    high: float
    mean: float


@dataclass(frozen=True)
class Day:
    """How far things are at the end of a day, counted from 1."""

    day: int
    people: Interval
    customers: Interval
    cost: Interval


@dataclass(frozen=True)
class Forecast:
    """What a campaign may bring and cost. Money is in minor units of the currency."""

    runs: int
    """How many runs it is made of; fewer than were asked for where they are large."""
    asked: int
    cut: int
    """How many of them were cut off at `RUN_NODES_MAX` people."""
    reach: Interval
    """People who open a link; those whose links are the first ones are not counted."""
    hops: Interval
    """How far the link that goes furthest goes."""
    purchases: Interval
    new_customers: Interval
    brought_in: Interval
    """New customers whom another customer brought in."""
    paid: dict[str, Interval]
    """By unit."""
    wanted: dict[str, Interval]
    """What it would be without a budget."""
    cost: Interval
    """In money: points and store credit at their value, coupons and items at what was said."""
    per_new_customer: Interval | None
    """The cost divided by the new customers; None where some runs have none."""
    per_brought_in: Interval | None
    ends_early: float
    """In what share of the runs a budget runs out."""
    last_day: Interval | None
    """The day on which it does, among those runs; None where it never does."""
    by_day: list[Day]


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
    tariffs = [Tariff(rule, terms.currency) for rule in terms.rules]
    of_nodes = _CHUNK_NODES / max(assumptions.nodes, 1)
    at_once = max(1, int(min(of_nodes, _CHUNK_DAYS / assumptions.days)))
    # The spread has a generator of its own: other rules leave it as it is.
    spreading, paying = rng.spawn(2)
    parts = []
    for start in range(0, done, at_once):
        size = min(at_once, done - start)
        chunk = _Chunk(spreading, paying, assumptions, terms, tariffs, size)
        parts.append(chunk.simulate())
    return _summed(parts, assumptions, terms, runs)


@dataclass
class _Part:
    """Figures of several runs; by run and day unless it says otherwise."""

    opened: Ints
    purchases: Ints
    new: Ints
    brought_in: Ints
    hops: Ints
    """By run."""
    is_cut: Bools
    """By run."""
    paid: dict[str, Floats]
    wanted: dict[str, Floats]


@dataclass
class _Listed:
    """Purchases by people who were brought in, one by one."""

    run: Ints
    at: Floats
    people: tuple[Ints, Ints, Ints]
    """The buyer, the referrer and the one above, by depth."""
    kind: Ints
    """The place in `kinds`."""
    kinds: list[Kind]


@dataclass
class _Counted:
    """Purchases without a friend's link: how many of each kind, by run and day."""

    counts: list[Ints]
    kinds: list[Kind]


@dataclass
class _Paying:
    """What one rule pays, by unit: how often and how much, by run and day."""

    counts: dict[str, Floats]
    amounts: dict[str, Floats]


@dataclass
class _Chunk:
    """Runs that are drawn together."""

    spreading: np.random.Generator
    rng: np.random.Generator
    assumptions: Assumptions
    terms: Terms
    tariffs: list[Tariff]
    runs: int

    def simulate(self) -> _Part:
        spread = branching.drawn(self.spreading, self.assumptions.process, self.runs)
        bought = spread.bought
        first = self._by_day(bought.run, bought.at)
        listed = self._listed(bought)
        counted = self._counted()
        of_kinds = zip(counted.counts, counted.kinds, strict=True)
        new = sum((counts for counts, kind in of_kinds if kind.is_first), first)
        wanted: dict[str, Floats] = defaultdict(self._zeros)
        for tariff in self.tariffs:
            paying = self._paying(tariff, listed, counted)
            _limit(paying, tariff.rule.limits)
            for unit, amounts in paying.amounts.items():
                wanted[unit] = wanted[unit] + amounts
        paid = {unit: _within(each, self.terms.budgets.get(unit)) for unit, each in wanted.items()}
        return _Part(
            opened=spread.opened,
            purchases=sum(counted.counts, self._by_day(listed.run, listed.at)),
            new=new,
            brought_in=first,
            hops=spread.hops,
            is_cut=spread.is_cut,
            paid=paid,
            wanted=dict(wanted),
        )

    @property
    def _days(self) -> int:
        return self.assumptions.days

    def _zeros(self) -> Floats:
        return np.zeros((self.runs, self._days))

    def _by_day(self, run: Ints, at: Floats) -> Ints:
        found = np.bincount(self._cell(run, at), minlength=self.runs * self._days)
        return found.reshape(self.runs, self._days).astype(np.int64)

    def _cell(self, run: Ints, at: Floats) -> Ints:
        return run * self._days + at.astype(np.int64)

    # Purchases

    def _listed(self, bought: Bought) -> _Listed:
        """First purchases, and what the same people buy later."""
        a, rng, size = self.assumptions, self.rng, len(bought.run)
        left = a.days - bought.at
        later = rng.poisson(a.repeat * left / MONTH_DAYS) if a.repeat else np.zeros(size, np.int64)
        of = np.repeat(np.arange(size), later)
        run = np.concatenate([bought.run, bought.run[of]])
        at = np.concatenate([bought.at, bought.at[of] + left[of] * rng.random(len(of))])
        at = np.minimum(at, np.nextafter(a.days, 0))
        people = (bought.buyer, bought.referrer, bought.above)
        buyer, referrer, above = (np.concatenate([each, each[of]]) for each in people)
        is_order = rng.random(len(run)) < a.orders
        order = np.where(is_order, rng.integers(1, ORDER_SIZES + 1, len(run)), 0)
        is_first = np.arange(len(run)) < size
        referrals = np.ones(len(run), dtype=np.int64)
        referrals[:size] = _place(bought.referrer, bought.at) + 1
        claims = np.where(is_order, 1, _place(np.where(is_order, -2 - buyer, buyer), at) + 1)
        has_above = above != NOBODY
        found, kind = _different(np.stack([is_first, has_above, order, referrals, claims], axis=1))
        kinds = [
            Kind(bool(f), True, bool(u), *self._order(int(o)), referrals=int(r), claims=int(c))
            for f, u, o, r, c in found
        ]
        return _Listed(run, at, (buyer, referrer, above), kind, kinds)

    def _order(self, size: int) -> tuple[Proof, int]:
        """An order of the nth of the amounts there are; 0 for a claim."""
        return (Proof.order, self._order_amounts[size - 1]) if size else (Proof.claim, 0)

    @cached_property
    def _order_amounts(self) -> list[int]:
        return order_amounts(self.assumptions.order_amount, self.assumptions.order_spread)

    def _counted(self) -> _Counted:
        a = self.assumptions
        shares = [
            (a.new_share, True, False),
            ((1 - a.new_share) * (1 - a.referred_share), False, False),
            ((1 - a.new_share) * a.referred_share, False, True),
        ]
        proofs = [(1 - a.orders, 0), *((a.orders / ORDER_SIZES, n + 1) for n in range(ORDER_SIZES))]
        counts, kinds = [], []
        for share, is_first, is_referred in shares:
            for part, order in proofs:
                if share * part * a.claims == 0:
                    continue
                mean = a.claims * share * part / a.days
                counts.append(self.rng.poisson(mean, (self.runs, a.days)))
                kinds.append(Kind(is_first, is_referred, False, *self._order(order)))
        return _Counted(counts, kinds)

    # What they are paid

    def _paying(self, tariff: Tariff, listed: _Listed, counted: _Counted) -> _Paying:
        paying = _Paying(defaultdict(self._zeros), defaultdict(self._zeros))
        run, at, amount = self._to_people(tariff, listed)
        cell = self._cell(run, at)
        for unit, taken, worth in self._units_of(tariff, amount):
            counts = np.bincount(cell[taken], minlength=self.runs * self._days)
            amounts = np.bincount(cell[taken], worth[taken], minlength=self.runs * self._days)
            paying.counts[unit] += counts.reshape(self.runs, self._days)
            paying.amounts[unit] += amounts.reshape(self.runs, self._days)
        for unit, times, each in self._of_counted(tariff, counted):
            paying.counts[unit] += times
            paying.amounts[unit] += times * each
        return paying

    def _to_people(self, tariff: Tariff, listed: _Listed) -> tuple[Ints, Floats, Ints]:
        """What is paid for listed purchases, within the limits of each person."""
        table = tariff.amounts(listed.kinds)
        runs, ats, people, amounts = [], [], [], []
        for depth in DEPTHS:
            if not table[depth].any():
                continue
            amount = table[depth][listed.kind]
            paid = np.flatnonzero(amount)
            runs.append(listed.run[paid])
            ats.append(listed.at[paid])
            people.append(listed.people[depth][paid])
            amounts.append(amount[paid])
        if not runs:
            return np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.int64)
        run, at, amount = np.concatenate(runs), np.concatenate(ats), np.concatenate(amounts)
        kept = _within_person(tariff.rule.limits, np.concatenate(people), at)
        return run[kept], at[kept], amount[kept]

    def _units_of(self, tariff: Tariff, amount: Ints) -> Iterator[tuple[str, Ints, Ints]]:
        """By unit, which of these are paid in it and how much; draws are drawn."""
        everything = np.arange(len(amount))
        if not tariff.is_draw:
            yield tariff.unit, everything, amount
            return
        edges = np.cumsum([prize.chance for prize in tariff.prizes])
        won = np.searchsorted(edges, self.rng.random(len(amount)), side="right")
        for row, prize in enumerate(tariff.prizes):
            yield prize.unit, np.flatnonzero(won == row), np.full(len(amount), prize.amount)

    def _of_counted(self, tariff: Tariff, counted: _Counted) -> Iterator[tuple[str, Ints, int]]:
        """By unit, how often it is paid by run and day, and how much each time."""
        kinds = counted.kinds
        nth = tariff.rule.nth or 1
        is_card = tariff.rule.when is When.nth_claim
        if is_card:  # one in `nth` fills a card; whose they are is not simulated
            kinds = [kind._replace(claims=nth) for kind in kinds]
        table = tariff.amounts(kinds)
        for place, count in enumerate(counted.counts):
            for depth in DEPTHS:
                amount = int(table[depth][place])
                if not amount:
                    continue
                times = self.rng.binomial(count, 1 / nth) if is_card else count
                yield from self._drawn(tariff, times, amount)

    def _drawn(self, tariff: Tariff, times: Ints, amount: int) -> Iterator[tuple[str, Ints, int]]:
        if not tariff.is_draw:
            yield tariff.unit, times, amount
            return
        left, chance_left = times, 1.0
        for prize in tariff.prizes:
            won = self.rng.binomial(left, min(prize.chance / chance_left, 1.0))
            yield prize.unit, won, prize.amount
            left, chance_left = left - won, max(chance_left - prize.chance, 1e-12)


def order_amounts(mean: int, spread: float) -> list[int]:
    """Amounts of orders that are equally likely: the middles of as many parts of a lognormal."""
    places = [(n + 0.5) / ORDER_SIZES for n in range(ORDER_SIZES)]
    drawn = np.exp(spread * np.array([NormalDist().inv_cdf(place) for place in places]))
    return [round(amount) for amount in mean * drawn / drawn.mean()]


def _units(tariff: Tariff) -> set[str]:
    return {prize.unit for prize in tariff.prizes} or {tariff.unit}


def _place(group: Ints, at: Floats) -> Ints:
    """How many of the same group come before each, in order of time."""
    order = np.lexsort((at, group))
    ordered = group[order]
    is_start = np.ones(len(group), dtype=np.bool_)
    is_start[1:] = ordered[1:] != ordered[:-1]
    starts = np.flatnonzero(is_start)
    sizes = np.diff(np.concatenate((starts, [len(group)])))
    places = np.empty(len(group), dtype=np.int64)
    places[order] = np.arange(len(group)) - np.repeat(starts, sizes)
    return places


def _different(keys: Ints) -> tuple[Ints, Ints]:
    """The different rows, and which of them each one is."""
    if not len(keys):
        return keys, np.zeros(0, np.int64)
    sizes = keys.max(axis=0) + 1
    flat = np.ravel_multi_index(tuple(keys.T), tuple(sizes))
    found, place = np.unique(flat, return_inverse=True)
    return np.stack(np.unravel_index(found, tuple(sizes)), axis=1), place


def _within_person(limits: Limits, person: Ints, at: Floats) -> Ints:
    """Which of these rewards a person's own limits let through."""
    kept = np.arange(len(person))
    if limits.per_person_per_day is not None:
        day = at.astype(np.int64)
        kept = kept[_place(person * DAYS_MAX + day, at) < limits.per_person_per_day]
    if limits.per_person is not None:
        kept = kept[_place(person[kept], at[kept]) < limits.per_person]
    return kept


def _limit(paying: _Paying, limits: Limits) -> None:
    """Apply the limits of a rule that are for all: what comes last on a day falls away."""
    for most, so_far in ((limits.per_day, False), (limits.total, True)):
        counts = sum(paying.counts.values())
        if most is None or isinstance(counts, int):
            continue
        allowed = _within(counts, most) if so_far else np.minimum(counts, most)
        _scale(paying, np.divide(allowed, counts, out=np.ones_like(counts), where=counts > 0))
    if limits.budget is not None and paying.amounts:
        amounts = sum(paying.amounts.values())
        assert not isinstance(amounts, int)
        allowed = _within(amounts, limits.budget)
        _scale(paying, np.divide(allowed, amounts, out=np.ones_like(amounts), where=amounts > 0))


def _scale(paying: _Paying, share: Floats) -> None:
    for figures in (paying.counts, paying.amounts):
        for unit in figures:
            figures[unit] = figures[unit] * share


def _within(wanted: Floats, most: int | None) -> Floats:
    """What is paid each day until `most` is paid in all."""
    if most is None:
        return wanted
    upto = np.minimum(np.cumsum(wanted, axis=1), most)
    return np.diff(upto, axis=1, prepend=0)


# Summing up


def _summed(parts: Sequence[_Part], assumptions: Assumptions, terms: Terms, asked: int) -> Forecast:
    def every(name: str) -> Ints:
        return np.concatenate([getattr(part, name) for part in parts])

    def of_unit(name: str, unit: str) -> Floats:
        none = np.zeros((1, assumptions.days))
        return np.concatenate(
            [getattr(p, name).get(unit, none.repeat(len(p.hops), axis=0)) for p in parts]
        )

    units = sorted({unit for part in parts for unit in part.wanted})
    paid = {unit: of_unit("paid", unit) for unit in units}
    wanted = {unit: of_unit("wanted", unit) for unit in units}
    opened, new, brought_in = every("opened"), every("new"), every("brought_in")
    nothing = np.zeros(opened.shape)
    money = sum((amounts * terms.money(unit) for unit, amounts in paid.items()), nothing)
    cost = money.sum(axis=1)
    last_days = _last_days(wanted, terms.budgets, len(opened), assumptions.days)
    ran_out = last_days <= assumptions.days
    return Forecast(
        runs=len(opened),
        asked=asked,
        cut=int(every("is_cut").sum()),
        reach=interval(opened.sum(axis=1)),
        hops=interval(every("hops")),
        purchases=interval(every("purchases").sum(axis=1)),
        new_customers=interval(new.sum(axis=1)),
        brought_in=interval(brought_in.sum(axis=1)),
        paid={unit: interval(amounts.sum(axis=1)) for unit, amounts in paid.items()},
        wanted={unit: interval(amounts.sum(axis=1)) for unit, amounts in wanted.items()},
        cost=interval(cost),
        per_new_customer=_each(cost, new.sum(axis=1)),
        per_brought_in=_each(cost, brought_in.sum(axis=1)),
        ends_early=float(ran_out.mean()),
        last_day=interval(last_days[ran_out]) if ran_out.any() else None,
        by_day=_by_day(opened, new, money),
    )


def interval(values: Ints | Floats) -> Interval:
    low, middle, high = np.quantile(values, (LOW, MIDDLE, HIGH))
    return Interval(float(low), float(middle), float(high), float(np.mean(values)))


def _each(cost: Floats, customers: Ints) -> Interval | None:
    return interval(cost / customers) if customers.all() else None


def _last_days(
    wanted: Mapping[str, Floats], budgets: Mapping[str, int], runs: int, days: int
) -> Ints:
    """The day on which the first budget cannot pay what is wanted; one past the end for never."""
    found = np.full(runs, days + 1)
    for unit, amounts in wanted.items():
        if unit in budgets:
            enough = np.cumsum(amounts, axis=1) <= budgets[unit]
            found = np.minimum(found, enough.sum(axis=1) + 1)
    return found


def _by_day(opened: Ints, new: Ints, money: Floats) -> list[Day]:
    bands = [_band(np.cumsum(figures, axis=1, dtype=float)) for figures in (opened, new, money)]
    return [Day(n + 1, *day) for n, day in enumerate(zip(*bands, strict=True))]


def _band(figures: Floats) -> list[Interval]:
    low, middle, high = np.quantile(figures, (LOW, MIDDLE, HIGH), axis=0)
    mean = figures.mean(axis=0)
    return [Interval(*map(float, each)) for each in zip(low, middle, high, mean, strict=True)]
