"""The resolver of GS1 Digital Links: leads everybody who asks for a product to what they asked for.

A person's browser gets the page of the package or of the product, a machine the list of links or
the kind of link it names. Nothing here says whether a serial number is one of ours: only the scan
page does, which counts the misses. So there is nothing here to guess with.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from flask import Blueprint, Response, render_template, request
from flask_babel import gettext as _
from werkzeug.datastructures import MIMEAccept

from referral import catalog, product_links
from referral.codes import MistypedCode
from referral.deployment import Deployment
from referral.errors import N_, NotFound, Problem
from referral.gs1 import digital_link, link_choice, link_types
from referral.gs1.digital_link import DigitalLink
from referral.gs1.target import Target
from referral.web import errors, linksets
from referral.web.context import deployment
from referral.web.language import language
from referral.web.linksets import CONTEXT, JSON, JSON_LD, LINKSET, Level
from referral.web.problems import problem_response

SCAN_ENDPOINT = "codes.scan"
ALL_LINKS = {"linkset", "all"}
"""Values of ``linkType`` that ask for the list of links; the second is its older name."""
HTML = "text/html"
CONTEXT_RELATION = "http://www.w3.org/ns/json-ld#context"
# What a query may consist of stays as it was sent; the rest cannot stand in a header.
_QUERY_SAFE = "%-._~!$&'()*+,;=:@/?[]"

resolver = Blueprint("resolver", __name__)


class UnknownLinkType(NotFound):
    slug = "unknown-link-type"
    title = N_("There is no link of this kind for this product.")
    advice = N_("Leave the kind out of the address to get to the product itself.")


@resolver.get("/.well-known/gs1resolver")
def description() -> Response:
    """What this resolver can do, in GS1's terms."""
    can_do: dict[str, Any] = {
        "name": deployment().config.brand,
        "resolverRoot": deployment().config.base_url,
        "supportedPrimaryKeys": [digital_link.GTIN],
        "supportedLinkType": [{"namespace": link_types.NAMESPACE, "prefix": link_types.PREFIX}],
        "linkTypeDefaultCanBeLinkset": False,
        "jsonLdContextLocation": CONTEXT,
    }
    return Response(json.dumps(can_do), mimetype=JSON)


@resolver.get("/01/<path:rest>")
def resolve(rest: str) -> Response | str:
    """Every address of a product but the scan page's own, which `answer` is asked about."""
    link = digital_link.parse(_sent_path(), _query())
    asked = _asked()
    if link.serial is not None and asked.nothing:
        if "/" in link.serial:
            raise MistypedCode()  # no scan page has such an address
        # The scan page is at one address only, whatever else the label says of the package.
        return _redirect(_scan_address(link))
    found = _lookup(link)
    outcome = _outcome(found, asked, here=found.product.anchor)
    return outcome or _product_page(found, found.product.targets)


def answer(gtin: str, code: str) -> Response | None:
    """The answer to a request at a scan page's address that does not want the page.

    None when a person's browser asks, and the page is to be shown: nothing is looked up for that.
    A linkset has the scan page in it whether or not the code is known, and the links of the
    product, so that a machine learns nothing about codes.
    """
    try:
        link = digital_link.parse(DigitalLink(gtin, serial=code).path, _query())
        asked = _asked()
        if asked.nothing:
            return None
        outcome = _outcome(_lookup(link), asked, here=_scan_address(link))
    except Problem as problem:
        outcome = _refuse(problem)
    return _for_everybody(outcome) if outcome else None


# What was asked for


@dataclass(frozen=True)
class _Asked:
    """What a request wants of a product."""

    link_type: str | None
    """As it was written; None for no particular one."""
    linkset: str | None
    """The media type in which the list of links is wanted; None when it is not."""

    @property
    def nothing(self) -> bool:
        """Whether the request is that of a browser that follows a plain link."""
        return self.link_type is None and self.linkset is None


def _asked() -> _Asked:
    named = request.args.get("linkType")
    accepted = request.accept_mimetypes
    # Not by quality alone: many programs write */* behind the type they want.
    liked = _liked(accepted)
    if named in ALL_LINKS:
        return _Asked(None, accepted.best_match([LINKSET, JSON, JSON_LD]) or LINKSET)
    # A link that is named may well be JSON itself; only a linkset's own type is plainly not that.
    if liked == LINKSET or (liked != HTML and named is None):
        return _Asked(None, liked)
    return _Asked(named, None)


def _liked(accepted: MIMEAccept) -> str:
    return accepted.best_match([HTML, LINKSET, JSON, JSON_LD]) or HTML


def wants_page(accepted: MIMEAccept) -> bool:
    """Whether a request without a query that accepts this wants the page of a package."""
    return _liked(accepted) == HTML


def _sent_path() -> str:
    """The path as it was sent, in which %2F is a part of a value and / is not.

    Servers that keep only the decoded path have lost that, and an address with a slash in a value
    is then refused.
    """
    raw = request.environ.get("RAW_URI") or request.environ.get("REQUEST_URI") or ""
    sent = raw.partition("?")[0]
    if sent.startswith("/") and unquote(sent) == request.path:
        return str(sent)
    return quote(request.path)


def _query() -> str:
    """The query as it was sent, fit for a header."""
    return quote(request.query_string, safe=_QUERY_SAFE)


# Where it leads


@dataclass(frozen=True)
class _Found:
    """A product and what of it was asked for."""

    gtin: str
    name: str
    product: Level
    package: Level | None
    """None when no single package was asked for."""

    @property
    def levels(self) -> list[Level]:
        """The most particular one first: whatever it has not is looked for further up."""
        return [self.package, self.product] if self.package else [self.product]


def _lookup(link: DigitalLink) -> _Found:
    """Raises `UnknownProduct`."""
    with deployment().db.read() as tx:
        product = catalog.product_by_gtin(tx, link.gtin)
        targets = product_links.links_of(tx, product.id)
    anchor = deployment().address(DigitalLink(link.gtin).path)
    if not any(target.is_default for target in targets):
        targets = [*targets, _own_page(anchor, product.name, targets)]
    package = None
    if link.serial is not None:
        scan_page = Target(
            link_types.VERIFICATION,
            _scan_address(link),
            _("Check this package"),
            media_type=HTML,
            is_default=True,
        )
        package = Level(scan_page.href, product.name, [scan_page])
    return _Found(product.gtin, product.name, Level(anchor, product.name, targets), package)


def _own_page(anchor: str, name: str, targets: Sequence[Target]) -> Target:
    """The product's page here. It is no rival to a product page that staff named."""
    has_page = any(target.link_type == link_types.PRODUCT_PAGE for target in targets)
    kind = link_types.VERIFICATION if has_page else link_types.PRODUCT_PAGE
    return Target(kind, anchor, name, media_type=HTML, is_default=True)


def _scan_address(link: DigitalLink) -> str:
    """The one address of a package, with neither lot nor variant."""
    return deployment().address(DigitalLink(link.gtin, serial=link.serial).path)


def _outcome(found: _Found, asked: _Asked, *, here: str) -> Response | None:
    """None when what was asked for is the page at `here`. Raises `UnknownLinkType`."""
    if asked.linkset is not None:
        # From the product down to the package, as GS1's own examples have it.
        body = linksets.document(reversed(found.levels), asked.linkset)
        response = Response(body, mimetype=asked.linkset)
        response.headers.add("Link", f'<{CONTEXT}>; rel="{CONTEXT_RELATION}"; type="{JSON_LD}"')
        return response
    level, targets = _candidates(found, asked.link_type)
    if len(targets) > 1:
        return _choice(found, level, targets)
    return None if targets[0].href == here else _redirect(targets[0].href)


def _candidates(found: _Found, link_type: str | None) -> tuple[Level, Sequence[Target]]:
    """The links that fit a request equally well, at least one. Raises `UnknownLinkType`."""
    languages = [tag for tag, quality in request.accept_languages if quality and tag != "*"]
    if link_type is None:
        level = found.levels[0]
        kin = level.defaults_by_language
        if not link_choice.speaks(kin, languages):
            return level, [level.default]
        return level, link_choice.in_language(kin, languages)[:1]
    name = link_types.name_of(link_type)
    for level in found.levels:
        if name and (targets := level.of_type(name)):
            return level, link_choice.best(targets, languages, request.accept_mimetypes.quality)
    raise UnknownLinkType()


# Answers


def _redirect(href: str) -> Response:
    """To an address that staff stored, or one of ours, with the whole query that was sent."""
    parts = urlsplit(href)
    query = "&".join(filter(None, [parts.query, _query()]))
    response = Response(status=307)
    response.location = urlunsplit(parts._replace(query=query))
    return response


def _choice(found: _Found, level: Level, targets: Sequence[Target]) -> Response:
    """Several links fit equally well: the reader chooses."""
    if request.accept_mimetypes.quality(HTML):
        return Response(_product_page(found, targets, is_choice=True), 300, mimetype=HTML)
    return Response(linksets.some_of(level, targets), 300, mimetype=LINKSET)


def _product_page(found: _Found, targets: Sequence[Target], *, is_choice: bool = False) -> str:
    """The product with its links; of every kind those in the reader's language."""
    by_type: dict[str, list[Target]] = {}
    for target in targets:
        by_type.setdefault(target.link_type, []).append(target)
    return render_template(
        "product.html",
        product={"name": found.name, "gtin": found.gtin},
        is_choice=is_choice,
        links=[
            {"title": target.title, "href": target.href}
            for kin in by_type.values()
            for target in link_choice.in_language(kin, [language()])
            if target.href != found.product.anchor
        ],
    )


@resolver.errorhandler(Problem)
def _refuse(problem: Problem) -> Response:
    """What is wrong, as a page for a person and as JSON for a machine."""
    accepted = request.accept_mimetypes
    if not accepted or accepted.quality(HTML):
        return errors.answer(problem)
    response = problem_response(problem)
    response.headers.update(errors.wait(problem))
    return response


@resolver.after_request
def _for_everybody(response: Response) -> Response:
    """What every answer here has: pages of other sites may read it, and it names the linkset."""
    _allow_every_site(response)
    if response.status_code < 400 and request.view_args:
        _name_linkset(response)
    return response


@resolver.after_app_request
def _at_scan_page(response: Response) -> Response:
    """The scan page names its linkset, too, but other sites' pages may not read it.

    They could have their visitors try codes from as many addresses.
    """
    if request.endpoint == SCAN_ENDPOINT:
        if request.method == "OPTIONS":
            _allow_every_site(response)
        elif response.status_code == 200 and "Link" not in response.headers:
            _name_linkset(response)
    return response


def _allow_every_site(response: Response) -> None:
    response.headers.update(
        {
            "Access-Control-Allow-Origin": "*",
            "Access-Control-Allow-Methods": "GET, HEAD, OPTIONS",
            "Access-Control-Allow-Headers": "Accept, Accept-Language",
            "Access-Control-Expose-Headers": "Link, Location",
        }
    )
    response.vary.update(["Accept", "Accept-Language"])


def _name_linkset(response: Response) -> None:
    try:
        # Written anew: what was sent may have characters in it that end the address in a header.
        path = digital_link.parse(_sent_path()).path
    except Problem:
        return  # OPTIONS is answered at addresses that name nothing
    response.headers.add(*linkset_header(deployment(), path))
    response.vary.update(["Accept", "Accept-Language"])


def linkset_header(opened: Deployment, path: str) -> tuple[str, str]:
    """The header that names the list of links of what is at a path."""
    address = opened.address(f"{path}?linkType=linkset")
    return "Link", f'<{address}>; rel="linkset"; type="{LINKSET}"; title="Linkset"'
