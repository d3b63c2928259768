"""A part of a campaign's spread as a picture takes it: the largest branches, with their parents."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral import graph
from referral.db import run
from referral.reports import tree_pictures, trees
from referral.reports.tree_pictures import NODES, NODES_MAX, SPARE, STEP, Places
from referral.reports.trees import SpreadBranch, SpreadPage
from referral.spread import SpreadNode, counters
from referral.spread.counters import GraphCount

EVERYBODY = 0
"""Stands for the campaign itself, above all first sharers: no visitor has this number."""
PAGE_MAX = 1_000


@dataclass(frozen=True)
class Picture:
    root: int | None
    """None where the campaign's first sharers are shown."""
    path: list[SpreadBranch]
    """Those above, from the first sharer down to the root itself."""
    nodes: list[tuple[SpreadBranch, int | None]]


def picture(tx: Session, campaign_id: int, root: int | None, nodes: int = NODES) -> Picture:
    """The largest branches below a visitor, or for None below the campaign's first sharers."""
    nodes = min(max(nodes, 1), NODES_MAX)
    changed = counters.changed(tx, campaign_id)
    top = EVERYBODY if root is None else root
    places = _largest(tx, campaign_id, top, nodes + (root is None))
    if len(places) < nodes:
        places |= _leaves(tx, campaign_id, places, nodes - len(places))
    lately = {
        who: one.parent if one.parent is not None else EVERYBODY
        for who, one in changed.items()
        if one.parent is not None or one.direct
    }
    gone = {who: None for who in changed if who not in lately}
    places = tree_pictures.as_they_are(places, top, {**lately, **gone})
    found = trees.spread_of(tx, campaign_id, [who for who in places if who != EVERYBODY])
    shown = sorted(found.values(), key=lambda each: (each.visitor != root, -each.total, each.hop))
    return Picture(
        root,
        [] if root is None else _path(tx, campaign_id, root),
        [(each, _parent(places[each.visitor])) for each in shown[:nodes]],
    )


def _parent(place: int | None) -> int | None:
    return None if place in (None, EVERYBODY) else place


def _path(tx: Session, campaign_id: int, root: int) -> list[SpreadBranch]:
    above = [step.visitor for step in graph.path_up(tx, campaign_id, root)][: trees.PATH_MAX]
    places = trees.spread_of(tx, campaign_id, [root, *above])
    return [places[each] for each in (*reversed(above), root) if each in places]


_LARGEST = {
    "sqlite": sa.text(
        """
        WITH RECURSIVE part(node, parent, total) AS (
            SELECT :root, NULL, :total WHERE :root <> 0
            UNION ALL
            SELECT node, 0, total FROM graph_counts
            WHERE :root = 0 AND forest = :forest AND parent IS NULL AND direct > 0
                AND total >= :least
            UNION ALL
            SELECT kept.node, kept.parent, kept.total
            FROM part CROSS JOIN graph_counts kept
                ON kept.parent = part.node AND kept.forest = :forest AND kept.total >= :least
            ORDER BY 3 DESC LIMIT :most
        )
        SELECT node, parent, total FROM part
        """
    ),
    "postgresql": sa.text(
        """
        WITH RECURSIVE part(node, parent, total) AS (
            (
                SELECT CAST(:root AS bigint), CAST(NULL AS bigint), CAST(:total AS bigint)
                WHERE :root <> 0
                UNION ALL
                (
                    SELECT node, CAST(0 AS bigint), total FROM graph_counts
                    WHERE :root = 0 AND forest = :forest AND parent IS NULL AND direct > 0
                        AND total >= :least
                    ORDER BY total DESC LIMIT :most
                )
            )
            UNION ALL
            SELECT kept.node, kept.parent, kept.total
            FROM part CROSS JOIN LATERAL (
                SELECT node, parent, total FROM graph_counts
                WHERE graph_counts.parent = part.node AND forest = :forest AND total >= :least
                ORDER BY total DESC LIMIT :most
            ) AS kept
        )
        SELECT node, parent, total FROM part LIMIT :most
        """
    ),
}


def _largest(tx: Session, campaign_id: int, root: int, nodes: int) -> Places:
    dialect = tx.get_bind().dialect.name
    total = _total(tx, campaign_id, root)
    least, rows = total, list[Any]()
    while True:
        least = 1 if dialect == "sqlite" else max(least // STEP, 1)
        told = {"root": root, "forest": campaign_id, "total": total, "least": least}
        most = nodes if dialect == "sqlite" else nodes * SPARE
        rows = list(run(tx, _LARGEST[dialect], **told, most=most))
        if least == 1 or len(rows) >= nodes:
            break
    rows.sort(key=lambda row: (row.node != root, -row.total))
    return {root: None} | {node: parent for node, parent, _ in rows[:nodes]}


def _total(tx: Session, campaign_id: int, root: int) -> int:
    if root != EVERYBODY:
        return counters.counts_of(tx, campaign_id, [root])[root].total
    of_tops = sa.select(sa.func.max(GraphCount.total)).where(
        GraphCount.forest == campaign_id, GraphCount.parent.is_(None), GraphCount.direct > 0
    )
    return tx.scalar(of_tops) or 0


def _leaves(tx: Session, campaign_id: int, places: Places, room: int) -> Places:
    """Some of those who reached nobody, as many of each parent as there is room for."""
    sharers = [who for who in places if who != EVERYBODY]
    listed: dict[int, int] = {}
    for parent in places.values():
        if parent is not None:
            listed[parent] = listed.get(parent, 0) + 1
    counts = counters.counts_of(tx, campaign_id, sharers)
    left = {who: one.direct - listed.get(who, 0) for who, one in counts.items()}
    quotas = tree_pictures.shared_out({w: count for w, count in left.items() if count > 0}, room)
    found: Places = {}
    ranked = _ranked(campaign_id, list(quotas))
    for visitor, parent, place in tx.execute(ranked) if quotas else ():
        if place <= quotas[parent]:
            found[visitor] = parent
    return found


def _ranked(campaign_id: int, parents: Sequence[int]) -> sa.Select[Any]:
    """Readers of these visitors' links who reached nobody, numbered by who came first."""
    place = sa.func.row_number().over(
        partition_by=SpreadNode.parent_id, order_by=(SpreadNode.at, SpreadNode.visitor_id)
    )
    has_readers = sa.exists().where(
        GraphCount.forest == campaign_id,
        GraphCount.node == SpreadNode.visitor_id,
        GraphCount.total > 0,
    )
    return sa.select(SpreadNode.visitor_id, SpreadNode.parent_id, place).where(
        SpreadNode.campaign_id == campaign_id, SpreadNode.parent_id.in_(parents), ~has_readers
    )


def branch(
    tx: Session, campaign_id: int, parent: int | None, *, after: int | None, limit: int
) -> SpreadPage:
    """Who came first through a visitor's link, the earliest first; for None the first sharers,
    those who reached most first."""
    limit = min(max(limit, 1), PAGE_MAX)
    return trees.spread_children(tx, campaign_id, parent, after=after, limit=limit)
