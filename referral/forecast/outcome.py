"""What came of many runs, summed up: intervals that hold nine runs of ten."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel, ConfigDict

from referral.forecast.assumptions import Assumptions
from referral.forecast.branching import Bools, Floats, Ints
from referral.forecast.terms import Terms

LOW, MIDDLE, HIGH = 0.05, 0.5, 0.95
"""Nine runs of ten lie between the first and the last."""


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


class Forecast(BaseModel):
    """What a campaign may come to. Intervals hold nine runs of ten; money is in minor units."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    runs: int
    """Of how many runs it is made: fewer than were asked for where they have very many people."""
    asked: int
    """How many runs were asked for."""
    cut: int
    """How many runs were cut off because they had too many people."""
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


@dataclass
class Part:
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


def summed(parts: Sequence[Part], assumptions: Assumptions, terms: Terms, asked: int) -> Forecast:
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
