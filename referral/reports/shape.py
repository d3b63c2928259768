"""The shape of a campaign's spread: how its cascades grow from hop to hop, how deep, how wide.

A cascade is what grew out of one person who came through nobody's link. Structural virality is the
mean distance between two people of a cascade (Goel, Anderson, Hofman and Watts 2016,
10.1287/mnsc.2015.2158): a star is below 2 however large, a chain grows with its length.
"""

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict
from sqlalchemy.orm import Session

from referral.forecast.branching import Floats, Ints
from referral.graph import SpreadNode
from referral.reports.spread_rates import FEW, Rate, mean_offspring

NODES_MAX = 1_000_000
"""Of so many people, the latest, the shape is taken."""
GENERATIONS_SHOWN = 8
SMALL = 10
"""Cascades of fewer people say nothing of their shape."""
DAY = timedelta(days=1)


class Generation(BaseModel):
    """The people so many hops below those who began."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    hop: int
    people: int
    """Those old enough to have had children."""
    reproduction: Rate | None
    """How many opened the link of one of them, with its 95 % interval; None where they are too
    few."""


class Shape(BaseModel):
    """How a campaign's cascades look."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    people: int
    cascades: int
    """Those of two people and more."""
    generations: list[Generation]
    depth: int
    """How many hops the deepest cascade has."""
    largest: int
    """How many people the largest cascade has."""
    largest_share: float | None
    """How many of all people are in it."""
    largest_virality: float | None
    virality: float | None
    """The median structural virality of the cascades of `SMALL` people and more."""
    measured: int
    """How many these are."""


def measure(tx: Session, campaign_id: int, now: datetime, ripe_days: float) -> Shape:
    """The shape of a campaign's spread. People younger than `ripe_days` are left out of how many
    children one has: theirs are still to come."""
    node = SpreadNode
    rows = tx.execute(
        sa.select(node.visitor_id, node.parent_id, node.at)
        .where(node.campaign_id == campaign_id)
        .order_by(node.at.desc())
        .limit(NODES_MAX)
    ).all()
    place = {row.visitor_id: n for n, row in enumerate(rows)}
    parents = np.array([place.get(row.parent_id, -1) for row in rows], np.int64)
    at = np.array([row.at.timestamp() for row in rows])
    return shape_of(parents, at <= (now - ripe_days * DAY).timestamp())


def shape_of(parents: Ints, is_ripe: Any) -> Shape:
    """`parents` names for each person the place of the one whose link was opened, -1 for those who
    began."""
    hops, roots = _hops(parents)
    children = np.bincount(parents[parents >= 0], minlength=len(parents))
    depth = int(hops.max(initial=0))
    sizes, viralities = _cascades(parents, hops, roots)
    several = sizes >= 2
    largest = int(sizes.argmax()) if several.any() else None
    in_cascades = int(sizes[several].sum())
    measured = viralities[sizes >= SMALL]
    return Shape(
        people=in_cascades,
        cascades=int(several.sum()),
        generations=[
            _generation(hop, children[is_ripe & (hops == hop)])
            for hop in range(min(depth + 1, GENERATIONS_SHOWN))
        ],
        depth=depth,
        largest=int(sizes[largest]) if largest is not None else 0,
        largest_share=float(sizes[largest] / in_cascades) if largest is not None else None,
        largest_virality=float(viralities[largest]) if largest is not None else None,
        virality=float(np.median(measured)) if len(measured) else None,
        measured=len(measured),
    )


def _generation(hop: int, children: Ints) -> Generation:
    found = mean_offspring(children) if len(children) >= FEW else None
    return Generation(hop=hop, people=len(children), reproduction=found)


def _hops(parents: Ints) -> tuple[Ints, Ints]:
    """How many hops everybody is below whoever began, and who that was."""
    has_parent = parents >= 0
    hops = has_parent.astype(np.int64)
    top = np.where(has_parent, parents, np.arange(len(parents)))
    # Twice as far up each time, so that a long chain takes few steps.
    while (more := hops[top]).any():
        hops, top = hops + more, top[top]
    return hops, top


def _cascades(parents: Ints, hops: Ints, roots: Ints) -> tuple[Ints, Floats]:
    """The size and the structural virality of each cascade, at the place of whoever began it; zero
    at all others."""
    size = len(parents)
    below = np.ones(size, np.int64)
    # From the leaves up, a generation at a time: 2 * sum over edges of s(n - s) / (n(n - 1)).
    deepest_first = np.argsort(-hops, kind="stable")
    ends = np.cumsum(np.bincount(hops, minlength=1)[::-1])[:-1]
    for here in np.split(deepest_first, ends)[:-1]:
        np.add.at(below, parents[here], below[here])
    sizes = np.where(parents < 0, below, 0)
    edges = np.flatnonzero(parents >= 0)
    whole = below[roots[edges]].astype(float)
    crossing = np.bincount(
        roots[edges], weights=below[edges] * (whole - below[edges]), minlength=size
    )
    pairs = sizes * (sizes - 1.0)
    return sizes, np.divide(2 * crossing, pairs, out=np.zeros(size), where=pairs > 0)
