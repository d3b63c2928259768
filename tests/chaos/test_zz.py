"""The long form, by tens and minutes: `make chaos`. CHAOS_SEED chooses the moments."""

import os
import random
from pathlib import Path

import pytest

from tests.chaos import ordeals
from tests.chaos.judge import compare
from tests.chaos.load import Load
from tests.chaos.world import World

KILLS = 25
AWAY_SECONDS = 15
SEED = int(os.environ.get("CHAOS_SEED", "1"))


def end(world: World, load: Load) -> None:
    """Whatever was acknowledged is there once, and the commands say so as well."""
    load.stop()
    seconds = world.wait_until_drained()
    load.journal.tell()
    print(f"the backlog was empty after {seconds:.1f} s; seed {SEED}")
    assert compare(world, load.journal) == []
    for command in (["recount", "--check"], ["spread", "check"], ["ledger", "verify"]):
        print(world.web.command(*command).stdout)


@pytest.mark.slow
@pytest.mark.parametrize("what", ["web", "worker", "valkey", "postgres"])
def test_nothing_is_lost_or_twice_though_it_is_killed_25_times(tmp_path: Path, what: str) -> None:
    with World(tmp_path, workers=2) as world, Load(world, seed=SEED) as load:
        kills = {
            "web": world.kill_web,
            "worker": world.kill_worker,
            "valkey": world.kill_valkey,
            "postgres": world.kill_postgres,
        }
        ordeals.kill(load, random.Random(f"{SEED}|{what}"), [kills[what]] * KILLS)
        end(world, load)


@pytest.mark.slow
def test_nothing_is_lost_or_twice_though_valkey_is_away_for_a_minute(tmp_path: Path) -> None:
    with World(tmp_path, workers=2) as world, Load(world, seed=SEED) as load:
        ordeals.take_valkey_away(world, load, AWAY_SECONDS)
        end(world, load)


@pytest.mark.slow
def test_nothing_is_lost_or_twice_though_the_database_is_away_for_a_minute(tmp_path: Path) -> None:
    with World(tmp_path, workers=2) as world, Load(world, seed=SEED) as load:
        ordeals.take_the_database_away(world, load, AWAY_SECONDS)
        end(world, load)
