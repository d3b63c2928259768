"""Tallied or counted one by one, figures are the same, whatever day it is and whoever is merged."""

from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from referral import (
    actions,
    people,
    rollups,
)
from referral.clock import HeldClock
from referral.deployment import Deployment
from referral.reports import activity, batches, campaigns, lists, periods, products
from referral.rollups import tallies
from referral.rollups.tallies import ClaimDay, NewcomerDay
from tests.cast import Brand, Person, open_brand
from tests.conftest import START


@pytest.fixture
def brand(deployment: Deployment) -> Brand:
    return open_brand(deployment)


def somebody(brand: Brand, number: int) -> Person:
    return Person(brand, people.email(f"somebody.{number}@example.com"))


def a_few_days(brand: Brand, clock: HeldClock) -> list[Person]:
    """Four people in three days: the second and the fourth come by the first one's link."""
    first, second, third, fourth = (somebody(brand, number) for number in range(4))
    first.claim(0)
    clock.advance(minutes=20 * 60)
    second.open(first.link())
    second.claim(1)
    clock.advance(minutes=10 * 60)
    third.claim(2)
    first.claim(3)
    clock.advance(minutes=20 * 60)
    fourth.open(first.link())
    fourth.claim(4)
    return [first, second, third, fourth]


def figures(brand: Brand, now: object = None) -> list[object]:
    """All that is read with the help of tallies."""
    d, number = brand.deployment, brand.batch.id
    period = periods.between(
        START - timedelta(days=1), START + timedelta(days=6), ZoneInfo(d.config.timezone)
    )
    with d.db.read() as tx:
        shown = campaigns.metrics(tx, brand.campaign)
        line = lists.campaigns(tx).rows[0]
        return [
            (shown.claims, shown.new_customers, shown.referred_customers),
            (line.claims, line.new_customers),
            [each.claims for each in lists.products(tx).rows],
            [each.claims for each in batches.lines(tx).rows],
            products.usage(tx, brand.product).claims,
            activity.totals(tx, number).claims,
            [(each.region, each.claims) for each in activity.by_region(tx, [number], period)],
        ]


def kept(d: Deployment) -> tuple[int, int]:
    """How many claims and new customers are tallied."""
    with d.db.read() as tx:
        claims = tx.scalar(sa.select(sa.func.sum(ClaimDay.count)))
        new = tx.scalar(sa.select(sa.func.sum(NewcomerDay.count)))
    return int(claims or 0), int(new or 0)


def wrong(d: Deployment) -> list[str]:
    with d.db.read() as tx:
        return [str(each) for each in rollups.sum_differences(tx)]


def test_figures_are_the_same_before_and_after_days_are_tallied(
    brand: Brand, clock: HeldClock
) -> None:
    d = brand.deployment
    a_few_days(brand, clock)
    before = figures(brand)
    assert before[0] == (5, 4, 2)
    assert actions.tally(d)
    some = kept(d)
    assert 0 < some[0] < 5
    assert figures(brand) == before
    assert not actions.tally(d), "the same day once more"
    clock.advance(days=1, minutes=120)
    assert figures(brand) == before
    assert actions.tally(d)
    assert kept(d) == (5, 4)
    assert figures(brand) == before
    assert wrong(d) == []
    somebody(brand, 9).claim(9)
    assert figures(brand)[0] == (6, 5, 2)


def test_a_day_is_not_tallied_before_it_has_been_over_for_a_while(
    brand: Brand, clock: HeldClock
) -> None:
    d = brand.deployment
    somebody(brand, 0).claim(0)
    midnight = tallies.day_of(clock.now()) + timedelta(days=1)
    clock.set(midnight + tallies.LATE[tallies.PURCHASES] - timedelta(seconds=1))
    actions.tally(d)
    assert kept(d) == (0, 0)
    clock.advance(seconds=1)
    actions.tally(d)
    assert kept(d) == (1, 1)


@pytest.mark.parametrize("tallied", [False, True])
@pytest.mark.parametrize("pair", [(0, 1), (2, 3), (1, 3)])
def test_figures_follow_a_merge_whether_its_days_are_tallied_or_not(
    brand: Brand, clock: HeldClock, pair: tuple[int, int], tallied: bool
) -> None:
    d = brand.deployment
    crowd = a_few_days(brand, clock)
    clock.advance(days=2)
    if tallied:
        actions.tally(d)
    one, other = (crowd[each].customer for each in pair)
    actions.merge_customers(d, one, other, by="olga", reason="one person")
    with d.db.read() as tx:
        shown = campaigns.metrics(tx, brand.campaign)
        places = (
            tx.execute(sa.text("SELECT referrer_id IS NOT NULL FROM referrals")).scalars().all()
        )
    assert (shown.new_customers, shown.referred_customers) == (3, sum(map(bool, places)))
    assert wrong(d) == []


def test_tallies_that_are_wrong_are_told_and_put_right(brand: Brand, clock: HeldClock) -> None:
    d = brand.deployment
    a_few_days(brand, clock)
    clock.advance(days=2)
    actions.tally(d)
    before = figures(brand)
    d.db.transact(lambda tx: tx.execute(sa.update(ClaimDay).values(count=ClaimDay.count + 2)))
    d.db.transact(lambda tx: tx.execute(sa.delete(NewcomerDay)))
    told = wrong(d)
    assert any(each.startswith("claim_days") for each in told)
    assert any(each.startswith("newcomer_days") for each in told)
    assert d.db.transact(rollups.mend_sums) == len(told)
    assert wrong(d) == []
    assert figures(brand) == before
