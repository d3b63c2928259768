"""The quick answer to somebody who opens a share link: out of memory, ahead of Flask.

In a campaign that goes round, nearly every request is a browser opening a link whose page was made
for another reader a moment ago. Here such a page is filled in and the visit handed in, by the same
functions as always, without what else surrounds a request, which takes longer than all of that.
Whatever is not that plain goes to Flask, which also makes the pages that are kept.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

from werkzeug.http import dump_cookie, parse_cookie

from referral import channels, intake, links, machines
from referral.config import LANGUAGES
from referral.deployment import Deployment
from referral.errors import Problem, Unavailable
from referral.links import TOKEN_LENGTH, VisitorCookie
from referral.people import new_visitor_id
from referral.web import landing, ops, security, sharing
from referral.web.context import VISITOR_COOKIE, VISITOR_COOKIE_LIFETIME, is_wechat
from referral.web.kept import KeptPage
from referral.web.language import COOKIE, negotiated
from referral.web.share_links import IN_VAIN, opening
from referral.wechat import SDK

PATH = "/s/"
PATH_LENGTH = len(PATH) + TOKEN_LENGTH
ENDPOINT = "share_links.landing"
NOT_PLAIN = ("QUERY_STRING", "HTTP_X_FACEBOOK_LOCALE")
"""What makes an opening one for Flask."""
NO_QUERY: Mapping[str, str] = {}

WSGI = Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]
Page = tuple[bytes, list[tuple[str, str]]]
"""What is sent, and its headers."""


class Quick:
    """A WSGI application that answers ahead of another one where it can."""

    def __init__(self, rest: WSGI, opened: Callable[[], Deployment]) -> None:
        self._rest = rest
        self._opened = opened

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        begun = time.perf_counter()
        page = self._page(environ) if _is_plain(environ) else None
        if page is None:
            return self._rest(environ, start_response)
        body, headers = page
        number = ops.new_request_id()
        ops.note_answer(ENDPOINT, "GET", 200, time.perf_counter() - begun, request_id=number)
        start_response("200 OK", [*headers, ("X-Request-ID", number)])
        return [body]

    def _page(self, environ: WSGIEnvironment) -> Page | None:
        try:
            return page_for(self._opened(), environ)
        except Problem:
            return None  # such as a database that is away: Flask says so in words


def _is_plain(environ: WSGIEnvironment) -> bool:
    path = environ["PATH_INFO"]
    return (
        len(path) == PATH_LENGTH
        and path.startswith(PATH)
        and environ["REQUEST_METHOD"] == "GET"
        and not any(environ.get(name) for name in NOT_PLAIN)
    )


class _Headers:
    """The headers of a request by their names."""

    def __init__(self, environ: Mapping[str, Any]) -> None:
        self._environ = environ

    def get(self, name: str, default: str) -> str:
        return str(self._environ.get(f"HTTP_{name.upper().replace('-', '_')}", default))


def page_for(opened: Deployment, environ: WSGIEnvironment) -> Page | None:
    """The page for this request; None where it is Flask's to answer. Raises `Problem`."""
    headers, cookies = _Headers(environ), parse_cookie(environ.get("HTTP_COOKIE"))
    if security.SESSION_COOKIE in cookies or machines.machine_reason("GET", headers):
        return None
    token, now = environ["PATH_INFO"][len(PATH) :], opened.clock.now()
    link = opened.links.read(token)
    shown = opened.showcase.find(link.campaign) if link else None
    if link is None or shown is None or not shown.campaign.runs_at(now):
        return None

    agent = headers.get("User-Agent", "")
    known = opened.links.read_cookie(cookies.get(VISITOR_COOKIE))
    reader = known or VisitorCookie(new_visitor_id())
    via = link.through(channels.arrived_through(link.channel, NO_QUERY, agent))
    arrival = links.arrive(reader, via, None, now, shown.campaign.window)
    in_wechat = is_wechat(agent, opened)
    variant = landing.variant_of(
        _language(opened, headers, cookies),
        in_wechat=in_wechat,
        is_own=arrival.is_own,
        sharer_name=landing.name_of(opened, shown, link.customer),
    )
    kept = shown.made.get(variant)
    if not isinstance(kept, KeptPage) or shown.campaign.redirects:
        return None

    region = opened.places.region(environ.get("REMOTE_ADDR") or "unknown")
    try:
        intake.hand_in(opened, opening(via, reader.visitor, now, region, is_own=arrival.is_own))
    except Unavailable:
        environ[IN_VAIN] = True
        raise
    nonce = security.new_nonce()
    tokens = opened.links.tokens(arrival.own, sharing.ways_of(arrival.own, is_wechat=in_wechat))
    body = kept.filled(landing.texts_of(tokens, token, nonce)).encode()
    allowed = {"script-src": security.also(SDK)} if in_wechat else {}
    answer = [
        ("Content-Type", "text/html; charset=utf-8"),
        ("Content-Length", str(len(body))),
        ("Cache-Control", security.KEPT_BY_NOBODY),
        ("Vary", "Accept-Language, Cookie"),
        *security.headers_of(nonce, allowed, is_https=opened.config.is_https).items(),
    ]
    if arrival.cookie != known:
        answer.append(("Set-Cookie", _cookie(opened, arrival.cookie)))
    return body, answer


def _language(opened: Deployment, headers: _Headers, cookies: Mapping[str, str]) -> str:
    kept = cookies.get(COOKIE, "")
    if kept in LANGUAGES:
        return kept
    return negotiated(headers.get("Accept-Language", "")) or opened.config.lang


def _cookie(opened: Deployment, cookie: VisitorCookie) -> str:
    return dump_cookie(
        VISITOR_COOKIE,
        opened.links.cookie(cookie),
        max_age=VISITOR_COOKIE_LIFETIME,
        httponly=True,
        samesite="Lax",
        secure=opened.config.is_https,
    )
