"""A stand-in for a provider of OpenID Connect: answers on a port as real ones do, and counts.

    with FakeProvider() as there:
        settings = OidcSettings(there.issuer, there.client_id, there.secret)

It signs with keys of its own, keeps to PKCE and gives each code out for once. What a test has it do
wrong is set on it. Nothing of it is known to the service, which talks to it as to a real one.
"""

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey


@dataclass
class FakeProvider:
    """A provider with one client and whoever sits at the keyboard (`subject`, `email`)."""

    client_id: str = "referral-console"
    secret: str = "a secret: with + and /"
    subject: str = "248289761001"
    email: str | None = "olga@brand.example"
    is_verified: bool = True
    declines: bool = False
    """The member says no."""
    now: float | None = None
    """Its clock; None for the real one."""
    claims: dict[str, Any] = field(default_factory=dict)
    """What it says otherwise in its tokens than it should; None leaves a claim out."""
    by_userinfo: bool = False
    """The address is not in the token, and has to be asked for."""
    userinfo_subject: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    """What it says otherwise of itself."""
    is_away: bool = False
    """It answers everything with an error of its own."""
    algorithm: str = "RS256"
    calls: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._codes: dict[str, dict[str, str]] = {}
        self._tokens: dict[str, str] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.there = self  # type: ignore[attr-defined]
        self._server.daemon_threads = True
        self.issuer = f"http://127.0.0.1:{self._server.server_address[1]}/realms/brand"
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._sign_with(_first_key())

    def __enter__(self) -> "FakeProvider":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def change_keys(self) -> None:
        """Sign with another key from now on; the one before is not published any more."""
        self._sign_with(_new_key())

    def _sign_with(self, key: RSAKey) -> None:
        self.key = key
        self.signs_with: Any = key

    # What it answers

    def answer(self, method: str, path: str, sent: dict[str, str], headers: Any) -> tuple[int, Any]:
        name = path.rsplit("/", 1)[-1]
        self.calls[name] += 1
        if self.is_away:
            return 502, {}
        if name == "openid-configuration":
            return 200, self._about()
        if name == "certs":
            return 200, KeySet([self.key]).as_dict(private=False)
        if name == "token" and method == "POST":
            return self._token(sent, headers)
        if name == "userinfo":
            return self._userinfo(headers)
        return 404, {}

    def _about(self) -> dict[str, Any]:
        base = f"{self.issuer}/protocol"
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{base}/auth",
            "token_endpoint": f"{base}/token",
            "userinfo_endpoint": f"{base}/userinfo",
            "jwks_uri": f"{base}/certs",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "code_challenge_methods_supported": ["S256"],
            **self.metadata,
        }

    def authorize(self, query: str) -> str | None:
        """Where the page leads on to that asks a member; None when it shows an error."""
        given = dict(parse_qsl(query, keep_blank_values=True))
        self.calls["auth"] += 1
        wanted = {"response_type": "code", "client_id": self.client_id}
        if any(given.get(name) != value for name, value in wanted.items()):
            return None
        if "openid" not in given.get("scope", "").split():
            return None
        if given.get("code_challenge_method") != "S256" or not given.get("code_challenge"):
            return None
        back = {"state": given["state"], "iss": self.issuer}
        if self.declines:
            back["error"] = "access_denied"
        else:
            back["code"] = secrets.token_urlsafe(24)
            self._codes[back["code"]] = given
        return f"{given['redirect_uri']}?{urlencode(back)}"

    def _token(self, sent: dict[str, str], headers: Any) -> tuple[int, Any]:
        kind, _, pair = headers.get("Authorization", "").partition(" ")
        name, _, secret = base64.b64decode(pair).decode().partition(":")
        if kind != "Basic" or (unquote(name), unquote(secret)) != (self.client_id, self.secret):
            return 401, {"error": "invalid_client"}
        asked = self._codes.pop(sent.get("code", ""), None)
        if asked is None or sent.get("grant_type") != "authorization_code":
            return 400, {"error": "invalid_grant"}
        hashed = hashlib.sha256(sent.get("code_verifier", "").encode()).digest()
        if base64.urlsafe_b64encode(hashed).rstrip(b"=").decode() != asked["code_challenge"]:
            return 400, {"error": "invalid_grant"}
        if sent.get("redirect_uri") != asked["redirect_uri"]:
            return 400, {"error": "invalid_grant"}
        token = secrets.token_urlsafe(24)
        self._tokens[token] = self.subject
        return 200, {
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": 300,
            "id_token": self._id_token(asked),
        }

    def _id_token(self, asked: dict[str, str]) -> str:
        now = int(self.now or time.time())
        claims = {
            "iss": self.issuer,
            "sub": self.subject,
            "aud": self.client_id,
            "iat": now,
            "exp": now + 300,
            "nonce": asked.get("nonce"),
        }
        if self.email is not None and not self.by_userinfo:
            claims |= {"email": self.email, "email_verified": self.is_verified}
        claims |= self.claims
        told = {name: value for name, value in claims.items() if value is not None}
        header = {"alg": self.algorithm, "kid": self.key.kid}
        if self.algorithm != "RS256":
            return self._forged(header, told)
        return jwt.encode(header, told, self.signs_with, algorithms=[self.algorithm])

    def _forged(self, header: dict[str, Any], claims: dict[str, Any]) -> str:
        """What no library makes: signed with `signs_with`, which is not secret, or not at all."""
        text = ".".join(_encoded(json.dumps(part).encode()) for part in (header, claims))
        if self.algorithm == "none":
            return f"{text}."
        return f"{text}.{_encoded(hmac.digest(self.signs_with, text.encode(), 'sha256'))}"

    def _userinfo(self, headers: Any) -> tuple[int, Any]:
        subject = self._tokens.get(headers.get("Authorization", "").removeprefix("Bearer "))
        if subject is None:
            return 401, {}
        told = {"sub": self.userinfo_subject or subject}
        if self.email is not None:
            told |= {"email": self.email, "email_verified": self.is_verified}
        return 200, told


def _new_key() -> RSAKey:
    told = {"kid": secrets.token_hex(4), "use": "sig"}
    return RSAKey.generate_key(2048, told, private=True)


@cache
def _first_key() -> RSAKey:
    """Making one takes longer than most tests."""
    return _new_key()


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self._answer("")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers["Content-Length"])).decode())

    def _answer(self, body: str) -> None:
        there: FakeProvider = self.server.there  # type: ignore[attr-defined]
        parts = urlsplit(self.path)
        if parts.path.endswith("/auth"):
            target = there.authorize(parts.query)
            self.send_response(302 if target else 400)
            if target:
                self.send_header("Location", target)
            self._end("" if target else "<h1>Invalid parameter</h1>", "text/html")
            return
        status, told = there.answer(self.command, parts.path, dict(parse_qsl(body)), self.headers)
        self.send_response(status)
        self._end(json.dumps(told), "application/json")

    def _end(self, text: str, kind: str) -> None:
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name there
        pass
