"""The whole spread as a file: complete, in pieces, and readable by others."""

import csv
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy.orm import Session

from referral import actions, graph, people
from referral.campaigns import Campaign
from referral.deployment import Deployment
from referral.exports import writing
from referral.exports.jobs import Form
from referral.exports.kinds import Wanted
from referral.links import Channel, Link, visitor_name
from referral.reports.exports import spread
from referral.reports.exports.spread import SPREAD
from tests.cast import add_product, publish

T0 = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
NAMESPACE = "{http://graphml.graphdrawing.org/xmlns}"
PARENTS = {1: None, 2: 1, 3: 1, 4: 3, 5: 4, 6: None, 7: 6}
"""Whose link each visitor opened. 4 is a customer."""


@pytest.fixture
def campaign(deployment: Deployment) -> Campaign:
    add_product(deployment)
    campaign, other = publish(deployment), publish(deployment, slug="other")
    member, _ = actions.add_customer(deployment, [people.external("M1")], None)

    def work(tx: Session) -> None:
        hops: dict[int | None, int] = {None: -1}
        for visitor, parent in PARENTS.items():
            hops[visitor] = hops[parent] + 1
            if parent is not None:
                link = Link(campaign.id, parent, None, hops[parent], Channel.copy)
                graph.attach(tx, visitor, link, T0 + timedelta(minutes=visitor))
        people.fold_visitor(tx, 4, member, T0)
        graph.attach(tx, 9, Link(other.id, 8), T0)

    deployment.db.transact(work)
    return campaign


NAMES = [column.name for column in SPREAD.columns]


def text(deployment: Deployment, campaign: Campaign, form: Form) -> str:
    wanted = Wanted({"campaign": campaign.id}, deployment.keys, ZoneInfo("UTC"), T0)
    with writing.writer_of(SPREAD, form, NAMES, wanted.zone) as writer:
        pieces = list(writing.written(SPREAD, writer, wanted, deployment.db.read))
    with deployment.db.read() as tx:
        assert SPREAD.count(tx, wanted) == sum(rows for _piece, rows in pieces)
    return b"".join(piece for piece, _rows in pieces).decode("utf-8-sig")


@pytest.mark.parametrize("at_once", [2, 1000])
def test_csv_has_a_row_for_every_visitor(
    deployment: Deployment, campaign: Campaign, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(spread, "AT_ONCE", at_once)
    rows = list(csv.DictReader(text(deployment, campaign, Form.csv).splitlines()))
    assert {row["visitor"]: row["parent"] for row in rows} == {
        visitor_name(visitor): visitor_name(parent) if parent else ""
        for visitor, parent in PARENTS.items()
    }
    by_name = {row["visitor"]: row for row in rows}
    assert by_name[visitor_name(3)] == {
        "visitor": visitor_name(3),
        "parent": visitor_name(1),
        "hop": "1",
        "channel": "copy",
        "at": "2026-03-02 09:33:00+00:00",
        "customer": "",
        "direct": "1",
        "total": "2",
        "customers": "1",
        "depth": "2",
        "buyers": "0",
    }
    assert by_name[visitor_name(4)]["customer"] == "1"
    assert len(rows) == len(PARENTS)


@pytest.mark.parametrize("at_once", [3, 1000])
def test_graphml_holds_the_same_graph(
    deployment: Deployment, campaign: Campaign, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(spread, "AT_ONCE", at_once)
    root = ElementTree.fromstring(text(deployment, campaign, Form.graphml))
    keys = {key.get("id"): key.get("for") for key in root.iter(f"{NAMESPACE}key")}
    (drawn,) = root.iter(f"{NAMESPACE}graph")
    assert drawn.get("edgedefault") == "directed"
    nodes = {node.get("id"): node for node in drawn.iter(f"{NAMESPACE}node")}
    assert set(nodes) == set(map(visitor_name, PARENTS))
    edges = {(edge.get("source"), edge.get("target")) for edge in drawn.iter(f"{NAMESPACE}edge")}
    assert edges == {
        (visitor_name(parent), visitor_name(visitor))
        for visitor, parent in PARENTS.items()
        if parent
    }
    data = {each.get("key"): each.text for each in nodes[visitor_name(4)]}
    assert (data["customer"], data["hop"], data["total"]) == ("1", "2", "1")
    assert "customer" not in {each.get("key") for each in nodes[visitor_name(2)]}
    for kind, elements in (("node", nodes.values()), ("edge", drawn.iter(f"{NAMESPACE}edge"))):
        for element in elements:
            assert {keys[each.get("key")] for each in element} <= {kind}


@pytest.mark.parametrize("form", [Form.csv, Form.graphml])
def test_a_campaign_nobody_has_opened_is_an_empty_graph(
    deployment: Deployment, campaign: Campaign, form: Form
) -> None:
    quiet = publish(deployment, slug="quiet")
    made = text(deployment, quiet, form)
    if form is Form.csv:
        assert made == ",".join(NAMES) + "\r\n"
    else:
        assert not list(ElementTree.fromstring(made).iter(f"{NAMESPACE}node"))
