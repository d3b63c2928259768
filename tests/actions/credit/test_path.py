"""Credit goes up the path of a link, to the nearest customer, through people who never sign in."""

import pytest

from referral import actions, graph, people
from referral.graph import Referral, TouchOutcome
from referral.links import Channel, Link, Touch, visitor_name
from referral.people import UnknownCustomer
from tests.actions.credit.conftest import Cast, outcomes, somebody
from tests.cast import PER_CLAIM, PER_FRIEND, Brand


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
