"""What rules pay for the purchases of many runs, within their limits, by run and day. Pure."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from referral.forecast.assumptions import DAYS_MAX
from referral.forecast.branching import Floats, Ints
from referral.forecast.grid import Grid
from referral.forecast.purchases import Counted, Listed, place
from referral.forecast.tariffs import DEPTHS, Tariff
from referral.rewards import Limits, When


@dataclass
class Paying:
    """What one rule pays, by unit: how often and how much, by run and day."""

    counts: dict[str, Floats]
    amounts: dict[str, Floats]


@dataclass
class Cashier:
    """Pays for the purchases of many runs, one rule after the other."""

    rng: np.random.Generator
    grid: Grid
    listed: Listed
    counted: Counted
    is_for_some: bool = False
    """See `Terms`."""

    def pay(self, tariff: Tariff) -> Paying:
        """What a rule pays, within its limits."""
        paying = Paying(defaultdict(self.grid.zeros), defaultdict(self.grid.zeros))
        run, at, amount = self._to_people(tariff)
        cell = self.grid.cell(run, at)
        for unit, taken, worth in self._units_of(tariff, amount):
            paying.counts[unit] += self.grid.counted(cell[taken])
            paying.amounts[unit] += self.grid.added(cell[taken], worth[taken])
        for unit, times, each in self._of_counted(tariff):
            paying.counts[unit] += times
            paying.amounts[unit] += times * each
        _limit(paying, tariff.rule.limits)
        return paying

    def _to_people(self, tariff: Tariff) -> tuple[Ints, Floats, Ints]:
        """What is paid for listed purchases, within the limits of each person."""
        listed = self.listed
        table = tariff.amounts(listed.kinds)
        runs, ats, people, amounts = [], [], [], []
        for depth in () if self.is_for_some else DEPTHS:
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

    def _of_counted(self, tariff: Tariff) -> Iterator[tuple[str, Ints, int]]:
        """By unit, how often it is paid by run and day, and how much each time."""
        kinds = self.counted.kinds
        nth = tariff.rule.nth or 1
        is_card = tariff.rule.when is When.nth_claim
        if is_card:  # one in `nth` fills a card; whose they are is not simulated
            kinds = [kind._replace(claims=nth) for kind in kinds]
        table = tariff.amounts(kinds)
        for column, count in enumerate(self.counted.counts):
            if self.is_for_some and kinds[column].is_first:
                continue
            for depth in DEPTHS:
                amount = int(table[depth][column])
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


# Limits


def _within_person(limits: Limits, person: Ints, at: Floats) -> Ints:
    """Which of these rewards a person's own limits let through."""
    kept = np.arange(len(person))
    if limits.per_person_per_day is not None:
        day = at.astype(np.int64)
        kept = kept[place(person * DAYS_MAX + day, at) < limits.per_person_per_day]
    if limits.per_person is not None:
        kept = kept[place(person[kept], at[kept]) < limits.per_person]
    return kept


def _limit(paying: Paying, limits: Limits) -> None:
    """Apply the limits of a rule that are for all: what comes last on a day falls away."""
    for most, so_far in ((limits.per_day, False), (limits.total, True)):
        counts = sum(paying.counts.values())
        if most is None or isinstance(counts, int):
            continue
        allowed = within(counts, most) if so_far else np.minimum(counts, most)
        _scale(paying, np.divide(allowed, counts, out=np.ones_like(counts), where=counts > 0))
    if limits.budget is not None and paying.amounts:
        amounts = sum(paying.amounts.values())
        assert not isinstance(amounts, int)
        allowed = within(amounts, limits.budget)
        _scale(paying, np.divide(allowed, amounts, out=np.ones_like(amounts), where=amounts > 0))


def _scale(paying: Paying, share: Floats) -> None:
    for figures in (paying.counts, paying.amounts):
        for unit in figures:
            figures[unit] = figures[unit] * share


def within(wanted: Floats, most: int | None) -> Floats:
    """What is paid each day until `most` is paid in all."""
    if most is None:
        return wanted
    upto = np.minimum(np.cumsum(wanted, axis=1), most)
    return np.diff(upto, axis=1, prepend=0)
