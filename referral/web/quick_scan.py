"""The quick answer to somebody who scans a fresh code: the page that was made for another code of
the same batch a moment ago, with this one's texts put in.

Only a code that nobody has scanned or claimed, on sale, in its market, scanned by a browser on
which nobody is signed in: of such codes the page says the same. Its state is asked for each time,
so what is voided, recalled or claimed is told at once; the rest is as old as the showcase at most.
"""

import re
from datetime import datetime
from functools import lru_cache
from wsgiref.types import WSGIEnvironment

from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header

from referral import links, places
from referral.batches import Entry
from referral.campaigns import of_stores
from referral.codes import ALPHABET, LENGTH, Code, UnknownCode
from referral.deployment import Deployment
from referral.links import Channel, VisitorCookie
from referral.people import new_visitor_id
from referral.ranges import Span
from referral.web import kept_scans, plain, resolver, scan, security, sharing
from referral.web.context import VISITOR_COOKIE, is_wechat
from referral.web.kept import KeptPage
from referral.web.plain import Page

ENDPOINT = resolver.SCAN_ENDPOINT
ACCEPT_LENGTH_MAX = 512
VARY = ("Vary", "Accept, Accept-Language, Cookie")
_BEGIN, _BETWEEN = "/01/", "/21/"
_GTIN_LENGTH = 14
_PATH_LENGTH = len(_BEGIN) + _GTIN_LENGTH + len(_BETWEEN) + LENGTH
_PATH = re.compile(rf"/01/(\d{{{_GTIN_LENGTH}}})/21/([{ALPHABET}]{{{LENGTH}}})", re.ASCII)


def may_be(path: str) -> bool:
    """Whether a path may be the one spelling of a package's address."""
    return len(path) == _PATH_LENGTH and path.startswith(_BEGIN)


def page_for(opened: Deployment, environ: WSGIEnvironment) -> Page | None:
    """The page for who scans a fresh code; None where it is Flask's to answer. Raises `Problem`."""
    path = environ["PATH_INFO"]
    address = _PATH.fullmatch(path)
    accept = environ.get("HTTP_ACCEPT", "")
    if address is None or len(accept) > ACCEPT_LENGTH_MAX or not _wants_page(accept):
        return None
    cookies = plain.cookies_of_nobody(environ)
    if cookies is None:
        return None
    genuine = _genuine(opened, address[1], address[2], plain.address_of(environ))
    if genuine is None:
        return None
    code, batch = genuine
    span = opened.fresh_codes.span(code)
    region, now = opened.places.region(plain.address_of(environ)), opened.clock.now()
    if span is None or not _is_sold(span, region, opened.local(now)):
        return None

    agent = environ.get("HTTP_USER_AGENT", "")
    known = opened.links.read_cookie(cookies.get(VISITOR_COOKIE))
    reader = known or VisitorCookie(new_visitor_id())
    running = opened.showcase.running(now)
    found = of_stores.for_package(running.of(batch, now), lambda: span.terms.store_id)
    campaign = scan.campaign_for(found, reader)
    in_wechat = is_wechat(agent, opened)
    lang = plain.language_of(opened, environ, cookies)
    variant = kept_scans.variant_of(code, batch, span.terms, campaign, lang, in_wechat=in_wechat)
    made = running.made.get(variant)
    if not isinstance(made, KeptPage):
        return None

    is_crowd = known is None and opened.guessing.is_crowd(
        code.batch_id, code.index, plain.address_of(environ), is_fresh=True
    )
    reason = "crowd" if is_crowd else None
    visit = scan.visit_of(code, span, campaign, reader.visitor, now, region, machine=reason)
    plain.Handing(opened, environ, visit).finish()
    if not is_crowd:
        opened.fresh_codes.note(visit)
    nonce, tokens = security.new_nonce(), dict[Channel, str]()
    if campaign is not None:
        own = links.own_link(reader, campaign.id, None)
        tokens = opened.links.tokens(own, sharing.ways_of(own, is_wechat=in_wechat))
    body = made.sent(kept_scans.texts_of(code, tokens, nonce))
    is_https = opened.config.is_https
    shares_in_wechat = in_wechat and campaign is not None
    answer = plain.headers(nonce, len(body), in_wechat=shares_in_wechat, is_https=is_https)
    answer += (VARY, resolver.linkset_header(opened, path))
    if known is None:
        answer.append(plain.set_cookie(opened, reader))
    return body, answer


@lru_cache(1024)
def _wants_page(accept: str) -> bool:
    return resolver.wants_page(parse_accept_header(accept, MIMEAccept))


def _genuine(opened: Deployment, gtin: str, text: str, address: str) -> tuple[Code, Entry] | None:
    """The code and its batch; None for one that Flask has to say, and count, what is wrong with.

    Raises `Problem` where checking is refused.
    """
    opened.guessing.may_check(None, address)
    try:
        code = opened.read_code(text, is_trusted=False)
    except UnknownCode:
        return None
    opened.guessing.may_check_batch(code.batch_id, None)
    batch = opened.directory.batch(code.batch_id)
    return (code, batch) if batch.gtin == gtin else None


def _is_sold(span: Span, region: str | None, now: datetime) -> bool:
    is_on_sale = span.availability(now) == "on_sale"
    return is_on_sale and places.in_market(span.terms.market, region)
