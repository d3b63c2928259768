"""Adding a phone number or an e-mail address to a customer who is there already."""

from collections.abc import Callable

import pytest
import sqlalchemy as sa

from referral import actions, people
from referral.actions import SignedIn
from referral.clock import HeldClock
from referral.deployment import Deployment
from referral.errors import TooMany
from referral.people import (
    Contact,
    ContactKept,
    ContactTaken,
    Identity,
    IdentityKind,
    SignInCodeSpent,
    UnknownCustomer,
    WrongSignInCode,
)
from tests.races import at_once, overtaken

PHONE, OTHER_PHONE = people.phone("13800138000"), people.phone("13900139000")
EMAIL = people.email("alice@example.com")
BROWSER, OTHER_BROWSER = 2001, 2002


@pytest.fixture
def alice(deployment: Deployment) -> int:
    """Somebody who signed in with WeChat."""
    signed_in = actions.sign_in_with_wechat(deployment, people.wechat("oAlice"), BROWSER, None)
    return signed_in.customer


@pytest.fixture
def bob(deployment: Deployment) -> int:
    customer, _ = actions.add_customer(deployment, [OTHER_PHONE], None)
    return customer


def request(
    deployment: Deployment, contact: Contact, owner: int | None, browser: int = BROWSER
) -> str:
    code = actions.request_sign_in_code(
        deployment, contact, "192.0.2.1", browser, lambda code: code, owner
    )
    assert code is not None
    return code


def wrong(code: str) -> str:
    return str((int(code) + 1) % 10**6).zfill(6)


def identities(deployment: Deployment) -> list[tuple[int, str]]:
    with deployment.db.read() as tx:
        rows = tx.execute(sa.select(Identity.customer_id, Identity.kind).order_by(Identity.id))
        return [(row.customer_id, row.kind) for row in rows]


def test_who_signed_in_with_wechat_adds_a_phone_and_an_e_mail(
    deployment: Deployment, alice: int
) -> None:
    for contact in (PHONE, EMAIL):
        code = request(deployment, contact, alice)
        actions.add_contact(deployment, alice, contact, code, BROWSER)
    assert identities(deployment) == [(alice, "wechat"), (alice, "phone"), (alice, "email")]
    code = request(deployment, PHONE, None, OTHER_BROWSER)
    signed_in = actions.sign_in(deployment, PHONE, code, OTHER_BROWSER)
    assert signed_in == SignedIn(alice, OTHER_BROWSER, is_new=False)


def test_a_wrong_code_adds_nothing_and_counts(deployment: Deployment, alice: int) -> None:
    code = request(deployment, PHONE, alice)
    for _ in range(5):
        with pytest.raises(WrongSignInCode):
            actions.add_contact(deployment, alice, PHONE, wrong(code), BROWSER)
    with pytest.raises(SignInCodeSpent):
        actions.add_contact(deployment, alice, PHONE, code, BROWSER)
    assert identities(deployment) == [(alice, "wechat")]


def test_guessing_ends_however_many_codes_are_sent(
    deployment: Deployment, alice: int, clock: HeldClock
) -> None:
    clock.set(clock.now().replace(minute=0))
    for _ in range(4):
        code = request(deployment, PHONE, alice)
        for _ in range(5):
            with pytest.raises(WrongSignInCode):
                actions.add_contact(deployment, alice, PHONE, wrong(code), BROWSER)
    code = request(deployment, PHONE, alice)
    with pytest.raises(TooMany):
        actions.add_contact(deployment, alice, PHONE, code, BROWSER)


def test_a_code_is_good_in_time_and_in_the_browser_that_asked(
    deployment: Deployment, alice: int, clock: HeldClock
) -> None:
    code = request(deployment, PHONE, alice)
    with pytest.raises(SignInCodeSpent):
        actions.add_contact(deployment, alice, PHONE, code, OTHER_BROWSER)
    clock.advance(minutes=10)
    with pytest.raises(SignInCodeSpent):
        actions.add_contact(deployment, alice, PHONE, code, BROWSER)


def test_a_code_is_good_for_what_it_was_asked_for_only(
    deployment: Deployment, alice: int, bob: int
) -> None:
    code = request(deployment, EMAIL, alice)
    with pytest.raises(WrongSignInCode):
        actions.sign_in(deployment, EMAIL, code, BROWSER)
    with pytest.raises(WrongSignInCode):
        actions.add_contact(deployment, bob, EMAIL, code, BROWSER)
    code = request(deployment, EMAIL, None)
    with pytest.raises(WrongSignInCode):
        actions.add_contact(deployment, alice, EMAIL, code, BROWSER)
    assert (bob, "email") not in identities(deployment)


def test_another_customers_phone_stays_hers(deployment: Deployment, alice: int, bob: int) -> None:
    code = request(deployment, OTHER_PHONE, alice)
    with pytest.raises(ContactTaken) as refused:
        actions.add_contact(deployment, alice, OTHER_PHONE, code, BROWSER)
    assert not refused.value.details
    assert identities(deployment) == [(alice, "wechat"), (bob, "phone")]
    with deployment.db.read() as tx:
        assert people.visitors_of(tx, bob) == []
        assert people.visitors_of(tx, alice) == [BROWSER]
    with pytest.raises(SignInCodeSpent):  # the code is used up all the same
        actions.add_contact(deployment, alice, OTHER_PHONE, code, BROWSER)


def test_a_second_one_of_a_kind_is_refused(deployment: Deployment, alice: int) -> None:
    actions.add_contact(deployment, alice, PHONE, request(deployment, PHONE, alice), BROWSER)
    code = request(deployment, OTHER_PHONE, alice)
    with pytest.raises(ContactKept):
        actions.add_contact(deployment, alice, OTHER_PHONE, code, BROWSER)
    assert identities(deployment) == [(alice, "wechat"), (alice, "phone")]


def test_pressing_the_button_twice_adds_it_once(deployment: Deployment, alice: int) -> None:
    code = request(deployment, PHONE, alice)
    for _ in range(2):
        actions.add_contact(deployment, alice, PHONE, code, BROWSER)
    assert identities(deployment) == [(alice, "wechat"), (alice, "phone")]


def test_a_session_older_than_the_database_adds_nothing(deployment: Deployment) -> None:
    code = request(deployment, PHONE, 4711)
    with pytest.raises(UnknownCustomer):
        actions.add_contact(deployment, 4711, PHONE, code, BROWSER)
    assert identities(deployment) == []


# At the same moment


def test_one_of_two_customers_gets_a_contact(deployment: Deployment, alice: int, bob: int) -> None:
    codes = {
        alice: request(deployment, EMAIL, alice),
        bob: request(deployment, EMAIL, bob, OTHER_BROWSER),
    }

    def add(customer: int, browser: int) -> Callable[[], None]:
        code = codes[customer]
        return lambda: actions.add_contact(deployment, customer, EMAIL, code, browser)

    outcomes = at_once([add(alice, BROWSER), add(bob, OTHER_BROWSER)])
    assert sorted(type(each) for each in outcomes if each is not None) == [ContactTaken]
    assert sum(kind == "email" for _, kind in identities(deployment)) == 1


def test_who_signs_up_first_keeps_the_contact(deployment: Deployment, alice: int) -> None:
    code = request(deployment, EMAIL, alice)
    first, second = overtaken(
        deployment.db,
        lambda tx: actions.add_customer(deployment, [EMAIL], None),
        lambda: actions.add_contact(deployment, alice, EMAIL, code, BROWSER),
    )
    assert first[1] is True
    assert isinstance(second, ContactTaken)
    assert identities(deployment) == [(alice, "wechat"), (first[0], "email")]


def test_two_phones_at_once_are_one(deployment: Deployment, alice: int) -> None:
    codes = [(each, request(deployment, each, alice)) for each in (PHONE, OTHER_PHONE)]

    def add(contact: Contact, code: str) -> Callable[[], None]:
        return lambda: actions.add_contact(deployment, alice, contact, code, BROWSER)

    outcomes = at_once([add(contact, code) for contact, code in codes])
    assert [type(each) for each in outcomes if each is not None] == [ContactKept]
    with deployment.db.read() as tx:
        assert people.kinds_of(tx, alice) == {IdentityKind.wechat, IdentityKind.phone}
    assert len(identities(deployment)) == 2
