"""The links of a product: where the resolver leads whoever asks for it."""

from pydantic import Field

from referral import actions, catalog, product_links
from referral.catalog import UnknownProduct
from referral.gs1 import link_types
from referral.gs1.gtin import BadGTIN
from referral.gs1.target import Target
from referral.product_links import (
    HREF_LENGTH_MAX,
    LANGUAGE_LENGTH_MAX,
    LINKS_MAX,
    MEDIA_TYPE_LENGTH_MAX,
    TITLE_LENGTH_MAX,
    BadLinks,
)
from referral.texts import Line
from referral.web.api import auth
from referral.web.api.endpoint import Output, get, post
from referral.web.api.reading import Input
from referral.web.context import deployment


class LinkIn(Input):
    """Where a product leads to."""

    link_type: str = Field(max_length=100, examples=["gs1:pip"])
    """What one finds there: a link type of the GS1 Web Vocabulary, as `gs1:pip` or in full."""
    href: str = Field(max_length=HREF_LENGTH_MAX, examples=["https://brand.example/tea"])
    """An address of the web."""
    title: Line = Field(min_length=1, max_length=TITLE_LENGTH_MAX)
    """What people read on the product's page, and programs in the linkset."""
    language: str = Field(default="", max_length=LANGUAGE_LENGTH_MAX, examples=["zh-Hans"])
    """Of the page there: a tag such as `en`, `pt-BR`, `zh-Hans`; empty where it does not matter."""
    media_type: str = Field(default="", max_length=MEDIA_TYPE_LENGTH_MAX, examples=["text/html"])
    default: bool = False
    """Whether this is followed by whoever asks for nothing in particular; true for one at most."""


class LinksIn(Input):
    """All the links of a product."""

    links: list[LinkIn] = Field(max_length=LINKS_MAX)
    """In the order in which they are preferred. They take the place of those that are there."""


class LinkOut(Output):
    """Where a product leads to."""

    link_type: str
    href: str
    title: str
    language: str
    media_type: str
    default: bool


class LinksOut(Output):
    """The links of a product. With none marked as the default it is the product's page here."""

    gtin: str
    """GTIN-14."""
    url: str
    """The product's GS1 Digital Link, at which the resolver answers."""
    links: list[LinkOut]


@get("/products/<gtin>/links", answer=LinksOut, problems=[BadGTIN, UnknownProduct])
def get_product_links(gtin: str) -> LinksOut:
    """Get the links of a product."""
    return _links(gtin)


@post(
    "/products/<gtin>/links",
    body=LinksIn,
    answer=LinksOut,
    statuses={200: "Set"},
    problems=[BadGTIN, UnknownProduct, BadLinks],
)
def set_product_links(gtin: str, body: LinksIn) -> LinksOut:
    """Set the links of a product.

    All of them at once: those that are left out are gone.
    """
    targets = [
        Target(each.link_type, each.href, each.title, each.language, each.media_type, each.default)
        for each in body.links
    ]
    actions.set_product_links(deployment(), gtin, targets, by=auth.caller())
    return _links(gtin)


def _links(gtin: str) -> LinksOut:
    with deployment().db.read() as tx:
        product = catalog.product_by_gtin(tx, gtin)
        found = product_links.links_of(tx, product.id)
    return LinksOut(
        gtin=product.gtin,
        url=deployment().address(f"/01/{product.gtin}"),
        links=[_shown(target) for target in found],
    )


def _shown(target: Target) -> LinkOut:
    return LinkOut(
        link_type=link_types.short(target.link_type),
        href=target.href,
        title=target.title,
        language=target.language,
        media_type=target.media_type,
        default=target.is_default,
    )
