"""What protects every answer: sessions, forgery protection, headers."""

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from apiflask import APIFlask
from flask import Flask, Request, Response, g, request
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface
from flask_wtf.csrf import CSRFProtect

from referral.chance import random_bytes
from referral.deployment import Deployment
from referral.web.context import deployment, set_visitor_cookie

SESSION_COOKIE = "referral_session"
SESSION_LIFETIME = timedelta(days=180)
csrf = CSRFProtect()


class Sessions(SecureCookieSessionInterface):
    """Flask's sessions, without setting up to verify a cookie that is not there."""

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        if self.get_cookie_name(app) not in request.cookies:
            return self.session_class()
        return super().open_session(app, request)


def set_up(app: APIFlask) -> None:
    app.session_interface = Sessions()
    app.config.update(
        SESSION_COOKIE_NAME=SESSION_COOKIE,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        PERMANENT_SESSION_LIFETIME=SESSION_LIFETIME,
        # Only what changes a session sets its cookie: an answer still on its way when somebody
        # signs out must not sign her in again, and no cache may find a session on a picture.
        SESSION_REFRESH_EACH_REQUEST=False,
        # A form left open overnight still works; the token lives as long as the session.
        WTF_CSRF_TIME_LIMIT=None,
        # The token and SameSite protect; a Referer is what private browsing leaves out.
        WTF_CSRF_SSL_STRICT=False,
        SEND_FILE_MAX_AGE_DEFAULT=timedelta(days=365),
    )
    csrf.init_app(app)
    app.before_request(_make_nonce)
    app.after_request(_set_headers)
    app.after_request(set_visitor_cookie)
    app.url_defaults(_version_static_files)
    app.context_processor(lambda: {"csp_nonce": _nonce()})


def connect(app: APIFlask, opened: Deployment) -> None:
    keys = [key.hex() for key in opened.keys.derive_all("session")]
    app.config.update(
        SECRET_KEY=keys[0],
        SECRET_KEY_FALLBACKS=keys[1:],
        SESSION_COOKIE_SECURE=opened.config.is_https,
    )


def is_same_site() -> bool:
    """Whether a request without a form token comes from a page of ours, where the browser says."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site in {"same-origin", "same-site", "none"}
    origin = request.headers.get("Origin")
    return origin is None or urlsplit(origin).netloc in {
        request.host,
        urlsplit(deployment().config.base_url).netloc,
    }


def local_path(target: str | None, default: str) -> str:
    """`target` when it is a path on this site: a redirect never leads elsewhere."""
    if (
        not target
        or not target.startswith("/")
        or target[1:2] in {"/", "\\"}
        or any(ord(letter) < 33 for letter in target)
    ):
        return default
    return target


def allow(directive: str, source: str) -> None:
    """Let the page of this answer use something that is not ours."""
    g.setdefault("allowed", {})[directive] = also(source)


def also(source: str) -> str:
    return f" {source}"


def headers_of(nonce: str, allowed: Mapping[str, str], *, is_https: bool) -> dict[str, str]:
    """What every answer has; `allowed` is what `allow` let its page use, by directive."""
    script, form = allowed.get("script-src", ""), allowed.get("form-action", "")
    frames, frame = allowed.get("frame-ancestors", " 'none'"), allowed.get("frame-src", " 'none'")
    return {
        "Content-Security-Policy": (
            f"default-src 'none'; script-src 'nonce-{nonce}'{script}; "
            f"style-src 'self' 'nonce-{nonce}'; img-src 'self' data: https:; font-src 'self'; "
            f"connect-src 'self'; form-action 'self'{form}; "
            f"frame-src{frame}; "
            f"manifest-src 'self'; base-uri 'none'; frame-ancestors{frames}"
        ),
        **(_ALWAYS_OVER_HTTPS if is_https else _ALWAYS),
    }


_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
_ALWAYS_OVER_HTTPS = {**_ALWAYS, "Strict-Transport-Security": "max-age=31536000"}
_BITMAPS = frozenset({"image/png", "image/jpeg", "image/webp"})
_BITMAP_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
"""Of a picture that is opened by itself, as a poster is to be printed: a browser lays it out with
styles of its own, and there is nothing in it that could run. SVG has the policy of pages."""
KEPT_BY_NOBODY = "no-store"
"""Pages hold a person's own link and points: no shared cache may keep them."""


def new_nonce() -> str:
    return urlsafe_b64encode(random_bytes(16)).rstrip(b"=").decode()


def _make_nonce() -> None:
    g.csp_nonce = new_nonce()


def _nonce() -> str:
    # A request that is refused by what runs before `_make_nonce` has none yet.
    if "csp_nonce" not in g:
        _make_nonce()
    return str(g.csp_nonce)


def _set_headers(response: Response) -> Response:
    if response.mimetype in _BITMAPS:
        response.headers.setdefault("Content-Security-Policy", _BITMAP_POLICY)
    is_https = deployment().config.is_https
    own = headers_of(_nonce(), g.get("allowed", {}), is_https=is_https)
    for name, value in own.items():
        response.headers.setdefault(name, value)
    if response.mimetype == "text/html":
        response.headers.setdefault("Cache-Control", KEPT_BY_NOBODY)
    return response


def _version_static_files(endpoint: str, values: dict[str, Any]) -> None:
    if endpoint == "static" and "v" not in values and values.get("filename"):
        values["v"] = _file_version(values["filename"])


@cache
def _file_version(filename: str) -> str:
    path = Path(__file__).resolve().parents[2] / "static" / filename
    return hashlib.sha256(path.read_bytes()).hexdigest()[:10] if path.is_file() else "0"
