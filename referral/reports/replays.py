"""Whether the spread shows what was played: every node's parent, hop and counts."""

import csv
from collections.abc import Sequence
from io import StringIO

import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral.graph import SpreadNode
from referral.links import visitor_name
from referral.spread import counters
from referral.spread.forests import NOTHING
from referral.spread.replay import ROOT, Cascades

AT_ONCE = 5_000


def names(cascades: Cascades, visitors: Sequence[int]) -> str:
    """Which visitor each node was, as CSV."""
    text = StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("tree_id", "node", "visitor"))
    for tree, name, visitor in zip(cascades.tree_ids, cascades.names, visitors, strict=True):
        rows.writerow((tree, name, visitor_name(visitor) if visitor else ""))
    return text.getvalue()


def differences(
    tx: Session, campaign_id: int, cascades: Cascades, visitors: Sequence[int]
) -> list[str]:
    """Where the spread differs from what was played, a sentence each.

    A root that nobody followed has no place in the spread, and needs none.
    """
    found: list[str] = []
    expected = cascades.counts()
    for start in range(0, len(cascades), AT_ONCE):
        part = range(start, min(start + AT_ONCE, len(cascades)))
        mine = [visitors[node] for node in part if visitors[node]]
        rows = tx.execute(
            sa.select(SpreadNode.visitor_id, SpreadNode.parent_id, SpreadNode.hop).where(
                SpreadNode.campaign_id == campaign_id, SpreadNode.visitor_id.in_(mine)
            )
        )
        places = {row.visitor_id: (row.parent_id, row.hop) for row in rows}
        counts = counters.counts_of(tx, campaign_id, mine)
        for node in part:
            visitor, parent, below = visitors[node], cascades.parents[node], expected[node]
            name = f"node {cascades.names[node]} of tree {cascades.tree_ids[node]}"
            if not visitor:
                found.append(f"{name} was not played.")
                continue
            above = None if parent == ROOT else visitors[parent]
            place = (above, cascades.hops[node])
            if visitor not in places and (parent != ROOT or below.direct):
                found.append(f"{name} is not there.")
            elif places.get(visitor, place) != place:
                found.append(f"{name} is at {places[visitor]} and should be at {place}.")
            if counts.get(visitor, NOTHING) != below:
                found.append(f"{name} says {counts.get(visitor)} below and has {below}.")
    return found
