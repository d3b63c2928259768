"""What the reader of a share link is shown of a campaign, or which shop he is led to."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from flask import g, redirect, render_template, request
from werkzeug.wrappers import Response

from referral.campaigns import Campaign
from referral.catalog import Product
from referral.deployment import Deployment
from referral.errors import Unavailable
from referral.links import Channel, Link
from referral.reports import customers
from referral.shops import is_listed, with_token
from referral.showcase import Shown
from referral.web import audiences, kept, pictures, sharing
from referral.web.context import customer, deployment, in_wechat, machine
from referral.web.language import language

BODY_PARAGRAPHS_MAX = 40
PRODUCTS_SHOWN = 6
PAGES_KEPT_MAX = 100
"""Of one campaign, as long as it is kept itself."""


def to_shop(campaign: Campaign, token: str) -> Response | None:
    """Where a campaign leads its readers straight on to: its shop, with the token they opened.

    None for a machine, which gets the page to make a card of, and for a shop that the operator
    has taken off the list since.
    """
    if not campaign.redirects or machine() or not _may_have_token(campaign):
        return None
    response = redirect(with_token(campaign.buy_url or "", token))
    response.headers["Cache-Control"] = "no-store"
    return response


def _may_have_token(campaign: Campaign) -> bool:
    return is_listed(campaign.buy_url, deployment().config.shops)


def name_of(opened: Deployment, shown: Shown, sharer: int | None) -> str | None:
    """The name of the customer who shared a link, kept as long as its campaign is."""
    if sharer is None:
        return None
    if sharer not in shown.names:
        try:
            with opened.db.read() as tx:
                shown.names[sharer] = customers.name_if_any(tx, opened.keys, sharer)
        except Unavailable:  # the page is as good without
            return None
    return shown.names[sharer]


def page_for(
    shown: Shown, own: Link, token: str, *, is_own: bool = False, sharer_name: str | None = None
) -> str:
    """The page of somebody who opened `token`: made for him, or what was made for another reader
    a moment ago with his own links put in.

    Whatever `page` depends on is either the campaign's, or in `variant`, or in `texts`.
    """
    if customer() or machine() or request.args:
        return page(
            shown.campaign, shown.products, own, token, is_own=is_own, sharer_name=sharer_name
        )
    variant = variant_of(language(), in_wechat=in_wechat(), is_own=is_own, sharer_name=sharer_name)
    texts = texts_of(sharing.tokens_of(own), token, g.csp_nonce)
    known: kept.KeptPage | None = shown.made.get(variant)
    if known is not None:
        sharing.let_wechat_in()
        return known.filled(texts)
    made = page(shown.campaign, shown.products, own, token, is_own=is_own, sharer_name=sharer_name)
    cut = kept.cut(made, texts)
    if cut is not None and len(shown.made) < PAGES_KEPT_MAX:
        shown.made[variant] = cut
    return made


def variant_of(lang: str, *, in_wechat: bool, is_own: bool, sharer_name: str | None) -> Hashable:
    """What the pages of one campaign differ in, but for what is one reader's own."""
    return lang, in_wechat, is_own, sharer_name


def texts_of(tokens: Mapping[Channel, str], token: str, nonce: str) -> dict[str, str]:
    """What is one reader's own on a page, by the names it is kept under."""
    return {**{_NAMES[way]: text for way, text in tokens.items()}, "opened": token, "nonce": nonce}


_NAMES = {way: way.name for way in Channel}


def page(
    campaign: Campaign,
    products: Sequence[Product],
    own: Link,
    token: str,
    *,
    is_own: bool = False,
    sharer_name: str | None = None,
) -> str:
    """A campaign as the reader of a link sees it; `own` is the link that is his to share, `token`
    the one that he opened."""
    may_have_token = campaign.buy_url is not None and _may_have_token(campaign)
    return render_template(
        "landing.html",
        own_link=is_own,
        sharer_name=None if is_own else sharer_name,
        campaign=_told(campaign, products),
        buy_url=with_token(campaign.buy_url or "", token) if may_have_token else campaign.buy_url,
        pictures=pictures.shown_pictures(campaign),
        promise=audiences.promise(campaign),
        share=sharing.share_kit(campaign, own),
        preview=pictures.preview_of(campaign, language(), products),
    )


def staff_preview(
    campaign: Campaign,
    products: Sequence[Product],
    shown: Sequence[pictures.ShownPicture],
    findings: Sequence[object],
) -> str:
    """The same page of a campaign that need not be stored, with what would be said against it.

    It has no scripts, nothing on it leads anywhere, and the links on it are nobody's. `findings`
    are as staff are shown them.
    """
    return render_template(
        "landing.html",
        own_link=False,
        sharer_name=None,
        campaign=_told(campaign, products),
        buy_url=campaign.buy_url,
        pictures=shown,
        promise=audiences.promise(campaign),
        share=sharing.share_kit(campaign, Link(campaign=0, visitor=0)),
        staff_preview=True,
        findings=findings,
        redirects=campaign.redirects,
    )


def _told(campaign: Campaign, products: Sequence[Product]) -> dict[str, Any]:
    """What the page tells of a campaign in the reader's language."""
    content = campaign.content_in(language())
    return {
        "title": content.title,
        "body": content.body.split("\n\n")[:BODY_PARAGRAPHS_MAX] if content.body else [],
        "products": products[:PRODUCTS_SHOWN],
        "products_more": max(0, len(products) - PRODUCTS_SHOWN),
        "video_url": campaign.video_url,
        "video_host": urlsplit(campaign.video_url or "").hostname,
    }
