"""What happens in a large brand in a year, made up with numpy: people, visits and claims.

Half of the people are in one campaign, and a third of these came from one person; the others came
in cascades of a hundred at most. Every third visitor or so is a customer, most customers claim, and
whoever is nearest above them in the spread brought them in. All of it is drawn with a fixed seed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Columns = Mapping[str, Ints]
"""A table. Times are microseconds since the first moment; -1 stands for nothing."""

CAMPAIGNS = (0.50, 0.20, 0.12, 0.09, 0.06, 0.03)
"""How the people are shared out among the campaigns, each with a product of its own."""
BATCHES = (0.40, 0.25, 0.15, 0.12, 0.08)
"""How a product's packages are shared out among its batches."""
GIANT = 0.3
"""How many of the first campaign's people came from one person."""
CASCADE = 100
DAY = 86_400_000_000
YEAR = 365 * DAY
OPENS, SCANS, ENGAGEMENTS, SHARES = 0.55, 0.15, 0.20, 0.04
"""Of the visits; the rest are machines'."""
KINDS = ("open", "scan", "engagement", "share", "fetch")
CHANNELS = ("wechat", "moments", "copy", "address", "poster", "qr", "unknown")
CHANNEL_SHARES = (0.45, 0.15, 0.12, 0.10, 0.05, 0.03, 0.10)
REGIONS = ("CN-GD", "CN-ZJ", "CN-JS", "CN-SH", "CN-BJ", "CN-SC", "CN-FJ", "CN-HB", "HK", "TW")
REGION_SHARES = (0.25, 0.15, 0.12, 0.10, 0.09, 0.08, 0.07, 0.06, 0.05, 0.03)
STORES = 20
OUTER = 0.2
"""How many of the scans that no claim follows are of the label on the outside."""
ORDERS = 0.05
"""How many orders there are for each claim."""


@dataclass(frozen=True)
class Size:
    """How much there is of it. At least three visits for each customer."""

    visits: int
    customers: int

    @property
    def people(self) -> int:
        """Visitors."""
        return max(self.visits * 3 // 10, self.customers)


@dataclass(frozen=True)
class Plan:
    """Tables. `people` are numbered from 0 on, claims and orders from 1 on, in order of time."""

    people: Columns
    visits: Columns
    claims: Columns
    orders: Columns


def plan(size: Size) -> Plan:
    dice = np.random.default_rng(6)
    people = _people(dice, size)
    claims = _claims(dice, people)
    visits = _visits(dice, size, people, claims)
    return Plan(people, visits, claims, _orders(dice, claims))


def _people(dice: np.random.Generator, size: Size) -> Columns:
    count = size.people
    numbers = np.arange(count)
    ends = np.round(np.cumsum(CAMPAIGNS) * count).astype(np.int64)
    campaign = np.searchsorted(ends, numbers, side="right")
    place = numbers - np.concatenate([[0], ends])[campaign]
    giant = int(ends[0] * GIANT)
    in_giant = numbers < giant
    behind = place - np.where(campaign == 0, giant, 0)
    within = np.where(in_giant, place, behind % CASCADE)
    length = np.where(in_giant, max(giant, 1), CASCADE)
    # A cascade of a hundred takes twelve days, the giant one sixty.
    first = numbers - within
    start = dice.integers(0, YEAR - 13 * DAY, count)[first]
    start = np.where(in_giant, 200 * DAY, start)
    at = start + np.where(in_giant, 60, 12) * DAY * within // length
    nearest = (within * dice.random(count) ** 2).astype(np.int64)
    parent = np.where(within == 0, -1, first + nearest)
    step = max(count // size.customers, 1)
    rank = numbers // step
    is_customer = (numbers % step == 0) & (rank < size.customers)
    customer = np.where(is_customer, rank + 1, -1)
    hop, above = _upwards(parent, customer)
    shared_at = np.full(count, np.iinfo(np.int64).max)
    np.minimum.at(shared_at, parent[parent >= 0], at[parent >= 0])
    shared_at[shared_at > YEAR] = -1
    is_root = parent < 0
    return {
        "number": numbers,
        "campaign": campaign,
        "parent": parent,
        "hop": hop,
        "at": np.where(is_root & (shared_at >= 0), shared_at, at),
        "shared_at": shared_at,
        "customer": customer,
        "above": above,
        "channel": _drawn(dice, CHANNEL_SHARES, count),
        "region": _drawn(dice, REGION_SHARES, count),
    }


def _upwards(parent: Ints, customer: Ints) -> tuple[Ints, Ints]:
    """How many hops away from the first sharer everybody is, and the nearest customer above."""
    hop = np.where(parent < 0, 0, -1)
    above = np.full(len(parent), -1)
    waiting = np.flatnonzero(parent >= 0)
    while len(waiting):
        ready = hop[parent[waiting]] >= 0
        now = waiting[ready]
        up = parent[now]
        hop[now] = hop[up] + 1
        above[now] = np.where(customer[up] > 0, customer[up], above[up])
        waiting = waiting[~ready]
    return hop, above


def _drawn(dice: np.random.Generator, shares: tuple[float, ...], count: int) -> Ints:
    return np.searchsorted(np.cumsum(shares)[:-1], dice.random(count)).astype(np.int64)


def _claims(dice: np.random.Generator, people: Columns) -> Columns:
    """Three of five customers claim, a third of these once more."""
    chosen = np.flatnonzero((people["customer"] > 0) & (people["customer"] % 5 < 3))
    first_at = people["at"][chosen] + _waits(dice, len(chosen), 1.5)
    again = chosen[::3]
    again_at = first_at[::3] + _waits(dice, len(again), 20)
    who, at = np.concatenate([chosen, again]), np.concatenate([first_at, again_at])
    is_first = np.concatenate([np.ones(len(chosen), np.int64), np.zeros(len(again), np.int64)])
    in_order = np.argsort(at, kind="stable")
    in_order = in_order[at[in_order] < YEAR]
    who, at, is_first = who[in_order], at[in_order], is_first[in_order]
    campaign = people["campaign"][who]
    batch = campaign * len(BATCHES) + _drawn(dice, BATCHES, len(who))
    return {
        "number": np.arange(1, len(who) + 1),
        "who": who,
        "customer": people["customer"][who],
        # Nobody is brought in who was there before: the second claim changes nothing.
        "referrer": people["above"][who],
        "campaign": campaign,
        "at": at,
        "is_first": is_first,
        "batch": batch,
        "code": _places(batch),
    }


def _waits(dice: np.random.Generator, count: int, days: float) -> Ints:
    return (dice.exponential(days, count) * DAY).astype(np.int64) + 1_000_000


def _places(batch: Ints) -> Ints:
    """The how manieth of its batch each is."""
    in_order = np.argsort(batch, kind="stable")
    _, firsts, counts = np.unique(batch[in_order], return_index=True, return_counts=True)
    places = np.empty(len(batch), np.int64)
    places[in_order] = np.arange(len(batch)) - np.repeat(firsts, counts)
    return places


def _orders(dice: np.random.Generator, claims: Columns) -> Columns:
    """Some customers order once after they claimed."""
    chosen = np.flatnonzero(dice.random(len(claims["at"])) < ORDERS)
    at = claims["at"][chosen] + _waits(dice, len(chosen), 10)
    chosen, at = chosen[at < YEAR], at[at < YEAR]
    in_order = np.argsort(at, kind="stable")
    chosen, at = chosen[in_order], at[in_order]
    return {
        "number": np.arange(1, len(chosen) + 1),
        "customer": claims["customer"][chosen],
        "campaign": claims["campaign"][chosen],
        "at": at,
        "amount": dice.integers(50, 500, len(chosen)) * 100,
    }


def _visits(dice: np.random.Generator, size: Size, people: Columns, claims: Columns) -> Columns:
    """Everybody's first opening, a scan before every claim, and more of each kind."""
    opened = np.flatnonzero(people["parent"] >= 0)
    more = dice.choice(opened, max(int(size.visits * OPENS) - len(opened), 0))
    parts = [
        _visit(people, "open", opened, people["at"][opened]),
        _visit(people, "open", more, people["at"][more] + _waits(dice, len(more), 2)),
    ]
    scanned = _visit(people, "scan", claims["who"], claims["at"] - 500_000)
    parts.append({**scanned, "batch": claims["batch"], "code": claims["code"]})
    looking = _who(dice, people, int(size.visits * SCANS) - len(claims["at"]))
    looked = _visit(people, "scan", looking, people["at"][looking] + _waits(dice, len(looking), 5))
    batch = looked["campaign"] * len(BATCHES) + _drawn(dice, BATCHES, len(looking))
    # Among the claimed ones and as many others.
    claimed = np.bincount(claims["batch"], minlength=len(CAMPAIGNS) * len(BATCHES))
    code = (dice.random(len(looking)) * 2 * (claimed[batch] + 1)).astype(np.int64)
    is_outer = (dice.random(len(looking)) < OUTER).astype(np.int64)
    parts.append({**looked, "batch": batch, "code": code, "is_outer": is_outer})
    for kind, share in (("engagement", ENGAGEMENTS), ("share", SHARES)):
        who = _who(dice, people, int(size.visits * share))
        parts.append(_visit(people, kind, who, people["at"][who] + _waits(dice, len(who), 0.01)))
    left = size.visits - sum(len(part["at"]) for part in parts)
    who = _who(dice, people, left)
    parts.append(_visit(people, "fetch", who, people["at"][who] + _waits(dice, len(who), 1)))
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    columns["at"] = np.minimum(columns["at"], YEAR)
    in_order = np.argsort(columns["at"], kind="stable")
    return {name: column[in_order] for name, column in columns.items()}


def _who(dice: np.random.Generator, people: Columns, count: int) -> Ints:
    return dice.integers(0, len(people["at"]), max(count, 0))


def _visit(people: Columns, kind: str, who: Ints, at: Ints) -> dict[str, Any]:
    nothing = np.full(len(who), -1)
    is_open = kind == "open"
    return {
        "kind": np.full(len(who), KINDS.index(kind)),
        "at": at,
        "who": nothing if kind == "fetch" else who,
        "campaign": people["campaign"][who],
        "parent": people["parent"][who] if is_open else nothing,
        "hop": people["hop"][who] if is_open else nothing,
        "channel": people["channel"][who],
        "region": people["region"][who],
        "batch": nothing,
        "code": nothing,
        "is_outer": nothing,
    }
