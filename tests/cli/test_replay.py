"""Cascades through the real pages of a running service: they come out as they went in."""

import csv
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import Any

import psutil
import pytest
import sqlalchemy as sa
from flask import Flask
from werkzeug.serving import WSGIRequestHandler, make_server

from referral import create_app
from referral.cli import player
from referral.cli import replay as command
from referral.cli.wire import Wire
from referral.config import Config
from referral.deployment import Deployment, open_deployment
from referral.graph import SpreadNode
from referral.links import HOP_MAX, visitor_id
from referral.people import Visitor
from referral.reports import campaigns, replays
from referral.spread.counters import GraphCount
from tests.cast import add_product, open_brand, publish
from tests.cli.conftest import Referral, check_failed, told
from tests.conftest import settings_of
from tests.processes import is_alive
from tests.servers import ServiceProcess
from tests.waits import wait_until

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


class Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"  # connections are kept open

    def log_request(self, *_: object) -> None:
        pass


@pytest.fixture
def service(app: Flask, deployment: Deployment) -> Iterator[str]:
    """The address of the pages, with a campaign that runs now and for long."""
    open_brand(deployment, starts_at="2020-01-01T00:00:00Z", ends_at="2199-01-01T00:00:00Z")
    with served(app) as address:
        yield address


@contextmanager
def served(app: Flask) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_dirty_file_comes_out_as_far_as_it_can_be_played(
    referral: Referral,
    deployment: Deployment,
    service: str,
    cascade: Callable[..., Path],
    tmp_path: Path,
) -> None:
    names = tmp_path / "names.csv"
    file = cascade(*DIRTY)
    result = referral("replay", file, "--url", service, "--check", "--json", "--names", names)
    found = told(result)
    assert found["same"] is True
    assert (found["nodes"], found["trees"], found["left_out"]) == (8, 3, 3)
    assert (found["campaign"], found["depth"], found["troubles"]) == ("spring", 3, [])
    assert found["dirt"] == {
        "after_child": 1,
        "early": 1,
        "other_parent": 1,
        "own_parent": 1,
        "no_parent": 1,
        "no_seconds": 1,
    }
    assert f"{file}: 1 x a node is its own parent; left out" in result.stderr
    assert f"{file}: 1 x a node stands before its parent; put right" in result.stderr
    told_of = {3: "before its parent", 6: "in line 5 with another parent", 7: "its own parent"}
    for line, words in told_of.items():
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
        ran = set(tx.scalars(sa.select(Visitor.id).where(Visitor.ran_at.is_not(None))))
    assert {
        visitors[n]: visitors.get(p or "") for n, p in PLAYED.items()
    }.items() <= parents.items()
    assert len(parents) == 7, "a root that nobody follows has no place"
    # The three roots opened their own links: nobody's link brought them in.
    assert (metrics.opens, metrics.visitors, metrics.fetches) == (8, 5, 0)
    leaves = {visitors[n] for n in PLAYED.keys() - PLAYED.values()}
    assert leaves <= ran, "or they would be taken for machines"


def test_a_chain_longer_than_links_can_count_and_a_broad_tree(
    referral: Referral, deployment: Deployment, service: str, cascade: Callable[..., Path]
) -> None:
    length = HOP_MAX + 20
    chain = [f"1,{n},{n - 1 if n else ''},{n}" for n in range(length)]
    broad = ["2,0,,0", *(f"2,{n},0,{n}" for n in range(1, 150))]
    found = told(referral("replay", cascade(*chain, *broad), "--url", service, "--check", "--json"))
    assert (found["same"], found["depth"]) == (True, length - 1)
    with deployment.db.read() as tx:
        assert max(tx.scalars(sa.select(SpreadNode.hop))) == length - 1
        assert max(tx.scalars(sa.select(GraphCount.total))) > 0, "some are folded by now"


def test_it_starts_a_service_and_a_campaign_of_its_own(
    config: Config, cascade: Callable[..., Path]
) -> None:
    """As on a machine where nothing runs."""
    here = ServiceProcess(settings_of(config))
    done = here.command("replay", cascade("1,a,,0", "1,b,a,1"), "--check", "--json")
    here.discard()
    found = json.loads(done.stdout)
    assert (found["same"], found["campaign"], found["nodes"]) == (True, "replay", 2)
    assert "No campaign runs here" in done.stderr


def test_the_service_it_started_ends_with_it_even_when_it_is_killed(
    tmp_path: Path, cascade: Callable[..., Path]
) -> None:
    here = ServiceProcess({"REFERRAL_DATA_DIR": str(tmp_path)})
    here.command("db", "upgrade")
    slow = cascade("1,a,,0", "1,b,a,1000")
    line = [sys.executable, "-m", "referral", "replay", str(slow), "--speed", "1"]
    with subprocess.Popen(line, env=here.environment, stderr=subprocess.DEVNULL) as playing:
        family = psutil.Process(playing.pid)

        def has_begun_it() -> object:
            assert playing.poll() is None
            return family.children(recursive=True)

        wait_until(has_begun_it, seconds=120)
        services = family.children(recursive=True)
        playing.kill()
    here.discard()
    wait_until(lambda: not any(map(is_alive, services)), seconds=30)


def test_a_graph_that_differs_fails(
    referral: Referral,
    deployment: Deployment,
    service: str,
    cascade: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(command, "SETTLE_SECONDS", 0.0)
    monkeypatch.setattr(replays, "differences", lambda *_: ["node b of tree 1 is not there."])
    result = referral("replay", cascade("1,a,,0", "1,b,a,1"), "--url", service, "--check")
    assert result.exit_code == 1
    assert "node b of tree 1 is not there." in result.stdout
    assert "1 differences were found" in result.stderr


def test_it_is_played_at_a_speed(
    referral: Referral, deployment: Deployment, service: str, cascade: Callable[..., Path]
) -> None:
    file = cascade("1,a,,100", "1,b,a,130", "1,c,b,160")
    found = told(referral("replay", file, "--url", service, "--speed", "60", "--check", "--json"))
    assert found["same"] is True
    assert found["seconds"] >= 1.0
    for speed in ("0", "-1", "nan", "fast"):
        assert referral("replay", file, "--speed", speed).exit_code == 2


def test_a_service_that_does_not_play_along_is_told(
    referral: Referral,
    deployment: Deployment,
    config: Config,
    cascade: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    open_brand(deployment, starts_at="2020-01-01T00:00:00Z", ends_at="2199-01-01T00:00:00Z")
    monkeypatch.setattr(player, "PAUSE_SECONDS", 0.0)
    keys = ("quite-another-key-than-before-here",)
    stranger = open_deployment(replace(config, secret_keys=keys), clock=deployment.clock)
    many = cascade(*(f"{n},a,,0" for n in range(40)))
    with served(create_app(deployment=stranger)) as url:
        result = referral("replay", cascade("1,a,,0", "1,b,a,1"), "--url", url)
        assert result.exit_code == 1
        assert "the service answers 404" in result.stdout
        assert "its parent was not played" in result.stdout
        many = cascade(*(f"{n},a,,0" for n in range(40)))
        failed = referral("replay", many, "--url", url)
        check_failed(failed, "broken off: too many pages fail")
    check_failed(referral("replay", many, "--url", url), "No service answers at")
    assert referral("replay", many, "--url", "127.0.0.1:80").exit_code == 2


def test_a_page_whose_answer_was_lost_makes_no_second_visitor(
    referral: Referral,
    service: str,
    cascade: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(player, "PAUSE_SECONDS", 0.0)
    ask, asked = Wire.ask, Counter[str]()

    def lose_every_first(self: Wire, method: str, path: str, *rest: Any) -> tuple[int, bytes]:
        answer = ask(self, method, path, *rest)
        who = f"{method} {rest[0]['Cookie']}" if rest else path
        asked[who] += 1
        if rest and asked[who] == 1:
            self.close()
            raise ConnectionResetError
        return answer

    monkeypatch.setattr(Wire, "ask", lose_every_first)
    file = cascade("1,a,,0", "1,b,a,1", "1,c,b,2", "1,d,a,3")
    found = told(referral("replay", file, "--url", service, "--check", "--json"))
    assert (found["same"], found["troubles"], found["nodes"]) == (True, [], 4)
    assert max(asked.values()) == 2


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
    referral: Referral, deployment: Deployment, service: str, tmp_path: Path
) -> None:
    file, again = tmp_path / "made.csv", tmp_path / "again.csv"
    made = told(referral("cascades", "--trees", 60, "--seed", 7, "--out", file, "--json"))
    assert made["trees"] == 60
    referral("cascades", "--trees", 60, "--seed", 7, "--out", again)
    assert file.read_text() == again.read_text()
    result = referral("replay", file, "--url", service, "--check", "--json")
    found = told(result)
    assert (found["same"], found["nodes"], found["trees"]) == (True, made["nodes"], 60)
    assert result.stderr == f"Playing {made['nodes']:,} nodes ...\n", "made-up ones are clean"
