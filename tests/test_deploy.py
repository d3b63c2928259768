"""The files of deploy/: what they run exists, and what they set is read."""

import re
from pathlib import Path

import click
import psycopg
import pytest
import redis

from referral.cli import cli
from referral.config import Config
from referral.intake.stream import Keeping, VisitStream
from tests.clusters import ValkeyCluster
from tests.servers import ValkeyServer
from tests.standbys import PostgresPair

DEPLOY = Path(__file__).resolve().parent.parent / "deploy"
FILES = [path for path in sorted(DEPLOY.rglob("*")) if path.is_file()]
COMMAND = re.compile(r"(?:bin/|CMD \[\"|command: \[\"|\b(?:do|;) )referral(?:\", \"| )([^;>\]\n]+)")


def commands_in(text: str) -> list[list[str]]:
    return [re.findall(r"[^\s\",']+", found) for found in COMMAND.findall(text)]


def said() -> list[list[str]]:
    return [words for path in FILES for words in commands_in(path.read_text())]


def test_there_are_commands_to_look_at() -> None:
    assert ["worker"] in said()
    assert ["ledger", "head", "--json"] in said()
    assert len(said()) >= 11


@pytest.mark.parametrize("words", said(), ids=" ".join)
def test_every_command_exists_with_its_options(words: list[str]) -> None:
    command: click.Command = cli
    while isinstance(command, click.Group):
        assert words[0] in command.commands, words
        command = command.commands[words.pop(0)]
    known = {name for each in command.params for name in (*each.opts, *each.secondary_opts)}
    assert {word for word in words if word.startswith("--")} <= known


def test_the_settings_are_good_ones(tmp_path: Path) -> None:
    lines = (DEPLOY / "referral.env").read_text().splitlines()
    settings = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    assert settings["REFERRAL_DATA_DIR"] == "/var/lib/referral"
    config = Config.from_env({**settings, "REFERRAL_DATA_DIR": str(tmp_path)})
    assert (config.intake, config.is_https, config.trusted_proxies) == ("stream", True, 1)


def test_valkey_starts_with_its_settings_and_drops_nothing() -> None:
    written = [line.split(None, 1) for line in (DEPLOY / "valkey.conf").read_text().splitlines()]
    kept = {line[0]: line[1] for line in written if line and line[0] != "#"}
    own = {name: kept.pop(name) for name in ("bind", "port", "dir", "requirepass")}
    assert own["bind"] == "127.0.0.1"
    with ValkeyServer(settings=kept) as server, redis.Redis.from_url(server.url) as connection:
        expected = {
            "appendonly": "yes",
            "appendfsync": "everysec",
            "maxmemory-policy": "noeviction",
        }
        for name, value in expected.items():
            assert connection.config_get(name) == {name: value}


def settings_in(path: Path, separator: str | None) -> dict[str, str]:
    lines = [line for line in path.read_text().splitlines() if line and line[0] != "#"]
    pairs = [line.split(separator, 1) for line in lines]
    return {name.strip(): value.strip().strip("'") for name, value in pairs}


def test_nodes_with_their_settings_become_a_cluster_that_keeps_visits() -> None:
    kept = settings_in(DEPLOY / "cluster" / "valkey-node.conf", None)
    own = [kept.pop(name) for name in ("bind", "port", "dir", "requirepass", "masterauth")]
    assert own == ["10.0.0.11", "7000", "/var/lib/valkey/7000", "PASSWORD", "PASSWORD"]
    with ValkeyCluster(settings=kept) as cluster:
        stream = VisitStream(cluster.url)
        assert stream.keeping() == Keeping(appendonly=True, eviction="noeviction")
        assert stream.state().faulty == ()
        stream.close()
        with redis.Redis.from_url(cluster.nodes[0].url) as connection:
            for name in ("appendfsync", "cluster-require-full-coverage", "cluster-node-timeout"):
                assert connection.config_get(name) == {name: kept[name]}


def test_a_primary_and_its_standby_start_with_their_settings() -> None:
    kept = settings_in(DEPLOY / "standby" / "postgresql.conf", "=")
    assert kept.pop("listen_addresses") == "*"
    with PostgresPair(kept) as pair, psycopg.connect(pair.standby.url) as connection:
        for name, value in kept.items():
            assert connection.execute(f"SHOW {name}".encode()).fetchone() == (value,), name
