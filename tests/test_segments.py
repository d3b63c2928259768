"""Segments: who is in one, and campaigns that pay the customers of one alone."""

from typing import Any

import pytest
import sqlalchemy as sa

from referral import actions, people, segments
from referral.campaigns import Campaign
from referral.campaigns.publishing import AudiencePaysOthers
from referral.clock import HeldClock
from referral.deployment import Deployment
from referral.orders import OrderIn, Unpaid
from referral.rollups.customer_values import CustomerValue
from referral.segments import Conditions, SegmentExists, UnknownSegment
from referral.stores import StoreKind
from tests.actions.test_claim_cost import counted
from tests.cast import (
    OTHER_GTIN,
    PRICE,
    Brand,
    Person,
    add_product,
    cast_of,
    draft,
    issue,
    open_brand,
)

OWN = PRICE * 4 // 10


@pytest.fixture
def brand(deployment: Deployment) -> Brand:
    return open_brand(deployment)


def somebody(brand: Brand, number: int) -> Person:
    return Person(brand, people.email(f"somebody.{number}@example.com"))


def where(**said: Any) -> Conditions:
    return Conditions.model_validate(said)


def members(brand: Brand, **said: Any) -> set[int]:
    now = brand.deployment.clock.now()
    conditions = where(**said)
    with brand.deployment.db.read() as tx:
        everybody = list(tx.scalars(sa.select(CustomerValue.customer_id)))
        found = segments.among_these(tx, conditions, everybody, now)
        assert segments.count(tx, conditions, now) == len(found)
        assert {
            each for each in everybody if segments.is_member(tx, conditions, each, now)
        } == found
    return found


def crowd_of(brand: Brand, clock: HeldClock) -> list[Person]:
    """The first brought the second in; the third bought twice, long ago; the fourth never did."""
    first, second, third, fourth = (somebody(brand, number) for number in range(4))
    third.claim(0)
    third.claim(1)
    clock.advance(days=60)
    first.claim(2)
    second.open(first.link())
    second.claim(3)
    fourth.sign_in()
    actions.refresh_values(brand.deployment, whole=True)
    return [first, second, third, fourth]


@pytest.mark.parametrize(
    ("said", "who"),
    [
        ({"stages": ["advocates"]}, [0]),
        ({"stages": ["advocates", "bought"]}, [0, 1, 2]),
        ({"quadrants": ["advocates"]}, [0]),
        ({"quadrants": ["affluents"]}, [2]),
        ({"own_least": 2 * OWN}, [2]),
        ({"own_most": 2 * OWN - 1}, [0, 1, 3]),
        ({"own_least": OWN, "own_most": OWN}, [0, 1]),
        ({"referral_least": 1}, [0]),
        ({"referral_most": 0}, [1, 2, 3]),
        ({"purchases_least": 2}, [2]),
        ({"purchases_least": 1, "purchases_most": 1}, [0, 1]),
        ({"brought_least": 1}, [0]),
        ({"brought_most": 0, "purchases_least": 1}, [1, 2]),
        ({"bought_within": 30}, [0, 1]),
        ({"not_bought_for": 60}, [2]),
        ({"not_bought_for": 61}, []),
        ({"bought_within": 60, "not_bought_for": 1}, [2]),
        ({"stages": ["advocates"], "purchases_least": 2}, []),
    ],
)
def test_a_segment_has_those_of_whom_all_is_so(
    brand: Brand, clock: HeldClock, said: dict[str, Any], who: list[int]
) -> None:
    crowd = crowd_of(brand, clock)
    assert members(brand, **said) == {crowd[each].customer for each in who}


def test_product_and_store_are_those_of_one_claimed_package(brand: Brand, clock: HeldClock) -> None:
    d = brand.deployment
    near = actions.add_store(d, slug="near", name="Near", kind=StoreKind.store, region=None)
    far = actions.add_store(d, slug="far", name="Far", kind=StoreKind.store, region=None)
    other = add_product(d, OTHER_GTIN)
    second = issue(d, OTHER_GTIN, name="another")
    actions.assign_range(d, brand.batch.id, {"store_id": near.id}, start=0, end=10, by="tests")
    actions.assign_range(d, second.id, {"store_id": far.id}, start=0, end=10, by="tests")
    alice, bob, charlie = cast_of(brand)
    alice.claim(0)
    alice.claim(20, second)
    bob.claim(0, second)
    charlie.claim(30)
    actions.refresh_values(d)
    product = brand.product.id
    assert members(brand, product=product) == {alice.customer, charlie.customer}
    assert members(brand, store=near.id) == {alice.customer}
    assert members(brand, store=far.id) == {bob.customer}
    assert members(brand, product=other.id, store=near.id) == set(), "of two packages"
    clock.advance(minutes=1)
    charlie.claim(1)
    assert members(brand, store=near.id) == {alice.customer}, "as of when it was worked out"
    clock.advance(minutes=1)
    actions.refresh_values(d)
    assert members(brand, store=near.id) == {alice.customer, charlie.customer}


@pytest.mark.parametrize(
    "said",
    [
        {"own_least": 2, "own_most": 1},
        {"bought_within": 10, "not_bought_for": 11},
        {"stages": ["rich"]},
        {"purchases_least": -1},
        {"own_least": 10**16},
        {"tags": ["vip"]},
    ],
)
def test_what_cannot_be_is_refused(said: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        where(**said)


def test_a_segment_is_kept_counted_changed_and_removed(brand: Brand, clock: HeldClock) -> None:
    d = brand.deployment
    crowd_of(brand, clock)
    kept = actions.add_segment(d, "Buyers", where(purchases_least=1), by="olga")
    with pytest.raises(SegmentExists):
        actions.add_segment(d, "Buyers", where(purchases_least=2), by="olga")
    with pytest.raises(segments.NobodyMeant):
        actions.add_segment(d, "All", where(stages=[]), by="olga")
    with d.db.read() as tx:
        (segment,) = segments.all_segments(tx)
        assert (segment.count, segment.checked) == (3, where(purchases_least=1))
    actions.change_segment(d, kept, "Twice", where(purchases_least=2), by="olga")
    somebody(brand, 9).claim(9)
    clock.advance(days=1)
    actions.refresh_values(d)
    with d.db.read() as tx:
        segment = segments.segment_by_id(tx, kept)
        assert (segment.name, segment.count, segment.counted_at) == ("Twice", 1, clock.now())
    actions.remove_segment(d, kept, by="olga")
    with pytest.raises(UnknownSegment):
        actions.remove_segment(d, kept, by="olga")


def test_counting_ends_somewhere(
    brand: Brand, clock: HeldClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    crowd_of(brand, clock)
    monkeypatch.setattr(segments, "COUNTED_MAX", 2)
    with brand.deployment.db.read() as tx:
        assert segments.count(tx, where(purchases_least=1), clock.now()) == 3
        assert segments.count(tx, where(), clock.now()) == 3


# Campaigns for a segment

WIN_BACK = {
    "slug": "back",
    "title": "Nice to see you again",
    "rules": [{"when": "claim", "for": "person", "amount": 100}],
}


def publish_for(brand: Brand, conditions: Conditions, **changes: Any) -> Campaign:
    d = brand.deployment
    number = actions.add_segment(d, "Meant", conditions, by="olga")
    terms = draft(**{**WIN_BACK, "audience": number, **changes})
    actions.add_campaign(d, terms)
    return actions.publish_campaign(d, terms.slug)


def test_only_customers_of_its_segment_get_what_a_campaign_pays(
    brand: Brand, clock: HeldClock
) -> None:
    crowd = crowd_of(brand, clock)
    back = publish_for(brand, where(not_bought_for=30))
    lapsed, fresh, new = crowd[2], crowd[1], somebody(brand, 8)
    assert lapsed.claim(10).claim.campaign_id == back.id
    assert lapsed.points() == 20 + 20 + 100
    for person, index in ((fresh, 11), (new, 12)):
        claimed = person.claim(index)
        assert claimed.claim.campaign_id == brand.campaign.id, "the one for everybody pays"
        assert [each.amount for each in claimed.rewards] == [20]


def test_membership_is_as_of_when_it_was_worked_out_last(brand: Brand, clock: HeldClock) -> None:
    crowd = crowd_of(brand, clock)
    back = publish_for(brand, where(not_bought_for=30))
    lapsed = crowd[2]
    assert lapsed.claim(10).claim.campaign_id == back.id
    assert lapsed.claim(11).claim.campaign_id == back.id, "until the next hour's work"
    clock.advance(minutes=30)
    actions.refresh_values(brand.deployment)
    assert lapsed.claim(12).claim.campaign_id == brand.campaign.id


def test_a_segment_that_is_changed_or_removed_changes_no_campaign(
    brand: Brand, clock: HeldClock
) -> None:
    d = brand.deployment
    crowd = crowd_of(brand, clock)
    back = publish_for(brand, where(not_bought_for=30))
    number = back.audience["segment"]
    actions.change_segment(d, number, "Meant", where(brought_least=1), by="olga")
    assert crowd[0].claim(10).claim.campaign_id == brand.campaign.id
    actions.remove_segment(d, number, by="olga")
    assert crowd[2].claim(11).claim.campaign_id == back.id


def test_a_draft_is_for_its_segment_as_that_stands_when_it_is_published(
    brand: Brand, clock: HeldClock
) -> None:
    d = brand.deployment
    number = actions.add_segment(d, "Meant", where(purchases_least=9), by="olga")
    actions.add_campaign(d, draft(**{**WIN_BACK, "audience": number}))
    actions.change_segment(d, number, "Friends", where(brought_least=1), by="olga")
    published = actions.publish_campaign(d, "back")
    told = segments.Audience.load(published.audience)
    assert told == segments.Audience(number, "Friends", where(brought_least=1))
    with pytest.raises(UnknownSegment):
        actions.add_campaign(d, draft(**{**WIN_BACK, "slug": "b", "audience": 99}))
    actions.add_campaign(d, draft(**{**WIN_BACK, "slug": "c", "audience": number}))
    actions.remove_segment(d, number, by="olga")
    with pytest.raises(UnknownSegment):
        actions.publish_campaign(d, "c")


@pytest.mark.parametrize(
    "rule",
    [
        {"when": "claim", "for": "both", "amount": 10},
        {"when": "claim", "for": "referrer", "amount": 10},
        {"when": "referred_first_claim", "for": "person", "amount": 10},
    ],
)
def test_a_campaign_for_a_segment_pays_nobody_else(brand: Brand, rule: dict[str, Any]) -> None:
    with pytest.raises(AudiencePaysOthers) as refused:
        publish_for(brand, where(purchases_least=1), rules=[*WIN_BACK["rules"], rule])
    assert len(refused.value.details["rules"]) == 1


def test_an_order_of_somebody_else_says_that_the_campaign_was_by_invitation(
    deployment: Deployment, clock: HeldClock
) -> None:
    brand = open_brand(deployment)
    crowd = crowd_of(brand, clock)
    of_orders = {"when": "order", "for": "person", "amount": 100, "least": 1_000}
    back = publish_for(brand, where(not_bought_for=30), rules=[of_orders])

    def order(person: Person, number: str) -> tuple[int | None, str | None]:
        told = {"external_id": number, "customer_id": person.customer, "amount": 3_000}
        sent = OrderIn.model_validate({**told, "currency": "CNY"})
        placed = actions.place_order(deployment, sent).order
        return placed.campaign_id, placed.unpaid

    assert order(crowd[2], "A-1") == (back.id, None)
    assert order(crowd[1], "A-2") == (None, Unpaid.not_invited)


def test_a_campaign_without_an_audience_asks_nothing_of_segments(brand: Brand) -> None:
    alice, *_ = cast_of(brand)
    alice.claim(0)
    with counted(brand.deployment) as (sent, _trips):
        alice.claim(1)
    assert not [each for each in sent if "customer_values" in each or "segments" in each]
