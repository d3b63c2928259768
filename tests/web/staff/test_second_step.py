"""Signing in with a second factor, and a member's own page about what he signs in with."""

import html
import re
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pyotp
import pytest
from flask import Flask

from referral import actions, audit
from referral.clock import HeldClock
from referral.deployment import Deployment
from referral.staff import StaffMember, second_factors, sessions, staff_by_email
from referral.web import connect
from tests.readers import Reader
from tests.web.staff.conftest import PASSWORD, sign_in, text

OLGA = "olga@brand.example"
ADDRESS = "/staff/account/security"


def member(deployment: Deployment, email: str = OLGA) -> StaffMember:
    with deployment.db.read() as tx:
        found = staff_by_email(tx, email)
    assert found
    return found


def give_password(reader: Reader, then: str = "/staff/") -> str:
    """Send e-mail address and password. Returns where that leads to."""
    reader.get("/staff/sign-in")
    answer = reader.send("/staff/sign-in", email=OLGA, password=PASSWORD, next=then)
    assert answer.status_code == 303, text(reader)
    return str(answer.location)


def offered(reader: Reader) -> tuple[str, str]:
    """The secret on the page and the sealed one of its form."""
    address = re.search(r'href="(otpauth:[^"]+)"', reader.page)
    sealed = re.search(r'name="offer" value="([^"]+)"', reader.page)
    assert address
    assert sealed
    secret = parse_qs(urlsplit(html.unescape(address[1])).query)["secret"][0]
    return secret, sealed[1]


def codes_on(reader: Reader) -> list[str]:
    return re.findall(r"<li>(\w{4}-\w{4}-\w{4})</li>", reader.page)


def set_up(reader: Reader, clock: HeldClock, path: str = "/staff/account/totp") -> str:
    """Set up an app on a page. Returns its secret, a minute later."""
    reader.get(path)
    secret, sealed = offered(reader)
    answer = reader.send(path, offer=sealed, code=pyotp.TOTP(secret).at(clock.now()))
    assert answer.status_code == 200, text(reader)
    assert len(codes_on(reader)) == 10
    clock.advance(minutes=1)
    return secret


def now_code(secret: str, clock: HeldClock) -> str:
    return pyotp.TOTP(secret).at(clock.now())


@pytest.fixture
def secret(owner: Reader, clock: HeldClock) -> str:
    """Of Olga's app, which she has just set up on her own page."""
    return set_up(owner, clock)


@pytest.fixture
def strict(app: Flask, deployment: Deployment) -> Iterator[Deployment]:
    """Owners need a second factor."""
    config = replace(deployment.config, second_factor_roles=frozenset({"owner"}))
    strict = replace(deployment, config=config)
    connect(app, strict)
    yield strict
    connect(app, deployment)


# Signing in


def test_after_the_password_a_code_is_asked_for(
    app: Flask, secret: str, clock: HeldClock, deployment: Deployment
) -> None:
    reader = Reader(app)
    assert give_password(reader, "/staff/tree") == "/staff/sign-in/second"
    assert reader.get("/staff/").status_code == 303, "the password alone lets nobody in"
    reader.get("/staff/sign-in/second")
    assert OLGA in text(reader)
    answer = reader.send("/staff/sign-in/second", code=now_code(secret, clock))
    assert (answer.status_code, answer.location) == (303, "/staff/tree")
    assert reader.get("/staff/").status_code == 200
    with deployment.db.read() as tx:
        assert sessions.running(tx, member(deployment).id, clock.now())[0].how == "totp"


def test_a_wrong_code_is_told_noted_and_not_shown_again(
    app: Flask, secret: str, deployment: Deployment
) -> None:
    reader = Reader(app)
    give_password(reader)
    reader.get("/staff/sign-in/second")
    assert reader.send("/staff/sign-in/second", code="987654x").status_code == 403
    assert "This code is not right" in text(reader)
    assert "987654" not in reader.page
    assert reader.get("/staff/").status_code == 303
    with deployment.db.read() as tx:
        noted = audit.of_subject(tx, member(deployment).subject)[-1]
    assert (noted.by, noted.action, noted.details["how"]) == ("stranger", "sign-in failed", "totp")


def test_one_code_opens_one_session(app: Flask, secret: str, clock: HeldClock) -> None:
    code = now_code(secret, clock)
    for expected in (303, 403):
        reader = Reader(app)
        give_password(reader)
        reader.get("/staff/sign-in/second")
        assert reader.send("/staff/sign-in/second", code=code).status_code == expected


def test_after_ten_wrong_codes_it_takes_a_rest(app: Flask, secret: str, clock: HeldClock) -> None:
    reader = Reader(app)
    give_password(reader)
    reader.get("/staff/sign-in/second")
    for _ in range(10):
        assert reader.send("/staff/sign-in/second", code="x").status_code == 403
    answer = reader.send("/staff/sign-in/second", code=now_code(secret, clock))
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) > 0


def test_the_second_step_ends_after_ten_minutes(app: Flask, secret: str, clock: HeldClock) -> None:
    reader = Reader(app)
    give_password(reader)
    reader.get("/staff/sign-in/second")
    clock.advance(minutes=10, seconds=1)
    answer = reader.send("/staff/sign-in/second", code=now_code(secret, clock))
    assert answer.status_code == 403
    assert "This sign-in took too long" in text(reader)
    assert reader.get("/staff/").status_code == 303


def test_a_password_that_is_changed_meanwhile_ends_the_second_step(
    app: Flask, secret: str, clock: HeldClock, deployment: Deployment
) -> None:
    reader = Reader(app)
    give_password(reader)
    reader.get("/staff/sign-in/second")
    actions.change_password(
        deployment, member(deployment).id, "another four ordinary words", kept=None, by=OLGA
    )
    answer = reader.send("/staff/sign-in/second", code=now_code(secret, clock))
    assert answer.status_code == 403


def test_without_a_password_there_is_no_second_step(
    app: Flask, secret: str, clock: HeldClock
) -> None:
    reader = Reader(app)
    for path in ("/staff/sign-in/second", "/staff/sign-in/set-up"):
        assert reader.get(path).status_code == 403
        assert reader.heading == "Staff sign-in"
        answer = reader.send(path, code=now_code(secret, clock))
        assert answer.status_code == 403


def test_a_recovery_code_gets_in_once(app: Flask, owner: Reader, clock: HeldClock) -> None:
    set_up(owner, clock)
    code = codes_on(owner)[3]
    for expected in (303, 403):
        reader = Reader(app)
        give_password(reader)
        reader.get("/staff/sign-in/second?recovery=1")
        assert "Recovery code" in text(reader)
        fields = {"with": "recovery", "code": code.upper()}
        assert reader.send("/staff/sign-in/second", **fields).status_code == expected
    assert "This recovery code is not right" in text(reader)
    owner.get(ADDRESS)
    assert "9 are left" in text(owner)


# Where a role needs one


def test_whose_role_needs_a_second_factor_sets_it_up_before_he_gets_in(
    app: Flask, strict: Deployment, olga: None, clock: HeldClock
) -> None:
    reader = Reader(app)
    assert give_password(reader, "/staff/tree") == "/staff/sign-in/set-up"
    assert reader.get("/staff/").status_code == 303
    secret = set_up(reader, clock, "/staff/sign-in/set-up")
    assert 'href="/staff/tree"' in reader.page
    assert reader.get("/staff/").status_code == 200
    again = Reader(app)
    assert give_password(again) == "/staff/sign-in/second"
    again.get("/staff/sign-in/second")
    answer = again.send("/staff/sign-in/second", code=now_code(secret, clock))
    assert answer.location == "/staff/"


def test_a_wrong_first_code_keeps_what_was_scanned(
    app: Flask, strict: Deployment, olga: None, clock: HeldClock
) -> None:
    reader = Reader(app)
    give_password(reader)
    path = "/staff/sign-in/set-up"
    reader.get(path)
    secret, sealed = offered(reader)
    assert reader.send(path, offer=sealed, code="12").status_code == 403
    assert offered(reader) == (secret, sealed)
    clock.advance(minutes=5)
    assert reader.send(path, offer="x", code="12").status_code == 403
    assert "This page was open for too long" in text(reader)
    assert offered(reader)[0] != secret


def test_others_get_in_as_before(app: Flask, strict: Deployment, ann: None) -> None:
    sign_in(Reader(app), "ann")


def test_with_a_password_alone_nobody_sets_up_a_factor_beside_another(
    app: Flask, strict: Deployment, olga: None, clock: HeldClock
) -> None:
    first, second = Reader(app), Reader(app)
    give_password(second)
    second.get("/staff/sign-in/set-up")
    secret, sealed = offered(second)
    give_password(first)
    set_up(first, clock, "/staff/sign-in/set-up")
    answer = second.send(
        "/staff/sign-in/set-up", offer=sealed, code=pyotp.TOTP(secret).at(clock.now())
    )
    assert answer.location == "/staff/sign-in/second"
    assert second.get("/staff/").status_code == 303
    assert second.get("/staff/sign-in/set-up").location == "/staff/sign-in/second"


def test_the_last_factor_stays_where_the_role_needs_one(
    app: Flask, strict: Deployment, olga: None, clock: HeldClock
) -> None:
    reader = Reader(app)
    give_password(reader)
    set_up(reader, clock, "/staff/sign-in/set-up")
    confirm(reader)
    assert reader.send("/staff/account/totp/remove").status_code == 409
    assert "Your role needs a second factor" in text(reader)


# One's own page


def confirm(reader: Reader, **given: str) -> None:
    reader.get("/staff/confirm")
    answer = reader.send("/staff/confirm", next=ADDRESS, **(given or {"password": PASSWORD}))
    assert (answer.status_code, answer.location) == (303, ADDRESS), text(reader)
    reader.get(ADDRESS)


def test_the_page_says_what_there_is(owner: Reader, clock: HeldClock) -> None:
    owner.get(ADDRESS)
    assert "Your password alone opens your account" in text(owner)
    assert "Recovery codes" not in text(owner)
    set_up(owner, clock)
    owner.get(ADDRESS)
    assert "On. After the password you are asked for a code of your app." in text(owner)
    assert "10 are left" in text(owner)
    assert owner.get("/staff/account/totp").location == ADDRESS


def test_recovery_codes_are_shown_once_and_kept_by_no_cache(
    owner: Reader, clock: HeldClock
) -> None:
    set_up(owner, clock)
    codes = codes_on(owner)
    owner.get(ADDRESS)
    assert not any(code in owner.page for code in codes)
    confirm(owner)
    answer = owner.send("/staff/account/recovery-codes")
    assert answer.headers["Cache-Control"] == "no-store"
    assert len(codes_on(owner)) == 10
    assert not set(codes) & set(codes_on(owner))


REMOVALS = (
    "/staff/account/totp/remove",
    "/staff/account/recovery-codes",
    "/staff/account/passkeys/1/remove",
    "/staff/account/single-sign-on/unlink",
)


@pytest.mark.parametrize("number", ["0", "7", str(2**63), "9" * 30])
def test_a_passkey_that_nobody_has_is_not_found(owner: Reader, number: str) -> None:
    confirm(owner, password=PASSWORD)
    owner.get(ADDRESS)
    assert owner.send(f"/staff/account/passkeys/{number}/remove").status_code == 404


def test_nothing_is_removed_without_a_new_proof(
    owner: Reader, secret: str, deployment: Deployment, clock: HeldClock
) -> None:
    for path in REMOVALS:
        owner.get(ADDRESS)
        assert owner.send(path).location == f"/staff/confirm?next={ADDRESS}"
    with deployment.db.read() as tx:
        assert second_factors.of_member(tx, member(deployment).id).recovery_codes == 10
    confirm(owner)
    clock.advance(minutes=5, seconds=1)
    assert owner.send("/staff/account/totp/remove").location.startswith("/staff/confirm")
    confirm(owner, code=now_code(secret, clock))
    assert owner.send("/staff/account/totp/remove").location == ADDRESS
    owner.get(ADDRESS)
    assert "Your account does not ask for a code any more." in text(owner)
    assert "Your password alone opens your account" in text(owner)


def test_a_proof_that_is_wrong_proves_nothing(owner: Reader, secret: str) -> None:
    owner.get("/staff/confirm")
    for given in ({"password": "wrong"}, {"password": ""}, {"code": "123456x"}, {}):
        answer = owner.send("/staff/confirm", next=ADDRESS, **given)
        assert answer.status_code == 403
    owner.get(ADDRESS)
    assert owner.send("/staff/account/totp/remove").location.startswith("/staff/confirm")


def test_a_proof_is_of_one_session(
    app: Flask, owner: Reader, secret: str, clock: HeldClock
) -> None:
    confirm(owner)
    owner.send("/staff/sign-out")
    give_password(owner)
    owner.get("/staff/sign-in/second")
    owner.send("/staff/sign-in/second", code=now_code(secret, clock))
    owner.get(ADDRESS)
    assert owner.send("/staff/account/totp/remove").location.startswith("/staff/confirm")


def test_ten_minutes_after_signing_in_adding_needs_a_proof_too(
    owner: Reader, clock: HeldClock
) -> None:
    clock.advance(minutes=10, seconds=1)
    assert owner.get("/staff/account/totp").location == "/staff/confirm?next=/staff/account/totp"
    owner.get(ADDRESS)
    assert owner.send("/staff/account/totp").location.startswith("/staff/confirm")
    confirm(owner)
    assert owner.get("/staff/account/totp").status_code == 200


def test_the_qr_code_says_what_the_key_says(owner: Reader) -> None:
    owner.get("/staff/account/totp")
    secret, _ = offered(owner)
    grouped = " ".join(secret[at : at + 4] for at in range(0, len(secret), 4))
    assert grouped in text(owner)
    assert 'src="data:image/svg+xml;base64,' in owner.page


def test_every_member_has_this_page(analyst: Reader) -> None:
    for path in (ADDRESS, "/staff/account/totp", "/staff/confirm"):
        assert analyst.get(path).status_code == 200
