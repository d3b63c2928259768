"""Flags: one row for a code and a kind of oddness, however often that happens."""

from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa

from referral.batches import Batch
from referral.deployment import Deployment
from referral.flags import CodeFlag, Flag, raise_flags
from tests.cast import add_product, issue
from tests.conftest import START

LATER = START + timedelta(minutes=1)


@pytest.fixture
def batch(deployment: Deployment) -> Batch:
    add_product(deployment)
    return issue(deployment)


def flag(
    deployment: Deployment, batch: Batch, index: int, at: datetime, region: str, *kinds: Flag
) -> None:
    deployment.db.transact(lambda tx: raise_flags(tx, batch.id, index, kinds, region, at))


def flags(deployment: Deployment) -> list[tuple[int, str, datetime, datetime, int, str | None]]:
    with deployment.db.read() as tx:
        rows = tx.scalars(sa.select(CodeFlag).order_by(CodeFlag.index, CodeFlag.kind))
        return [(f.index, f.kind, f.first_at, f.last_at, f.times, f.region) for f in rows]


def test_a_code_has_a_row_for_each_kind(deployment: Deployment, batch: Batch) -> None:
    flag(deployment, batch, 3, START, "CN-SH", Flag.other_market, Flag.expired)
    flag(deployment, batch, 3, LATER, "CN-BJ", Flag.other_market)
    flag(deployment, batch, 4, LATER, "CN-BJ", Flag.other_market)
    flag(deployment, batch, 5, LATER, "CN-BJ")
    assert flags(deployment) == [
        (3, "expired", START, START, 1, "CN-SH"),
        (3, "other_market", START, LATER, 2, "CN-BJ"),
        (4, "other_market", LATER, LATER, 1, "CN-BJ"),
    ]


def test_scans_may_arrive_out_of_order(deployment: Deployment, batch: Batch) -> None:
    flag(deployment, batch, 3, LATER, "CN-BJ", Flag.expired)
    flag(deployment, batch, 3, START, "CN-SH", Flag.expired)
    assert flags(deployment) == [(3, "expired", START, LATER, 2, "CN-BJ")]
