"""Whoever still has the number of the one who is gone finds the kept one by it."""

import pytest

from referral import actions, people
from referral.graph import Referral
from referral.links import Channel
from referral.reports import customers as reports
from referral.reports import referrals, trees, wallet
from tests.actions.merging.conftest import bring_in, merge
from tests.cast import PER_CLAIM, PER_FRIEND, Brand, Person


def test_a_link_of_the_one_who_is_gone_credits_the_kept_one(
    brand: Brand, cast: tuple[Person, Person, Person]
) -> None:
    alice, bob, charlie = cast
    alice.claim(0)
    bob.claim(1)
    shared = bob.link()
    assert shared.customer == bob.customer
    merge(brand, alice, bob)
    before = alice.points()
    charlie.open(shared, arrives=False)
    assert charlie.claim(2).referrer == alice.customer
    assert alice.points() == before + PER_FRIEND


def test_a_link_of_the_other_self_brings_nobody_in(
    brand: Brand, cast: tuple[Person, Person, Person]
) -> None:
    alice, bob, _ = cast
    shared = bob.link()
    merge(brand, alice, bob)
    alice.open(shared, arrives=False)
    assert alice.claim(0).referrer is None
    assert alice.points() == PER_CLAIM


def test_who_is_signed_in_as_the_one_who_is_gone_goes_on_as_the_kept_one(
    brand: Brand, cast: tuple[Person, Person, Person]
) -> None:
    alice, bob, charlie = cast
    merge(brand, alice, bob)
    bob.take_other_phone()
    bob.open(charlie.link())
    claimed = bob.claim(0)
    assert (claimed.claim.customer_id, claimed.referrer) == (alice.customer, charlie.customer)
    assert bob.claim(0).already
    actions.rename(brand.deployment, bob.customer, "Ally")
    link = actions.make_link(brand.deployment, brand.campaign.slug, bob.customer, Channel.copy)
    assert link.customer == alice.customer
    with brand.deployment.db.read() as tx:
        assert reports.name_of(tx, brand.deployment.keys, alice.customer) == "Ally"
        assert bob.visitor in people.visitors_of(tx, alice.customer)


def test_details_of_two_customers_who_were_merged_are_those_of_one(
    brand: Brand, cast: tuple[Person, Person, Person]
) -> None:
    alice, bob, _ = cast
    contacts = [alice.contact, bob.contact]
    with pytest.raises(people.CustomerExists):
        actions.add_customer(brand.deployment, contacts, None)
    merge(brand, alice, bob)
    assert actions.add_customer(brand.deployment, contacts, None) == (alice.customer, False)


def test_why_somebody_was_brought_in_names_the_kept_one(
    brand: Brand, cast: tuple[Person, Person, Person]
) -> None:
    alice, bob, charlie = cast
    bring_in(charlie, bob, 0)
    merge(brand, alice, bob)
    with brand.deployment.db.read() as tx:
        place = tx.get_one(Referral, charlie.customer)
        why = referrals.reasons(place, people.current(tx, referrals.mentioned(place)))
        assert why.path == [alice.customer]
        assert [touch.customer_id for touch in why.touches] == [alice.customer]
        (friend,) = wallet.friends_of(tx, brand.deployment.keys, alice.customer)
        assert friend.points == PER_FRIEND
        assert trees.branch(tx, brand.deployment.keys, bob.customer, depth=1, limit=5).direct == 1
