"""The quick answer to somebody who opens a share link or scans a fresh code: out of memory, ahead
of Flask.

In a campaign that goes round, nearly every request is a browser opening a link whose page was made
for another reader a moment ago. Here such a page is filled in and the visit handed in, by the same
functions as always, without what else surrounds a request, which takes longer than all of that.
Whatever is not that plain goes to Flask, which also makes the pages that are kept.
"""

import time
from collections.abc import Callable, Iterable
from wsgiref.types import StartResponse, WSGIEnvironment

from referral import channels, links
from referral.deployment import Deployment
from referral.errors import Problem
from referral.links import TOKEN_LENGTH, VisitorCookie
from referral.people import new_visitor_id
from referral.web import answers, landing, plain, quick_scan, security, sharing
from referral.web.context import VISITOR_COOKIE, is_wechat
from referral.web.kept import KeptPage
from referral.web.plain import NOTHING, Page
from referral.web.share_links import opening

__all__ = ["Page", "Quick", "page_for"]

PATH = "/s/"
PATH_LENGTH = len(PATH) + TOKEN_LENGTH
ENDPOINT = "share_links.landing"
VARY = ("Vary", "Accept-Language, Cookie")

WSGI = Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]


class Quick:
    """A WSGI application that answers ahead of another one where it can."""

    def __init__(self, rest: WSGI, opened: Callable[[], Deployment]) -> None:
        self._rest = rest
        self._opened = opened

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        begun = time.perf_counter()
        path = environ["PATH_INFO"]
        page, endpoint = None, ENDPOINT
        if len(path) == PATH_LENGTH and path.startswith(PATH):
            page = self._page(page_for, environ)
        elif quick_scan.may_be(path):
            endpoint = quick_scan.ENDPOINT
            page = self._page(quick_scan.page_for, environ)
        if page is None:
            return self._rest(environ, start_response)
        body, headers = page
        number = answers.new_request_id()
        headers.append(("X-Request-ID", number))
        answers.note_page(endpoint, time.perf_counter() - begun, number)
        start_response("200 OK", headers)
        return [body]

    def _page(
        self,
        page_for: Callable[[Deployment, WSGIEnvironment], Page | None],
        environ: WSGIEnvironment,
    ) -> Page | None:
        if not plain.is_plain(environ):
            return None
        try:
            return page_for(self._opened(), environ)
        except Problem:
            return None  # such as a database that is away: Flask says so in words


def page_for(opened: Deployment, environ: WSGIEnvironment) -> Page | None:
    """The page for who opens a share link; None where it is Flask's to answer. Raises `Problem`."""
    cookies = plain.cookies_of_nobody(environ)
    if cookies is None:
        return None
    token, now = environ["PATH_INFO"][len(PATH) :], opened.clock.now()
    link = opened.links.read(token)
    shown = opened.showcase.find(link.campaign) if link else None
    if link is None or shown is None or not shown.campaign.runs_at(now):
        return None

    agent = environ.get("HTTP_USER_AGENT", "")
    known = opened.links.read_cookie(cookies.get(VISITOR_COOKIE))
    reader = known or VisitorCookie(new_visitor_id())
    via = link.through(channels.arrived_through(link.channel, NOTHING, agent))
    arrival = links.arrive(reader, via, None, now, shown.campaign.window)
    in_wechat = is_wechat(agent, opened)
    variant = landing.variant_of(
        plain.language_of(opened, environ, cookies),
        in_wechat=in_wechat,
        is_own=arrival.is_own,
        sharer_name=landing.name_of(opened, shown, link.customer),
    )
    kept = shown.made.get(variant)
    if not isinstance(kept, KeptPage) or shown.campaign.redirects:
        return None

    region = opened.places.region(plain.address_of(environ))
    visit = opening(via, reader.visitor, now, region, is_own=arrival.is_own)
    handing = plain.Handing(opened, environ, visit)
    nonce = security.new_nonce()
    tokens = opened.links.tokens(arrival.own, sharing.ways_of(arrival.own, is_wechat=in_wechat))
    body = kept.sent(landing.texts_of(tokens, token, nonce))
    is_https = opened.config.is_https
    answer = plain.headers(nonce, len(body), in_wechat=in_wechat, is_https=is_https)
    answer.append(VARY)
    if arrival.cookie != known:
        answer.append(plain.set_cookie(opened, arrival.cookie))
    handing.finish()
    return body, answer
