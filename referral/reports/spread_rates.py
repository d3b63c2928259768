"""How links have spread so far: R and k with their intervals, who of the openers buys, how soon.

Offspring are fitted as in Lloyd-Smith et al. 2005 (10.1038/nature04153). Only people who came
through somebody's link are counted: of those who begin, nobody sees whose links are opened by
nobody. People too young to have had children are left out, since theirs are still to come.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict
from sqlalchemy.orm import Session, aliased

from referral.campaigns import Campaign, CampaignState
from referral.claims import Claim
from referral.forecast.branching import Floats, Ints
from referral.graph import Referral, SpreadNode
from referral.orders import Order
from referral.people import Visitor
from referral.rollups.sharers import Sharer

NODES_MAX = 300_000
"""Of so many people, the latest, rates are taken."""
RIPE_SHARE = 0.95
"""How much of the waiting time somebody has to be old for, to count."""
RIPE_DAYS_MIN, RIPE_DAYS_MAX, RIPE_DAYS_DEFAULT = 1.0, 14.0, 7.0
FEW = 30
"""With fewer people than this there are no rates."""
WAITS_MIN = 10
"""With fewer waits than this, there is no telling how long they are."""
Z = 1.959964
"""Of an interval that holds the true figure in 95 of 100 cases."""
_LIKELY = 1.9207
"""How far the logarithm of the likelihood falls at the ends of such an interval."""
K_MIN, K_MAX = 0.01, 100.0
SHORTEST_DAYS = 1e-5
"""About a second: times are kept no finer everywhere."""
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Rate:
    """A measured figure, with the interval that holds the true one in 95 of 100 cases."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Scope:
    """What is measured: a campaign, or all of them, since some moment."""

    since: datetime
    until: datetime
    campaign_id: int | None = None


class Rates(BaseModel):
    """How links have spread so far. What is null could not be measured."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    since: datetime
    """Where there is less on record than was asked for, when that begins."""
    until: datetime
    spread_since: datetime | None = None
    """From when on somebody could begin, where that is later: of all campaigns, since the first one
    started."""
    people: int
    """Who came through somebody's link, and are old enough to have had children."""
    left_out: int
    """Those who are too young for it."""
    ripe_days: float
    """How old that is."""
    reproduction: Rate | None
    """R: how many open the link of somebody who opened one; 95 % interval."""
    dispersion: Rate | None
    """k: the smaller, the more of it comes from a few people."""
    per_seed: Rate | None
    """How many open the link of somebody who began."""
    seeds: int
    """People who began: who shared, or whose link was opened, and who came through nobody's."""
    conversion: Rate | None
    """How many of those who opened a link bought and claimed."""
    wait_days: float | None
    """The median time between an opening and the next one below it."""
    wait_spread: float | None
    """The spread of its logarithm."""
    buying_days: float | None
    """The median time between opening a link and the first purchase."""
    buying_spread: float | None
    purchases: int
    """Claims and orders without a friend's link."""
    new_share: float | None
    """How many of them were first ones."""
    referred_share: float | None
    """How many of the others were of customers who had been brought in before."""
    repeat: float | None
    """How many more packages somebody who was brought in claims in 30 days."""
    orders: float | None
    """How many of all purchases were orders."""
    order_amount: int | None
    """What an order came to on average."""

    @property
    def days(self) -> float:
        """Of how many days the purchases are."""
        return max((self.until - self.since) / DAY, 1.0)

    @property
    def spread_days(self) -> float:
        """In how many days those began who began."""
        return max((self.until - (self.spread_since or self.since)) / DAY, 1.0)


def rates(tx: Session, scope: Scope) -> Rates:
    bought_since, spread_since = _known_since(tx, scope)
    people = _people(tx, scope)
    now = _days(scope.until)
    waits = people.waits
    ripe_days = RIPE_DAYS_DEFAULT
    if len(waits) >= WAITS_MIN:
        found = float(np.quantile(waits, RIPE_SHARE))
        ripe_days = min(max(found, RIPE_DAYS_MIN), RIPE_DAYS_MAX)
    is_ripe = people.at <= now - ripe_days
    children = people.children[is_ripe & people.has_parent]
    of_roots = people.children[is_ripe & ~people.has_parent]
    ripe_until = scope.until - timedelta(days=ripe_days)
    silent, ripe_silent = _silent_seeds(tx, scope, replace(people.scope, until=ripe_until))
    is_cut = people.scope is not scope
    roots = _roots(tx, scope) if is_cut else int((~people.has_parent).sum())
    opened, buying = _buying(tx, people.scope)
    ripe_buyers = int((opened <= now - ripe_days).sum())
    of_seeds = np.concatenate([of_roots, np.zeros(ripe_silent, np.int64)])
    enough = len(children) >= FEW
    is_spread = enough and children.sum() > 0
    return Rates(
        since=bought_since,
        until=scope.until,
        spread_since=spread_since,
        people=len(children),
        left_out=int((~is_ripe & people.has_parent).sum()),
        ripe_days=ripe_days,
        reproduction=mean_offspring(children) if enough else None,
        dispersion=dispersion(children) if is_spread else None,
        per_seed=mean_offspring(of_seeds) if len(of_seeds) >= FEW else None,
        seeds=roots + silent,
        conversion=share(ripe_buyers, len(children)) if enough else None,
        **_of_waits(waits, "wait"),
        **_of_waits(buying, "buying"),
        **_of_purchases(tx, scope),
    )


# Estimates


def mean_offspring(children: Ints) -> Rate:
    """R with its interval, by the variance that was seen; for none at all by the rule of three."""
    n = len(children)
    mean = float(children.mean())
    if mean == 0:
        return Rate(0.0, 0.0, 3 / n)
    error = float(children.std(ddof=1)) / math.sqrt(n) if n > 1 else mean
    # On a logarithmic scale: it is never below 0, and longer upwards.
    factor = math.exp(Z * error / mean)
    return Rate(mean, mean / factor, mean * factor)


def dispersion(children: Ints) -> Rate:
    """k of a negative binomial by maximum likelihood, with its profile's interval.

    `K_MAX` is as good as no dispersion at all; some have to have children.
    """
    counts = np.bincount(children)
    mean = float(children.mean())
    likelihood = _likelihood(counts, mean)
    grid = np.geomspace(K_MIN, K_MAX, 121)
    values = np.array([likelihood(k) for k in grid])
    best = int(values.argmax())
    k = _largest(likelihood, grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)])
    within = grid[values >= likelihood(k) - _LIKELY]
    low, high = (within[0], within[-1]) if len(within) else (k, k)
    return Rate(k, min(float(low), k), max(float(high), k))


def _likelihood(counts: Ints, mean: float) -> Callable[[float], float]:
    """The logarithm of the likelihood of k, where so many have 0, 1, 2, ... children."""
    sizes = np.arange(len(counts))
    total, born = int(counts.sum()), float((counts * sizes).sum())
    above = counts[::-1].cumsum()[::-1][1:]
    """How many have at least 1, 2, ... children."""

    def likelihood(k: float) -> float:
        # The logarithm of a gamma function's ratio is a sum: ln k + ln (k + 1) + ...
        grown = float((above * np.log(k + sizes[:-1])).sum()) if len(above) else 0.0
        return grown + total * k * math.log(k / (k + mean)) + born * math.log(mean / (k + mean))

    return likelihood


def _largest(value: Callable[[float], float], low: float, high: float) -> float:
    """Where it is largest, to a thousandth, by golden sections of the logarithm."""
    ratio = (math.sqrt(5) - 1) / 2
    a, b = math.log(low), math.log(high)
    while b - a > 1e-3:
        left, right = b - ratio * (b - a), a + ratio * (b - a)
        if value(math.exp(left)) < value(math.exp(right)):
            a = left
        else:
            b = right
    return math.exp((a + b) / 2)


def share(part: int, whole: int) -> Rate:
    """A share with Wilson's interval."""
    p = min(part / whole, 1.0)
    scale = 1 + Z * Z / whole
    middle = (p + Z * Z / (2 * whole)) / scale
    half = Z / scale * math.sqrt(p * (1 - p) / whole + Z * Z / (4 * whole * whole))
    return Rate(p, max(middle - half, 0.0), min(middle + half, 1.0))


def _of_waits(waits: Floats, name: str) -> dict[str, Any]:
    if len(waits) < WAITS_MIN:
        return {f"{name}_days": None, f"{name}_spread": None}
    logs = np.log(waits)
    # By quartiles: one who left a page open for a month says little about the others.
    first, middle, third = np.quantile(logs, (0.25, 0.5, 0.75))
    return {
        f"{name}_days": float(np.exp(middle)),
        f"{name}_spread": float((third - first) / 1.349),
    }


# What is counted


@dataclass(frozen=True)
class _People:
    """Everybody in the spread. Times are in days."""

    at: Floats
    has_parent: Any
    children: Ints
    waits: Floats
    """Between somebody's opening and those of the own link."""
    scope: Scope
    """What they are all of: where they are more than `NODES_MAX`, it begins with the earliest."""


def _people(tx: Session, scope: Scope) -> _People:
    node = SpreadNode
    latest = (
        sa.select(node.campaign_id, node.visitor_id, node.parent_id, node.at)
        .where(*_nodes_in(scope))
        .order_by(node.at.desc())
        .limit(NODES_MAX)
    )
    rows = tx.execute(latest).all()
    place = {(row.campaign_id, row.visitor_id): n for n, row in enumerate(rows)}
    at = np.array([_days(row.at) for row in rows])
    parent = np.array([place.get((row.campaign_id, row.parent_id), -1) for row in rows], int)
    has_parent = np.array([row.parent_id is not None for row in rows], bool)
    known = parent >= 0
    children = np.bincount(parent[known], minlength=len(rows)).astype(np.int64)
    # The first opening of a root's link is where its own time begins.
    timed = known & has_parent[parent] if len(rows) else known
    waits = at[timed] - at[parent[timed]]
    is_cut = len(rows) == NODES_MAX
    of = replace(scope, since=rows[-1].at) if is_cut else scope
    return _People(at, has_parent, children, waits[waits > 0], of)


def _days(moment: datetime) -> float:
    return moment.astimezone(UTC).timestamp() / 86_400


def _nodes_in(scope: Scope) -> list[sa.ColumnElement[bool]]:
    return _within(scope, SpreadNode, SpreadNode.at)


def _known_since(tx: Session, scope: Scope) -> tuple[datetime, datetime]:
    """From when on purchases, and who began, were on record within the time.

    Of a brand that is younger than the time, what is counted has to be divided by the brand's own
    days. No count changes: all of it is later.
    """
    if scope.campaign_id is not None:
        return scope.since, scope.since
    published = Campaign.state == CampaignState.published
    started = tx.scalar(sa.select(sa.func.min(Campaign.starts_at)).where(published))
    spread = _earliest(tx, scope, started, SpreadNode.at, Sharer.at)
    bought = _earliest(tx, scope, spread, Claim.at, Order.reported_at)
    return _within_scope(bought, scope), _within_scope(spread, scope)


def _earliest(tx: Session, scope: Scope, known: datetime | None, *columns: Any) -> datetime | None:
    """The earliest of what is known and in the columns. Once that is before the time, how much
    before makes no difference, and nothing more is gone through."""
    for at in columns:
        if known and known <= scope.since:
            break
        first = tx.scalar(sa.select(sa.func.min(at)))
        known = min((each for each in (known, first) if each), default=None)
    return known


def _within_scope(earliest: datetime | None, scope: Scope) -> datetime:
    if earliest is None or earliest >= scope.until:
        return scope.since
    return max(earliest, scope.since)


def _roots(tx: Session, scope: Scope) -> int:
    """People who came through nobody's link, and whose own was opened."""
    roots = sa.select(sa.func.count()).select_from(SpreadNode)
    return tx.scalar(roots.where(*_nodes_in(scope), SpreadNode.parent_id.is_(None))) or 0


def _silent_seeds(tx: Session, scope: Scope, part: Scope) -> tuple[int, int]:
    """People who first pressed a share button then, and nobody opened their link; and those of them
    in a part of the time."""
    in_spread = sa.exists().where(
        SpreadNode.campaign_id == Sharer.campaign_id, SpreadNode.visitor_id == Sharer.visitor_id
    )
    in_part = sa.case((sa.and_(*_within(part, Sharer, Sharer.at)), 1))
    counts = sa.select(sa.func.count(), sa.func.count(in_part))
    every, some = tx.execute(counts.where(*_within(scope, Sharer, Sharer.at), ~in_spread)).one()
    return every, some


def _buying(tx: Session, scope: Scope) -> tuple[Floats, Floats]:
    """When everybody whom a link brought in opened it, and how long it took from there."""
    opened = (
        sa.select(
            Visitor.customer_id, SpreadNode.campaign_id, sa.func.min(SpreadNode.at).label("at")
        )
        .join(Visitor, Visitor.id == SpreadNode.visitor_id)
        .where(*_nodes_in(scope))
        .where(SpreadNode.parent_id.is_not(None), Visitor.customer_id.is_not(None))
        .group_by(Visitor.customer_id, SpreadNode.campaign_id)
        .subquery()
    )
    rows = tx.execute(
        sa.select(opened.c.at, Referral.at)
        .join(Referral, Referral.customer_id == opened.c.customer_id)
        .where(Referral.at >= opened.c.at, Referral.at < scope.until)
        .where(Referral.why["campaign"].as_integer() == opened.c.campaign_id)
    )
    days = np.array([(_days(opened_at), _days(bought)) for opened_at, bought in rows], float)
    at, bought = days.reshape(-1, 2).T
    return at, np.maximum(bought - at, SHORTEST_DAYS)


def _of_purchases(tx: Session, scope: Scope) -> dict[str, Any]:
    """How many purchases there are, by what led to them and by what proves them."""
    of_claims = _counted(tx, scope, Claim, Claim.at, "claim:")
    of_orders = _counted(tx, scope, Order, Order.reported_at, "order:")
    both = {name: of_claims[name] + of_orders[name] for name in of_claims}
    base = both["all"] - both["brought_in"] - both["again"]
    later = base - both["first"]
    total = both["all"]
    amount = sa.select(sa.func.avg(Order.amount)).where(*_within(scope, Order, Order.reported_at))
    return {
        "purchases": base,
        "new_share": both["first"] / base if base else None,
        "referred_share": both["referred"] / later if later else None,
        "repeat": _repeat(tx, scope, both["again"]),
        "orders": of_orders["all"] / total if total else None,
        "order_amount": round(tx.scalar(amount) or 0) if of_orders["all"] else None,
    }


def _within(scope: Scope, model: Any, at: Any) -> list[sa.ColumnElement[bool]]:
    found = [at >= scope.since, at < scope.until]
    if scope.campaign_id is not None:
        found.append(model.campaign_id == scope.campaign_id)
    return found


def _counted(tx: Session, scope: Scope, model: Any, at: Any, prefix: str) -> dict[str, int]:
    """Purchases: all; first ones with and without a link; later ones of customers who were brought
    in within the time (`again`) and before it (`referred`)."""
    place = aliased(Referral)
    is_first = place.event == sa.literal(prefix).concat(sa.cast(model.id, sa.String))
    is_referred = place.referrer_id.is_not(None)
    is_recent = place.at >= scope.since
    row = tx.execute(
        sa.select(
            sa.func.count(model.id),
            _how_many(sa.and_(is_first, is_referred)),
            _how_many(sa.and_(is_first, ~is_referred)),
            _how_many(sa.and_(~is_first, is_referred, is_recent)),
            _how_many(sa.and_(~is_first, is_referred, ~is_recent)),
        )
        .select_from(model)
        .join(place, place.customer_id == model.customer_id)
        .where(*_within(scope, model, at))
    ).one()
    names = ("all", "brought_in", "first", "again", "referred")
    return {name: int(count or 0) for name, count in zip(names, row, strict=True)}


def _how_many(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    return sa.func.sum(sa.case((condition, 1), else_=0))


def _repeat(tx: Session, scope: Scope, again: int) -> float | None:
    """Later purchases of those who were brought in, over the time since they were."""
    joined = sa.select(Referral.at).where(
        Referral.referrer_id.is_not(None),
        Referral.at >= scope.since,
        Referral.at < scope.until,
    )
    if scope.campaign_id is not None:
        joined = joined.where(Referral.campaign_id == scope.campaign_id)
    since = [(scope.until - at) / DAY for at in tx.scalars(joined)]
    return 30 * again / sum(since) if len(since) >= FEW and sum(since) > 0 else None
