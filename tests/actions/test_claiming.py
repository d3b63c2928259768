"""Claiming: a package pays what the campaign promises, once, and to nobody else."""

from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral import actions, claims, graph
from referral.actions import Claimed
from referral.batches import UnknownBatch
from referral.campaigns import Campaign
from referral.claims import AlreadyClaimed, Claim, NotActivated, Recalled, Voided
from referral.clock import HeldClock
from referral.codes import Code
from referral.deployment import Deployment
from referral.graph import Referral
from referral.people import UnknownCustomer
from referral.ranges import RangeState
from referral.rewards import Reward
from tests.cast import (
    BUDGET,
    ON_SALE,
    OTHER_GTIN,
    PER_CLAIM,
    PER_FRIEND,
    Brand,
    Person,
    add_product,
    cast_of,
    issue,
    open_brand,
    publish,
)
from tests.races import at_once, overtaken

Cast = tuple[Person, Person, Person]


def everything(brand: Brand) -> list[Any]:
    """All that a claim may change."""
    with brand.deployment.db.read() as tx:
        tables = [model.__table__ for model in (Claim, Reward, Referral, graph.SpreadNode)]
        stored = [tx.execute(sa.select(*table.c)).all() for table in tables]
    return [*stored, brand.budget_left()]


def paid(claimed: Claimed) -> list[tuple[int, int, str]]:
    return [(each.beneficiary_id, each.amount, each.state) for each in claimed.rewards]


def answer(claimed: Claimed) -> tuple[Any, ...]:
    return (claimed.claim.id, sorted(paid(claimed)), claimed.referrer, claimed.budget_spent)


# What it pays


def test_a_stranger_gets_what_is_promised_for_a_claim(brand: Brand, cast: Cast) -> None:
    _, _, charlie = cast
    claimed = charlie.claim(0)
    assert not claimed.already
    assert claimed.referrer is None
    assert claimed.claim.campaign_id == brand.campaign.id
    assert paid(claimed) == [(charlie.customer, PER_CLAIM, "available")]
    assert charlie.points() == PER_CLAIM
    assert brand.budget_left() == BUDGET - PER_CLAIM


def test_a_friend_and_who_brought_him_in_get_what_is_promised_to_both(cast: Cast) -> None:
    alice, bob, _ = cast
    alice.claim(0)
    bob.open(alice.link())
    claimed = bob.claim(1)
    assert claimed.referrer == alice.customer
    assert sorted(paid(claimed)) == sorted(
        [
            (bob.customer, PER_CLAIM, "available"),
            (bob.customer, PER_FRIEND, "available"),
            (alice.customer, PER_FRIEND, "available"),
        ]
    )
    assert alice.points() == bob.points() == PER_CLAIM + PER_FRIEND


def test_a_second_package_pays_for_a_claim_and_not_for_a_first_one(cast: Cast) -> None:
    alice, bob, _ = cast
    alice.claim(0)
    bob.open(alice.link())
    bob.claim(1)
    claimed = bob.claim(2)
    assert paid(claimed) == [(bob.customer, PER_CLAIM, "available")]
    assert alice.points() == PER_CLAIM + PER_FRIEND
    assert bob.points() == 2 * PER_CLAIM + PER_FRIEND


def test_a_rule_for_every_claim_pays_the_referrer_for_every_claim(deployment: Deployment) -> None:
    brand = open_brand(deployment, rules=[{"when": "claim", "for": "both", "amount": 30}])
    alice, bob, _ = cast_of(brand)
    alice.claim(0)
    bob.open(alice.link())
    for index in (1, 2, 3):
        claimed = bob.claim(index)
        assert claimed.referrer == alice.customer
        assert sorted(paid(claimed)) == [
            (alice.customer, 30, "available"),
            (bob.customer, 30, "available"),
        ]
    assert alice.points() == 4 * 30


def test_a_first_claim_pays_somebody_whom_nobody_brought_in_too(deployment: Deployment) -> None:
    brand = open_brand(deployment, rules=[{"when": "first_claim", "for": "both", "amount": 30}])
    charlie = cast_of(brand)[2]
    assert paid(charlie.claim(0)) == [(charlie.customer, 30, "available")]
    assert paid(charlie.claim(1)) == []


def test_what_is_promised_is_held_as_long_as_the_campaign_says(
    deployment: Deployment, clock: HeldClock
) -> None:
    brand = open_brand(deployment, hold_days=7)
    alice, bob, _ = cast_of(brand)
    alice.claim(0)
    bob.open(alice.link())
    assert {state for _, _, state in paid(bob.claim(1))} == {"pending"}
    assert (bob.points(), bob.pending()) == (0, PER_CLAIM + PER_FRIEND)
    clock.advance(days=7)
    assert actions.release_rewards(deployment) == 4
    assert actions.release_rewards(deployment) == 0
    assert (bob.points(), bob.pending()) == (PER_CLAIM + PER_FRIEND, 0)
    assert alice.points() == PER_CLAIM + PER_FRIEND


# Once


def test_claiming_again_is_the_same_answer_and_pays_nothing(brand: Brand, cast: Cast) -> None:
    alice, bob, _ = cast
    alice.claim(0)
    bob.open(alice.link())
    for index in (1, 2):
        first = bob.claim(index)
        before = everything(brand)
        again = bob.claim(index)
        assert again.already
        assert answer(again) == answer(first)
        assert everything(brand) == before


def test_claiming_again_from_another_phone_is_the_same_answer(brand: Brand, cast: Cast) -> None:
    alice, _, charlie = cast
    first = alice.claim(0)
    charlie.claim(1)
    alice.take_other_phone()
    alice.open(charlie.link())
    alice.sign_in()
    before = everything(brand)
    again = alice.claim(0)
    assert again.already
    assert answer(again) == answer(first)
    assert everything(brand) == before


def test_it_rejects_what_somebody_else_has_claimed(brand: Brand, cast: Cast) -> None:
    alice, bob, charlie = cast
    alice.claim(0)
    charlie.open(alice.link(), arrives=False)
    charlie.sign_in()
    before = everything(brand)
    with pytest.raises(AlreadyClaimed):
        charlie.claim(0)
    assert everything(brand) == before
    assert charlie.points() == 0
    assert charlie.claim(1).referrer == alice.customer, "he may still claim what is his"
    bob.sign_in()
    with pytest.raises(AlreadyClaimed):
        bob.claim(0)


def test_it_rejects_a_code_outside_the_activated_range(brand: Brand, cast: Cast) -> None:
    charlie = cast[2]
    charlie.sign_in()
    before = everything(brand)
    for index in (ON_SALE, 999):
        with pytest.raises(NotActivated):
            charlie.claim(index)
    assert everything(brand) == before
    charlie.claim(ON_SALE - 1)


def test_it_rejects_a_code_that_was_withdrawn(brand: Brand, cast: Cast) -> None:
    alice, _, charlie = cast
    alice.claim(0)
    actions.set_range(
        brand.deployment, brand.batch.id, RangeState.voided, start=0, end=10, by="tests"
    )
    charlie.sign_in()
    before = everything(brand)
    with pytest.raises(Voided):
        charlie.claim(1)
    assert everything(brand) == before
    assert alice.claim(0).already, "what was claimed before stays claimed"


def test_it_rejects_a_customer_nobody_knows(brand: Brand) -> None:
    before = everything(brand)
    with pytest.raises(UnknownCustomer):
        actions.claim(brand.deployment, brand.code(0), 999)
    assert everything(brand) == before


def test_a_claim_that_fails_leaves_nothing_behind(brand: Brand, cast: Cast) -> None:
    """Not even the touches it was about to keep."""
    alice, bob, _ = cast
    alice.claim(0)
    bob.open(alice.link(), arrives=False)
    bob.sign_in()
    before = everything(brand)
    with pytest.raises(NotActivated):
        bob.claim(ON_SALE)
    assert everything(brand) == before


# Budget and dates


def test_a_claim_stands_when_the_budget_is_used_up(deployment: Deployment) -> None:
    brand = open_brand(deployment, budget=PER_CLAIM * 2)
    alice, _, charlie = cast_of(brand)
    alice.claim(0)
    assert not alice.claim(1).budget_spent
    claimed = charlie.claim(2)
    assert claimed.budget_spent
    assert paid(claimed) == []
    assert brand.budget_left() == 0
    again = charlie.claim(2)
    assert again.already
    assert answer(again) == answer(claimed)
    with deployment.db.read() as tx:
        assert graph.is_settled(tx, charlie.customer)


def test_what_the_budget_can_still_pay_is_paid(deployment: Deployment) -> None:
    """20 for the claim, and of twice 50 for the friend's first one only one is left."""
    brand = open_brand(deployment, budget=PER_CLAIM * 2 + PER_FRIEND + 10)
    alice, bob, _ = cast_of(brand)
    alice.claim(0)
    bob.open(alice.link())
    claimed = bob.claim(1)
    assert claimed.budget_spent
    assert claimed.referrer == alice.customer
    assert sum(amount for _, amount, _ in paid(claimed)) == PER_CLAIM + PER_FRIEND
    assert brand.budget_left() == 10
    assert answer(bob.claim(1)) == answer(claimed)


def test_no_campaign_is_no_reward_and_still_a_claim(
    brand: Brand, cast: Cast, clock: HeldClock
) -> None:
    alice, bob, _ = cast
    alice.claim(0)
    bob.open(alice.link())
    clock.advance(days=90)
    claimed = bob.claim(1)
    assert (claimed.claim.campaign_id, paid(claimed), claimed.budget_spent) == (None, [], False)
    assert answer(bob.claim(1)) == answer(claimed)
    assert alice.points() == PER_CLAIM


def test_an_ended_campaign_pays_nothing_beside_one_that_runs(
    brand: Brand, cast: Cast, clock: HeldClock
) -> None:
    alice, bob, _ = cast
    alice.claim(0)
    old_link = alice.link()
    clock.advance(days=80)
    bob.open(old_link)
    clock.advance(days=10)
    summer = publish(
        brand.deployment,
        slug="summer",
        rules=[{"when": "claim", "for": "person", "amount": 5}],
    )
    before = brand.budget_left()
    claimed = bob.claim(1)
    assert claimed.claim.campaign_id == summer.id
    assert paid(claimed) == [(bob.customer, 5, "available")]
    assert brand.budget_left() == before


def test_claiming_again_what_another_campaigns_link_led_to_is_no_spent_budget(
    brand: Brand, cast: Cast, clock: HeldClock
) -> None:
    alice, bob, _ = cast
    alice.claim(0)
    bob.open(alice.link())
    clock.advance(days=10)
    add_product(brand.deployment, OTHER_GTIN)
    publish(brand.deployment, slug="other", gtins=[OTHER_GTIN])
    other = issue(brand.deployment, OTHER_GTIN)
    brand.deployment.db.transact(partial(end, brand.campaign.id, clock.now()))
    claimed = bob.claim(0, other)
    assert (claimed.referrer, claimed.budget_spent) == (alice.customer, False)
    assert paid(claimed) == [(bob.customer, PER_CLAIM, "available")]
    assert answer(bob.claim(0, other)) == answer(claimed)


def end(campaign_id: int, now: datetime, tx: Session) -> None:
    tx.get_one(Campaign, campaign_id).ends_at = now


def test_a_campaign_pays_for_its_products_only(brand: Brand, cast: Cast) -> None:
    charlie = cast[2]
    d = brand.deployment
    add_product(d, OTHER_GTIN)
    publish(
        d,
        slug="other",
        gtins=[OTHER_GTIN],
        rules=[{"when": "claim", "for": "person", "amount": 7}],
    )
    other = issue(d, OTHER_GTIN)
    assert paid(charlie.claim(0)) == [(charlie.customer, PER_CLAIM, "available")]
    assert paid(charlie.claim(0, other)) == [(charlie.customer, 7, "available")]


def test_the_campaign_of_the_link_pays_rather_than_the_newest(
    brand: Brand, cast: Cast, clock: HeldClock
) -> None:
    alice, bob, charlie = cast
    alice.claim(0)
    clock.advance(days=1)
    newest = publish(
        brand.deployment,
        slug="newest",
        rules=[{"when": "claim", "for": "person", "amount": 5}],
    )
    bob.open(alice.link(brand.campaign))
    assert bob.claim(1).claim.campaign_id == brand.campaign.id
    assert charlie.claim(2).claim.campaign_id == newest.id


# At the same moment


def test_of_two_who_claim_one_code_at_once_one_gets_it(brand: Brand, cast: Cast) -> None:
    alice, _, charlie = cast
    alice.sign_in()
    charlie.sign_in()
    for index in range(5):
        outcomes = at_once([lambda i=index: alice.claim(i), lambda i=index: charlie.claim(i)])
        assert sum(isinstance(each, Claimed) for each in outcomes) == 1
        assert sum(isinstance(each, AlreadyClaimed) for each in outcomes) == 1
    assert alice.points() + charlie.points() == 5 * PER_CLAIM


def test_a_claim_overtaken_by_another_is_refused_and_pays_nothing(brand: Brand, cast: Cast) -> None:
    alice, bob, charlie = cast
    alice.claim(9)
    bob.sign_in()
    charlie.open(alice.link())
    charlie.sign_in()
    first, second = overtaken(
        brand.deployment.db, lambda tx: bob.claim(0), lambda: charlie.claim(0)
    )
    assert isinstance(first, Claimed)
    assert isinstance(second, AlreadyClaimed)
    assert (charlie.points(), alice.points()) == (0, PER_CLAIM)
    with brand.deployment.db.read() as tx:
        assert not graph.is_settled(tx, charlie.customer)


def test_one_who_presses_twice_is_paid_once(brand: Brand, cast: Cast) -> None:
    charlie = cast[2]
    charlie.sign_in()
    outcomes = at_once([lambda: charlie.claim(0)] * 6)
    claimed = [each for each in outcomes if isinstance(each, Claimed)]
    assert sorted(each.already for each in claimed) == [False, *[True] * 5]
    assert len({each.claim.id for each in claimed}) == 1
    assert charlie.points() == PER_CLAIM


def test_two_first_claims_of_one_customer_at_once_settle_once(brand: Brand, cast: Cast) -> None:
    alice, bob, _ = cast
    alice.claim(9)
    bob.open(alice.link())
    bob.sign_in()
    outcomes = at_once([lambda i=i: bob.claim(i) for i in range(4)])
    assert [isinstance(each, Claimed) for each in outcomes] == [True] * 4
    assert bob.points() == 4 * PER_CLAIM + PER_FRIEND
    assert alice.points() == PER_CLAIM + PER_FRIEND


def test_the_last_of_the_budget_is_paid_once(deployment: Deployment) -> None:
    brand = open_brand(deployment, budget=PER_CLAIM * 3)
    alice, bob, charlie = cast_of(brand)
    for each in (alice, bob, charlie):
        each.sign_in()
    pairs = enumerate([alice, alice, bob, bob, charlie, charlie])
    outcomes = at_once([lambda p=person, i=index: p.claim(i) for index, person in pairs])
    assert [isinstance(each, Claimed) for each in outcomes] == [True] * 6
    assert sorted(each.budget_spent for each in outcomes) == [False] * 3 + [True] * 3
    assert alice.points() + bob.points() + charlie.points() == PER_CLAIM * 3


def test_a_withdrawal_waits_for_no_claim_and_holds_from_then_on(brand: Brand, cast: Cast) -> None:
    alice, _, charlie = cast
    charlie.sign_in()
    alice.claim(0)

    def withdraw() -> None:
        actions.set_range(
            brand.deployment, brand.batch.id, RangeState.voided, start=0, end=10, by="tests"
        )

    overtaken(brand.deployment.db, lambda tx: alice.claim(1), withdraw)
    with pytest.raises(Voided):
        charlie.claim(2)


@pytest.mark.parametrize("state", [RangeState.voided, RangeState.recalled])
def test_a_claim_waits_for_a_withdrawal_that_has_begun_and_pays_nothing(
    brand: Brand, cast: Cast, state: RangeState
) -> None:
    alice = cast[0]
    alice.sign_in()

    def withdraw(_tx: Session) -> None:
        actions.set_range(brand.deployment, brand.batch.id, state, start=0, end=10, by="tests")

    _, claimed = overtaken(brand.deployment.db, withdraw, lambda: alice.claim(1))
    assert isinstance(claimed, Voided | Recalled)
    assert alice.points() == 0
    with brand.deployment.db.read() as tx:
        assert claims.claim_of(tx, brand.code(1)) is None


def test_it_claims_any_genuine_code_object_only(brand: Brand, cast: Cast) -> None:
    """A code that was not decoded but made up is not of a batch."""
    charlie = cast[2]
    charlie.sign_in()
    with pytest.raises(UnknownBatch):
        actions.claim(brand.deployment, Code(999, 0, "0" * 16), charlie.customer)


def test_a_campaign_that_pays_orders_only_is_passed_over(
    deployment: Deployment, clock: HeldClock
) -> None:
    brand = open_brand(deployment)
    clock.advance(minutes=1)
    orders = publish(deployment, slug="orders", rules=[ORDERS])
    alice, bob, _ = cast_of(brand)
    assert alice.claim(0).claim.campaign_id == brand.campaign.id
    bob.open(alice.link(orders))
    claimed = bob.claim(1)
    assert claimed.claim.campaign_id == brand.campaign.id, "whichever campaign's link it was"
    assert claimed.rewards


def test_a_claim_that_no_campaign_pays_for_is_made(deployment: Deployment) -> None:
    alice, _, _ = cast_of(open_brand(deployment, rules=[ORDERS]))
    claimed = alice.claim(0)
    assert (claimed.claim.campaign_id, claimed.rewards) == (None, [])


def test_a_product_in_another_currency_is_not_paid_for(deployment: Deployment) -> None:
    brand = open_brand(deployment, rules=[{"when": "claim", "for": "person", "amount": 400}])
    actions.add_product(deployment, gtin=OTHER_GTIN, name="Tea", price=2000, currency="IDR")
    alice, _, _ = cast_of(brand)
    claimed = alice.claim(0, issue(deployment, OTHER_GTIN))
    assert (claimed.claim.campaign_id, claimed.rewards) == (None, [])
    assert alice.claim(0).rewards
    better = actions.amend(
        deployment, "spring", lambda was: replace(was, budget=was.budget + 1), by="An owner"
    )
    assert better.currency == "CNY", "its terms are judged by its own products"


ORDERS = {"when": "order", "for": "person", "amount": 100, "least": 2000}
