"""Two customers who are one person: what is the one's is the other's."""

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral import actions, audit, people, risk
from referral.clock import HeldClock
from referral.people import Consent, Customer, UnknownCustomer
from referral.reports import customers as reports
from tests.actions.merging.conftest import BY, WHY, bring_in, followed, merge, tree
from tests.cast import PER_CLAIM, PER_FRIEND, Brand, Person


def test_everything_is_the_older_ones(
    brand: Brand, cast: tuple[Person, Person, Person], clock: HeldClock
) -> None:
    alice, bob, charlie = cast
    d = brand.deployment
    actions.rename(d, bob.customer, "Bobby")
    alice.claim(0)
    bob.claim(1)
    bring_in(charlie, bob, 2)
    assert merge(brand, bob, alice) == actions.Merged(alice.customer, bob.customer)
    with d.db.read() as tx:
        keys = d.keys
        assert {each.kind for each in people.identities_of(tx, keys, alice.customer)} == {
            "phone",
            "email",
        }
        assert set(people.visitors_of(tx, alice.customer)) == {alice.visitor, bob.visitor}
        assert reports.name_of(tx, keys, alice.customer) == "Bobby"
        said = reports.profile(tx, keys, bob.customer)
        assert said["id"] == alice.customer
        assert (said["claims"], said["referred"]) == (2, 1)
        assert said["balances"]["points"]["available"] == 2 * PER_CLAIM + PER_FRIEND
        assert tree(tx) == {alice.customer: None, charlie.customer: alice.customer}
        assert people.numbers_of(tx, alice.customer) == [alice.customer, bob.customer]
        assert tx.get_one(Customer, bob.customer).name_encrypted is None
        (kept,) = people.merges_of(tx, alice.customer)
        assert (kept.by, kept.reason) == (BY, WHY)
        assert kept.details["claims"] == [2]
        assert kept.details["held"] == {"points": {"wallet": PER_CLAIM + PER_FRIEND}}
        (noted,) = audit.of_subject(tx, f"customer:{alice.customer}")
        assert noted.details == {"gone": bob.customer, "reason": WHY}


def test_staff_may_keep_the_younger_one(brand: Brand, cast: tuple[Person, Person, Person]) -> None:
    alice, bob, charlie = cast
    actions.rename(brand.deployment, alice.customer, "Alice")
    actions.rename(brand.deployment, bob.customer, "Bobby")
    with pytest.raises(UnknownCustomer):
        merge(brand, alice, bob, keep=charlie.customer)
    assert merge(brand, alice, bob, keep=bob.customer).kept == bob.customer
    with brand.deployment.db.read() as tx:
        assert reports.name_of(tx, brand.deployment.keys, alice.customer) == "Bobby"


def test_again_is_no_harm_and_a_third_one_makes_no_chain(
    brand: Brand, cast: tuple[Person, Person, Person]
) -> None:
    alice, bob, charlie = cast
    merge(brand, charlie, bob)
    assert merge(brand, bob, charlie) == actions.Merged(bob.customer, None)
    assert merge(brand, bob, bob).gone is None
    assert merge(brand, charlie, alice) == actions.Merged(alice.customer, bob.customer)
    with brand.deployment.db.read() as tx:
        numbers = [each.customer for each in cast]
        assert set(people.current(tx, numbers).values()) == {alice.customer}
        assert people.current(tx, [4711]) == {4711: 4711}
    with pytest.raises(UnknownCustomer):
        merge(brand, alice, 4711)


def test_two_phones_are_one_persons_and_either_signs_in(
    brand: Brand, cast: tuple[Person, Person, Person]
) -> None:
    alice, _, charlie = cast
    merge(brand, alice, charlie)
    for phone in (alice, charlie):
        phone.take_other_phone()
        assert phone.sign_in() == alice.customer
    with brand.deployment.db.read() as tx:
        known = people.identities_of(tx, brand.deployment.keys, alice.customer)
        assert [each.kind for each in known] == ["phone", "phone"]


def test_consent_counts_since_the_earlier_one(
    brand: Brand, cast: tuple[Person, Person, Person]
) -> None:
    alice, bob, _ = cast
    with brand.deployment.db.read() as tx:
        given_at = tx.scalar(
            sa.select(Consent.given_at).where(Consent.customer_id == alice.customer)
        )
    merge(brand, alice, bob, keep=bob.customer)
    with brand.deployment.db.read() as tx:
        rows = tx.scalars(sa.select(Consent).where(Consent.customer_id == bob.customer)).all()
        assert [row.given_at for row in rows] == [given_at]


def test_a_block_stays(brand: Brand, cast: tuple[Person, Person, Person], clock: HeldClock) -> None:
    alice, bob, charlie = cast

    def work(tx: Session) -> None:
        risk.block(tx, bob.customer, by=BY, reason="sold codes", now=clock.now())
        risk.note_shared(tx, bob.customer, alice.customer, clock.now())
        risk.note_shared(tx, bob.customer, charlie.customer, clock.now())
        for each in (alice, bob):
            risk.note_network(tx, brand.deployment.keys, each.customer, "203.0.113.9", clock.now())

    brand.deployment.db.transact(work)
    merge(brand, alice, bob)
    with brand.deployment.db.read() as tx:
        assert risk.is_blocked(tx, alice.customer)


def test_every_column_that_names_a_customer_follows_or_is_history() -> None:
    """Whoever adds one decides what a merge does to it: here, or in `actions.merging`."""
    assert {(table.name, column) for table, column in followed()} == {
        ("blocked_customers", "customer_id"),
        ("claims", "customer_id"),
        ("complaints", "customer_id"),
        ("consents", "customer_id"),
        ("customer_networks", "customer_id"),
        ("customer_values", "customer_id"),
        ("customers", "merged_into"),
        ("hand_credits", "customer_id"),
        ("identities", "customer_id"),
        ("orders", "customer_id"),
        ("referrals", "customer_id"),
        ("referrals", "referrer_id"),
        ("rewards", "holder_id"),
        ("shared_devices", "customer_id"),
        ("shared_devices", "other_id"),
        ("verdicts", "customer_id"),
        ("verdicts", "referrer_id"),
        ("visitors", "customer_id"),
        ("vouchers", "customer_id"),
    }
