"""A filled database is as the service would leave it, and a fill that was interrupted goes on."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from bench import large_fill
from bench.large_plan import Size, plan
from referral import ledger, rollups
from referral.config import Config
from referral.db import Database
from referral.deployment import open_deployment
from referral.intake.parked import count_waiting
from referral.reports import campaigns, risk_health
from referral.spread import counters
from tests.servers import PostgresServer

SIZE = Size(3_000, 300)


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


def quiet(_words: str) -> None:
    """Nobody wants to know."""


def count(db: Database, table: str) -> int:
    with db.read() as tx:
        return tx.scalar(sa.text(f"SELECT count(*) FROM {table}")) or 0


def test_a_filled_database_adds_up(server: PostgresServer, tmp_path: Path) -> None:
    url = server.create_database("filled")
    large_fill.fill(url, tmp_path, SIZE, quiet)
    d = open_deployment(Config(url, tmp_path, (large_fill.SECRET,), base_url="http://localhost"))
    try:
        assert count(d.db, "visits") == SIZE.visits
        assert count(d.db, "customers") == SIZE.customers
        assert count(d.db, "visits_rest") == 0
        with d.db.read() as tx:
            assert list(rollups.differences(tx)) == []
            assert list(rollups.sum_differences(tx)) == []
            assert list(counters.differences(tx)) == []
            assert ledger.verify(tx) == []
            assert risk_health.health(tx, d.keys).ok
            assert count_waiting(tx) == 0
            shown = [campaigns.metrics(tx, each) for each in campaigns.listed(tx, after=0, limit=9)]
        assert sum(each.claims for each in shown) == count(d.db, "claims")
        assert all(each.opens and each.scans and each.cost for each in shown)
    finally:
        d.db.close()


def test_an_interrupted_fill_goes_on(
    server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = server.create_database("interrupted")
    told: list[str] = []

    class Cut(Exception):
        pass

    def cut(_self: object, _cursor: object) -> None:
        raise Cut

    with monkeypatch.context() as patched:
        patched.setattr(large_fill._Fill, "_codes", cut)
        with pytest.raises(Cut):
            large_fill.fill(url, tmp_path, SIZE, quiet)
    large_fill.fill(url, tmp_path, SIZE, told.append)
    db = Database(url)
    try:
        assert count(db, "visits") == SIZE.visits
        with db.read() as tx:
            assert list(rollups.differences(tx)) == []
    finally:
        db.close()
    assert [line.strip().partition(":")[0] for line in told][:2] == ["codes", "rollups"]


def test_the_same_plan_is_drawn_every_time() -> None:
    first, second = plan(SIZE), plan(SIZE)
    assert all((first.visits[name] == second.visits[name]).all() for name in first.visits)
    parents = first.people["parent"]
    below = parents >= 0
    assert (first.people["at"][below] >= first.people["at"][parents[below]]).all()
    assert (first.people["hop"][below] == first.people["hop"][parents[below]] + 1).all()
