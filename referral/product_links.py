"""The links of a product: where the resolver leads whoever asks for it.

They are set as a whole. At most one is marked as the default; without a mark it is the product's
own page here, so that there is exactly one for everybody who asks for nothing in particular.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import sqlalchemy as sa
from pydantic import HttpUrl, TypeAdapter, ValidationError
from sqlalchemy.orm import Mapped, Session, mapped_column

from referral.catalog import Product
from referral.db import Base, RowId
from referral.errors import N_, InvalidInput
from referral.gs1 import link_types
from referral.gs1.target import Target

LINKS_MAX = 60
"""How many links a product has: every type of link in a language, or a few of them in several."""
TYPE_LENGTH_MAX = 60
HREF_LENGTH_MAX = 1000
TITLE_LENGTH_MAX = 120
LANGUAGE_LENGTH_MAX = 10
MEDIA_TYPE_LENGTH_MAX = 100

# What a GS1 linkset can say: a language, with a country if need be. The two scripts of Chinese
# stand for the countries that write them.
_LANGUAGE = re.compile(r"[a-z]{2}(-[A-Z]{2})?|zh-Hans|zh-Hant")
_MEDIA_TYPE = re.compile(r"[a-z]+/[a-z0-9][a-z0-9!#$&^_.+-]*")
_URL = TypeAdapter(HttpUrl)


class ProductLink(Base):
    """One place that a product leads to."""

    __tablename__ = "product_links"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    product_id: Mapped[int] = mapped_column(sa.ForeignKey("products.id"))
    position: Mapped[int] = mapped_column(sa.SmallInteger)
    """In the order that staff gave them; of several that fit, the first is followed."""
    link_type: Mapped[str] = mapped_column(sa.String(TYPE_LENGTH_MAX))
    """The bare name of one of `link_types.DESCRIPTIVE`."""
    href: Mapped[str] = mapped_column(sa.String(HREF_LENGTH_MAX))
    title: Mapped[str] = mapped_column(sa.String(TITLE_LENGTH_MAX))
    language: Mapped[str] = mapped_column(sa.String(LANGUAGE_LENGTH_MAX))
    """A tag such as ``en`` or ``zh-Hans``; empty where it does not matter or changes."""
    media_type: Mapped[str] = mapped_column(sa.String(MEDIA_TYPE_LENGTH_MAX))
    """Such as ``text/html``; empty when nobody said."""
    is_default: Mapped[bool]

    __table_args__ = (
        sa.UniqueConstraint("product_id", "position"),
        sa.Index(
            "uq_product_links_default",
            "product_id",
            unique=True,
            sqlite_where=sa.text("is_default"),
            postgresql_where=sa.text("is_default"),
        ),
    )


@dataclass(frozen=True)
class Fault:
    """What is wrong with one link."""

    position: int
    field: str
    """The name of the field in `Target`."""
    message: str
    """Marked for translation."""


class BadLinks(InvalidInput):
    """Its details list the fields that are wrong, as every answer to an invalid body does."""

    slug = "bad-links"
    title = N_("These links cannot be kept.")

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = list(faults)
        super().__init__(
            errors=[
                {"field": f"links.{fault.position}.{fault.field}", "message": fault.message}
                for fault in faults
            ]
        )


def set_links(tx: Session, product: Product, targets: Sequence[Target], own_root: str) -> None:
    """Put these links in the place of all that a product has.

    `own_root` is the address under which products are asked for here. Raises `BadLinks`.
    """
    faults = list(faults_in(targets, own_root))
    if faults:
        raise BadLinks(faults)
    # Two at once would leave a mixture of both.
    this = sa.select(Product.id).where(Product.id == product.id)
    tx.execute(this.with_for_update(key_share=True))
    tx.execute(sa.delete(ProductLink).where(ProductLink.product_id == product.id))
    tx.add_all(
        ProductLink(
            product_id=product.id,
            position=position,
            link_type=link_types.name_of(target.link_type),
            href=clean_href(target.href),
            title=target.title,
            language=target.language,
            media_type=target.media_type,
            is_default=target.is_default,
        )
        for position, target in enumerate(targets)
    )
    tx.flush()


def links_of(tx: Session, product_id: int) -> list[Target]:
    """A product's links, in their order."""
    rows = tx.scalars(
        sa.select(ProductLink)
        .where(ProductLink.product_id == product_id)
        .order_by(ProductLink.position)
    )
    return [
        Target(row.link_type, row.href, row.title, row.language, row.media_type, row.is_default)
        for row in rows
    ]


# What a link may be


def faults_in(targets: Sequence[Target], own_root: str) -> Iterator[Fault]:
    """Everything that is wrong with these links; nothing if they can be kept."""
    if len(targets) > LINKS_MAX:
        yield Fault(LINKS_MAX, "link_type", N_("A product can have no more links than this."))
    seen: set[tuple[str | None, ...]] = set()
    defaults = 0
    for position, target in enumerate(targets[:LINKS_MAX]):
        for field, message in _faults_of(target, own_root):
            yield Fault(position, field, message)
        same = (
            link_types.name_of(target.link_type),
            clean_href(target.href),
            target.language,
            target.media_type,
        )
        if same in seen:
            yield Fault(position, "href", N_("This link is there twice."))
        seen.add(same)
        defaults += target.is_default
        if target.is_default and defaults > 1:
            yield Fault(position, "is_default", N_("Only one link can be the default."))


def _faults_of(target: Target, own_root: str) -> Iterator[tuple[str, str]]:
    name = link_types.name_of(target.link_type)
    if name in {link_types.DEFAULT, link_types.DEFAULT_MULTI}:
        yield "link_type", N_("Say what the link leads to, and mark it as the default.")
    elif name is None:
        yield "link_type", N_("This is not one of GS1's link types, such as gs1:pip.")
    href = clean_href(target.href)
    if href is None:
        yield "href", N_("Please enter an address that begins with https:// or http://.")
    elif len(href) > HREF_LENGTH_MAX:
        yield "href", N_("This address is too long.")
    elif _leads_back(href, own_root):
        yield "href", N_("This address leads back here and would go in a circle.")
    if not 0 < len(target.title) <= TITLE_LENGTH_MAX:
        yield "title", N_("Please enter a title of at most 120 characters.")
    if target.language and not _LANGUAGE.fullmatch(target.language):
        yield "language", N_("Please enter a language such as en, zh-Hans or pt-BR, or none.")
    if target.media_type and not (
        _MEDIA_TYPE.fullmatch(target.media_type) and len(target.media_type) <= MEDIA_TYPE_LENGTH_MAX
    ):
        yield "media_type", N_("Please enter a media type such as text/html, or none.")


def clean_href(text: str) -> str | None:
    """An address of the web as it goes over the wire, in ASCII; None for anything else."""
    if any(ord(letter) < 33 for letter in text):
        return None
    try:
        url = _URL.validate_python(text)
    except ValidationError:
        return None
    # A name in front of the host is there to be taken for the host.
    return None if url.username or url.password else str(url)


def _leads_back(href: str, own_root: str) -> bool:
    ours, its = urlsplit(own_root), urlsplit(href)
    return its.netloc == ours.netloc.lower() and its.path.startswith(ours.path)
