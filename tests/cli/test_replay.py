"""Cascades through the real pages of a running service: they come out as they went in."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from referral.cli import player, replay
from referral.counters import GraphCount
from referral.deployment import Deployment
from referral.graph import SpreadNode
from referral.links import HOP_MAX, visitor_id
from referral.reports import campaigns, replays
from tests.cast import add_product, open_brand, publish
from tests.cli.conftest import Referral, check_failed, told
from tests.servers import ServiceProcess

Live = Callable[..., ServiceProcess]
HEADER = "tree_id,node,parent,seconds"
DIRTY = [
    "1,a,,0",
    "1,b,a,-5",
    "1,d,c,3",
    "1,c,b,2",
    "1,c,a,9",
    "1,e,e,1",
    "1,f,nobody,1",
    "1,g,a,soon",
    "2,a,,0",
    "2,b,a,1",
    "3,alone,,0",
]
PLAYED = {"a": None, "b": "a", "c": "b", "d": "c", "g": "a"}
"""Of tree 1, what can be."""


@pytest.fixture
def cascade(tmp_path: Path) -> Callable[..., Path]:
    def write(*lines: str) -> Path:
        path = tmp_path / "cascade.csv"
        path.write_text("\n".join([HEADER, *lines]) + "\n")
        return path

    return write


def service(live_server: Live, deployment: Deployment) -> str:
    """The address of a running service, on the real clock, with a campaign that runs."""
    open_brand(deployment, starts_at="2020-01-01T00:00:00Z", ends_at="2199-01-01T00:00:00Z")
    return live_server().url


def test_a_dirty_file_comes_out_as_far_as_it_can_be_played(
    referral: Referral,
    deployment: Deployment,
    live_server: Live,
    cascade: Callable[..., Path],
    tmp_path: Path,
) -> None:
    url, names = service(live_server, deployment), tmp_path / "names.csv"
    file = cascade(*DIRTY)
    result = referral("replay", file, "--url", url, "--check", "--json", "--names", names)
    found = told(result)
    assert found["same"] is True
    assert (found["nodes"], found["trees"], found["left_out"]) == (8, 3, 3)
    assert (found["campaign"], found["depth"], found["troubles"]) == ("spring", 3, [])
    for line, words in ((3, "before its parent"), (6, "in line 5 already"), (7, "its own parent")):
        assert any(
            f"line {line}: " in each and words in each for each in result.stderr.splitlines()
        )

    visitors = {
        row["node"]: visitor_id(row["visitor"])
        for row in csv.DictReader(names.read_text().splitlines())
        if row["tree_id"] == "1"
    }
    with deployment.db.read() as tx:
        node = SpreadNode.__table__.c
        parents = dict(tx.execute(sa.select(node.visitor_id, node.parent_id)).all())
        metrics = campaigns.metrics(tx, campaigns.listed(tx, after=0, limit=1)[0])
    assert {
        visitors[n]: visitors.get(p or "") for n, p in PLAYED.items()
    }.items() <= parents.items()
    assert len(parents) == 7, "a root that nobody follows has no place"
    assert (metrics.opens, metrics.visitors, metrics.fetches) == (8, 8, 0)


def test_a_chain_longer_than_links_can_count_and_a_broad_tree(
    referral: Referral, deployment: Deployment, live_server: Live, cascade: Callable[..., Path]
) -> None:
    url, length = service(live_server, deployment), HOP_MAX + 20
    chain = [f"1,{n},{n - 1 if n else ''},{n}" for n in range(length)]
    broad = ["2,0,,0", *(f"2,{n},0,{n}" for n in range(1, 150))]
    found = told(referral("replay", cascade(*chain, *broad), "--url", url, "--check", "--json"))
    assert (found["same"], found["depth"]) == (True, length - 1)
    with deployment.db.read() as tx:
        assert max(tx.scalars(sa.select(SpreadNode.hop))) == length - 1
        assert max(tx.scalars(sa.select(GraphCount.total))) > 0, "some are folded by now"


def test_it_starts_a_service_and_a_campaign_of_its_own(
    live_server: Live, cascade: Callable[..., Path]
) -> None:
    """As on a machine where nothing runs; the service that is here only lends its settings."""
    server = live_server()
    server.stop()
    done = server.command("replay", cascade("1,a,,0", "1,b,a,1"), "--check", "--json")
    found = json.loads(done.stdout)
    assert (found["same"], found["campaign"], found["nodes"]) == (True, "replay", 2)
    assert "No campaign runs here" in done.stderr
    again = server.command(
        "replay", cascade("1,a,,0", "1,b,a,1"), "--check", "--campaign", "replay"
    )
    assert "same trees, same hops, same counts" in again.stdout


def test_a_graph_that_differs_fails(
    referral: Referral,
    deployment: Deployment,
    live_server: Live,
    cascade: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = service(live_server, deployment)
    monkeypatch.setattr(replay, "SETTLE_SECONDS", 0.0)
    monkeypatch.setattr(replays, "differences", lambda *_: ["node b of tree 1 is not there."])
    result = referral("replay", cascade("1,a,,0", "1,b,a,1"), "--url", url, "--check")
    assert result.exit_code == 1
    assert "node b of tree 1 is not there." in result.stdout
    assert "1 differences were found" in result.stderr


def test_it_is_played_at_a_speed(
    referral: Referral, deployment: Deployment, live_server: Live, cascade: Callable[..., Path]
) -> None:
    url = service(live_server, deployment)
    file = cascade("1,a,,100", "1,b,a,130", "1,c,b,160")
    found = told(referral("replay", file, "--url", url, "--speed", "60", "--check", "--json"))
    assert found["same"] is True
    assert found["seconds"] >= 1.0
    for speed in ("0", "-1", "nan", "fast"):
        assert referral("replay", file, "--speed", speed).exit_code == 2


def test_a_service_that_does_not_play_along_is_told(
    referral: Referral,
    deployment: Deployment,
    live_server: Live,
    cascade: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    open_brand(deployment, starts_at="2020-01-01T00:00:00Z", ends_at="2199-01-01T00:00:00Z")
    monkeypatch.setattr(player, "PAUSE_SECONDS", 0.0)
    stranger = live_server(REFERRAL_SECRET_KEYS="quite-another-key-than-before-here")
    result = referral("replay", cascade("1,a,,0", "1,b,a,1"), "--url", stranger.url)
    assert result.exit_code == 1
    assert "the service answers 404" in result.stdout
    assert "its parent was not played" in result.stdout
    many = cascade(*(f"{n},a,,0" for n in range(40)))
    stranger.stop()
    check_failed(referral("replay", many, "--url", stranger.url), "broken off: too many pages fail")


def test_files_and_campaigns_that_will_not_do_are_refused(
    referral: Referral, deployment: Deployment, cascade: Callable[..., Path], tmp_path: Path
) -> None:
    add_product(deployment)
    publish(deployment, slug="over", ends_at="2026-03-03T00:00:00Z")
    empty = tmp_path / "empty.csv"
    empty.write_bytes(b"")
    check_failed(referral("replay", empty), "The first line must be tree_id,node,parent,seconds.")
    check_failed(referral("replay", cascade("1,a,,0"), "--campaign", "winter"), "campaign")
    check_failed(referral("replay", cascade("1,a,,0"), "--campaign", "over"), "does not run now")


def test_made_up_cascades_can_be_replayed(
    referral: Referral, deployment: Deployment, live_server: Live, tmp_path: Path
) -> None:
    file, again = tmp_path / "made.csv", tmp_path / "again.csv"
    made = told(referral("cascades", "--trees", 60, "--seed", 7, "--out", file, "--json"))
    assert made["trees"] == 60
    referral("cascades", "--trees", 60, "--seed", 7, "--out", again)
    assert file.read_text() == again.read_text()
    url = service(live_server, deployment)
    result = referral("replay", file, "--url", url, "--check", "--json")
    found = told(result)
    assert (found["same"], found["nodes"], found["trees"]) == (True, made["nodes"], 60)
    assert result.stderr == f"Playing {made['nodes']:,} nodes ...\n", "made-up ones are clean"
