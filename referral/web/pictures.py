"""Pictures at addresses of their own, which can be kept for good, and the card of a campaign.

A campaign's picture is named by its hash, a card by the campaign, its language and a version that
changes with everything that is drawn. A card of an older version is answered with the newest.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache, partial

from apiflask import APIFlask
from flask import Blueprint, Response, request, url_for

from referral import campaigns, catalog, pictures
from referral.campaigns import Campaign, CampaignState, UnknownCampaign
from referral.campaigns.content import Content
from referral.catalog import Product
from referral.config import LANGUAGES
from referral.coupons.lists import CouponListTooLong
from referral.db import Database
from referral.errors import InvalidInput, NotFound
from referral.pictures import UPLOAD_BYTES_MAX, PictureTooLarge
from referral.printing import cards
from referral.printing.canvas import Motif
from referral.printing.cards import Card
from referral.web.context import deployment

FOR_GOOD = timedelta(days=365)
FOR_NOW = timedelta(hours=1)
"""How long a card may be kept under the address of an older one."""
PICTURES_KEPT = 32
DESCRIPTION_LENGTH = 120
UPLOADS = {
    "staff.add_campaign",
    "staff.revise_campaign",
    "staff.edit_content",
    "staff.preview_campaign",
    "staff.add_item",
    "staff.revise_item",
    "api.add_picture",
    "staff.upload_coupons",
    "member.complain",
}
"""Where a picture, or another file that is large, can be sent to."""
TOO_LARGE: dict[str, type[InvalidInput]] = {"staff.upload_coupons": CouponListTooLong}
"""What is said of a file that is no picture."""
REQUEST_BYTES_MAX = UPLOAD_BYTES_MAX * 4 // 3 + 512 * 1024
"""A picture in base64, or one as it is and a small second one, and what is sent with it."""
OG_LOCALES = {"zh-Hans": "zh_CN", "zh-Hant": "zh_TW", "en": "en_US"}

shown = Blueprint("pictures", __name__)


def set_up(app: APIFlask) -> None:
    """Has to come before whatever reads forms."""
    app.before_request(_allow_uploads)


def _allow_uploads() -> None:
    if request.endpoint in UPLOADS:
        request.max_content_length = REQUEST_BYTES_MAX
        if (request.content_length or 0) > REQUEST_BYTES_MAX:
            raise TOO_LARGE.get(request.endpoint, PictureTooLarge)()


@shown.get("/pictures/<sha256>.jpg")
def picture(sha256: str) -> Response:
    response = Response(_data_of(deployment().db, sha256), mimetype=pictures.MEDIA_TYPE)
    return _kept(response, sha256, FOR_GOOD)


@shown.get("/cards/<slug>/<lang>.<version>.jpg")
def card(slug: str, lang: str, version: str) -> Response:
    made = _published_card(slug, lang)
    response = Response(cards.wide(made), mimetype="image/jpeg")
    return _kept(response, made.version, FOR_GOOD if version == made.version else FOR_NOW)


@shown.get("/cards/<slug>/square.<version>.jpg")
def square_card(slug: str, version: str) -> Response:
    made = _published_card(slug, deployment().config.lang)
    response = Response(cards.square(made.brand, made.motif), mimetype="image/jpeg")
    is_newest = version == made.square_version
    return _kept(response, made.square_version, FOR_GOOD if is_newest else FOR_NOW)


def _published_card(slug: str, lang: str) -> Card:
    if lang not in LANGUAGES:
        raise NotFound()
    with deployment().db.read() as tx:
        campaign = campaigns.campaign_by_slug(tx, slug)
        # One that has ended too: its links stand in chats for years.
        if campaign.state != CampaignState.published:
            raise UnknownCampaign()
        return card_of(campaign, lang, catalog.products_in(tx, campaign.gtins))


def _kept(response: Response, tag: str, lifetime: timedelta) -> Response:
    response.set_etag(tag)
    response.cache_control.public = True
    response.cache_control.max_age = int(lifetime.total_seconds())
    response.cache_control.immutable = lifetime is FOR_GOOD
    response.make_conditional(request)
    return response


@lru_cache(PICTURES_KEPT)
def _data_of(db: Database, sha256: str) -> bytes:
    with db.read() as tx:
        return pictures.data_of(tx, sha256)


@lru_cache(8 * PICTURES_KEPT)
def _size_of(db: Database, sha256: str) -> tuple[int, int]:
    with db.read() as tx:
        return pictures.size_of(tx, sha256)


@dataclass(frozen=True)
class ShownPicture:
    """A picture on a page, which keeps its place free until it is there."""

    url: str
    width: int
    height: int


def shown_pictures(campaign: Campaign) -> list[ShownPicture]:
    """A campaign's pictures in their order."""
    hashes = [sha256 for sha256 in (campaign.picture, *campaign.more_pictures) if sha256]
    shown = []
    for sha256 in hashes:
        try:
            size = _size_of(deployment().db, sha256)
        except NotFound:
            continue  # only in a form that has been open for more than a day
        shown.append(ShownPicture(picture_url(sha256) or "", *size))
    return shown


def picture_url(sha256: str | None) -> str | None:
    """The path of a picture."""
    return url_for("pictures.picture", sha256=sha256) if sha256 else None


def motif_of(campaign: Campaign) -> Motif | None:
    """A campaign's picture, read when it is drawn."""
    sha256 = campaign.picture
    return Motif(sha256, partial(_data_of, deployment().db, sha256)) if sha256 else None


def card_of(campaign: Campaign, lang: str, products: Sequence[Product]) -> Card:
    """A campaign's card in a language. `products` are those it covers."""
    return Card(
        brand=deployment().config.brand,
        title=campaign.content_in(lang).title,
        lang=campaign.language_in(lang),
        product=products[0].name if len(products) == 1 else "",
        motif=motif_of(campaign),
    )


def square_card_url(campaign: Campaign) -> str:
    """The public address of a campaign's square card."""
    made = Card(deployment().config.brand, "", "", motif=motif_of(campaign))
    path = url_for("pictures.square_card", slug=campaign.slug, version=made.square_version)
    return deployment().address(path)


@dataclass(frozen=True)
class Preview:
    """What a chat app, told by the page's head, shows for a link."""

    title: str
    description: str
    locale: str
    other_locales: list[str]
    image_url: str
    image_type: str
    image_width: int
    image_height: int
    image_alt: str


def preview_of(campaign: Campaign, lang: str, products: Sequence[Product]) -> Preview:
    """How a link of this campaign is shown to readers of a language."""
    made = card_of(campaign, lang, products)
    path = url_for("pictures.card", slug=campaign.slug, lang=lang, version=made.version)
    width, height = cards.WIDE
    return Preview(
        title=made.title,
        description=blurb(campaign.content_in(lang)) or made.product or made.brand,
        locale=OG_LOCALES[made.lang],
        other_locales=[
            OG_LOCALES[tag] for tag in LANGUAGES if tag in campaign.content and tag != made.lang
        ],
        image_url=deployment().address(path),
        image_type="image/jpeg",
        image_width=width,
        image_height=height,
        image_alt=" · ".join(filter(None, (made.brand, made.title, made.product))),
    )


def blurb(content: Content) -> str:
    """The first paragraph, cut where it is longer than a chat app shows."""
    text = " ".join(content.body.partition("\n\n")[0].split())
    if len(text) <= DESCRIPTION_LENGTH:
        return text
    cut = text[:DESCRIPTION_LENGTH]
    # At a space where words have some: never within one.
    head, space, _rest = cut.rpartition(" ")
    return (head if space and len(head) > DESCRIPTION_LENGTH // 2 else cut).rstrip("，、,;: ") + "…"
