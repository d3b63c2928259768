"""Signing in to the console at the brand's provider, through the pages."""

from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
import requests
from flask import Flask

from referral.clock import HeldClock
from referral.config import OidcSettings
from referral.deployment import Deployment
from referral.staff import sessions
from referral.staff.provider import Provider
from referral.web import connect
from tests.readers import Reader
from tests.staff.provider import FakeProvider
from tests.web.staff.conftest import sign_in, text
from tests.web.staff.test_second_step import confirm, member, set_up

START, BACK = "/staff/sign-in/single", "/staff/sign-in/single/back"


@pytest.fixture
def there(app: Flask, deployment: Deployment, clock: HeldClock) -> Iterator[FakeProvider]:
    """The brand's provider, at which Olga has an account."""
    with FakeProvider(now=clock.now().timestamp()) as there:
        settings = OidcSettings(there.issuer, there.client_id, there.secret)
        connect(app, replace(deployment, provider=Provider(settings, clock)))
        yield there
        connect(app, deployment)


def asked(reader: Reader, then: str = "/staff/") -> str:
    """Press the button; what the provider's page sends the browser back to."""
    answer = reader.get(f"{START}?{urlencode({'next': then})}")
    assert answer.status_code == 303, text(reader)
    back = requests.get(answer.location, allow_redirects=False, timeout=5)
    assert back.status_code == 302, back.text
    return back.headers["Location"]


def come_back(reader: Reader, address: str, **changed: str | None) -> int:
    parts = urlsplit(address)
    query = {**dict(parse_qsl(parts.query)), **changed}
    left = {name: value for name, value in query.items() if value is not None}
    return reader.get(f"{parts.path}?{urlencode(left)}").status_code


def test_a_member_signs_in_there_and_is_led_to_where_he_wanted(
    app: Flask, there: FakeProvider, olga: None, deployment: Deployment, clock: HeldClock
) -> None:
    reader = Reader(app)
    reader.get("/staff/sign-in?next=/staff/tree")
    assert f'href="{START}?next=/staff/tree"' in reader.page
    address = asked(reader, "/staff/tree")
    assert address.startswith(f"http://localhost{BACK}?")
    assert reader.get(address).location == "/staff/tree"
    assert reader.get("/staff/").status_code == 200
    with deployment.db.read() as tx:
        assert sessions.running(tx, member(deployment).id, clock.now())[0].how == "oidc"
    reader.get("/staff/account/security")
    assert "Linked since" in text(reader)
    confirm(reader)
    reader.send("/staff/account/single-sign-on/unlink")
    reader.get("/staff/account/security")
    assert "Not linked yet" in text(reader)


def refused(reader: Reader, address: str, sentence: str, **changed: str | None) -> None:
    assert come_back(reader, address, **changed) == 403
    assert sentence in text(reader)
    assert reader.heading == "Staff sign-in"
    assert reader.get("/staff/").status_code == 303


NOT_FINISHED = "This single sign-on was not finished"


@pytest.mark.parametrize(
    "changed",
    [
        {"state": "another"},
        {"state": None},
        {"state": "é"},
        {"code": None},
        {"code": "another"},
        {"code": "x" * 5000},
        {"iss": "https://evil.example"},
    ],
    ids=str,
)
def test_an_answer_that_is_not_to_this_browsers_question_is_refused(
    app: Flask, there: FakeProvider, olga: None, changed: dict[str, str | None]
) -> None:
    reader = Reader(app)
    refused(reader, asked(reader), NOT_FINISHED, **changed)


def test_another_browsers_answer_is_refused(app: Flask, there: FakeProvider, olga: None) -> None:
    address = asked(Reader(app))
    refused(Reader(app), address, NOT_FINISHED)
    reader = Reader(app)
    asked(reader)
    refused(reader, address, NOT_FINISHED)


def test_an_answer_is_good_once_and_for_ten_minutes(
    app: Flask, there: FakeProvider, olga: None, clock: HeldClock
) -> None:
    reader = Reader(app)
    address = asked(reader)
    kept = reader.cookie("referral_session") or ""
    assert come_back(reader, address) == 303
    assert come_back(reader, address) == 302, "who is signed in goes on to the console"
    thief = Reader(app)
    thief.set_cookie("referral_session", kept)
    refused(thief, address, NOT_FINISHED)
    late = Reader(app)
    address = asked(late)
    clock.advance(minutes=10, seconds=1)
    refused(late, address, NOT_FINISHED)


@pytest.mark.parametrize(
    "claims",
    [{"nonce": "another"}, {"aud": "another"}, {"exp": 1}, {"iss": "https://evil.example"}],
    ids=str,
)
def test_a_token_that_is_not_right_lets_nobody_in(
    app: Flask, there: FakeProvider, olga: None, claims: dict[str, object]
) -> None:
    there.claims = claims
    reader = Reader(app)
    refused(reader, asked(reader), NOT_FINISHED)


def test_nobody_is_made_by_signing_in(app: Flask, there: FakeProvider, olga: None) -> None:
    there.email = "eve@brand.example"
    reader = Reader(app)
    refused(reader, asked(reader), "Nobody here has the e-mail address of your account.")
    there.email, there.is_verified = "olga@brand.example", False
    refused(reader, asked(reader), "Your account has no e-mail address that was verified.")


def test_another_account_with_the_address_of_a_member_is_refused(
    app: Flask, there: FakeProvider, olga: None
) -> None:
    first = Reader(app)
    assert come_back(first, asked(first)) == 303
    there.subject = "another"
    reader = Reader(app)
    refused(reader, asked(reader), "Your e-mail address belongs to another account there")


def test_who_says_no_there_can_sign_in_with_a_password(
    app: Flask, there: FakeProvider, olga: None
) -> None:
    there.declines = True
    reader = Reader(app)
    refused(reader, asked(reader), NOT_FINISHED)
    sign_in(reader, "olga")


def test_while_the_provider_is_away_a_page_says_so(
    app: Flask, there: FakeProvider, olga: None
) -> None:
    there.is_away = True
    reader = Reader(app)
    assert reader.get(f"{START}?next=/staff/tree").status_code == 503
    assert "Single sign-on does not answer just now." in text(reader)
    assert 'name="next" value="/staff/tree"' in reader.page
    sign_in(reader, "olga")


def test_a_second_factor_is_asked_for_unless_the_provider_asked(
    app: Flask, there: FakeProvider, owner: Reader, clock: HeldClock
) -> None:
    set_up(owner, clock)
    there.now = clock.now().timestamp()
    reader = Reader(app)
    assert come_back(reader, asked(reader)) == 303
    assert reader.get("/staff/").status_code == 303
    reader.get("/staff/sign-in/second")
    assert "Code of your app" in text(reader)
    there.claims = {"amr": ["mfa", "pwd"]}
    assert come_back(reader, asked(reader)) == 303
    assert reader.get("/staff/").status_code == 200


def test_without_a_provider_there_is_no_such_page(app: Flask, olga: None) -> None:
    reader = Reader(app)
    reader.get("/staff/sign-in")
    assert START not in reader.page
    for path in (START, BACK):
        assert reader.get(path).status_code == 404
