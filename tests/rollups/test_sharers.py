"""Who shared is kept once, with the first time, in whatever order visits come in."""

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from referral import (
    intake,
    rollups,
)
from referral.deployment import Deployment
from referral.links import Channel
from referral.rollups import sharers
from referral.rollups.sharers import Sharer
from referral.visits import Kind, Visit, new_event_id
from tests.cast import Brand, open_brand

NINE = datetime(2026, 3, 2, 9, tzinfo=UTC)


@pytest.fixture
def brand(deployment: Deployment) -> Brand:
    return open_brand(deployment)


def share(brand: Brand, visitor: int | None = 2, hours: int = 0, **more: int | None) -> Visit:
    its = {"campaign": brand.campaign.id, **more}
    at = NINE + timedelta(hours=hours)
    return Visit(Kind.share, at, new_event_id(), visitor, its["campaign"], channel=Channel.copy)


def kept(d: Deployment) -> dict[tuple[int, int], datetime]:
    with d.db.read() as tx:
        return {
            (each.campaign_id, each.visitor_id): each.at for each in tx.scalars(sa.select(Sharer))
        }


def test_the_first_share_is_kept(brand: Brand) -> None:
    d, number = brand.deployment, brand.campaign.id
    for each in (share(brand, 2, 5), share(brand, 2, 1), share(brand, 2, 9), share(brand, 3, 2)):
        intake.hand_in(d, each)
    intake.hand_in(d, share(brand, None))
    intake.hand_in(d, share(brand, 4, campaign=None))
    intake.hand_in(d, Visit(Kind.open, NINE, new_event_id(), 5, number))
    assert kept(d) == {
        (number, 2): NINE + timedelta(hours=1),
        (number, 3): NINE + timedelta(hours=2),
    }


def test_what_is_missing_or_too_late_is_told_and_put_right(brand: Brand) -> None:
    d, number = brand.deployment, brand.campaign.id
    for visitor in (2, 3, 4):
        intake.hand_in(d, share(brand, visitor))
    d.db.transact(lambda tx: tx.execute(sa.delete(Sharer).where(Sharer.visitor_id == 2)))
    later = sa.update(Sharer).where(Sharer.visitor_id == 3).values(at=NINE + timedelta(days=1))
    d.db.transact(lambda tx: tx.execute(later))
    with d.db.read() as tx:
        told = [str(each) for each in rollups.sum_differences(tx)]
    assert told[0].endswith("kept is never")
    assert told[1].endswith("kept is 2026-03-03T09:00:00+00:00")
    assert d.db.transact(sharers.recount) == 2
    assert kept(d) == {(number, visitor): NINE for visitor in (2, 3, 4)}
    assert d.db.transact(sharers.recount) == 0
