"""A million customers by who brought them in, made up with numpy: a few bring in very many.

Each newcomer comes alone or picks somebody who is there and takes after that one's referrer as
often as not: so whoever has friends gets more (a copying model), which gives the heavy tail of real
cascades. The first customer is above the largest tree, and has `STAR` friends. All of it is drawn
with a fixed seed.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
ALONE = 0.4
"""How many come through nobody's link: brands say that six of ten new customers are brought in."""
COPIED = 0.5
"""How often a newcomer goes to the referrer of whom she met."""
STAR = 12_340
SEED_SHARE = 0.1
"""So many at the beginning are all one tree, which is four of ten at the end."""
SEED_LEAST = 64
TWICE = 0.25
"""How many customers claim a second package."""
ORDERED = 0.1
"""How many order once in the shop."""
YEARS = 2
DAY = 86_400_000_000


def plan(customers: int) -> Mapping[str, Ints]:
    """A row for each customer, numbered from 1 on. Times are microseconds since the first moment;
    -1 stands for nothing."""
    dice = np.random.default_rng(7)
    parent = np.full(customers, -1)
    known, seed = min(SEED_LEAST, customers), max(int(customers * SEED_SHARE), SEED_LEAST)
    parent[1:known] = (np.arange(1, known) * dice.random(known - 1)).astype(np.int64)
    while known < customers:
        # A batch of newcomers meets those who were there before it.
        end = min(known * 5 // 4 + 1, customers)
        met = (known * dice.random(end - known)).astype(np.int64)
        above = parent[met]
        copies = (dice.random(end - known) < COPIED) & (above >= 0)
        chosen = np.where(copies, above, met)
        is_alone = (dice.random(end - known) < ALONE) & (np.arange(known, end) >= seed)
        parent[known:end] = np.where(is_alone, -1, chosen)
        known = end
    starred = dice.choice(np.arange(SEED_LEAST, customers), _star(customers), replace=False)
    parent[starred] = 0
    span = YEARS * 365 * DAY
    at = np.sort((span * dice.random(customers) ** 0.7).astype(np.int64))
    again = np.where(
        dice.random(customers) < TWICE,
        at + (60 * DAY * dice.random(customers)).astype(np.int64),
        -1,
    )
    order = np.where(
        dice.random(customers) < ORDERED,
        at + (90 * DAY * dice.random(customers)).astype(np.int64),
        -1,
    )
    return {
        "number": np.arange(1, customers + 1),
        "parent": np.where(parent >= 0, parent + 1, -1),
        "at": at,
        "again_at": np.where(again < span, again, -1),
        "ordered_at": np.where(order < span, order, -1),
        "amount": dice.integers(20, 400, customers) * 100,
    }


def _star(customers: int) -> int:
    return min(STAR, max(customers - SEED_LEAST, 0) // 8)
