"""What happened in a campaign by the day is what the rows themselves say, counted or kept."""

from collections import Counter
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from referral import actions, intake
from referral.claims import Claim
from referral.clock import HeldClock
from referral.codes import Label
from referral.deployment import Deployment
from referral.ledger import Kind as AccountKind
from referral.links import Channel
from referral.orders import OrderIn, RefundIn
from referral.rollups import days
from referral.rollups.day_parts import BY_PARTS, Key, Part, Step
from referral.rollups.days import CampaignDay
from referral.visits import Kind, Visit, VisitRow, new_event_id
from tests.cast import PER_CLAIM, PER_FRIEND, Brand, Person, cast_of, open_brand
from tests.rewarded import add_store

SHANGHAI = ZoneInfo("Asia/Shanghai")


@pytest.fixture
def brand(deployment: Deployment) -> Brand:
    return open_brand(deployment)


def visit(person: Person, kind: Kind, at: datetime | None = None, **details: object) -> None:
    d = person.brand.deployment
    moment = at or d.clock.now()
    found = Visit(
        kind,
        moment,
        new_event_id(moment),
        visitor=person.visitor,
        campaign=person.brand.campaign.id,
        **details,  # type: ignore[arg-type]
    )
    intake.hand_in(d, found)


def some_days(brand: Brand, clock: HeldClock) -> None:
    """Four days, with something around each midnight of Shanghai."""
    d, batch = brand.deployment, brand.batch.id
    store = add_store(d, "east").id
    actions.assign_range(d, batch, {"store_id": store}, start=0, end=1, by="tests")
    alice, bob, charlie = cast_of(brand)
    alice.claim(0)
    for hours in range(0, 96, 5):
        visit(bob, Kind.open, channel=Channel.wechat, region="CN-GD", parent=alice.visitor, hop=1)
        if hours % 10 == 0:
            visit(bob, Kind.engagement, channel=Channel.wechat, region="CN-GD")
            scan = {"batch": batch, "code_index": hours, "label": Label.inner, "store": store}
            visit(bob, Kind.scan, region="CN-SH", **scan)
            visit(charlie, Kind.share, channel=Channel.poster, region="CN-BJ")
        if hours == 20:
            bob.open(alice.link(channel=Channel.qr))
            bob.claim(1)
            visit(bob, Kind.sign_in, channel=Channel.qr)
        clock.advance(minutes=5 * 60)
    charlie.claim(2)


def span(brand: Brand, zone: ZoneInfo = SHANGHAI) -> tuple[datetime, datetime]:
    now = brand.deployment.clock.now().astimezone(zone)
    return now - timedelta(days=6), now


def read(brand: Brand, part: Part, zone: ZoneInfo = SHANGHAI) -> Counter[Key]:
    first, last = span(brand, zone)
    with brand.deployment.db.read() as tx:
        return days.read(tx, brand.campaign.id, part, first.date(), last.date(), zone)


def by_hand(brand: Brand, part: Part, zone: ZoneInfo = SHANGHAI) -> Counter[Key]:
    """The visits and claims one by one."""
    found = Counter[Key]()
    with brand.deployment.db.read() as tx:
        for row in tx.scalars(sa.select(VisitRow).where(VisitRow.kind != Kind.fetch.value)):
            value = {
                Part.all: "",
                Part.channel: row.channel,
                Part.store: str(row.store_id or ""),
                Part.region: row.region or "",
            }[part]
            found[row.at.astimezone(zone).date(), row.kind, value] += 1
        for claim in tx.scalars(sa.select(Claim)):
            value = ""
            if part is Part.channel and claim.index == 1:
                value = "wechat"  # the first link that Bob opened
            elif part is Part.store and claim.index == 0:
                value = "1"
            elif part is Part.region and claim.index == 0:
                value = "CN-SH"
            found[claim.at.astimezone(zone).date(), Step.claim, value] += 1
    return found


@pytest.mark.parametrize("part", BY_PARTS)
def test_days_are_what_the_rows_say_before_and_after_they_are_kept(
    brand: Brand, clock: HeldClock, part: Part
) -> None:
    d = brand.deployment
    some_days(brand, clock)
    expected = by_hand(brand, part)
    assert len({day for day, _, _ in expected}) >= 4
    assert read(brand, part) == expected
    assert actions.tally(d)
    with d.db.read() as tx:
        assert tx.scalar(sa.select(sa.func.count()).select_from(CampaignDay)), "nothing was kept"
    assert read(brand, part) == expected


@pytest.mark.parametrize("name", ["UTC", "America/New_York", "Asia/Kolkata"])
def test_days_are_those_of_the_brands_calendar(brand: Brand, clock: HeldClock, name: str) -> None:
    zone = ZoneInfo(name)
    some_days(brand, clock)
    found = read(brand, Part.all, zone)
    assert sum(found.values()) == sum(by_hand(brand, Part.all, zone).values())
    if name != "Asia/Kolkata":  # where an hour goes over midnight it is of the day it begins in
        assert found == by_hand(brand, Part.all, zone)


def test_another_calendar_counts_all_days_anew(brand: Brand, clock: HeldClock) -> None:
    d = brand.deployment
    some_days(brand, clock)
    utc = ZoneInfo("UTC")
    now, campaigns = clock.now(), [brand.campaign.id]
    for zone in (SHANGHAI, utc):
        d.db.transact(lambda tx, z=zone: days.tally(tx, campaigns, now, z))
    assert read(brand, Part.all, utc) == by_hand(brand, Part.all, utc)


def test_visits_that_come_late_are_found_when_days_are_gone_over_again(
    brand: Brand, clock: HeldClock
) -> None:
    d = brand.deployment
    some_days(brand, clock)
    actions.tally(d)
    _, bob, _ = cast_of(brand)
    visit(bob, Kind.open, at=clock.now() - timedelta(days=2), region="CN-SC")
    with d.db.read() as tx:
        assert len(list(actions.days_differing(tx, d))) == 4
    assert not actions.tally(d), "no new day is over"
    with d.db.read() as tx:
        assert list(actions.days_differing(tx, d)) == []
    assert read(brand, Part.region) == by_hand(brand, Part.region)


def test_what_is_wrong_is_told_and_put_right(brand: Brand, clock: HeldClock) -> None:
    d = brand.deployment
    some_days(brand, clock)
    actions.tally(d)
    right = read(brand, Part.all)
    is_open = CampaignDay.step == Step.open.value
    d.db.transact(
        lambda tx: tx.execute(
            sa.update(CampaignDay).where(is_open).values(count=CampaignDay.count + 1)
        )
    )
    with d.db.read() as tx:
        told = list(actions.days_differing(tx, d))
    assert told
    assert all(each.startswith("campaign_days: campaign 1, ") for each in told)
    assert read(brand, Part.all) != right
    assert actions.recount_days(d) == len(told)
    assert read(brand, Part.all) == right
    assert actions.recount_days(d) == 0


def test_merged_customers_and_moved_packages_make_nothing_wrong(
    brand: Brand, clock: HeldClock
) -> None:
    d = brand.deployment
    some_days(brand, clock)
    actions.tally(d)
    with d.db.read() as tx:
        one, other = tx.scalars(
            sa.select(Claim.customer_id).where(Claim.index.in_([0, 2])).order_by(Claim.index)
        )
    actions.merge_customers(d, one, other, by="olga", reason="one person")
    with d.db.read() as tx:
        assert list(actions.days_differing(tx, d)) == []


def test_the_cost_is_what_left_the_budget_less_what_came_back(
    deployment: Deployment, clock: HeldClock
) -> None:
    rules = [
        {"when": "claim", "for": "person", "amount": PER_CLAIM},
        {"when": "order", "for": "person", "amount": PER_CLAIM, "least": 2000},
        {"when": "referred_first_order", "for": "referrer", "amount": PER_FRIEND, "least": 2000},
    ]
    brand = open_brand(deployment, rules=rules)
    d = deployment
    alice, bob, _ = cast_of(brand)
    alice.claim(0)
    clock.advance(days=1)
    bob.open(alice.link())
    bob.sign_in()
    order = {"external_id": "A-1", "customer_id": bob.customer, "amount": 5000, "currency": "CNY"}
    actions.place_order(d, OrderIn.model_validate(order))
    clock.advance(days=1)
    actions.refund_order(d, "A-1", RefundIn.model_validate({"external_id": "R-1", "amount": 5000}))
    for _ in range(2):
        found = read(brand, Part.unit)
        per_day = [
            (step, amount) for (_, step, unit), amount in sorted(found.items()) if unit == "points"
        ]
        granted = sum(amount for step, amount in per_day if step == Step.granted)
        back = sum(amount for step, amount in per_day if step == Step.reversed)
        assert (granted, back) == (2 * PER_CLAIM + PER_FRIEND, PER_CLAIM + PER_FRIEND)
        assert granted - back == 100_000 - brand.budget_left()
        assert len({day for day, _, _ in found}) == 3
        clock.advance(days=1)
        actions.tally(d)
    assert AccountKind.budget.value == "budget"
