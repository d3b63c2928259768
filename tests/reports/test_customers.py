"""What a customer sees of herself, and what staff and the API see of her."""

import pytest
from sqlalchemy.orm import Session

from referral import actions, ledger, people
from referral.clock import HeldClock
from referral.deployment import Deployment
from referral.people import UnknownCustomer
from referral.reports import customers
from referral.reports.customers import Balance
from tests.cast import PER_CLAIM, PER_FRIEND, Brand, Person, cast_of, open_brand


@pytest.fixture
def brand(deployment: Deployment) -> Brand:
    return open_brand(deployment, hold_days=7)


@pytest.fixture
def cast(brand: Brand) -> tuple[Person, Person, Person]:
    """Alice has claimed a package, and Bob one through her link."""
    alice, bob, charlie = cast_of(brand)
    alice.claim(0)
    bob.open(alice.link())
    brand.deployment.clock.advance(days=1)  # type: ignore[attr-defined]
    bob.claim(1)
    return alice, bob, charlie


def test_balances_say_what_is_there_and_what_is_on_hold(
    brand: Brand, cast: tuple[Person, Person, Person], clock: HeldClock
) -> None:
    alice, _, charlie = cast
    charlie.sign_in()
    clock.advance(days=6)
    actions.release_rewards(brand.deployment)
    with brand.deployment.db.read() as tx:
        assert customers.balances(tx, alice.customer) == [Balance("points", PER_CLAIM, PER_FRIEND)]
        assert customers.balances(tx, charlie.customer) == [Balance("points", 0, 0)]


def test_every_unit_a_customer_has_is_listed_points_first(brand: Brand) -> None:
    alice, _, _ = cast_of(brand)
    alice.sign_in()
    now = brand.deployment.clock.now()

    def give_money(tx: Session) -> None:
        issue = ledger.account(tx, ledger.Kind.issue, 0, "CNY")
        wallet = ledger.account(tx, ledger.Kind.wallet, alice.customer, "CNY")
        moves = [ledger.Move(issue, wallet, 500)]
        ledger.post(tx, key="gift", what="gift", moves=moves, now=now)

    brand.deployment.db.transact(give_money)
    with brand.deployment.db.read() as tx:
        assert customers.balances(tx, alice.customer) == [
            Balance("points", 0, 0),
            Balance("CNY", 500, 0),
        ]


def test_names_are_those_they_gave(
    brand: Brand, cast: tuple[Person, Person, Person], clock: HeldClock
) -> None:
    _, bob, charlie = cast
    charlie.sign_in()
    actions.rename(brand.deployment, charlie.customer, "查理 🍵")
    with brand.deployment.db.read() as tx:
        keys = brand.deployment.keys
        assert customers.name_if_any(tx, keys, charlie.customer) == "查理 🍵"
        assert customers.name_if_any(tx, keys, bob.customer) is None
        assert customers.name_if_any(tx, keys, 999) is None
        assert customers.name_if_any(tx, keys, None) is None


def test_a_profile_has_numbers_and_no_contact(
    brand: Brand, cast: tuple[Person, Person, Person]
) -> None:
    alice, bob, _ = cast
    with brand.deployment.db.read() as tx:
        profile = customers.profile(tx, brand.deployment.keys, alice.customer)
        friend = customers.profile(tx, brand.deployment.keys, bob.customer)
        with pytest.raises(UnknownCustomer):
            customers.profile(tx, brand.deployment.keys, 999)
    assert (profile["referrer_id"], profile["referred"], profile["claims"]) == (None, 1, 1)
    assert (profile["reached"], friend["reached"]) == (1, 0)
    assert profile["balances"] == {"points": {"available": 0, "pending": PER_CLAIM + PER_FRIEND}}
    assert (friend["referrer_id"], friend["referred"]) == (alice.customer, 0)
    assert "13800138000" not in str(profile)


def test_contacts_are_shown_masked_only(brand: Brand) -> None:
    alice, bob, _ = cast_of(brand)
    customer, _ = actions.add_customer(
        brand.deployment, [alice.contact, bob.contact, people.external("Member-12345")], None
    )
    with brand.deployment.db.read() as tx:
        masked = customers.masked_contacts(tx, brand.deployment.keys, customer)
    assert ("phone", "+86****8000") in masked
    assert ("email", "b***@example.com") in masked
    assert len(masked) == 3
