"""What is plain enough to be answered ahead of Flask, and what surrounds such an answer: the same
functions as always, with what does not change worked out once."""

import time
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from typing import TypeVar
from wsgiref.types import WSGIEnvironment

from werkzeug.http import dump_cookie, parse_cookie

from referral import intake, machines
from referral.config import LANGUAGES
from referral.deployment import Deployment
from referral.errors import Unavailable
from referral.links import VisitorCookie
from referral.visits import Visit
from referral.web import security
from referral.web.context import VISITOR_COOKIE, VISITOR_COOKIE_LIFETIME
from referral.web.language import COOKIE, negotiated
from referral.wechat import SDK

NOT_PLAIN = (
    "QUERY_STRING",
    "HTTP_X_FACEBOOK_LOCALE",
    *(f"HTTP_{name.upper().replace('-', '_')}" for name in machines.PURPOSES),
)
"""What makes a request one for Flask."""
IN_VAIN = "referral.handed_in_in_vain"
"""Set where a visit was to be handed in ahead of Flask and could not be. It may have arrived all
the same, and so is not tried again: that would be another one."""
PAGE = "document"
"""What browsers say that they load when they say it."""
NOTHING: Mapping[str, str] = {}
HOLE = "\0"
"""Stands where each answer has a text of its own."""

Made = TypeVar("Made")
Headers = list[tuple[str, str]]
Page = tuple[bytes, Headers]
"""What is sent, and its headers."""


class Handing:
    """A visit on its way in, while its page is made."""

    def __init__(self, opened: Deployment, environ: WSGIEnvironment, visit: Visit) -> None:
        """Raises `Unavailable`."""
        self._environ = environ
        self._finish = self._tried(lambda: intake.begin(opened, visit))

    def finish(self) -> None:
        """Wait until it is in. Raises `Unavailable`."""
        self._tried(self._finish)

    def _tried(self, step: Callable[[], Made]) -> Made:
        try:
            return step()
        except Unavailable:
            self._environ[IN_VAIN] = True
            raise


def is_plain(environ: WSGIEnvironment) -> bool:
    """Whether a request for a page may be that of a browser that follows a link."""
    if environ["REQUEST_METHOD"] != "GET":
        return False
    for name in NOT_PLAIN:
        if environ.get(name):
            return False
    return bool(environ.get("HTTP_SEC_FETCH_DEST", PAGE) == PAGE)


def cookies_of_nobody(environ: WSGIEnvironment) -> Mapping[str, str] | None:
    """The cookies of a person's browser on which nobody is signed in; None for any other."""
    sent = environ.get("HTTP_COOKIE")
    cookies = parse_cookie(sent) if sent else NOTHING
    if security.SESSION_COOKIE in cookies:
        return None
    is_machine = machines.reason_of_agent(environ.get("HTTP_USER_AGENT", ""))
    return None if is_machine else cookies


def language_of(opened: Deployment, environ: WSGIEnvironment, cookies: Mapping[str, str]) -> str:
    kept = cookies.get(COOKIE, "")
    if kept in LANGUAGES:
        return kept
    return negotiated(environ.get("HTTP_ACCEPT_LANGUAGE", "")) or opened.config.lang


def address_of(environ: WSGIEnvironment) -> str:
    return environ.get("REMOTE_ADDR") or "unknown"


def headers(nonce: str, length: int, *, in_wechat: bool, is_https: bool) -> Headers:
    name, policy, others = _kept_headers(in_wechat, is_https)
    return [("Content-Length", str(length)), (name, nonce.join(policy)), *others]


@cache
def _kept_headers(in_wechat: bool, is_https: bool) -> tuple[str, list[str], Headers]:
    """The header with the page's own nonce, in pieces, and those that are always the same."""
    allowed = {"script-src": security.also(SDK)} if in_wechat else {}
    protecting = security.headers_of(HOLE, allowed, is_https=is_https)
    (policy,) = (name for name, value in protecting.items() if HOLE in value)
    others = {
        "Content-Type": "text/html; charset=utf-8",
        "Cache-Control": security.KEPT_BY_NOBODY,
        **{name: value for name, value in protecting.items() if name != policy},
    }
    return policy, protecting[policy].split(HOLE), list(others.items())


def set_cookie(opened: Deployment, cookie: VisitorCookie) -> tuple[str, str]:
    """The header that gives a browser its visitor's cookie."""
    before, after = _kept_cookie(opened.config.is_https, int(time.time()))
    return "Set-Cookie", f"{before}{opened.links.cookie(cookie)}{after}"


@lru_cache(2)
def _kept_cookie(is_https: bool, _second: int) -> tuple[str, str]:
    """The header around the cookie's value, which needs no quoting. It has a date in it, and so
    is good for a second."""
    text = dump_cookie(
        VISITOR_COOKIE,
        "value",
        max_age=VISITOR_COOKIE_LIFETIME,
        httponly=True,
        samesite="Lax",
        secure=is_https,
    )
    before, _, after = text.partition("value")
    return before, after
