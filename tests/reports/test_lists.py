"""The lists of the staff console: newest first, counted right, page by page."""

from datetime import timedelta

from referral import actions
from referral.clock import HeldClock
from referral.deployment import Deployment
from referral.ranges import RangeState
from referral.reports import batches, lists
from referral.reports.lists import ClaimLine, ProductLine, Progress
from tests.cast import (
    BUDGET,
    GTIN,
    OTHER_GTIN,
    PER_CLAIM,
    PRICE,
    SIZE,
    Brand,
    add_product,
    cast_of,
    draft,
    issue,
    publish,
)
from tests.reports.conftest import read


def test_products_with_their_batches_codes_and_claims(brand: Brand) -> None:
    alice, _, _ = cast_of(brand)
    d = brand.deployment
    second = issue(d)
    add_product(d, OTHER_GTIN)
    alice.claim(0)
    alice.claim(1)
    alice.claim(0, second)
    listed = read(brand, lists.products)
    tea = ("Cold Brew Tea", PRICE, "CNY")
    assert listed.rows == [
        ProductLine(OTHER_GTIN, *tea, "single", batches=0, codes=0, claims=0),
        ProductLine(GTIN, *tea, "single", batches=2, codes=2 * SIZE, claims=3),
    ]
    assert listed.next is None


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
    for report in (batches.lines, lists.campaigns):
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
