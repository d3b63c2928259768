"""Campaigns for a segment, tried on the past: whose purchases count, and how many people begin."""

from typing import Any

import pytest

from referral import actions
from referral.campaigns import campaign_by_slug
from referral.clock import HeldClock
from referral.deployment import Deployment
from referral.orders import OrderIn, RefundIn
from referral.reports import audiences, dry_run
from referral.reports.dry_run import DryRun
from referral.segments import UnknownSegment
from tests.cast import Brand, Person, draft, open_brand
from tests.reports.conftest import read
from tests.reports.test_dry_run import SHANGHAI
from tests.test_segments import crowd_of, publish_for, somebody, where

PAYS: list[dict[str, Any]] = [
    {"when": "claim", "for": "person", "amount": 100, "limits": {"per_person": 4}},
    {"when": "order", "for": "person", "amount": {"basis_points": 500, "cap": 30}},
]
DAYS = 80


@pytest.fixture
def brand(deployment: Deployment) -> Brand:
    return open_brand(deployment)


def tried(brand: Brand, slug: str, days: int | None = None) -> DryRun:
    d = brand.deployment
    return read(
        brand,
        lambda tx: dry_run.of_campaign(
            tx, d.keys, SHANGHAI, campaign_by_slug(tx, slug), d.clock.now(), days=days
        ),
    )


def order(brand: Brand, person: Person, number: str) -> None:
    told = {"external_id": number, "customer_id": person.customer, "amount": 3_000}
    actions.place_order(brand.deployment, OrderIn.model_validate({**told, "currency": "CNY"}))


def weeks_of_buying(brand: Brand, clock: HeldClock, crowd: list[Person]) -> None:
    """Some come back soon, some late; values follow each purchase. Takes `DAYS` days."""
    first, second, third, fourth = crowd
    index = iter(range(10, 40))

    def wait(days: int) -> None:
        clock.advance(days=days)
        actions.refresh_values(brand.deployment, whole=True)

    for days, person in ((1, third), (1, third), (3, first), (30, second), (1, fourth)):
        wait(days)
        person.claim(next(index))
    wait(1)
    order(brand, second, "A-1")
    wait(3)
    order(brand, first, "A-2")
    actions.refund_order(
        brand.deployment, "A-2", RefundIn.model_validate({"external_id": "R", "amount": 3_000})
    )
    somebody(brand, 9).claim(next(index))
    wait(31)
    for person in crowd:
        person.claim(next(index))
    wait(DAYS - 71)


@pytest.mark.parametrize(
    ("said", "purchases"),
    [
        ({"not_bought_for": 30}, 7),
        ({"bought_within": 20}, 3),
        ({"bought_within": 40, "not_bought_for": 20}, 4),
        ({"brought_least": 1}, 3),
    ],
)
def test_what_its_customers_were_paid_is_what_trying_it_comes_to(
    brand: Brand, clock: HeldClock, said: dict[str, Any], purchases: int
) -> None:
    """To the point: of the campaign as it ran, and of a draft of the same rules."""
    crowd = crowd_of(brand, clock)
    clock.advance(days=1)
    ran = publish_for(brand, where(**said), rules=PAYS)
    again = {"slug": "again", "title": "Once more", "rules": PAYS}
    actions.add_campaign(brand.deployment, draft(**again, audience=ran.audience["segment"]))
    weeks_of_buying(brand, clock, crowd)
    really = tried(brand, "back")
    assert really.would == really.really
    assert really.purchases == purchases
    assert really.would.by_unit["points"].to_referrers == 0
    found = tried(brand, "again", DAYS)
    assert (found.would, found.purchases) == (really.would, purchases)
    assert (found.first, found.orders) == (really.first, really.orders)


def test_a_draft_for_everybody_is_tried_on_all_purchases(brand: Brand, clock: HeldClock) -> None:
    crowd = crowd_of(brand, clock)
    actions.add_campaign(brand.deployment, draft(slug="again", rules=PAYS))
    clock.advance(days=1)
    weeks_of_buying(brand, clock, crowd)
    assert tried(brand, "again", DAYS).purchases == 12


def test_a_draft_is_for_its_segment_as_it_stands(brand: Brand, clock: HeldClock) -> None:
    d = brand.deployment
    crowd_of(brand, clock)
    number = actions.add_segment(d, "Meant", where(purchases_least=1), by="olga")
    actions.add_campaign(d, draft(slug="meant", audience=number))
    actions.add_campaign(d, draft(slug="all"))

    def size(slug: str) -> int | None:
        now = clock.now()
        return read(brand, lambda tx: audiences.size(tx, campaign_by_slug(tx, slug), now))

    assert (size("meant"), size("all")) == (3, None)
    actions.change_segment(d, number, "Named anew", where(brought_least=1), by="olga")
    assert size("meant") == 1
    actions.publish_campaign(d, "all")
    published = publish_for(brand, where(purchases_least=2))
    actions.remove_segment(d, published.audience["segment"], by="olga")
    assert size("back") == 1, "what it was published for"
    actions.remove_segment(d, number, by="olga")
    with pytest.raises(UnknownSegment):
        size("meant")
    with pytest.raises(UnknownSegment):
        tried(brand, "meant")
