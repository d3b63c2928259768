"""Worlds of more machines: a Valkey Cluster, and PostgreSQL with a standby."""

import random
import time
from collections.abc import Sequence
from pathlib import Path

import redis

from referral.intake.stream import KEY, StreamAway, VisitStream
from tests.chaos.judge import compare
from tests.chaos.load import Load
from tests.chaos.world import World, consumers, wait_until
from tests.clusters import ValkeyCluster
from tests.servers import PostgresServer, ValkeyServer
from tests.standbys import PostgresPair

OPENS = 30
SETTINGS = {"appendfsync": "everysec"}
BACKLOG_SECONDS = 60
"""A backlog is gone so soon after the last request."""


class ClusterWorld(World):
    """Its stream is in six nodes: three masters, each with a replica."""

    def __init__(self, folder: Path, *, workers: int = 1) -> None:
        super().__init__(folder, workers=workers)
        self.valkey.discard()
        self.cluster = ValkeyCluster(settings=SETTINGS)

    def start_stream(self) -> str:
        return self.cluster.start().url

    @property
    def servers(self) -> Sequence[PostgresServer | ValkeyServer]:
        return (self.postgres, *self.cluster.nodes)

    @property
    def stream(self) -> VisitStream:
        assert self.deployment.stream is not None
        return self.deployment.stream

    def kill_a_master(self, load: Load, chance: random.Random) -> None:
        """Its replica takes over under load, and it comes back as the replica of that one."""
        load.wait_for("open", OPENS)
        shard = chance.choice(self.stream.state().shards)
        key = f"{KEY}|{{{shard.number}}}"
        killed = self.cluster.master_of(key)
        killed.kill()
        load.wait_for("open", OPENS)
        wait_until(lambda: killed not in [self.cluster.master_of(key)], "no replica takes over")
        load.wait_for("open", OPENS)
        killed.start()
        wait_until(self.cluster.is_whole, "the cluster does not become whole again")
        wait_until(self.is_used, "the shards are not used again")
        load.wait_for("open", OPENS)

    def is_used(self) -> bool:
        """Whether visits go into every shard, as far as this process sees."""
        try:
            state = self.stream.state()
        except StreamAway:
            return False
        return not state.faulty and state.is_heard

    def _workers_names(self) -> list[str]:
        with redis.RedisCluster(url=self.cluster.nodes[0].url, decode_responses=True) as connection:
            return consumers(connection, f"{KEY}|{{0}}")


class StandbyWorld(World):
    """Its database is a primary and a standby that has what was answered."""

    def __init__(self, folder: Path, *, workers: int = 1) -> None:
        super().__init__(folder, workers=workers)
        self.postgres.discard()
        self.pair = PostgresPair()

    def start_database(self) -> str:
        return self.pair.start().create_database("chaos")

    @property
    def servers(self) -> Sequence[PostgresServer | ValkeyServer]:
        return (self.pair.standby, self.pair.primary, self.valkey)

    def lose_the_primary(self, load: Load, seconds: float) -> None:
        """For some time nobody takes writes: opens are answered all the same, and claims are told
        to try again. Then the standby is made the primary, and the claims are done."""
        load.wait_for("open", OPENS)
        load.wait_for("claim", 1)
        load.warm_up()
        since = len(load.journal.requests)
        self.pair.primary.kill()
        load.wait_for("open", OPENS)
        load.wait_for_status("claim", 503)
        time.sleep(seconds)
        opens = load.journal.statuses("open", since)
        assert set(opens) == {200}, f"{opens}, {load.journal.broken[-3:]}"
        self.pair.promote()
        load.wait_for("claim", 1)
        load.wait_for("open", OPENS)


def finish(world: World, load: Load) -> None:
    """What was acknowledged is there once, and soon nothing waits any more."""
    load.stop()
    seconds = world.wait_until_drained()
    load.journal.tell()
    print(f"the backlog was empty after {seconds:.1f} s")
    assert compare(world, load.journal) == []
    assert seconds < BACKLOG_SECONDS
