"""The sums by campaign and batch are those of the hourly counts, whatever became of visits."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config as AlembicConfig

from referral import actions, intake, rollups
from referral.clock import HeldClock
from referral.codes import Label
from referral.db import MIGRATIONS, Database
from referral.deployment import Deployment
from referral.links import Channel
from referral.rollups import CORRECTIONS, VisitCount
from referral.rollups.sums import BatchRegions, BatchScans, CampaignVisits
from referral.visits import Kind, Visit, new_event_id
from tests.cast import Brand, open_brand

NINE = datetime(2026, 3, 2, 9, tzinfo=UTC)
DAY = datetime(2026, 3, 2, tzinfo=UTC)


@pytest.fixture
def brand(deployment: Deployment) -> Brand:
    return open_brand(deployment)


def visit(brand: Brand, kind: Kind = Kind.open, **more: Any) -> Visit:
    its = {"visitor": 2, "campaign": brand.campaign.id, "channel": Channel.wechat, **more}
    return Visit(kind, its.pop("at", NINE), new_event_id(), **its)


def scan(brand: Brand, **more: Any) -> Visit:
    its = {"batch": brand.batch.id, "code_index": 3, "label": Label.inner, "region": "CN-GD"}
    return visit(brand, Kind.scan, **{**its, **more})


def kept(d: Deployment, model: Any, *names: str) -> dict[Any, int]:
    columns = [getattr(model, name) for name in names]
    with d.db.read() as tx:
        rows = tx.execute(sa.select(*columns, sa.func.sum(model.count)).group_by(*columns))
        return {tuple(row[:-1]): int(row[-1]) for row in rows if row[-1]}


def wrong(d: Deployment) -> list[str]:
    with d.db.read() as tx:
        return [str(each) for each in rollups.sum_differences(tx)]


def test_a_campaigns_visits_are_summed_by_kind(brand: Brand) -> None:
    d, number = brand.deployment, brand.campaign.id
    for hours, region in ((0, "CN-GD"), (1, "CN-SH"), (200, None)):
        intake.hand_in(d, visit(brand, at=NINE + timedelta(hours=hours), region=region))
    again = scan(brand)
    for each in (again, again, visit(brand, Kind.share), visit(brand, campaign=None)):
        intake.hand_in(d, each)
    assert kept(d, CampaignVisits, "campaign_id", "kind") == {
        (number, "open"): 3,
        (number, "scan"): 1,
        (number, "share"): 1,
    }
    assert wrong(d) == []


def test_a_batchs_scans_are_summed_by_the_hour_and_by_region_and_day(brand: Brand) -> None:
    d, batch = brand.deployment, brand.batch.id
    for store, minutes in ((1, 0), (2, 59), (2, 60)):
        intake.hand_in(d, scan(brand, store=store, at=NINE + timedelta(minutes=minutes)))
    intake.hand_in(d, scan(brand, campaign=None, region=None, at=NINE + timedelta(hours=15)))
    intake.hand_in(d, scan(brand, label=Label.outer))
    ten, midnight = NINE + timedelta(hours=1), DAY + timedelta(days=1)
    assert kept(d, BatchScans, "batch_id", "hour", "label") == {
        (batch, NINE, "inner"): 2,
        (batch, ten, "inner"): 1,
        (batch, midnight, "inner"): 1,
        (batch, NINE, "outer"): 1,
    }
    assert kept(d, BatchRegions, "batch_id", "day", "label", "region") == {
        (batch, DAY, "inner", "CN-GD"): 3,
        (batch, midnight, "inner", ""): 1,
        (batch, DAY, "outer", "CN-GD"): 1,
    }
    assert wrong(d) == []


def test_what_turns_out_to_be_a_machines_is_a_fetch_in_the_sums_too(
    brand: Brand, clock: HeldClock
) -> None:
    d = brand.deployment
    intake.hand_in(d, visit(brand, at=clock.now(), parent=1, hop=1))
    clock.advance(minutes=61)
    actions.sift(d)
    assert kept(d, CampaignVisits, "kind") == {("fetch",): 1}
    assert wrong(d) == []


def test_sums_that_are_wrong_are_told_and_put_right(brand: Brand) -> None:
    d = brand.deployment
    for each in (visit(brand), scan(brand)):
        intake.hand_in(d, each)
    d.db.transact(lambda tx: tx.execute(sa.update(CampaignVisits).values(count=5)))
    d.db.transact(lambda tx: tx.execute(sa.delete(BatchScans)))
    d.db.transact(lambda tx: tx.execute(sa.update(BatchRegions).values(region="XX")))
    told = wrong(d)
    assert [each.partition(":")[0] for each in told] == [
        *["campaign_visits"] * 2,
        "batch_scans",
        *["batch_regions"] * 2,
    ]
    assert "1 in the hourly counts, 5 in the sum" in told[0]
    assert d.db.transact(rollups.mend_sums) == 5
    assert wrong(d) == []
    assert d.db.transact(rollups.mend_sums) == 0
    with d.db.read() as tx:
        assert CORRECTIONS in tx.scalars(sa.select(CampaignVisits.slot)).all()


def test_the_sums_follow_hourly_counts_that_were_mended(brand: Brand) -> None:
    d = brand.deployment
    intake.hand_in(d, visit(brand))
    d.db.transact(lambda tx: tx.execute(sa.update(VisitCount).values(count=4)))
    d.db.transact(rollups.recount)
    d.db.transact(rollups.mend_sums)
    assert kept(d, CampaignVisits, "kind") == {("open",): 1}
    assert wrong(d) == []


def test_what_was_counted_before_the_migration_is_summed_by_it(bare_database_url: str) -> None:
    settings = AlembicConfig()
    settings.set_main_option("script_location", str(MIGRATIONS))
    settings.attributes["url"] = bare_database_url
    command.upgrade(settings, "0019")
    row = {"campaign_id": 1, "batch_id": 7, "label": "inner", "channel": "copy", "store_id": 0}
    rows = [
        {**row, "region": "HK", "kind": "scan", "slot": slot, "hour": hour, "count": count}
        for slot, hour, count in ((0, NINE, 2), (1, NINE, 3), (1, NINE + timedelta(hours=20), 4))
    ]
    db = Database(bare_database_url)
    try:
        db.transact(lambda tx: tx.execute(sa.insert(VisitCount), rows))
        command.upgrade(settings, "head")
        with db.read() as tx:
            assert list(rollups.sum_differences(tx)) == []
            for model in (CampaignVisits, BatchScans, BatchRegions):
                assert tx.scalar(sa.select(sa.func.sum(model.count))) == 9
    finally:
        db.close()
