"""Signing in and out."""

import re
from urllib.parse import quote

import pytest
from flask import Flask

from referral.clock import HeldClock
from referral.deployment import Deployment
from referral.errors import TooMany
from tests.readers import Reader
from tests.web.conftest import Brand


def ask_for_code(reader: Reader, contact: str) -> str:
    reader.get("/sign-in")
    assert reader.send("/sign-in", contact=contact, agree="1").status_code == 303
    reader.get("/sign-in/code")
    return reader.shown_code()


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 1_000_000:06}"


def test_it_signs_in_by_phone_and_leads_back(brand: Brand, alice: Reader) -> None:
    answer = alice.sign_in("138 0013 8000", then=brand.path(1))
    assert answer.request.path == brand.path(1)
    assert "First verified just now" in alice.heading


def test_it_takes_full_width_digits(deployment: Deployment, alice: Reader) -> None:
    code = ask_for_code(alice, "１３８００１３８０００")
    wide = code.translate({ord("0") + n: ord("０") + n for n in range(10)})
    assert alice.send("/sign-in/code", code=wide).status_code == 303


@pytest.mark.parametrize(
    "contact", ["", "hello", "123", "a@", "@b.c", "1" * 300, "🍵", "a\x00b@c.de"]
)
def test_it_refuses_what_is_no_contact(deployment: Deployment, alice: Reader, contact: str) -> None:
    alice.get("/sign-in")
    assert alice.send("/sign-in", contact=contact, agree="1").status_code == 422
    assert "not a phone number or e-mail" in alice.page


def test_it_asks_for_consent(deployment: Deployment, alice: Reader) -> None:
    alice.get("/sign-in")
    assert alice.send("/sign-in", contact="13800138000").status_code == 422
    assert "agree" in alice.page


def test_a_wrong_number_keeps_the_consent(deployment: Deployment, alice: Reader) -> None:
    alice.get("/sign-in")
    assert " checked" not in alice.page
    alice.send("/sign-in", contact="1380013800", agree="yes")
    assert re.search('<input type="checkbox" name="agree"[^>]* checked>', alice.page)


def test_the_sixth_try_fails_even_when_right(deployment: Deployment, alice: Reader) -> None:
    code = ask_for_code(alice, "13800138000")
    for _ in range(5):
        assert alice.send("/sign-in/code", code=wrong(code)).status_code == 403
        assert "not right" in alice.page
    assert alice.send("/sign-in/code", code=code).status_code == 403
    assert "can no longer be used" in alice.page
    assert alice.get("/me").status_code == 302


def test_a_code_expires(deployment: Deployment, alice: Reader, clock: HeldClock) -> None:
    code = ask_for_code(alice, "13800138000")
    clock.advance(minutes=11)
    assert alice.send("/sign-in/code", code=code).status_code == 403


def test_a_code_works_once(deployment: Deployment, alice: Reader, app: Flask) -> None:
    code = ask_for_code(alice, "13800138000")
    other = Reader(app)
    assert alice.send("/sign-in/code", code=code).status_code == 303
    other.get("/sign-in")
    ask_for_code(other, "13800138001")
    assert other.send("/sign-in/code", code=code).status_code == 403


def test_codes_are_not_sent_without_end(deployment: Deployment, alice: Reader) -> None:
    for _ in range(5):
        ask_for_code(alice, "13800138000")
    alice.get("/sign-in")
    answer = alice.send("/sign-in", contact="13800138000", agree="1")
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) > 0


def test_a_stranger_who_knows_the_number_does_not_keep_its_owner_out(
    deployment: Deployment, alice: Reader, app: Flask
) -> None:
    code = ask_for_code(alice, "13800138000")
    stranger = Reader(app)
    ask_for_code(stranger, "13800138000")
    for _ in range(25):
        assert stranger.send("/sign-in/code", code=wrong(code)).status_code in {403, 429}
    assert alice.send("/sign-in/code", code=code).status_code == 303
    assert alice.get("/me").status_code == 200


def test_a_code_is_good_in_the_browser_that_asked_for_it(
    deployment: Deployment, alice: Reader, app: Flask
) -> None:
    code = ask_for_code(alice, "13800138000")
    other = Reader(app)
    shown = ask_for_code(other, "13800138000")
    if shown != code:  # one time in a million they are the same
        assert other.send("/sign-in/code", code=code).status_code == 403
    assert other.send("/sign-in/code", code=shown).status_code == 303


@pytest.mark.parametrize("agent", ["", "curl/8.5.0"])
def test_whoever_asks_for_a_code_comes_back_as_the_same_visitor(
    deployment: Deployment, app: Flask, agent: str
) -> None:
    """A browser that looks like a machine is told apart from others all the same."""
    reader = Reader(app, agent=agent)
    ask_for_code(reader, "13800138000")
    asked_as = reader.cookie("referral_visitor")
    assert asked_as is not None
    assert reader.send("/sign-in/code", code=reader.shown_code()).status_code == 303
    assert reader.cookie("referral_visitor") == asked_as


def test_one_address_does_not_guess_without_end(
    deployment: Deployment, alice: Reader, clock: HeldClock
) -> None:
    clock.set(clock.now().replace(minute=0, second=0))
    code = ask_for_code(alice, "13800138000")
    for _ in range(300):
        deployment.limits.sign_in_address("127.0.0.1")
    answer = alice.send("/sign-in/code", code=code)
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) == 3600
    clock.advance(minutes=60)
    alice.sign_in("13800138000")
    for _ in range(300):
        deployment.limits.sign_in_address("127.0.0.1")  # the right code was not one of them
    with pytest.raises(TooMany):
        deployment.limits.sign_in_address("127.0.0.1")


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example", "/\\evil.example", "/\t/evil.example"]
)
def test_it_never_redirects_elsewhere(deployment: Deployment, alice: Reader, target: str) -> None:
    answer = alice.sign_in("13800138000", then=target)
    assert answer.request.path == "/me"
    assert alice.get(f"/sign-in?next={quote(target)}").location == "/me"


def test_two_devices_are_one_customer(brand: Brand, alice: Reader, app: Flask) -> None:
    alice.sign_in("13800138000")
    alice.claim(brand.path(1))
    second = Reader(app)
    second.sign_in("+86 138-0013-8000")
    second.get(brand.path(1))
    assert second.heading == "You already have this."


def test_a_second_person_on_one_phone_is_a_person_of_her_own(brand: Brand, alice: Reader) -> None:
    alice.sign_in("13800138000")
    alice.claim(brand.path(1))
    before = alice.cookie("referral_visitor")
    alice.get("/me")
    alice.send("/sign-out")
    assert alice.get("/me").status_code == 302
    alice.sign_in("13800138001")
    assert alice.cookie("referral_visitor") != before
    alice.get(brand.path(1))
    assert alice.heading.startswith("Claimed by someone")
