"""A worker that is killed between its commit and saying so: what it stored is stored once."""

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from referral import intake
from referral.codes import Label
from referral.config import Config
from referral.deployment import Deployment, open_deployment
from referral.flags import CodeFlag, Flag
from referral.intake.working import Worker
from referral.people import new_visitor_id
from referral.visits import Kind, SeenCode, Visit, VisitRow, new_event_id
from tests.chaos.dying_workers import ENTRIES_AT_ONCE
from tests.chaos.judge import contradictions
from tests.conftest import settings_of
from tests.servers import ROOT
from tests.web.conftest import Brand, make_brand

NOW = timedelta(0)
CODES = 5
KINDS = (Kind.open, Kind.scan, Kind.engagement)


@pytest.fixture
def streamed(config: Config, valkey: str) -> Iterator[Deployment]:
    """A deployment on the real clock, whose visits wait for a worker."""
    opened = open_deployment(replace(config, redis_url=valkey, intake="stream"))
    assert opened.stream is not None
    opened.stream._redis.flushdb()
    yield opened
    opened.stream.close()
    opened.db.close()


def hand_in_some(d: Deployment, brand: Brand, count: int) -> None:
    """So many visits, each an entry of its own, and as many notes that a page ran."""
    chance = random.Random(count)
    people = [new_visitor_id() for _ in range(4)]
    for number in range(count):
        kind, sharer = KINDS[number % len(KINDS)], chance.choice(people[:50])
        more: dict[str, Any]
        if kind is Kind.open:
            people.append(new_visitor_id())
            more = {"campaign": brand.campaign.id, "parent": sharer, "hop": 1}
        elif kind is Kind.scan:
            more = {"batch": brand.batch.id, "code_index": number % CODES, "label": Label.inner}
            more["flags"] = (Flag.withdrawn,)
        else:
            more = {"campaign": brand.campaign.id}
        visit = Visit(kind, d.clock.now(), new_event_id(), visitor=people[-1], **more)
        intake.hand_in(d, visit)
        intake.note_ran(d, people[-1], d.clock.now())


def check_killed(d: Deployment, times: int, seed: int) -> None:
    brand = make_brand(d)
    count = times * ENTRIES_AT_ONCE
    hand_in_some(d, brand, count)
    environment = {**os.environ, **settings_of(d.config)}
    command = [sys.executable, "-m", "tests.chaos.dying_workers", str(times), str(seed)]
    done = subprocess.run(
        command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, str(times)), done.stderr
    assert d.stream is not None
    Worker(d.db, d.clock, d.stream, abandoned_after=NOW).drain()
    assert (d.stream.state().entries, contradictions(d)) == (0, [])
    with d.db.read() as tx:
        kinds = sa.select(VisitRow.kind, sa.func.count()).group_by(VisitRow.kind)
        assert dict(map(tuple, tx.execute(kinds))) == dict.fromkeys(KINDS, count // 3)
        flagged = tx.scalar(sa.select(sa.func.sum(CodeFlag.times)))
        devices = tx.scalar(sa.select(sa.func.sum(SeenCode.devices)))
        assert flagged == count // 3
        scanners = sa.select(VisitRow.visitor_id, VisitRow.code_index).where(
            VisitRow.kind == Kind.scan
        )
        assert devices == len(tx.execute(scanners.distinct()).all())


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_five_workers_killed_before_they_say_what_they_have_stored(streamed: Deployment) -> None:
    check_killed(streamed, 5, seed=1)


@pytest.mark.slow
def test_five_hundred_workers_killed_before_they_say_what_they_have_stored(
    streamed: Deployment,
) -> None:
    check_killed(streamed, 500, seed=2)
