"""Single sign-on: a provider that answers as a real one, and everything it could get wrong."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import requests
from joserfc.jwk import RSAKey

from referral import actions, audit
from referral.clock import HeldClock
from referral.config import OidcSettings
from referral.deployment import Deployment
from referral.staff import StaffMember, subjects
from referral.staff import provider as provider_module
from referral.staff.provider import Begun, Provider, ProviderAway, SignInElsewhereFailed
from referral.staff.subjects import BoundToAnother, EmailNotVerified, NotStaff, Person
from tests.staff.conftest import add_member
from tests.staff.provider import FakeProvider

BACK = "http://localhost/staff/sign-in/single/back"


@pytest.fixture
def there(clock: HeldClock) -> Iterator[FakeProvider]:
    with FakeProvider(now=clock.now().timestamp()) as started:
        yield started


@pytest.fixture
def provider(there: FakeProvider, clock: HeldClock) -> Provider:
    return Provider(OidcSettings(there.issuer, there.client_id, there.secret), clock)


def came_back(provider: Provider, begun: Begun) -> str:
    """Sign in there; the code that the browser brings back."""
    answer = requests.get(provider.sign_in_address(begun, BACK), allow_redirects=False, timeout=5)
    assert answer.status_code == 302, answer.text
    where, _, query = answer.headers["Location"].partition("?")
    given = dict(pair.split("=") for pair in query.split("&"))
    assert where == BACK
    assert given["state"] == begun.state
    return given["code"]


def person(provider: Provider, begun: Begun | None = None) -> Person:
    begun = begun or Begun.new()
    return provider.person(begun, came_back(provider, begun), BACK)


def test_a_member_comes_back_as_who_he_is_there(there: FakeProvider, provider: Provider) -> None:
    for _ in range(2):
        assert person(provider) == Person(
            there.issuer, "248289761001", "olga@brand.example", used_second_factor=False
        )
    assert there.calls["openid-configuration"] == there.calls["certs"] == 1, "kept for an hour"


def test_the_address_may_have_to_be_asked_for(there: FakeProvider, provider: Provider) -> None:
    there.by_userinfo = True
    assert person(provider).email == "olga@brand.example"
    there.userinfo_subject = "somebody else"
    with pytest.raises(SignInElsewhereFailed):
        person(provider)


def test_an_address_that_was_not_verified_is_none(there: FakeProvider, provider: Provider) -> None:
    for claims in ({"email_verified": False}, {"email_verified": None}, {"email_verified": "yes"}):
        there.claims = claims
        assert person(provider).email is None


def test_a_second_factor_counts_when_the_provider_says_so(
    there: FakeProvider, provider: Provider
) -> None:
    there.claims = {"amr": ["pwd", "mfa"]}
    assert person(provider).used_second_factor
    there.claims = {"amr": ["pwd"]}
    assert not person(provider).used_second_factor


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "another sign-in's"},
        {"nonce": None},
        {"aud": "another-client"},
        {"aud": ["another-client"]},
        {"aud": None},
        {"aud": ["referral-console", "another-client"], "azp": "another-client"},
        {"iss": "https://evil.example"},
        {"iss": None},
        {"exp": 1},
        {"exp": None},
        {"exp": "soon"},
        {"iat": 99_999_999_999},
        {"nbf": 99_999_999_999},
        {"sub": None},
        {"sub": ""},
        {"sub": "x" * 256},
        {"sub": 7},
        {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"},
    ],
    ids=str,
)
def test_a_token_that_is_not_of_this_sign_in_is_refused(
    there: FakeProvider, provider: Provider, claims: dict[str, Any]
) -> None:
    there.claims = claims
    with pytest.raises(SignInElsewhereFailed):
        person(provider)


def test_a_token_that_has_just_ended_is_refused_but_for_a_minute(
    there: FakeProvider, provider: Provider, clock: HeldClock
) -> None:
    clock.advance(seconds=300 + 59)
    assert person(provider).subject == there.subject
    clock.advance(seconds=1)
    with pytest.raises(SignInElsewhereFailed):
        person(provider)


def test_a_token_of_another_key_is_refused(there: FakeProvider, provider: Provider) -> None:
    there.signs_with = RSAKey.generate_key(2048, {"kid": there.key.kid}, private=True)
    with pytest.raises(SignInElsewhereFailed):
        person(provider)


@pytest.mark.parametrize("algorithm", ["HS256", "none"])
def test_a_token_signed_with_what_everybody_knows_is_refused(
    there: FakeProvider, provider: Provider, algorithm: str
) -> None:
    there.algorithm = algorithm
    for known in (there.key.as_pem(private=False), there.secret.encode(), b""):
        there.signs_with = known
        with pytest.raises(SignInElsewhereFailed):
            person(provider)


def test_new_keys_of_the_provider_are_found(
    there: FakeProvider, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    person(provider)
    there.change_keys()
    with pytest.raises(SignInElsewhereFailed):
        person(provider)  # it is not asked again and again
    monkeypatch.setattr(provider_module, "REST_SECONDS", 0.0)
    assert person(provider).subject == there.subject


def test_a_code_is_good_once_and_with_what_this_browser_kept(
    there: FakeProvider, provider: Provider
) -> None:
    begun = Begun.new()
    code = came_back(provider, begun)
    with pytest.raises(SignInElsewhereFailed):
        provider.person(replace(begun, verifier=Begun.new().verifier), code, BACK)
    code = came_back(provider, begun)
    provider.person(begun, code, BACK)
    with pytest.raises(SignInElsewhereFailed):
        provider.person(begun, code, BACK)


def test_the_clients_secret_is_asked_for(there: FakeProvider, provider: Provider) -> None:
    code = came_back(provider, begun := Begun.new())
    there.secret = "another one"
    with pytest.raises(SignInElsewhereFailed):
        provider.person(begun, code, BACK)


@pytest.mark.parametrize(
    "metadata",
    [
        {"issuer": "https://evil.example"},
        {"token_endpoint": None},
        {"jwks_uri": "file:///etc/passwd"},
        {"authorization_endpoint": "javascript:alert(1)"},
    ],
    ids=str,
)
def test_a_provider_that_is_not_the_one_that_was_set_is_not_used(
    there: FakeProvider, provider: Provider, metadata: dict[str, Any]
) -> None:
    there.metadata = metadata
    with pytest.raises(ProviderAway):
        provider.sign_in_address(Begun.new(), BACK)


def test_a_provider_that_is_away_is_left_alone_for_a_moment(
    there: FakeProvider, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    there.is_away = True
    for _ in range(3):
        with pytest.raises(ProviderAway):
            provider.sign_in_address(Begun.new(), BACK)
    assert there.calls["openid-configuration"] == 1
    there.is_away = False
    monkeypatch.setattr(provider, "_resting_until", 0.0)
    assert provider.sign_in_address(Begun.new(), BACK).startswith(there.issuer)


def test_a_provider_that_goes_away_in_between_is_away(
    there: FakeProvider, provider: Provider
) -> None:
    code = came_back(provider, begun := Begun.new())
    there.is_away = True
    with pytest.raises(ProviderAway):
        provider.person(begun, code, BACK)


def test_nobody_listens_there(clock: HeldClock) -> None:
    nowhere = Provider(OidcSettings("http://127.0.0.1:9", "x", "y"), clock)
    with pytest.raises(ProviderAway):
        nowhere.sign_in_address(Begun.new(), BACK)


# Whose account that is

OLGA = Person("https://login.example", "1", "Olga@Brand.example")


def recognise(deployment: Deployment, who: Person, state: str | None = None) -> StaffMember | None:
    ends = deployment.clock.now() + timedelta(minutes=10)
    return actions.recognise(deployment, who, state or Begun.new().state, ends)


def test_a_member_is_known_by_the_address_once_and_by_the_subject_from_then_on(
    deployment: Deployment, olga: StaffMember
) -> None:
    for who in (OLGA, OLGA, replace(OLGA, email="new@brand.example"), replace(OLGA, email=None)):
        found = recognise(deployment, who)
        assert found
        assert found.id == olga.id
    with deployment.db.read() as tx:
        linked = [
            each.details
            for each in audit.of_subject(tx, olga.subject)
            if each.action == "single sign-on linked"
        ]
        assert subjects.bound_at(tx, olga.id, OLGA.issuer) == deployment.clock.now()
    assert linked == [{"issuer": OLGA.issuer}]


def test_nobody_is_made_by_himself(deployment: Deployment, olga: StaffMember) -> None:
    add_member(deployment, "mark")
    for email in ("eve@brand.example", "", "mar\u212a@brand.example"):
        with pytest.raises(NotStaff):
            recognise(deployment, replace(OLGA, email=email))
    with pytest.raises(EmailNotVerified):
        recognise(deployment, replace(OLGA, email=None))


def test_an_address_that_was_given_to_somebody_else_opens_nothing(
    deployment: Deployment, olga: StaffMember
) -> None:
    recognise(deployment, OLGA)
    with pytest.raises(BoundToAnother):
        recognise(deployment, replace(OLGA, subject="2"))
    assert actions.unlink_provider(deployment, olga)
    found = recognise(deployment, replace(OLGA, subject="2"))
    assert found
    assert found.id == olga.id
    with pytest.raises(BoundToAnother):
        recognise(deployment, OLGA)


def test_who_was_switched_off_is_not_let_in(deployment: Deployment, olga: StaffMember) -> None:
    ann = add_member(deployment, "ann")
    theirs = Person(OLGA.issuer, "3", "ann@brand.example")
    recognise(deployment, theirs)
    actions.switch_staff_off(deployment, ann.id, by="olga@brand.example")
    for who in (theirs, replace(theirs, subject="4")):
        with pytest.raises(NotStaff):
            recognise(deployment, who)


def test_a_sign_in_is_finished_once(deployment: Deployment, olga: StaffMember) -> None:
    assert recognise(deployment, OLGA, "one state")
    assert recognise(deployment, OLGA, "one state") is None
