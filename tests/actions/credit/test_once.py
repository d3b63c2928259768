"""Who brought somebody in is settled once for all, by nobody herself and in no circle."""

import pytest
import sqlalchemy as sa

from referral import actions
from referral.claims import AlreadyClaimed
from referral.graph import Referral
from referral.links import Channel, Link
from referral.reports import customers
from tests.actions.credit.conftest import Cast, referrer_of, somebody
from tests.cast import PER_CLAIM, PER_FRIEND, Brand, publish
from tests.races import at_once


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
