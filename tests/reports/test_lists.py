"""The lists of the staff console: newest first, counted right, page by page."""

from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

import pytest
from sqlalchemy.orm import Session

from referral import actions, intake
from referral.batches import RangeState
from referral.clock import HeldClock
from referral.deployment import Deployment
from referral.reports import batches as batch_reports
from referral.reports import lists
from referral.reports.lists import BatchLine, BatchScans, ClaimLine, ProductLine, Progress
from referral.visits import Kind, Visit, new_event_id
from tests.cast import (
    BUDGET,
    GTIN,
    ON_SALE,
    OTHER_GTIN,
    PER_CLAIM,
    PRICE,
    SIZE,
    Brand,
    add_product,
    cast_of,
    draft,
    issue,
    open_brand,
    publish,
)

T = TypeVar("T")


@pytest.fixture
def brand(deployment: Deployment) -> Brand:
    return open_brand(deployment)


def read(brand: Brand, report: Callable[[Session], T]) -> T:
    with brand.deployment.db.read() as tx:
        return report(tx)


def test_products_with_their_batches_codes_and_claims(brand: Brand) -> None:
    alice, _, _ = cast_of(brand)
    d = brand.deployment
    second = issue(d)
    add_product(d, OTHER_GTIN)
    alice.claim(0)
    alice.claim(1)
    alice.claim(0, second)
    listed = read(brand, lists.products)
    assert listed.rows == [
        ProductLine(OTHER_GTIN, "Cold Brew Tea", PRICE, "CNY", batches=0, codes=0, claims=0),
        ProductLine(GTIN, "Cold Brew Tea", PRICE, "CNY", batches=2, codes=2 * SIZE, claims=3),
    ]
    assert listed.next is None


def test_batches_with_the_states_of_their_codes(brand: Brand) -> None:
    alice, _, _ = cast_of(brand)
    d = brand.deployment
    alice.claim(0)
    actions.set_range(d, brand.batch.id, RangeState.voided, start=400, end=600, by="tests")
    dark = issue(d, on_sale=0)
    newest, oldest = read(brand, lists.batches).rows
    assert (newest.id, newest.issued, newest.activated, newest.claims) == (dark.id, SIZE, 0, 0)
    assert oldest == BatchLine(
        id=brand.batch.id,
        name="a batch",
        product_name="Cold Brew Tea",
        gtin=GTIN,
        size=SIZE,
        created_at=brand.batch.created_at,
        activated=400,
        voided=200,
        claims=1,
    )
    assert oldest.issued == SIZE - 600
    assert read(brand, lambda tx: lists.batch(tx, brand.batch.id)) == oldest
    assert read(brand, lambda tx: lists.batch(tx, 999)) is None


def test_a_batchs_changes_newest_first(brand: Brand) -> None:
    changes = read(brand, lambda tx: lists.range_changes(tx, brand.batch.id))
    assert [(c.state, c.start, c.end) for c in changes] == [
        ("activated", 0, ON_SALE),
        ("issued", 0, SIZE),
    ]
    assert read(brand, lambda tx: lists.range_changes(tx, 999)) == []


def test_scans_are_counted_beside_the_codes_scanned(brand: Brand) -> None:
    alice, _, charlie = cast_of(brand)
    d = brand.deployment
    for person, index in [(alice, 0), (alice, 0), (charlie, 0), (charlie, 5)]:
        visit = Visit(
            Kind.scan,
            d.clock.now(),
            new_event_id(),
            visitor=person.visitor,
            batch=brand.batch.id,
            code_index=index,
        )
        intake.hand_in(d, visit)
    scans = read(brand, lambda tx: lists.batch_scans(tx, brand.batch.id))
    assert scans == BatchScans(scans=4, scanned_codes=2)
    assert read(brand, lambda tx: lists.batch_scans(tx, 999)) == BatchScans(0, 0)


def test_campaigns_with_what_they_brought_and_what_is_left(brand: Brand) -> None:
    d = brand.deployment
    actions.add_campaign(d, draft(slug="a-draft"))
    cast_of(brand)[2].claim(0)
    newest, oldest = read(brand, lists.campaigns).rows
    assert (newest.campaign.slug, newest.claims, newest.budget_left) == ("a-draft", 0, None)
    assert (oldest.claims, oldest.new_customers) == (1, 1)
    assert oldest.budget_left == BUDGET - PER_CLAIM
    titles = read(brand, lambda tx: lists.campaign_titles(tx, [brand.campaign.id, 999]))
    assert titles == {brand.campaign.id: ("spring", "Spring together")}


def test_every_list_comes_page_by_page(brand: Brand) -> None:
    d = brand.deployment
    for number in range(4):
        issue(d, on_sale=0)
        actions.add_campaign(d, draft(slug=f"draft-{number}"))
    for report in (lists.batches, lists.campaigns):
        pages = [
            read(brand, lambda tx, o=offset, r=report: r(tx, offset=o, limit=2))
            for offset in (0, 2, 4)
        ]
        assert [len(page.rows) for page in pages] == [2, 2, 1]
        assert [page.next for page in pages] == [2, 4, None]


def test_names_are_those_that_were_given(brand: Brand) -> None:
    alice, bob, _ = cast_of(brand)
    alice.sign_in()
    bob.sign_in()
    actions.rename(brand.deployment, alice.customer, "Alice")
    keys = brand.deployment.keys
    names = read(brand, lambda tx: lists.names(tx, keys, [alice.customer, bob.customer, 999]))
    assert names == {alice.customer: "Alice", bob.customer: None}


def test_the_latest_claims_say_who_brought_somebody_in_for_the_first_one(
    brand: Brand, clock: HeldClock
) -> None:
    alice, bob, _ = cast_of(brand)
    start = clock.now()
    alice.claim(0)
    bob.open(alice.link())
    for index in (1, 2):
        clock.advance(minutes=1)
        bob.claim(index)
    product = "Cold Brew Tea"
    assert read(brand, lambda tx: lists.latest_claims(tx, 2)) == [
        ClaimLine(start + timedelta(minutes=2), product, bob.customer, None),
        ClaimLine(start + timedelta(minutes=1), product, bob.customer, alice.customer),
    ]
    assert len(read(brand, lambda tx: lists.latest_claims(tx, 10))) == 3


def test_progress_is_complete_when_a_consumer_can_claim(deployment: Deployment) -> None:
    def progress() -> Progress:
        with deployment.db.read() as tx:
            return lists.progress(tx)

    assert progress() == Progress(0, 0, False, 0, False)
    add_product(deployment)
    batch = issue(deployment, on_sale=0)
    actions.add_campaign(deployment, draft())
    assert progress() == Progress(1, 1, False, 1, False)
    actions.set_range(deployment, batch.id, RangeState.activated, by="tests")
    publish(deployment, slug="another")
    assert progress() == Progress(1, 1, True, 2, True)
    assert progress().is_complete


def test_the_apis_batches_come_with_their_ranges_in_order(brand: Brand) -> None:
    second = issue(brand.deployment, on_sale=0)
    one, two = read(brand, lambda tx: batch_reports.listed(tx, after=0, limit=5))
    assert [(s.start, s.end, s.state) for s in one.ranges] == [
        (0, ON_SALE, "activated"),
        (ON_SALE, SIZE, "issued"),
    ]
    assert (two.id, two.gtin, two.size) == (second.id, GTIN, SIZE)
    after = read(brand, lambda tx: batch_reports.listed(tx, after=brand.batch.id, limit=1))
    assert after == [two]
    assert read(brand, lambda tx: batch_reports.one(tx, second.id)) == two


def test_batches_whose_key_is_gone_are_named(brand: Brand) -> None:
    keys = brand.deployment.keys
    assert read(brand, lambda tx: batch_reports.made_without(tx, keys.key_ids)) == []
    rotated_away = read(brand, lambda tx: batch_reports.made_without(tx, keys.key_ids[1:]))
    assert rotated_away == [brand.batch.id]
