"""Adding a phone number or an e-mail address at one's own page."""

import re

import pytest
from flask import Flask

from referral import actions, people
from referral.clock import HeldClock
from referral.deployment import Deployment
from tests.readers import Reader
from tests.web.conftest import Brand

PHONE, EMAIL = "13800138000", "alice@example.com"


def ask(reader: Reader, contact: str) -> str:
    """Write what is to be added; the code that was sent."""
    reader.get("/me/contact")
    answer = reader.send("/me/contact", contact=contact)
    assert (answer.status_code, answer.location) == (303, "/me/contact/code"), reader.page
    reader.get("/me/contact/code")
    return reader.shown_code()


def add(reader: Reader, contact: str) -> None:
    answer = reader.send("/me/contact/code", code=ask(reader, contact))
    assert (answer.status_code, answer.location) == (303, "/me#ways-title"), reader.page


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 1_000_000:06}"


def ways(reader: Reader) -> str:
    reader.get("/me")
    section = reader.page.partition('id="ways-title"')[2].partition("</section>")[0]
    return " ".join(re.sub(r"<[^>]+>", " ", section).split())


def test_a_phone_customer_sees_hers_masked_and_adds_an_e_mail(
    deployment: Deployment, alice: Reader, app: Flask
) -> None:
    alice.sign_in(PHONE)
    alice.send("/me/name", name="Alice")
    assert "+86****8000" in ways(alice)
    assert PHONE not in alice.page
    assert "Add an e-mail address" in ways(alice)
    add(alice, EMAIL)
    alice.get("/me")
    assert "Added." in alice.page
    said = ways(alice)
    assert "a***@example.com" in said
    assert "Add " not in said
    assert "Added." not in alice.page, "it is said once"
    other = Reader(app)
    other.sign_in(EMAIL)
    assert other.heading == "Hello, Alice"


def test_who_has_only_wechat_adds_a_phone(deployment: Deployment, alice: Reader) -> None:
    alice.sign_in(PHONE)
    customer = actions.sign_in_with_wechat(deployment, people.wechat("oNew"), 5, None).customer
    with alice._client.session_transaction() as session:
        session["customer"] = customer
    assert "WeChat connected Add a phone number or e-mail address" in ways(alice)
    assert "oNew" not in alice.page
    add(alice, "13900139000")
    assert "+86****9000" in ways(alice)


def test_it_needs_a_page_and_its_token(deployment: Deployment, alice: Reader) -> None:
    assert alice.get("/me/contact").location == "/sign-in?next=/me/contact"
    alice.get("/sign-in")
    for path in ("/me/contact", "/me/contact/confirm", "/me/contact/code"):
        assert alice.post(path, {"contact": EMAIL}).status_code == 400, "no token"
        alice.get("/sign-in")
        assert alice.send(path, contact=EMAIL, code="123456").status_code == 303
        alice.get("/sign-in")
    assert alice.get("/me/contact/code").location == "/me/contact"


@pytest.mark.parametrize("typed", ["", "nonsense", "123", "🍵", "x" * 300])
def test_what_is_no_contact_is_refused_kindly(
    deployment: Deployment, alice: Reader, typed: str
) -> None:
    alice.sign_in(PHONE)
    alice.get("/me/contact")
    assert alice.send("/me/contact", contact=typed).status_code == 422
    assert 'aria-invalid="true"' in alice.page
    assert "not a phone number or e-mail" in alice.page


def test_a_second_phone_is_refused_before_a_code_is_sent(
    deployment: Deployment, alice: Reader
) -> None:
    alice.sign_in(PHONE)
    alice.get("/me/contact")
    assert alice.send("/me/contact", contact="13900139000").status_code == 409
    assert "of this kind on your page already" in alice.page


def test_a_wrong_code_adds_nothing(deployment: Deployment, alice: Reader) -> None:
    alice.sign_in(PHONE)
    code = ask(alice, EMAIL)
    for _ in range(5):
        assert alice.send("/me/contact/code", code=wrong(code)).status_code == 403
        assert "not right" in alice.page
    assert alice.send("/me/contact/code", code=code).status_code == 403
    assert "can no longer be used" in alice.page
    assert "example.com" not in ways(alice)


def test_codes_are_not_sent_without_end(deployment: Deployment, alice: Reader) -> None:
    alice.sign_in(PHONE)
    for _ in range(5):
        ask(alice, EMAIL)
    alice.get("/me/contact")
    answer = alice.send("/me/contact", contact=EMAIL)
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) > 0


def test_a_code_to_add_is_none_to_sign_in_with(
    deployment: Deployment, alice: Reader, app: Flask
) -> None:
    """Whoever is talked into telling it has not given her own page away with it."""
    alice.sign_in(PHONE)
    code = ask(alice, EMAIL)
    alice.get("/me")
    alice.send("/sign-out")
    alice.get("/sign-in")
    alice.send("/sign-in", contact=EMAIL, agree="1")
    alice.get("/sign-in/code")
    if alice.shown_code() != code:  # one time in a million they are the same
        assert alice.send("/sign-in/code", code=code).status_code == 403


# What is somebody else's


def test_before_the_code_nothing_tells_whose_a_contact_is(
    deployment: Deployment, alice: Reader, bob: Reader
) -> None:
    bob.sign_in("bob@example.com")
    alice.sign_in(PHONE)
    pages = []
    for contact in ("bob@example.com", "new@example.com"):
        code = ask(alice, contact)
        pages.append(re.sub(r"nonce=\S+|value=\S+|\d{6}|b\*\*\*|n\*\*\*", "", alice.page))
        assert alice.send("/me/contact/code", code=wrong(code)).status_code == 403
        pages.append(re.sub(r"nonce=\S+|value=\S+|\d{6}|b\*\*\*|n\*\*\*", "", alice.page))
    assert pages[:2] == pages[2:]


def test_who_has_the_code_is_asked_and_told_no_name_of_the_other_page(
    deployment: Deployment, alice: Reader, bob: Reader, app: Flask
) -> None:
    bob.sign_in("bob@example.com")
    bob.send("/me/name", name="Robert")
    alice.sign_in(PHONE)
    code = ask(alice, "bob@example.com")
    answer = alice.send("/me/contact/code", code=code)
    assert (answer.status_code, answer.location) == (303, "/me/contact/join")
    alice.get("/me/contact/join")
    assert alice.heading == "You have another page here"
    assert "b***@example.com" in alice.page
    assert "Robert" not in alice.page
    # Until she says so, the two stay as they were.
    assert "example.com" not in ways(alice)
    assert alice.heading == "Hello"
    again = Reader(app)
    again.sign_in("bob@example.com")
    assert again.heading == "Hello, Robert"


# Two pages that are one person's


def show(reader: Reader, contact: str) -> None:
    """Come as far as the page where the two are put together."""
    reader.get("/me/contact?join=1")
    reader.send("/me/contact", contact=contact, join="1")
    reader.get("/me/contact/code")
    assert reader.send("/me/contact/code", code=reader.shown_code()).location == "/me/contact/join"
    reader.get("/me/contact/join")


def test_two_pages_become_one_and_both_sessions_go_on(
    brand: Brand, alice: Reader, bob: Reader
) -> None:
    bob.sign_in("13900139000")
    bob.send("/me/name", name="Robert")
    bob.claim(brand.path(1))
    alice.sign_in(PHONE)
    alice.claim(brand.path(2))
    show(alice, "13900139000")
    assert alice.send("/me/contact/join").location == "/me"
    alice.get("/me")
    assert "Your two pages are one now." in alice.page
    assert "Your two pages are one now." not in bob.page
    said = ways(alice)
    assert "+86****8000" in said
    assert "+86****9000" in said
    bob.get("/me")
    assert bob.heading == alice.heading == "Hello, Robert"
    assert alice.page.count("Cold Brew Tea") == bob.page.count("Cold Brew Tea") >= 2
    bob.send("/me/name", name="Bobby")
    alice.get("/me")
    assert alice.heading == "Hello, Bobby"


def test_pressing_twice_puts_them_together_once(brand: Brand, alice: Reader, bob: Reader) -> None:
    bob.sign_in("13900139000")
    alice.sign_in(PHONE)
    show(alice, "13900139000")
    with alice._client.session_transaction() as session:
        joining = session["joining"]
    page = alice.page
    assert alice.send("/me/contact/join").location == "/me"
    with alice._client.session_transaction() as session:
        session["joining"] = joining
    alice.page = page
    assert alice.send("/me/contact/join").location == "/me"
    with brand.deployment.db.read() as tx:
        owners = {
            people.find_customer(tx, brand.deployment.keys, people.phone(each))
            for each in (PHONE, "13900139000")
        }
        assert len(owners) == 1
        assert len(people.merges_of(tx, owners.pop() or 0)) == 1


def test_it_needs_the_token_the_code_and_a_fresh_sign_in(
    deployment: Deployment, alice: Reader, bob: Reader, clock: HeldClock
) -> None:
    bob.sign_in("13900139000")
    alice.sign_in(PHONE)
    assert alice.get("/me/contact/join").location == "/me/contact", "no code was entered"
    show(alice, "13900139000")
    assert alice.post("/me/contact/join").status_code == 400
    alice.get("/me/contact/join")
    clock.advance(minutes=10)
    assert alice.send("/me/contact/join").location == "/me"
    assert "+86****9000" not in ways(alice)


def test_a_number_without_a_page_is_said_to_have_none(
    deployment: Deployment, alice: Reader
) -> None:
    alice.sign_in(PHONE)
    alice.get("/me/contact?join=1")
    alice.send("/me/contact", contact="13900139000", join="1")
    alice.get("/me/contact/code")
    assert alice.send("/me/contact/code", code=alice.shown_code()).status_code == 404
    assert "no other page under this number" in alice.page
    assert "9000" not in ways(alice)


def test_what_one_customer_began_another_does_not_finish(
    deployment: Deployment, alice: Reader
) -> None:
    alice.sign_in(PHONE)
    code = ask(alice, EMAIL)
    with alice._client.session_transaction() as session:
        begun = session["adding"]
    alice.get("/me")
    alice.send("/sign-out")
    alice.sign_in("13900139000")
    with alice._client.session_transaction() as session:
        session["adding"] = begun
    alice.get("/me")
    assert alice.send("/me/contact/code", code=code).location == "/me/contact"
    assert "example.com" not in ways(alice)


# A page that was left open


def test_a_page_signed_in_long_ago_asks_for_a_code_first(
    deployment: Deployment, alice: Reader, clock: HeldClock
) -> None:
    alice.sign_in(PHONE)
    clock.advance(minutes=31)
    alice.get("/me/contact")
    assert 'name="contact"' not in alice.page
    assert alice.send("/me/contact", contact=EMAIL).location == "/me/contact"
    assert alice.get("/me/contact/code").location == "/me/contact", "no code was sent"
    alice.get("/me/contact")
    assert "Send a code to +86****8000" in alice.page
    assert alice.send("/me/contact/confirm").location == "/sign-in/code"
    alice.get("/sign-in/code")
    answer = alice.send("/sign-in/code", code=alice.shown_code())
    assert (answer.status_code, answer.location) == (303, "/me/contact")
    add(alice, EMAIL)
    assert "a***@example.com" in ways(alice)


def test_a_session_from_before_is_one_of_long_ago(deployment: Deployment, alice: Reader) -> None:
    alice.sign_in(PHONE)
    with alice._client.session_transaction() as session:
        del session["at"]
    alice.get("/me/contact")
    assert "First show us that it is you" in alice.page


def test_it_confirms_by_what_she_is_known_by_and_by_nothing_else(
    deployment: Deployment, alice: Reader, clock: HeldClock
) -> None:
    alice.sign_in(EMAIL)
    clock.advance(days=1)
    alice.get("/me/contact")
    alice.send("/me/contact/confirm", contact="13900139000")
    alice.get("/sign-in/code")
    assert "a***@example.com" in alice.page
