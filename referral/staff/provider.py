"""Signing in at the brand's own provider (OpenID Connect): asking it, and checking what it says.

The code flow with PKCE. What the provider is made of (its addresses and keys) is found by discovery
and kept for a while; while it does not answer it is left alone for some seconds, so that nobody's
thread waits for it in vain. What it says wrongly is logged without the tokens.
"""

import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from referral.clock import Clock
from referral.config import OidcSettings
from referral.errors import N_, Problem
from referral.staff.subjects import SUBJECT_LENGTH_MAX, Person

TIMEOUT_SECONDS = 3.0
"""For a connection, and again for an answer."""
KEPT_SECONDS = 3600.0
"""How long addresses and keys are used before they are asked for again."""
REST_SECONDS = 5.0
"""How long the provider is left alone after it failed, and between two looks for a new key."""
LEEWAY_SECONDS = 60
"""How far its clock may be from ours."""
SCOPE = "openid email"
ALGORITHMS = tuple(f"{kind}{bits}" for kind in ("RS", "PS", "ES") for bits in (256, 384, 512))
"""Only those of key pairs: with a shared secret whoever holds it could sign for anybody."""
ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")


class ProviderAway(Problem):
    slug = "provider-away"
    status = 503
    title = N_("Single sign-on does not answer just now.")
    advice = N_("Please try again in a minute, or sign in with your password.")


class SignInElsewhereFailed(Problem):
    slug = "single-sign-on-failed"
    status = 403
    title = N_("This single sign-on was not finished, or is over already.")
    advice = N_("Please press the button again.")


@dataclass(frozen=True)
class Begun:
    """What the browser keeps of a sign-in that it begins, to be compared when it is back."""

    state: str
    nonce: str
    verifier: str

    @classmethod
    def new(cls) -> "Begun":
        return cls(*(secrets.token_urlsafe(32) for _ in range(3)))


@dataclass(frozen=True)
class _Found:
    """What discovery found."""

    metadata: Mapping[str, Any]
    at: float

    def __getitem__(self, name: str) -> str:
        return str(self.metadata[name])


class _Wrong(Exception):
    """The provider's answer is not what it has to be."""


class Provider:
    def __init__(self, settings: OidcSettings, clock: Clock) -> None:
        self.settings = settings
        self._clock = clock
        self._lock = threading.Lock()
        self._found: _Found | None = None
        self._keys: Any = None
        self._keys_at = 0.0
        self._resting_until = 0.0

    @property
    def issuer(self) -> str:
        return self.settings.issuer

    def sign_in_address(self, begun: Begun, back: str) -> str:
        """Where a member is sent to sign in; he comes `back` with a code. Raises `ProviderAway`."""
        found = self._discovered()
        with self._oauth(found, redirect_uri=back) as oauth:
            address, _ = oauth.create_authorization_url(
                found["authorization_endpoint"],
                state=begun.state,
                nonce=begun.nonce,
                code_verifier=begun.verifier,
            )
        return str(address)

    def person(self, begun: Begun, code: str, back: str) -> Person:
        """Who came back with this code. Raises `SignInElsewhereFailed`, `ProviderAway`."""
        found = self._discovered()
        given = self._exchanged(found, begun, code, back)
        try:
            claims = self._checked(found, begun, given)
            email = self._email(found, claims, given)
        except _Wrong as wrong:
            _log(str(wrong))
            raise SignInElsewhereFailed() from None
        ways = claims.get("amr") or []
        return Person(self.issuer, claims["sub"], email, used_second_factor="mfa" in ways)

    # Asking

    def _discovered(self) -> _Found:
        with self._lock:
            if self._found and time.monotonic() - self._found.at < KEPT_SECONDS:
                return self._found
            address = f"{self.issuer.rstrip('/')}/.well-known/openid-configuration"
            try:
                metadata = self._get(address)
                self._check_metadata(metadata)
            except _Wrong as wrong:
                raise self._away(str(wrong)) from None
            self._found = _Found(metadata, time.monotonic())
            return self._found

    def _check_metadata(self, metadata: Mapping[str, Any]) -> None:
        if metadata.get("issuer") != self.issuer:
            raise _Wrong("the issuer that it names is not REFERRAL_OIDC_ISSUER")
        scheme = urlsplit(self.issuer).scheme
        for name in ENDPOINTS:
            address = metadata.get(name)
            if not isinstance(address, str) or urlsplit(address).scheme not in ("https", scheme):
                raise _Wrong(f"no {name}")

    def _exchanged(self, found: _Found, begun: Begun, code: str, back: str) -> dict[str, Any]:
        from authlib.integrations.base_client.errors import OAuthError

        try:
            with self._oauth(found, redirect_uri=back) as oauth:
                given = oauth.fetch_token(
                    found["token_endpoint"],
                    grant_type="authorization_code",
                    code=code,
                    code_verifier=begun.verifier,
                    allow_redirects=False,
                )
        except OAuthError as refused:  # the code was used before, or is too old
            _log(f"token: {str(refused.error)[:80]}")
            raise SignInElsewhereFailed() from None
        except (OSError, ValueError) as error:
            raise self._away(f"token: {type(error).__name__}") from None
        if not isinstance(given, dict) or not isinstance(given.get("id_token"), str):
            _log("token: no id_token")
            raise SignInElsewhereFailed()
        return dict(given)

    def _email(
        self, found: _Found, claims: Mapping[str, Any], given: Mapping[str, Any]
    ) -> str | None:
        """The verified address, from the token or from where some providers have it alone."""
        address = found.metadata.get("userinfo_endpoint")
        if "email" not in claims and isinstance(address, str):
            told = self._get(address, {"Authorization": f"Bearer {given.get('access_token')}"})
            if told.get("sub") != claims["sub"]:
                raise _Wrong("userinfo: another subject")
            claims = told
        email = claims.get("email")
        is_verified = claims.get("email_verified") is True
        return email if isinstance(email, str) and is_verified else None

    def _get(self, address: str, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
        """A JSON object. Raises `ProviderAway`, and `_Wrong` for what is none."""
        import requests  # slow to import, and the command line hardly needs it

        if time.monotonic() < self._resting_until:
            raise ProviderAway()
        try:
            with requests.get(
                address, headers=headers, timeout=TIMEOUT_SECONDS, allow_redirects=False
            ) as answer:
                if answer.status_code != 200:
                    raise self._away(f"{urlsplit(address).path}: status {answer.status_code}")
                told = answer.json()
        except (OSError, ValueError) as error:
            raise self._away(f"{urlsplit(address).path}: {type(error).__name__}") from None
        if not isinstance(told, dict):
            raise _Wrong(f"{urlsplit(address).path}: no JSON object")
        return told

    def _away(self, why: str) -> ProviderAway:
        """It has just failed: leave it alone for a moment."""
        _log(why)
        self._resting_until = time.monotonic() + REST_SECONDS
        return ProviderAway()

    def _oauth(self, found: _Found, **settings: str) -> Any:
        from authlib.integrations.requests_client import OAuth2Session

        known = found.metadata.get("token_endpoint_auth_methods_supported")
        by_post = isinstance(known, list) and "client_secret_basic" not in known
        return OAuth2Session(
            self.settings.client_id,
            self.settings.client_secret,
            scope=SCOPE,
            code_challenge_method="S256",
            token_endpoint_auth_method="client_secret_post" if by_post else "client_secret_basic",
            default_timeout=TIMEOUT_SECONDS,
            **settings,
        )

    # Checking

    def _checked(self, found: _Found, begun: Begun, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """The claims of an ID token that is the provider's, for us, of this sign-in and not over.

        Raises `_Wrong`.
        """
        from authlib.oidc.core import CodeIDToken
        from joserfc.errors import JoseError

        client_id = self.settings.client_id
        try:
            token = self._verified(found, given["id_token"])
            claims = CodeIDToken(
                token.claims,
                token.header,
                options={
                    "iss": {"essential": True, "value": self.issuer},
                    "aud": {"essential": True, "value": client_id},
                },
                params={
                    "nonce": begun.nonce,
                    "client_id": client_id,
                    "access_token": given.get("access_token"),
                },
            )
            claims.validate(now=int(self._clock.now().timestamp()), leeway=LEEWAY_SECONDS)
        except (JoseError, ValueError, TypeError, KeyError) as wrong:
            raise _Wrong(f"id_token: {type(wrong).__name__} {str(wrong)[:80]}") from None
        if not claims["sub"] or len(claims["sub"]) > SUBJECT_LENGTH_MAX:
            raise _Wrong("id_token: sub")
        return dict(claims)

    def _verified(self, found: _Found, id_token: str) -> Any:
        """The token, if one of the provider's keys signed it. Raises `JoseError`, `_Wrong`."""
        from joserfc import jwt
        from joserfc.errors import InvalidKeyIdError

        try:
            return jwt.decode(id_token, self._key_set(found), algorithms=ALGORITHMS)
        except InvalidKeyIdError:  # it has changed its keys
            return jwt.decode(id_token, self._key_set(found, newer=True), algorithms=ALGORITHMS)

    def _key_set(self, found: _Found, *, newer: bool = False) -> Any:
        with self._lock:
            age = time.monotonic() - self._keys_at
            if self._keys is None or age >= (REST_SECONDS if newer else KEPT_SECONDS):
                self._keys = _key_set(self._get(found["jwks_uri"]))
                self._keys_at = time.monotonic()
            return self._keys


def _key_set(told: Mapping[str, Any]) -> Any:
    """The keys that can verify, of those that are published. Raises `_Wrong`."""
    from joserfc.errors import JoseError
    from joserfc.jwk import KeySet, import_key

    listed = told.get("keys")
    keys = []
    for each in listed if isinstance(listed, list) else []:
        if not isinstance(each, dict) or each.get("kty") not in {"RSA", "EC"}:
            continue
        if each.get("use", "sig") != "sig":
            continue
        try:
            keys.append(import_key(each))
        except (JoseError, ValueError, TypeError):
            continue
    if not keys:
        raise _Wrong("jwks_uri: no key that can verify")
    return KeySet(keys)


def _log(why: str) -> None:
    import structlog  # slow to import as well

    structlog.get_logger().warning("single sign-on", why=why)
