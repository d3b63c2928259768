"""Verdicts: what the scan page says of a genuine code, to this reader and to others."""

import pytest

from referral import actions, intake
from referral.batches import RangeState
from referral.clock import HeldClock
from referral.deployment import Deployment
from referral.reports.scans import Verdict, verdict
from referral.visits import Kind, Visit, new_event_id
from tests.cast import ON_SALE, Brand, Person, cast_of, open_brand


@pytest.fixture
def brand(deployment: Deployment) -> Brand:
    return open_brand(deployment)


def scan(person: Person, index: int = 0) -> Verdict:
    """Look at a code as the page does: first the verdict, then this scan is kept."""
    d = person.brand.deployment
    said = look(person, index)
    visit = Visit(
        Kind.scan,
        d.clock.now(),
        new_event_id(),
        visitor=person.visitor,
        campaign=person.brand.campaign.id,
        batch=person.brand.batch.id,
        code_index=index,
    )
    intake.hand_in(d, visit)
    return said


def look(person: Person, index: int = 0) -> Verdict:
    with person.brand.deployment.db.read() as tx:
        return verdict(tx, person.brand.code(index), person.visitor, person.customer or None)


def test_the_first_who_looks_is_told_so_also_when_looking_again(brand: Brand) -> None:
    alice, _, _ = cast_of(brand)
    for _ in range(2):
        said = scan(alice)
        assert (said.word, said.devices, said.first_seen_at) == ("first_seen", 0, None)


def test_another_is_told_when_it_was_first_seen_and_by_how_many(
    brand: Brand, clock: HeldClock
) -> None:
    alice, bob, charlie = cast_of(brand)
    first_seen_at = clock.now()
    scan(alice)
    clock.advance(days=1)
    scan(bob)
    clock.advance(days=1)
    said = scan(charlie)
    assert (said.word, said.devices, said.first_seen_at) == ("seen_before", 2, first_seen_at)
    assert look(charlie, index=1).word == "first_seen", "another package is another matter"


def test_who_claimed_it_is_told_so_and_another_that_it_is_claimed(
    brand: Brand, clock: HeldClock
) -> None:
    alice, _, charlie = cast_of(brand)
    scan(alice)
    claimed_at = clock.now()
    alice.claim(0)
    clock.advance(days=1)
    own, others = look(alice), look(charlie)
    assert (own.word, own.claimed_at, own.campaign_id) == (
        "claimed_by_you",
        claimed_at,
        brand.campaign.id,
    )
    assert (others.word, others.claimed_at, others.campaign_id) == ("claimed", claimed_at, None)


def test_the_phone_alone_does_not_make_it_yours(brand: Brand) -> None:
    alice, _, _ = cast_of(brand)
    alice.claim(0)
    alice.customer = 0
    assert look(alice).word == "claimed"


def test_a_code_that_is_not_on_sale_yet_is_said_to_be_dark(brand: Brand) -> None:
    alice, _, _ = cast_of(brand)
    said = look(alice, ON_SALE)
    assert said.word == "not_activated"
    assert look(alice, ON_SALE - 1).word == "first_seen"


def test_a_withdrawn_code_is_said_to_be_so_except_to_who_claimed_it(brand: Brand) -> None:
    alice, _, charlie = cast_of(brand)
    alice.claim(0)
    actions.set_range(
        brand.deployment, brand.batch.id, RangeState.voided, start=0, end=10, by="tests"
    )
    assert look(alice).word == "claimed_by_you"
    assert look(charlie).word == "voided"
    assert look(charlie, 1).word == "voided"


def test_a_machine_sees_what_a_stranger_sees(brand: Brand) -> None:
    alice, _, _ = cast_of(brand)
    scan(alice)
    with brand.deployment.db.read() as tx:
        said = verdict(tx, brand.code(0), None, None)
    assert (said.word, said.devices) == ("seen_before", 1)
