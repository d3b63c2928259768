"""A batch's figures: each scan counted once and where it belongs, other batches' never."""

from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from referral import actions, intake, people
from referral.batches import Batch
from referral.clock import HeldClock
from referral.codes import Label, Labels
from referral.deployment import Deployment
from referral.ranges import RangeState
from referral.reports import activity, periods
from referral.reports.activity import RegionCounts, Totals
from referral.reports.periods import Period
from referral.visits import Kind, Visit, new_event_id
from tests.cast import GTIN, ON_SALE, Brand, cast_of, issue, open_brand
from tests.reports.conftest import read

ZONE = ZoneInfo("Asia/Shanghai")


@pytest.fixture
def brand(deployment: Deployment) -> Brand:
    return open_brand(deployment, labels=Labels.pair)


def scan(
    brand: Brand,
    index: int,
    region: str | None = None,
    *,
    label: Label = Label.inner,
    kind: Kind = Kind.scan,
    batch: Batch | None = None,
) -> None:
    """By a phone that nobody has used before."""
    is_person = kind is Kind.scan
    visit = Visit(
        kind,
        brand.deployment.clock.now(),
        new_event_id(),
        visitor=people.new_visitor_id() if is_person else None,
        batch=(batch or brand.batch).id,
        code_index=index,
        label=label,
        region=region,
        machine=None if is_person else "crawler",
    )
    intake.hand_in(brand.deployment, visit)


def miss(
    brand: Brand, times: int = 1, region: str | None = None, batch: Batch | None = None
) -> None:
    for _ in range(times):
        brand.deployment.misses.count(GTIN, (batch or brand.batch).id, region)
    brand.deployment.misses.flush()


def days(brand: Brand, before: int) -> Period:
    now = brand.deployment.clock.now()
    return periods.between(now - timedelta(days=before), now, ZONE)


def test_what_nobody_has_scanned_has_zeros(brand: Brand) -> None:
    totals = read(brand, lambda tx: activity.totals(tx, brand.batch.id))
    assert totals == Totals(
        scans=0,
        first_scans=0,
        outer_scans=0,
        claims=0,
        outer_seen=0,
        activated=ON_SALE,
        seen_of_activated=0,
        misses=0,
    )
    assert totals.first_scan_rate == 0
    dark = issue(brand.deployment, on_sale=0)
    assert read(brand, lambda tx: activity.totals(tx, dark.id)).first_scan_rate is None
    (slot,) = read(brand, lambda tx: activity.over_time(tx, [brand.batch.id], days(brand, 0)))
    assert (slot.scans, slot.repeats, slot.claims, slot.misses) == (0, 0, 0, 0)
    assert read(brand, lambda tx: activity.by_region(tx, [brand.batch.id], days(brand, 0))) == []


def test_totals_tell_labels_machines_and_batches_apart(brand: Brand) -> None:
    alice, _, _ = cast_of(brand)
    other = issue(brand.deployment)
    for index in (1, 1, 1, 2, ON_SALE):
        scan(brand, index)
    scan(brand, 1, label=Label.outer)
    scan(brand, 1, label=Label.outer)
    scan(brand, 9, kind=Kind.fetch)
    scan(brand, 3, batch=other)
    miss(brand, 4)
    miss(brand, 7, batch=other)
    alice.claim(1)
    alice.claim(4, other)
    totals = read(brand, lambda tx: activity.totals(tx, brand.batch.id))
    assert (totals.scans, totals.first_scans, totals.repeats) == (5, 3, 2)
    assert (totals.outer_scans, totals.outer_seen) == (2, 1)
    assert (totals.claims, totals.misses) == (1, 4)
    # The third code was scanned before it was on sale.
    assert (totals.seen_of_activated, totals.activated) == (2, ON_SALE)
    assert totals.first_scan_rate == 2 / ON_SALE


def test_the_first_scan_rate_is_of_what_is_on_sale_now(brand: Brand) -> None:
    for index in (1, 2, 3):
        scan(brand, index)
    actions.set_range(
        brand.deployment, brand.batch.id, RangeState.voided, start=2, end=ON_SALE, by="tests"
    )
    totals = read(brand, lambda tx: activity.totals(tx, brand.batch.id))
    assert (totals.seen_of_activated, totals.activated) == (1, 2)


def test_days_are_counted_by_the_zones_midnight(brand: Brand, clock: HeldClock) -> None:
    """15:59 UTC is the last minute of Shanghai's day."""
    alice, _, _ = cast_of(brand)
    clock.advance(minutes=6 * 60 + 29)
    scan(brand, 1)
    scan(brand, 1, label=Label.outer)
    miss(brand, 2)
    alice.claim(1)
    clock.advance(minutes=1)
    scan(brand, 1)
    scan(brand, 2)
    miss(brand)
    clock.advance(days=2)
    scan(brand, 1)
    counts = read(brand, lambda tx: activity.over_time(tx, [brand.batch.id], days(brand, 3)))
    assert [c.slot.first.day for c in counts] == [2, 3, 4, 5]
    assert [(c.scans, c.first_scans, c.repeats) for c in counts] == [
        (1, 1, 0),
        (2, 1, 1),
        (0, 0, 0),
        (1, 0, 1),
    ]
    assert [c.outer_scans for c in counts] == [1, 0, 0, 0]
    assert [c.claims for c in counts] == [1, 0, 0, 0]
    assert [c.misses for c in counts] == [2, 1, 0, 0]


def test_what_lies_outside_the_period_is_left_out(brand: Brand, clock: HeldClock) -> None:
    alice, _, _ = cast_of(brand)
    scan(brand, 1, "CN-GD")
    alice.claim(1)
    clock.advance(days=3)
    scan(brand, 1, "CN-GX")
    now_only = days(brand, 1)
    counts = read(brand, lambda tx: activity.over_time(tx, [brand.batch.id], now_only))
    assert [(c.scans, c.claims) for c in counts] == [(0, 0), (1, 0)]
    (region,) = read(brand, lambda tx: activity.by_region(tx, [brand.batch.id], now_only))
    assert (region.region, region.scans, region.first_scans) == ("CN-GX", 1, 0)


def test_regions_come_with_the_most_scans_first_and_the_unknown_one_last(brand: Brand) -> None:
    alice, bob, _ = cast_of(brand)
    for index, region in [(1, None), (2, None), (3, None), (4, "CN-GX"), (5, "US"), (5, "CN-GX")]:
        scan(brand, index, region)
    scan(brand, 9, "JP", label=Label.outer)
    alice.claim(5)
    alice.claim(3)
    bob.claim(300)  # never scanned: a claim over the API
    miss(brand, 2, "SG")
    miss(brand, 1)
    found = read(brand, lambda tx: activity.by_region(tx, [brand.batch.id], days(brand, 0)))
    assert found == [
        RegionCounts(region="CN-GX", scans=2, first_scans=1, outer_scans=0, claims=0, misses=0),
        RegionCounts(region="US", scans=1, first_scans=1, outer_scans=0, claims=1, misses=0),
        RegionCounts(region="JP", scans=0, first_scans=0, outer_scans=1, claims=0, misses=0),
        RegionCounts(region="SG", scans=0, first_scans=0, outer_scans=0, claims=0, misses=2),
        RegionCounts(region=None, scans=3, first_scans=3, outer_scans=0, claims=2, misses=1),
    ]
    assert [each.repeats for each in found] == [1, 0, 0, 0, 0]
