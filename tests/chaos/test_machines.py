"""More machines: a master of a Cluster and the primary of a database are killed under load."""

import os
import random
from pathlib import Path

import pytest

from tests.chaos.load import Load
from tests.chaos.machines import ClusterWorld, StandbyWorld, finish

KILLS = 10
AWAY_SECONDS = 30
SEED = int(os.environ.get("CHAOS_SEED", "1"))
PAUSE_SECONDS = 0.05


def test_nothing_is_lost_or_twice_though_a_master_of_the_cluster_is_killed(tmp_path: Path) -> None:
    with ClusterWorld(tmp_path) as world, Load(world, pause=PAUSE_SECONDS) as load:
        world.kill_a_master(load, random.Random(1))
        finish(world, load)


def test_nothing_is_lost_or_twice_though_the_primary_is_killed(tmp_path: Path) -> None:
    with StandbyWorld(tmp_path) as world, Load(world, pause=PAUSE_SECONDS) as load:
        world.lose_the_primary(load, 2)
        finish(world, load)


@pytest.mark.slow
def test_nothing_is_lost_or_twice_though_masters_are_killed_10_times(tmp_path: Path) -> None:
    chance = random.Random(f"{SEED}|masters")
    with ClusterWorld(tmp_path, workers=2) as world, Load(world, seed=SEED) as load:
        for _ in range(KILLS):
            world.kill_a_master(load, chance)
        finish(world, load)


@pytest.mark.slow
def test_nothing_is_lost_or_twice_though_nobody_takes_writes_for_long(tmp_path: Path) -> None:
    with StandbyWorld(tmp_path, workers=2) as world, Load(world, seed=SEED) as load:
        world.lose_the_primary(load, AWAY_SECONDS)
        finish(world, load)
