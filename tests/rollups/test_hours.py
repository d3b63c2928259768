"""The hourly counts are what the visits say, however those came and whatever became of them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config as AlembicConfig
from sqlalchemy.orm import Session

from referral import actions, intake, rollups
from referral.clock import HeldClock
from referral.codes import Label
from referral.db import MIGRATIONS, Database, one_moment
from referral.deployment import Deployment
from referral.links import Channel
from referral.rollups import CORRECTIONS, VisitCount
from referral.visits import Kind, Visit, VisitRow, new_event_id
from tests.cast import Brand, open_brand
from tests.races import at_once

HALF_PAST = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


@pytest.fixture
def brand(deployment: Deployment) -> Brand:
    return open_brand(deployment)


def visit(brand: Brand, kind: Kind = Kind.open, **more: Any) -> Visit:
    its = {"visitor": 2, "campaign": brand.campaign.id, "channel": Channel.wechat, **more}
    return Visit(kind, its.pop("at", HALF_PAST), new_event_id(), **its)


def kept(d: Deployment) -> dict[tuple[Any, ...], int]:
    names = ("kind", "hour", "campaign_id", "batch_id", "label", "store_id", "channel", "region")
    columns = [getattr(VisitCount, name) for name in names]
    with d.db.read() as tx:
        rows = tx.execute(sa.select(*columns, sa.func.sum(VisitCount.count)).group_by(*columns))
        return {tuple(row[:-1]): int(row[-1]) for row in rows if row[-1]}


def differences(d: Deployment) -> list[rollups.Difference]:
    with d.db.read() as tx:
        one_moment(tx)
        return list(rollups.differences(tx))


def test_visits_are_counted_by_the_hour_and_by_what_they_were(brand: Brand) -> None:
    d, number, batch = brand.deployment, brand.campaign.id, brand.batch.id
    scanned = {"batch": batch, "code_index": 3, "label": Label.inner, "store": 7, "region": "CN-GD"}
    for minutes in (-30, 0, 29, 30):
        intake.hand_in(d, visit(brand, at=HALF_PAST + timedelta(minutes=minutes)))
    again = visit(brand, Kind.scan, **scanned)
    for _ in range(3):
        intake.hand_in(d, again)
    intake.hand_in(d, Visit(Kind.fetch, HALF_PAST, new_event_id(), machine="head"))
    nine, ten = datetime(2026, 3, 2, 9, tzinfo=UTC), datetime(2026, 3, 2, 10, tzinfo=UTC)
    assert kept(d) == {
        ("open", nine, number, 0, "", 0, "wechat", ""): 3,
        ("open", ten, number, 0, "", 0, "wechat", ""): 1,
        ("scan", nine, number, batch, "inner", 7, "wechat", "CN-GD"): 1,
        ("fetch", nine, 0, 0, "", 0, "unknown", ""): 1,
    }
    assert differences(d) == []


def test_many_at_once_are_all_counted(brand: Brand) -> None:
    d = brand.deployment

    def work(reader: int) -> None:
        for _ in range(5):
            intake.hand_in(d, visit(brand, visitor=reader))

    assert at_once([lambda reader=reader: work(reader) for reader in range(6)]) == [None] * 6
    assert list(kept(d).values()) == [30]
    assert differences(d) == []


def test_openings_that_turn_out_to_be_a_machines_are_counted_as_fetches_and_back(
    brand: Brand, clock: HeldClock
) -> None:
    d = brand.deployment
    opened = visit(brand, at=clock.now(), parent=1, hop=1)
    intake.hand_in(d, opened)
    clock.advance(minutes=61)
    actions.sift(d)
    assert [key[0] for key in kept(d)] == ["fetch"]
    assert differences(d) == []
    intake.note_ran(d, 2, clock.now())
    actions.sift(d)
    assert [key[0] for key in kept(d)] == ["open"]
    assert differences(d) == []


def spoil(tx: Session, brand: Brand) -> None:
    """A visit that is not counted, and a count without a visit."""
    row = {"event_id": new_event_id(), "kind": "open", "at": HALF_PAST, "channel": "copy"}
    tx.execute(sa.insert(VisitRow).values(**row, campaign_id=brand.campaign.id))
    tx.execute(sa.update(VisitCount).values(count=VisitCount.count + 4))


def recounted(tx: Session) -> int:
    one_moment(tx)
    return rollups.recount(tx)


def test_what_is_wrong_is_told_and_put_right(brand: Brand) -> None:
    d = brand.deployment
    intake.hand_in(d, visit(brand))
    d.db.transact(lambda tx: spoil(tx, brand))
    told = [(each.sort[5], each.kept, each.found) for each in differences(d)]
    assert sorted(told) == [("copy", 0, 1), ("wechat", 5, 1)]
    assert "5 in the rollup" in str(differences(d)[1])
    assert d.db.transact(recounted) == 2
    assert differences(d) == []
    assert d.db.transact(recounted) == 0


def test_visits_that_come_while_all_are_counted_anew_stay_counted(brand: Brand) -> None:
    d = brand.deployment
    intake.hand_in(d, visit(brand))
    d.db.transact(lambda tx: spoil(tx, brand))

    def count_slowly(tx: Session) -> int:
        mended = recounted(tx)
        if not d.db.is_sqlite:  # which has one writer at a time
            at_once([lambda: intake.hand_in(d, visit(brand, visitor=9))])
        return mended

    assert d.db.transact(count_slowly) == 2
    intake.hand_in(d, visit(brand))
    assert differences(d) == []
    with d.db.read() as tx:
        corrected = sa.select(VisitCount.count).where(VisitCount.slot == CORRECTIONS)
        assert sorted(tx.scalars(corrected)) == [-4, 1]


def test_visits_of_before_are_counted_by_the_upgrade(bare_database_url: str) -> None:
    settings = AlembicConfig()
    settings.set_main_option("script_location", str(MIGRATIONS))
    settings.attributes["url"] = bare_database_url
    command.upgrade(settings, "0016")
    db = Database(bare_database_url)
    rows = [
        {"event_id": new_event_id(), "kind": "open", "at": HALF_PAST, "channel": "copy"},
        {"event_id": new_event_id(), "kind": "open", "at": HALF_PAST, "channel": "copy"},
        {"event_id": new_event_id(), "kind": "fetch", "at": HALF_PAST, "channel": "copy"},
    ]
    old = VisitRow.__table__
    names = ("event_id", "kind", "at", "channel")
    insert = sa.table("visits", *(sa.column(name, old.c[name].type) for name in names)).insert()
    try:
        db.transact(lambda tx: tx.execute(insert, rows))
        command.upgrade(settings, "head")
        with db.read() as tx:
            assert list(rollups.differences(tx)) == []
            assert tx.scalar(sa.select(sa.func.sum(VisitCount.count))) == 3
    finally:
        db.close()
