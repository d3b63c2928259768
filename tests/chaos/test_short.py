"""The short form: everything goes away once under load, and what was answered is kept."""

import random
from pathlib import Path

from tests.chaos import ordeals
from tests.chaos.judge import compare
from tests.chaos.load import Load
from tests.chaos.world import World

PAUSE_SECONDS = 0.1


def test_what_was_answered_is_kept_whatever_goes_away(tmp_path: Path) -> None:
    chance = random.Random(1)
    with World(tmp_path) as world, Load(world, pause=PAUSE_SECONDS) as load:
        kills = (world.kill_worker, world.kill_a_web_worker, world.kill_valkey, world.kill_postgres)
        ordeals.kill(load, chance, kills)
        ordeals.take_the_database_away(world, load, 3)
        ordeals.take_valkey_away(world, load, 3)
        load.stop()
        world.wait_until_drained()
        load.journal.tell()
        assert compare(world, load.journal) == []
