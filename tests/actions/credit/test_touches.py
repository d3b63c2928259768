"""Which of several links counts: the first or the last in its window, and why not the others."""

from datetime import datetime, timedelta
from functools import partial

import pytest
from sqlalchemy.orm import Session

from referral import graph
from referral.campaigns import Campaign
from referral.clock import HeldClock
from referral.graph import TouchOutcome
from referral.links import Link
from tests.actions.credit.conftest import Cast, outcomes, somebody
from tests.cast import Brand, publish


def test_the_first_touch_wins(brand: Brand, cast: Cast, clock: HeldClock) -> None:
    alice, bob, charlie = cast
    alice.claim(0)
    bob.claim(1)
    charlie.open(alice.link())
    clock.advance(days=1)
    charlie.open(bob.link())
    assert charlie.claim(2).referrer == alice.customer


def test_the_first_touch_wins_over_campaigns(brand: Brand, cast: Cast, clock: HeldClock) -> None:
    alice, bob, charlie = cast
    alice.claim(0)
    bob.claim(1)
    summer = publish(brand.deployment, slug="summer")
    charlie.open(bob.link(summer))
    clock.advance(days=1)
    charlie.open(alice.link())
    claimed = charlie.claim(2)
    assert (claimed.referrer, claimed.claim.campaign_id) == (bob.customer, summer.id)


def test_a_touch_counts_up_to_the_end_of_its_window(
    brand: Brand, cast: Cast, clock: HeldClock
) -> None:
    alice, bob, _ = cast
    alice.claim(0)
    bob.open(alice.link())
    clock.advance(days=30)
    assert bob.claim(1).referrer == alice.customer


def test_a_touch_does_not_count_after_its_window(
    brand: Brand, cast: Cast, clock: HeldClock
) -> None:
    alice, bob, _ = cast
    alice.claim(0)
    bob.open(alice.link())
    clock.advance(days=30, seconds=1)
    assert bob.claim(1).referrer is None


def test_a_later_touch_counts_when_the_first_is_too_old(
    brand: Brand, cast: Cast, clock: HeldClock
) -> None:
    alice, bob, charlie = cast
    alice.claim(0)
    bob.claim(1)
    summer = publish(brand.deployment, slug="summer", window_days=90)
    charlie.open(alice.link())
    clock.advance(days=5)
    charlie.open(bob.link(summer))
    clock.advance(days=29)
    claimed = charlie.claim(2)
    assert (claimed.referrer, claimed.claim.campaign_id) == (bob.customer, summer.id)


def test_a_later_touch_counts_when_the_first_leads_to_nobody(
    brand: Brand, cast: Cast, clock: HeldClock
) -> None:
    alice, bob, charlie = cast
    alice.claim(0)
    summer = publish(brand.deployment, slug="summer")
    charlie.open(bob.link())
    clock.advance(minutes=1)
    charlie.open(alice.link(summer))
    assert charlie.claim(1).referrer == alice.customer


def test_a_touch_on_another_phone_counts_after_signing_in_there(
    brand: Brand, cast: Cast, clock: HeldClock
) -> None:
    alice, bob, charlie = cast
    alice.claim(0)
    bob.claim(1)
    charlie.open(alice.link())
    charlie.sign_in()
    clock.advance(days=1)
    charlie.take_other_phone()
    charlie.open(bob.link())
    charlie.sign_in()
    assert charlie.claim(2).referrer == alice.customer


@pytest.fixture
def last(brand: Brand) -> Campaign:
    return publish(brand.deployment, slug="last", touch="last")


def test_the_last_touch_wins_where_the_campaign_says_so(
    brand: Brand, cast: Cast, last: Campaign, clock: HeldClock
) -> None:
    alice, bob, charlie = cast
    alice.claim(0)
    bob.claim(1)
    charlie.open(alice.link(last))
    clock.advance(days=1)
    charlie.open(bob.link(last))
    claimed = charlie.claim(2)
    assert (claimed.referrer, claimed.claim.campaign_id) == (bob.customer, last.id)
    assert outcomes(brand, charlie) == [TouchOutcome.came_earlier, TouchOutcome.credited]


def test_opening_the_first_link_again_makes_it_the_last(
    brand: Brand, cast: Cast, last: Campaign, clock: HeldClock
) -> None:
    alice, bob, charlie = cast
    alice.claim(0)
    bob.claim(1)
    for sharer in (alice, bob, alice):
        charlie.open(sharer.link(last))
        clock.advance(days=20)
    assert charlie.claim(2).referrer == alice.customer


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (1, 1, 2, 0, 2)])
def test_the_last_touch_is_the_last_in_whatever_order_openings_arrive(
    brand: Brand, cast: Cast, last: Campaign, order: tuple[int, ...]
) -> None:
    """The cookie is lost, so only the spread knows."""
    alice, bob, charlie = cast
    alice.claim(0)
    bob.claim(1)
    stranger = somebody(brand, 1)
    charlie.sign_in()
    start = brand.deployment.clock.now()
    sharers = [stranger, alice, bob]
    for number in order:
        at = start - timedelta(days=5 - number)
        link = sharers[number].link(last)
        brand.deployment.db.transact(partial(attach, charlie.visitor, link, at))
    claimed = charlie.claim(2)
    assert claimed.referrer == bob.customer
    with brand.deployment.db.read() as tx:
        [node] = graph.touches_of(tx, charlie.customer)
    assert (node.touched_by, node.last_by) == (stranger.visitor, bob.visitor)


def attach(visitor: int, link: Link, at: datetime, tx: Session) -> None:
    graph.attach(tx, visitor, link, at)


def test_the_last_touch_that_is_in_its_window_and_leads_to_somebody_counts(
    brand: Brand, cast: Cast, last: Campaign, clock: HeldClock
) -> None:
    alice, bob, charlie = cast
    alice.claim(0)
    charlie.open(alice.link(last))
    clock.advance(days=1)
    charlie.open(bob.link(last))
    assert charlie.claim(1).referrer == alice.customer
    assert outcomes(brand, charlie) == [TouchOutcome.credited, TouchOutcome.nobody]


def test_between_campaigns_the_earlier_of_what_each_credits_wins(
    brand: Brand, cast: Cast, last: Campaign, clock: HeldClock
) -> None:
    alice, bob, charlie = cast
    alice.claim(0)
    bob.claim(1)
    charlie.open(alice.link(last))
    clock.advance(days=1)
    charlie.open(bob.link())
    clock.advance(days=1)
    charlie.open(alice.link(last))
    assert charlie.claim(2).referrer == bob.customer
    assert outcomes(brand, charlie) == [
        TouchOutcome.other_campaign,
        TouchOutcome.credited,
        TouchOutcome.other_campaign,
    ]


def test_what_did_not_count_is_kept_with_its_reason(
    brand: Brand, cast: Cast, clock: HeldClock
) -> None:
    alice, bob, charlie = cast
    alice.claim(0)
    bob.claim(1)
    stranger = somebody(brand, 1)
    phones = []
    for sharer, days in ((alice, 31), (stranger, 1), (bob, 1), (alice, 1)):
        charlie.take_other_phone()
        charlie.open(sharer.link())
        phones.append(charlie.cookie)
        clock.advance(days=days)
    for cookie in phones:
        charlie.cookie = cookie
        charlie.sign_in()
    assert charlie.claim(2).referrer == bob.customer
    assert outcomes(brand, charlie) == [
        TouchOutcome.too_old,
        TouchOutcome.nobody,
        TouchOutcome.credited,
        TouchOutcome.came_later,
    ]


def test_a_link_of_somebody_whom_one_brought_in_oneself_is_said_to_be_that(
    brand: Brand, cast: Cast
) -> None:
    _, bob, charlie = cast
    bob.sign_in()
    charlie.open(bob.link())
    assert charlie.claim(0).referrer == bob.customer
    bob.take_other_phone()
    bob.open(charlie.link())
    assert bob.claim(1).referrer is None
    assert outcomes(brand, bob) == [TouchOutcome.below]
