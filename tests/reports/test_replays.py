"""What was played is compared with the spread, node by node."""

import csv
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral import graph
from referral.campaigns import Campaign
from referral.deployment import Deployment
from referral.graph import SpreadNode
from referral.links import Channel, Link, visitor_name
from referral.reports import replays
from referral.spread import counters, replay
from referral.spread.counters import GraphCount
from referral.spread.replay import ROOT, Cascades
from tests.cast import add_product, publish

T0 = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
LINES = ["tree_id,node,parent,seconds", "1,a,,0", "1,b,a,1", "1,c,b,2", "1,d,a,3", "2,a,,0"]


@pytest.fixture
def campaign(deployment: Deployment) -> Campaign:
    add_product(deployment)
    return publish(deployment)


@pytest.fixture
def cascades() -> Cascades:
    return replay.read(LINES)


@pytest.fixture
def visitors(deployment: Deployment, campaign: Campaign, cascades: Cascades) -> list[int]:
    """The cascades as they would be played; node n is visitor n + 1."""

    def work(tx: Session) -> None:
        for node, parent in enumerate(cascades.parents):
            if parent != ROOT:
                link = Link(campaign.id, parent + 1, None, cascades.hops[parent], Channel.address)
                graph.attach(tx, node + 1, link, T0)

    deployment.db.transact(work)
    return list(range(1, len(cascades) + 1))


def found(
    deployment: Deployment, campaign: Campaign, cascades: Cascades, visitors: Iterable[int]
) -> list[str]:
    with deployment.db.read() as tx:
        return replays.differences(tx, campaign.id, cascades, list(visitors))


def test_what_came_out_as_it_went_in_has_no_differences(
    deployment: Deployment, campaign: Campaign, cascades: Cascades, visitors: list[int]
) -> None:
    assert found(deployment, campaign, cascades, visitors) == []
    deployment.db.transact(counters.fold)
    assert found(deployment, campaign, cascades, visitors) == []


def node(cascades: Cascades, name: str) -> int:
    return next(n for n, each in enumerate(cascades.names) if each == name)


Spoil = Callable[[Session, int], object]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (
            lambda tx, v: tx.execute(
                sa.update(SpreadNode).where(SpreadNode.visitor_id == v).values(hop=7)
            ),
            "node c of tree 1 is at (3, 7) and should be at (3, 2)",
        ),
        (
            lambda tx, v: tx.execute(sa.delete(SpreadNode).where(SpreadNode.visitor_id == v)),
            "node c of tree 1 is not there",
        ),
        (
            lambda tx, v: tx.execute(
                sa.update(GraphCount).where(GraphCount.node == v).values(total=9, direct=9)
            ),
            "node c of tree 1 says Counts(direct=9",
        ),
    ],
)
def test_differences_are_told_node_by_node(
    deployment: Deployment,
    campaign: Campaign,
    cascades: Cascades,
    visitors: list[int],
    spoil: Spoil,
    words: str,
) -> None:
    deployment.db.transact(counters.fold)
    deployment.db.transact(lambda tx: spoil(tx, visitors[node(cascades, "c")]))
    differences = found(deployment, campaign, cascades, visitors)
    assert any(words in each for each in differences)


def test_a_node_that_was_not_played_is_told(
    deployment: Deployment, campaign: Campaign, cascades: Cascades, visitors: list[int]
) -> None:
    missing = node(cascades, "d")
    visitors[missing] = 0
    assert found(deployment, campaign, cascades, visitors) == ["node d of tree 1 was not played."]


def test_the_visitors_behind_nodes_can_be_written_down(cascades: Cascades) -> None:
    visitors = [5, 6, 7, 8, 0]
    rows = list(csv.DictReader(replays.names(cascades, visitors).splitlines()))
    assert [row["visitor"] for row in rows] == [*map(visitor_name, (5, 6, 7, 8)), ""]
    assert [(row["tree_id"], row["node"]) for row in rows] == list(
        zip(cascades.tree_ids, cascades.names, strict=True)
    )
