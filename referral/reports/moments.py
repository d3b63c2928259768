"""From one moment to the next: of how many it came, and after how long, out of kept counts."""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral.reports.spread_rates import Rate, share
from referral.rollups.moments import ALL, BEFORE, BOUNDS, WAITING, Moment, MomentCount

MONTHS_SHOWN = 12
SHORTEST = 30.0
"""Seconds: what is shorter than the first bound is taken to be around this."""
LONG = 2.0
"""What is longer than the last bound is taken to be at most so many times it."""
DAY = 86_400
SPANS = (3_600, DAY, 3 * DAY, 7 * DAY, 14 * DAY, 30 * DAY, 90 * DAY, 180 * DAY)
"""Where the bars of a picture end, in seconds; the last one has no end."""


@dataclass(frozen=True)
class Passage:
    """How many went on from one moment to another, and after how long."""

    steps: Counter[int] = field(default_factory=Counter)
    """How many by the step of `BOUNDS` that the time between is in, `BEFORE` or `WAITING`."""

    @property
    def began(self) -> int:
        return sum(self.steps.values())

    @property
    def came(self) -> int:
        return self.began - self.steps[WAITING]

    @property
    def before(self) -> int:
        """Those of `came` who had done so before it could begin; how long it took says nothing."""
        return self.steps[BEFORE]

    @property
    def rate(self) -> Rate | None:
        """How many of those who began, so far; None without any."""
        return share(self.came, self.began) if self.began else None

    def seconds(self, part: float) -> float | None:
        """The time after which `part` of those who went on had done so: 0.5 for the median."""
        timed = {step: times for step, times in self.steps.items() if step >= 0 and times > 0}
        wanted = part * sum(timed.values())
        reached = 0.0
        for step in sorted(timed):
            if reached + timed[step] >= wanted:
                low, high = ends_of(step)
                within = (wanted - reached) / timed[step]
                return low * math.exp(within * math.log(high / low))
            reached += timed[step]
        return None

    @property
    def median(self) -> float | None:
        return self.seconds(0.5)

    def spans(self) -> list[int]:
        """How many took as long as each of `SPANS` says, and longer than the last."""
        found = [0] * (len(SPANS) + 1)
        for step, times in self.steps.items():
            if step >= 0:
                # By the middle of a step: the ends of spans and steps do not meet.
                low, high = ends_of(step)
                middle = math.sqrt(low * high)
                found[next((n for n, end in enumerate(SPANS) if middle < end), len(SPANS))] += times
        return found


def ends_of(step: int) -> tuple[float, float]:
    """The shortest and the longest time of a step, in seconds."""
    low = BOUNDS[step - 1] if step else SHORTEST
    high = BOUNDS[step] if step < len(BOUNDS) else BOUNDS[-1] * LONG
    return float(low), float(high)


Passages = dict[Moment, Passage]


def of(tx: Session, product_id: int = ALL, batch_id: int = ALL) -> Passages:
    """All moments of a batch, of a product, or of all products."""
    return _by(tx, MomentCount.batch_id, product_id, [batch_id])[batch_id]


def by_product(tx: Session, products: Sequence[int]) -> dict[int, Passages]:
    """The same of each of these products."""
    found: dict[int, Passages] = {each: _empty() for each in products}
    rows = tx.execute(
        _steps(MomentCount.product_id)
        .where(MomentCount.product_id.in_(products), MomentCount.batch_id == ALL)
        .group_by(MomentCount.product_id, MomentCount.moment, MomentCount.step)
    )
    for product, moment, step, times in rows:
        found[product][Moment(moment)].steps[step] += int(times)
    return found


def by_batch(tx: Session, product_id: int, batches: Sequence[int]) -> dict[int, Passages]:
    """The same of each of these batches of a product."""
    return _by(tx, MomentCount.batch_id, product_id, batches)


def _by(tx: Session, owner: Any, product_id: int, batches: Sequence[int]) -> dict[int, Passages]:
    found: dict[int, Passages] = {each: _empty() for each in batches}
    rows = tx.execute(
        _steps(owner)
        .where(MomentCount.product_id == product_id, MomentCount.batch_id.in_(batches))
        .group_by(owner, MomentCount.moment, MomentCount.step)
    )
    for batch, moment, step, times in rows:
        found[batch][Moment(moment)].steps[step] += int(times)
    return found


def _steps(owner: Any) -> sa.Select[Any]:
    return sa.select(owner, MomentCount.moment, MomentCount.step, sa.func.sum(MomentCount.count))


def _empty() -> Passages:
    return {moment: Passage() for moment in Moment}


def by_month(
    tx: Session, product_id: int = ALL, batch_id: int = ALL, *, months: int = MONTHS_SHOWN
) -> dict[datetime, Passages]:
    """The same by the month, of UTC, in which it began: the latest ones, oldest first."""
    mine = (MomentCount.product_id == product_id, MomentCount.batch_id == batch_id)
    latest = (
        sa.select(MomentCount.month)
        .where(*mine)
        .group_by(MomentCount.month)
        .order_by(MomentCount.month.desc())
        .limit(months)
    )
    rows = tx.execute(
        _steps(MomentCount.month)
        .where(*mine, MomentCount.month.in_(latest.subquery().select()))
        .group_by(MomentCount.month, MomentCount.moment, MomentCount.step)
        .order_by(MomentCount.month)
    )
    found: defaultdict[datetime, Passages] = defaultdict(_empty)
    for month, moment, step, times in rows:
        found[month][Moment(moment)].steps[step] += int(times)
    return dict(found)
