"""The purchases of many runs: whose they are, when, and of which kind. Pure.

Those of people who were brought in are drawn one by one, with who brought whom; of those without a
friend's link only the numbers are.
"""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from referral.forecast.assumptions import Assumptions
from referral.forecast.branching import NOBODY, Bought, Floats, Ints
from referral.forecast.tariffs import Kind
from referral.rewards import Proof

ORDER_SIZES = 16
"""How many different amounts orders are simulated with."""
MONTH_DAYS = 30


@dataclass
class Listed:
    """Purchases by people who were brought in, one by one."""

    run: Ints
    at: Floats
    people: tuple[Ints, Ints, Ints]
    """The buyer, the referrer and the one above, by depth."""
    kind: Ints
    """The place in `kinds`."""
    kinds: list[Kind]


@dataclass
class Counted:
    """Purchases without a friend's link: how many of each kind, by run and day."""

    counts: list[Ints]
    kinds: list[Kind]


def listed(rng: np.random.Generator, a: Assumptions, bought: Bought) -> Listed:
    """First purchases, and what the same people buy later."""
    size = len(bought.run)
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
    referrals[:size] = place(bought.referrer, bought.at) + 1
    claims = np.where(is_order, 1, place(np.where(is_order, -2 - buyer, buyer), at) + 1)
    has_above = above != NOBODY
    found, kind = _different(np.stack([is_first, has_above, order, referrals, claims], axis=1))
    proofs = _proofs(a)
    kinds = [
        Kind(bool(f), True, bool(u), *proofs[int(o)], referrals=int(r), claims=int(c))
        for f, u, o, r, c in found
    ]
    return Listed(run, at, (buyer, referrer, above), kind, kinds)


def counted(rng: np.random.Generator, a: Assumptions, runs: int) -> Counted:
    """What is bought without a friend's link."""
    shares = [
        (a.new_share, True, False),
        ((1 - a.new_share) * (1 - a.referred_share), False, False),
        ((1 - a.new_share) * a.referred_share, False, True),
    ]
    parts = [1 - a.orders, *[a.orders / ORDER_SIZES] * ORDER_SIZES]
    counts, kinds = [], []
    for share, is_first, is_referred in shares:
        for part, proof in zip(parts, _proofs(a), strict=True):
            if share * part * a.claims == 0:
                continue
            mean = a.claims * share * part / a.days
            counts.append(rng.poisson(mean, (runs, a.days)))
            kinds.append(Kind(is_first, is_referred, False, *proof))
    return Counted(counts, kinds)


def _proofs(a: Assumptions) -> list[tuple[Proof, int]]:
    """A claim, and an order of each of the amounts there are."""
    amounts = order_amounts(a.order_amount, a.order_spread)
    return [(Proof.claim, 0), *((Proof.order, amount) for amount in amounts)]


def order_amounts(mean: int, spread: float) -> list[int]:
    """Amounts of orders that are equally likely: the middles of as many parts of a lognormal."""
    places = [(n + 0.5) / ORDER_SIZES for n in range(ORDER_SIZES)]
    drawn = np.exp(spread * np.array([NormalDist().inv_cdf(place) for place in places]))
    return [round(amount) for amount in mean * drawn / drawn.mean()]


def place(group: Ints, at: Floats) -> Ints:
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
