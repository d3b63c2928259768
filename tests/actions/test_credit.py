"""Credit: who brought a customer in, through people who never sign in, and once for all."""

from datetime import datetime, timedelta
from functools import partial

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral import actions, graph, people
from referral.campaigns import Campaign
from referral.claims import AlreadyClaimed
from referral.clock import HeldClock
from referral.deployment import Deployment
from referral.graph import Referral, TouchOutcome
from referral.links import Channel, Link, Touch, visitor_name
from referral.people import UnknownCustomer
from referral.reports import customers, referrals
from tests.cast import (
    PER_CLAIM,
    PER_FRIEND,
    Brand,
    Person,
    cast_of,
    open_brand,
    publish,
)
from tests.races import at_once

Cast = tuple[Person, Person, Person]


@pytest.fixture
def brand(deployment: Deployment) -> Brand:
    return open_brand(deployment)


@pytest.fixture
def cast(brand: Brand) -> Cast:
    return cast_of(brand)


def somebody(brand: Brand, number: int) -> Person:
    """One of the many others."""
    return Person(brand, people.email(f"person-{number}@example.com"))


def referrer_of(brand: Brand, person: Person) -> int | None:
    with brand.deployment.db.read() as tx:
        return graph.referrer_of(tx, person.customer)


def outcomes(brand: Brand, person: Person) -> list[str]:
    """What became of the links a person had opened, in the order of the openings."""
    with brand.deployment.db.read() as tx:
        found = referrals.reasons(tx.get_one(Referral, person.customer))
    return [touch.outcome for touch in found.touches]


# Up the path


def test_it_is_the_nearest_customer_through_people_who_never_sign_in(
    brand: Brand, cast: Cast
) -> None:
    alice, bob, charlie = cast
    alice.claim(0)
    reader = alice
    for number in range(4):
        other = somebody(brand, number)
        other.open(reader.link(channel=Channel.address))
        reader = other
    charlie.open(reader.link(channel=Channel.address))
    assert charlie.claim(1).referrer == alice.customer
    bob.open(charlie.link())
    assert bob.claim(2).referrer == charlie.customer
    assert alice.points() == PER_CLAIM + PER_FRIEND


def test_somebody_between_who_signs_in_before_the_claim_is_nearer(brand: Brand, cast: Cast) -> None:
    """The path is walked at the claim: Bob forwarded before he was a customer."""
    alice, bob, charlie = cast
    alice.claim(0)
    bob.open(alice.link())
    charlie.open(bob.link())
    bob.sign_in()
    assert charlie.claim(1).referrer == bob.customer


def test_the_link_credits_before_any_opening_has_arrived(brand: Brand, cast: Cast) -> None:
    alice, bob, charlie = cast
    alice.claim(0)
    bob.open(alice.link(), arrives=False)
    charlie.open(bob.link(), arrives=False)
    claimed = charlie.claim(1)
    assert claimed.referrer == alice.customer
    with brand.deployment.db.read() as tx:
        assert graph.hop_of(tx, brand.campaign.id, charlie.visitor) == 2


def test_why_somebody_was_credited_is_kept(brand: Brand, cast: Cast) -> None:
    alice, bob, charlie = cast
    alice.claim(0)
    bob.open(alice.link())
    charlie.open(bob.link())
    claimed = charlie.claim(1)
    with brand.deployment.db.read() as tx:
        settled = tx.get_one(Referral, charlie.customer)
    assert (settled.event, settled.campaign_id) == (claimed.claim.event, brand.campaign.id)
    assert settled.at == brand.deployment.clock.now()
    assert settled.why["path"] == [
        {"visitor": visitor_name(bob.visitor), "customer": None},
        {"visitor": visitor_name(alice.visitor), "customer": alice.customer},
    ]
    assert (settled.why["rule"], outcomes(brand, charlie)) == ("first", [TouchOutcome.credited])


def test_a_link_that_leads_to_no_customer_credits_nobody(brand: Brand, cast: Cast) -> None:
    _, bob, charlie = cast
    charlie.open(bob.link())
    assert charlie.claim(0).referrer is None
    with brand.deployment.db.read() as tx:
        assert tx.get_one(Referral, charlie.customer).why["rule"] == "nobody"


def test_a_link_made_for_a_customer_without_a_phone_credits(brand: Brand, cast: Cast) -> None:
    _, bob, _ = cast
    member, _ = actions.add_customer(brand.deployment, [people.external("A-1")], "Member")
    link = actions.make_link(brand.deployment, "spring", member, Channel.poster)
    again = actions.make_link(brand.deployment, "spring", member, Channel.poster)
    assert link == again == Link(brand.campaign.id, link.visitor, member, 0, Channel.poster)
    bob.open(link)
    assert bob.claim(0).referrer == member


def test_a_made_link_is_at_the_hop_of_its_customer(brand: Brand, cast: Cast) -> None:
    alice, bob, _ = cast
    alice.claim(0)
    bob.open(alice.link())
    bob.sign_in()
    link = actions.make_link(brand.deployment, "spring", bob.customer, Channel.copy)
    assert link == bob.link()
    with pytest.raises(UnknownCustomer):
        actions.make_link(brand.deployment, "spring", 999, Channel.copy)


def test_a_link_handed_in_with_a_claim_credits_without_a_browser(brand: Brand, cast: Cast) -> None:
    """The API's `via`: the shop's own system claims for a member."""
    alice, _, _ = cast
    alice.claim(0)
    d = brand.deployment
    member, _ = actions.add_customer(d, [people.external("A-1")], None)
    touch = Touch(alice.link(), d.clock.now())
    assert actions.claim(d, brand.code(1), member, touches=[touch]).referrer == alice.customer
    with d.db.read() as tx:
        [node] = graph.touches_of(tx, member)
    assert (node.parent_id, node.hop) == (alice.visitor, 1)


def test_a_link_credits_somebody_who_had_shared_before(brand: Brand, cast: Cast) -> None:
    """He scanned a bottle in a shop and passed that on; his place in the spread is a first one."""
    alice, bob, charlie = cast
    alice.claim(0)
    charlie.open(bob.link())
    bob.open(alice.link())
    assert bob.claim(1).referrer == alice.customer
    assert charlie.claim(2).referrer == bob.customer
    with brand.deployment.db.read() as tx:
        assert graph.hop_of(tx, brand.campaign.id, bob.visitor) == 0


def test_a_link_credits_whoever_is_above_it_for_somebody_who_had_shared_before(
    brand: Brand, cast: Cast
) -> None:
    alice, bob, charlie = cast
    alice.claim(0)
    reader = somebody(brand, 1)
    charlie.open(bob.link())
    reader.open(alice.link())
    bob.open(reader.link())
    assert bob.claim(1).referrer == alice.customer


# First touch, in its window


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


# The last touch, where the campaign credits that


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


# Why this one and not the other


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


# Once for all


def test_the_referral_is_fixed_at_the_first_claim(brand: Brand, cast: Cast) -> None:
    alice, bob, charlie = cast
    alice.claim(0)
    bob.claim(1)
    charlie.open(alice.link())
    assert charlie.claim(2).referrer == alice.customer
    charlie.take_other_phone()
    charlie.open(bob.link())
    charlie.sign_in()
    assert charlie.claim(3).referrer == alice.customer
    assert referrer_of(brand, charlie) == alice.customer
    assert bob.points() == PER_CLAIM


def test_nobody_is_fixed_at_the_first_claim_as_well(brand: Brand, cast: Cast) -> None:
    alice, _, charlie = cast
    alice.claim(0)
    charlie.claim(1)
    charlie.open(alice.link())
    claimed = charlie.claim(2)
    assert claimed.referrer is None
    assert [reward.amount for reward in claimed.rewards] == [PER_CLAIM]
    assert alice.points() == PER_CLAIM


def test_a_refused_claim_settles_nothing(brand: Brand, cast: Cast) -> None:
    alice, _, charlie = cast
    alice.claim(0)
    charlie.sign_in()
    with pytest.raises(AlreadyClaimed):
        charlie.claim(0)
    charlie.open(alice.link())
    assert charlie.claim(1).referrer == alice.customer


# One's own links


def test_ones_own_link_credits_nobody(brand: Brand, cast: Cast) -> None:
    bob = cast[1]
    bob.open(bob.link())
    bob.sign_in()
    bob.open(bob.link())
    assert bob.claim(0).referrer is None


def test_ones_own_link_from_another_phone_credits_nobody(brand: Brand, cast: Cast) -> None:
    bob = cast[1]
    before_signing_in = bob.link()
    bob.sign_in()
    after = bob.link()
    bob.take_other_phone()
    bob.customer = 0
    bob.open(after)
    bob.take_other_phone()
    bob.open(before_signing_in)
    assert bob.claim(0).referrer is None
    assert bob.points() == PER_CLAIM


def test_a_link_through_ones_own_other_phone_credits_who_is_above(brand: Brand, cast: Cast) -> None:
    alice, bob, _ = cast
    alice.claim(0)
    bob.open(alice.link())
    forwarded = bob.link()
    bob.sign_in()
    bob.take_other_phone()
    bob.customer = 0
    bob.open(forwarded)
    assert bob.claim(1).referrer == alice.customer


def test_ones_own_forward_coming_back_credits_nobody(brand: Brand, cast: Cast) -> None:
    alice, bob, _ = cast
    alice.sign_in()
    bob.open(alice.link())
    alice.open(bob.link())
    assert alice.claim(0).referrer is None


# Circles


def test_two_who_bring_each_other_in_are_one_above_the_other(brand: Brand, cast: Cast) -> None:
    alice, bob, _ = cast
    alice.sign_in()
    bob.sign_in()
    alices, bobs = alice.link(), bob.link()
    summer = publish(brand.deployment, slug="summer")
    bob.open(alices)
    alice.open(Link(summer.id, bobs.visitor, bobs.customer, 0, Channel.copy))
    assert bob.claim(0).referrer == alice.customer
    assert alice.claim(1).referrer is None
    assert (referrer_of(brand, alice), referrer_of(brand, bob)) == (None, alice.customer)


def test_a_ring_of_three_stays_open(brand: Brand, cast: Cast) -> None:
    campaigns = [publish(brand.deployment, slug=f"c{number}") for number in range(3)]
    for each in cast:
        each.sign_in()
    for campaign, reader, sharer in zip(campaigns, cast, [*cast[1:], cast[0]], strict=True):
        reader.open(sharer.link(campaign))
    alice, bob, charlie = cast
    assert alice.claim(0).referrer == bob.customer
    assert bob.claim(1).referrer == charlie.customer
    assert charlie.claim(2).referrer is None


def test_two_who_bring_each_other_in_at_the_same_moment_do_not_both_succeed(
    brand: Brand,
) -> None:
    """Each claim holds its own customer and wants the other: PostgreSQL has to end one of them."""
    summer = publish(brand.deployment, slug="summer")
    for number in range(3):
        one, two = somebody(brand, 2 * number), somebody(brand, 2 * number + 1)
        one.sign_in()
        two.sign_in()
        links = one.link(), two.link(summer)
        one.open(links[1], arrives=False)
        two.open(links[0], arrives=False)
        outcomes = at_once(
            [lambda p=one, n=number: p.claim(2 * n), lambda p=two, n=number: p.claim(2 * n + 1)]
        )
        assert not any(isinstance(each, Exception) for each in outcomes), outcomes
        assert {referrer_of(brand, one), referrer_of(brand, two)} in (
            {None, one.customer},
            {None, two.customer},
        )
    with brand.deployment.db.read() as tx:
        rows = dict(tx.execute(sa.select(Referral.customer_id, Referral.referrer_id)).all())
        assert sum(referrer is not None for referrer in rows.values()) == 3


# What a claim says of it


def test_a_friend_is_told_who_brought_him_in_for_that_claim_only(brand: Brand, cast: Cast) -> None:
    alice, bob, _ = cast
    alice.claim(0)
    actions.rename(brand.deployment, alice.customer, "Alice")
    bob.open(alice.link())
    bob.claim(1)
    bob.claim(2)
    with brand.deployment.db.read() as tx:
        first, second = (
            customers.claim_report(tx, brand.deployment.keys, brand.code(n), bob.customer)
            for n in (1, 2)
        )
    assert (first.brought_in, first.referrer_name) == (True, "Alice")
    assert sorted(reward.amount for reward in first.rewards) == [PER_CLAIM, PER_FRIEND]
    assert (second.brought_in, second.referrer_name) == (False, None)
