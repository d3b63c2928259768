"""Two campaigns, or two times of one, side by side.

Rates are compared by their difference, with the interval that holds the true one in 95 of 100
cases: of two shares as in Newcombe 1998 (method 10, 10.1002/(SICI)1097-0258(19980430)17:8<873::AID-
SIM779>3.0.CO;2-I), which takes Wilson's interval of each; of other rates in the same way, as in Zou
and Donner 2008 (10.1002/sim.3095). A rate of fewer than `FEW` is not compared at all.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy.orm import Session

from referral.campaigns import Campaign
from referral.reports import funnel, results, spread_figures
from referral.reports.funnel import Counts, Span
from referral.reports.results import Results
from referral.reports.spread_figures import SpreadFigures
from referral.reports.spread_rates import FEW, Rate, share


@dataclass(frozen=True)
class Difference:
    """How much higher the second is than the first."""

    value: float
    low: float
    high: float

    @property
    def is_clear(self) -> bool:
        """Whether it is more than chance: the interval leaves out zero."""
        return self.low > 0 or self.high < 0


def difference(first: Rate, second: Rate) -> Difference:
    """The second rate less the first, with its interval out of theirs."""
    value = second.value - first.value
    below = math.hypot(second.value - second.low, first.high - first.value)
    above = math.hypot(second.high - second.value, first.value - first.low)
    return Difference(value, value - below, value + above)


@dataclass(frozen=True)
class Side:
    """A campaign in some days."""

    campaign: Campaign
    span: Span
    counts: Counts
    results: Results
    spread: SpreadFigures | None
    """Of all of the campaign's days. None where it is not compared, or not measured yet."""


def side(tx: Session, campaign: Campaign, span: Span, now: datetime, *, with_spread: bool) -> Side:
    found = spread_figures.figures(tx, campaign, now) if with_spread else None
    counts = funnel.funnel(tx, campaign.id, span).totals
    return Side(campaign, span, counts, results.results(tx, campaign, span), found)


class Figure(StrEnum):
    """A rate that is compared."""

    brought_in = "brought_in"
    """Of the new customers, who was brought in by another."""
    conversion = "conversion"
    """Of those who opened a link, who bought."""
    reproduction = "reproduction"
    """R: how many open the link of somebody who opened one. The one that is no share."""


@dataclass(frozen=True)
class Compared:
    """A rate on both sides. None where there is none, or it is of fewer than `FEW`."""

    figure: Figure
    first: Rate | None
    second: Rate | None
    of: tuple[int, int]
    """Of how many people each is."""

    @property
    def difference(self) -> Difference | None:
        if self.first is None or self.second is None:
            return None
        return difference(self.first, self.second)


def compared(first: Side, second: Side) -> Sequence[Compared]:
    """The rates of two sides; those of the spread only where both have one."""
    both = first.results, second.results
    shares = [share(each.brought_in, each.new) if each.new >= FEW else None for each in both]
    found = [Compared(Figure.brought_in, shares[0], shares[1], (both[0].new, both[1].new))]
    if first.spread is not None and second.spread is not None:
        one, other = first.spread.rates, second.spread.rates
        of = one.people, other.people
        found += [
            Compared(Figure.conversion, one.conversion, other.conversion, of),
            Compared(Figure.reproduction, one.reproduction, other.reproduction, of),
        ]
    return found
