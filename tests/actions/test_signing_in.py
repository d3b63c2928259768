"""Signing in: one-time codes, limits, and many browsers of one person."""

from collections.abc import Callable

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from referral import actions, people
from referral.actions import SignedIn
from referral.clock import HeldClock
from referral.deployment import Deployment
from referral.errors import TooMany
from referral.people import (
    BadName,
    Consent,
    Customer,
    CustomerExists,
    Identity,
    NameIsContact,
    SignInCode,
    SignInCodeSpent,
    WrongSignInCode,
)
from referral.wechat import WechatTaken
from tests.cast import Brand, cast_of
from tests.races import at_once, overtaken

ALICE = people.phone("13800138000")
BROWSER, OTHER_BROWSER = 2001, 2002


def request(deployment: Deployment, who: people.Contact = ALICE, browser: int = BROWSER) -> str:
    code = actions.request_sign_in_code(
        deployment, who, "192.0.2.1", browser, lambda code: f"it is {code}"
    )
    assert code is not None
    return code


def wrong(code: str) -> str:
    return str((int(code) + 1) % 10**6).zfill(6)


def count(deployment: Deployment, model: type) -> int:
    with deployment.db.read() as tx:
        return tx.scalar(sa.select(sa.func.count()).select_from(model)) or 0


def test_a_new_person_becomes_a_customer_with_this_browser(deployment: Deployment) -> None:
    signed_in = actions.sign_in(deployment, ALICE, request(deployment), BROWSER)
    assert signed_in == SignedIn(signed_in.customer, BROWSER, is_new=True)
    with deployment.db.read() as tx:
        assert people.visitors_of(tx, signed_in.customer) == [BROWSER]
        [consent] = tx.scalars(sa.select(Consent))
    assert (consent.customer_id, consent.purpose) == (signed_in.customer, "service")


def test_a_second_browser_folds_into_the_same_customer(deployment: Deployment) -> None:
    first = actions.sign_in(deployment, ALICE, request(deployment), BROWSER)
    code = request(deployment, browser=OTHER_BROWSER)
    second = actions.sign_in(deployment, ALICE, code, OTHER_BROWSER)
    assert second == SignedIn(first.customer, OTHER_BROWSER, is_new=False)
    with deployment.db.read() as tx:
        assert sorted(people.visitors_of(tx, first.customer)) == [BROWSER, OTHER_BROWSER]


def test_a_browser_of_another_customer_becomes_another_visitor(deployment: Deployment) -> None:
    alice = actions.sign_in(deployment, ALICE, request(deployment), BROWSER)
    charlie = people.phone("13900139000")
    signed_in = actions.sign_in(deployment, charlie, request(deployment, charlie), BROWSER)
    assert signed_in.customer != alice.customer
    assert signed_in.visitor != BROWSER
    with deployment.db.read() as tx:
        assert people.visitors_of(tx, alice.customer) == [BROWSER]
        assert people.visitors_of(tx, signed_in.customer) == [signed_in.visitor]


def test_it_rejects_a_wrong_code_and_counts_the_try(deployment: Deployment) -> None:
    code = request(deployment)
    for _ in range(5):
        with pytest.raises(WrongSignInCode):
            actions.sign_in(deployment, ALICE, wrong(code), BROWSER)
    for sixth in (wrong(code), code):
        with pytest.raises(SignInCodeSpent):
            actions.sign_in(deployment, ALICE, sixth, BROWSER)
    assert count(deployment, Customer) == 0
    assert actions.sign_in(deployment, ALICE, request(deployment), BROWSER).is_new


def test_it_rejects_a_code_a_second_time(deployment: Deployment) -> None:
    code = request(deployment)
    actions.sign_in(deployment, ALICE, code, BROWSER)
    with pytest.raises(SignInCodeSpent):
        actions.sign_in(deployment, ALICE, code, BROWSER)


def test_it_rejects_a_code_in_another_browser(deployment: Deployment) -> None:
    code = request(deployment)
    with pytest.raises(SignInCodeSpent):
        actions.sign_in(deployment, ALICE, code, OTHER_BROWSER)
    assert count(deployment, Customer) == 0


def test_strangers_who_ask_and_guess_elsewhere_do_not_keep_the_owner_out(
    deployment: Deployment,
) -> None:
    code = request(deployment)
    strangers = [OTHER_BROWSER, OTHER_BROWSER + 1]
    for stranger in strangers:
        for _ in range(5):
            request(deployment, browser=stranger)
        with pytest.raises(TooMany):
            request(deployment, browser=stranger)
        for _ in range(25):
            with pytest.raises((WrongSignInCode, SignInCodeSpent, TooMany)):
                actions.sign_in(deployment, ALICE, wrong(code), stranger)
    assert actions.sign_in(deployment, ALICE, code, BROWSER).is_new


def test_a_phone_is_sent_fifteen_codes_whatever_browsers_ask(deployment: Deployment) -> None:
    for browser in range(15):
        request(deployment, browser=browser)
    with pytest.raises(TooMany):
        request(deployment, browser=15)


def test_right_codes_do_not_count_as_guesses(deployment: Deployment, clock: HeldClock) -> None:
    clock.set(clock.now().replace(minute=0, second=0))
    for _ in range(5):
        for _ in range(5):
            actions.sign_in(deployment, ALICE, request(deployment), BROWSER)
        clock.advance(minutes=10)


def test_it_rejects_an_old_code(deployment: Deployment, clock: HeldClock) -> None:
    code = request(deployment)
    clock.advance(minutes=10)
    with pytest.raises(SignInCodeSpent):
        actions.sign_in(deployment, ALICE, code, BROWSER)


def test_it_rejects_a_sign_in_without_a_code(deployment: Deployment) -> None:
    with pytest.raises(SignInCodeSpent):
        actions.sign_in(deployment, ALICE, "123456", BROWSER)


def test_codes_are_sent_so_often_and_no_more(deployment: Deployment, clock: HeldClock) -> None:
    for _ in range(5):
        code = request(deployment)
    with pytest.raises(TooMany):
        request(deployment)
    assert actions.sign_in(deployment, ALICE, code, BROWSER).is_new, "the last one still holds"
    clock.advance(minutes=10)
    request(deployment)


def test_guessing_ends_whatever_number_of_codes_is_sent(
    deployment: Deployment, clock: HeldClock
) -> None:
    clock.set(clock.now().replace(minute=0))
    for _ in range(4):
        code = request(deployment)
        for _ in range(5):
            with pytest.raises(WrongSignInCode):
                actions.sign_in(deployment, ALICE, wrong(code), BROWSER)
    code = request(deployment)
    with pytest.raises(TooMany):
        actions.sign_in(deployment, ALICE, code, BROWSER)
    clock.advance(minutes=60)
    actions.sign_in(deployment, ALICE, request(deployment), BROWSER)


# With WeChat, which has said who it is


OPENID, UNIONID = "oAlice-at-this-account", "uAlice-everywhere"


def test_wechat_signs_a_new_person_in(deployment: Deployment) -> None:
    signed_in = actions.sign_in_with_wechat(deployment, people.wechat(OPENID), BROWSER, None)
    assert signed_in == SignedIn(signed_in.customer, BROWSER, is_new=True)
    again = actions.sign_in_with_wechat(
        deployment, people.wechat(OPENID, UNIONID), OTHER_BROWSER, None
    )
    assert again == SignedIn(signed_in.customer, OTHER_BROWSER, is_new=False)
    elsewhere = people.wechat("oAlice-at-the-other-account", UNIONID)
    assert actions.sign_in_with_wechat(deployment, elsewhere, BROWSER, None).customer == (
        signed_in.customer
    )
    assert (count(deployment, Customer), count(deployment, Identity)) == (1, 3)
    assert count(deployment, Consent) == 1


def test_wechat_is_added_to_what_a_customer_is_known_by(deployment: Deployment) -> None:
    by_phone = actions.sign_in(deployment, ALICE, request(deployment), BROWSER)
    alice = by_phone.customer
    linked = actions.sign_in_with_wechat(deployment, people.wechat(OPENID), BROWSER, alice)
    assert linked == SignedIn(alice, BROWSER, is_new=False)
    found = actions.sign_in_with_wechat(deployment, people.wechat(OPENID), OTHER_BROWSER, None)
    assert found.customer == alice


def test_another_customers_wechat_stays_hers(deployment: Deployment) -> None:
    alice = actions.sign_in_with_wechat(deployment, people.wechat(OPENID), BROWSER, None).customer
    bob, _ = actions.add_customer(deployment, [people.phone("13900139000")], None)
    with pytest.raises(WechatTaken):
        actions.sign_in_with_wechat(deployment, people.wechat(OPENID), OTHER_BROWSER, bob)
    with deployment.db.read() as tx:
        assert people.visitors_of(tx, bob) == []
        assert people.visitors_of(tx, alice) == [BROWSER]


def test_a_session_older_than_the_database_adds_to_nobody(deployment: Deployment) -> None:
    signed_in = actions.sign_in_with_wechat(deployment, people.wechat(OPENID), BROWSER, 4711)
    assert signed_in.is_new


def test_two_pages_that_come_back_from_wechat_at_once_are_one_customer(
    deployment: Deployment,
) -> None:
    def sign_in(browser: int) -> Callable[[], SignedIn]:
        who = people.wechat(OPENID, UNIONID)
        return lambda: actions.sign_in_with_wechat(deployment, who, browser, None)

    outcomes = at_once([sign_in(browser) for browser in range(1, 6)])
    assert len({getattr(each, "customer", each) for each in outcomes}) == 1
    assert (count(deployment, Customer), count(deployment, Identity)) == (1, 2)


# At the same moment


def test_two_who_sign_up_a_new_phone_at_once_are_one_customer(deployment: Deployment) -> None:
    outcomes = at_once([lambda: actions.add_customer(deployment, [ALICE], None)] * 6)
    assert len({customer for customer, _ in outcomes}) == 1
    assert sorted(is_new for _, is_new in outcomes) == [False] * 5 + [True]
    assert (count(deployment, Customer), count(deployment, Identity)) == (1, 1)


def test_a_sign_up_waits_for_one_of_the_same_person(deployment: Deployment) -> None:
    external = people.external("A-1")
    first, second = overtaken(
        deployment.db,
        lambda tx: actions.add_customer(deployment, [ALICE], None),
        lambda: actions.add_customer(deployment, [external, ALICE], None),
    )
    assert first == (second[0], True)
    assert second[1] is False
    assert (count(deployment, Customer), count(deployment, Identity)) == (1, 2)


def test_one_code_signs_in_one_of_two_at_once(deployment: Deployment) -> None:
    code = request(deployment)

    outcomes = at_once([lambda: actions.sign_in(deployment, ALICE, code, BROWSER)] * 2)
    assert sum(isinstance(each, SignedIn) for each in outcomes) == 1
    assert sum(isinstance(each, SignInCodeSpent) for each in outcomes) == 1
    assert count(deployment, Customer) == 1


def test_two_codes_asked_for_at_once_leave_one_that_holds(deployment: Deployment) -> None:
    """Somebody presses the button twice, and two processes answer."""
    now = deployment.clock.now()

    def issue(code: str) -> Callable[[Session], None]:
        return lambda tx: people.issue_sign_in_code(tx, deployment.keys, ALICE, code, BROWSER, now)

    outcome = overtaken(
        deployment.db, issue("111111"), lambda: deployment.db.transact(issue("222222"))
    )
    assert outcome == (None, None)
    assert count(deployment, SignInCode) == 1
    with pytest.raises(WrongSignInCode):
        actions.sign_in(deployment, ALICE, "111111", BROWSER)
    assert actions.sign_in(deployment, ALICE, "222222", BROWSER).is_new


def test_two_customers_who_take_one_browser_at_once_get_one_each(deployment: Deployment) -> None:
    charlie = people.phone("13900139000")
    codes = {who: request(deployment, who) for who in (ALICE, charlie)}

    def sign_in(who: people.Contact) -> Callable[[], SignedIn]:
        return lambda: actions.sign_in(deployment, who, codes[who], BROWSER)

    one, two = at_once([sign_in(ALICE), sign_in(charlie)])
    assert isinstance(one, SignedIn)
    assert isinstance(two, SignedIn)
    assert one.visitor != two.visitor
    assert BROWSER in {one.visitor, two.visitor}


# Customers that staff or the API bring


def test_a_customer_of_the_api_is_the_one_who_signs_in_later(brand: Brand) -> None:
    alice, _, _ = cast_of(brand)
    customer, is_new = actions.add_customer(
        brand.deployment, [people.external("A-1"), alice.contact], " Alice\n🍵 "
    )
    assert is_new
    assert alice.sign_in() == customer


def test_it_rejects_a_bad_name_and_adds_nobody(deployment: Deployment) -> None:
    for name in ("", "x" * 4000):
        with pytest.raises(BadName):
            actions.add_customer(deployment, [ALICE], name)
    assert count(deployment, Customer) == 0


@pytest.mark.parametrize(
    "name",
    [
        "138 0013 8000",
        "加微信abc123领红包",
        "WeChat: abc_123",
        "www.example.com",
        "https://example.com/x",
        "alice@example.com",
    ],
)
def test_nobody_gives_herself_a_name_that_says_where_she_is_reached(
    brand: Brand, name: str
) -> None:
    alice, _, _ = cast_of(brand)
    customer = alice.sign_in()
    with pytest.raises(NameIsContact):
        actions.rename(brand.deployment, customer, name)


@pytest.mark.parametrize("name", ["Alice 1990", "小雾🍵", "Room 101", "微信", "QQ", "3-2-1 Los!"])
def test_other_names_are_her_own(brand: Brand, name: str) -> None:
    alice, _, _ = cast_of(brand)
    actions.rename(brand.deployment, alice.sign_in(), name)


def test_it_rejects_the_details_of_two_people_and_changes_nothing(brand: Brand) -> None:
    alice, bob, _ = cast_of(brand)
    alice.sign_in()
    bob.sign_in()
    before = count(brand.deployment, Identity)
    with pytest.raises(CustomerExists):
        actions.add_customer(
            brand.deployment, [people.external("X"), alice.contact, bob.contact], None
        )
    assert count(brand.deployment, Identity) == before
