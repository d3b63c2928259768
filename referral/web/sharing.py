"""What a reader needs to pass a campaign on: his own link, in every form."""

from collections.abc import Mapping
from dataclasses import dataclass

from flask import url_for

from referral import links
from referral.campaigns import Campaign
from referral.links import Channel, Link
from referral.printing import typeface
from referral.rewards import Rule
from referral.web import pictures, promises
from referral.web.context import customer, deployment, in_wechat, visitor
from referral.web.language import language
from referral.web.security import allow
from referral.wechat import SDK

CONTROLS = (Channel.sheet, Channel.copy, Channel.poster, Channel.qr)
"""The share controls on a page; the link behind each says which one it was."""
IN_WECHAT = (Channel.wechat, Channel.moments)
"""What a forward from WeChat's own menu goes through."""


@dataclass(frozen=True)
class WechatCard:
    """What a forward from WeChat's own menu shows and leads to, and how the page may set it."""

    url: str
    moments_url: str
    picture_url: str
    signature_url: str
    sdk_url: str


@dataclass(frozen=True)
class ShareKit:
    title: str
    text: str
    """A text to send along. It says that the sharer benefits, as it has to when she does."""
    own_url: str
    urls: dict[str, str]
    seen_url: str
    ran_url: str
    ran_picture_url: str
    """For browsers without scripts."""
    share_url: str
    poster_url: str
    named_poster_url: str | None
    """The same with her name on it, for whoever has one."""
    qr_url: str
    rules_url: str
    campaign_title: str
    wechat: WechatCard | None
    """Only in WeChat's browser."""


def own_link(campaign: Campaign) -> Link:
    """The link this reader shares in a campaign."""
    signed_in = customer()
    return links.own_link(visitor(), campaign.id, signed_in.id if signed_in else None)


def _for_everybody(campaign: Campaign) -> list[Rule]:
    """What a friend can be told to get: nothing where it takes an invitation."""
    return [] if campaign.audience else campaign.checked_rules


def share_kit(campaign: Campaign, own: Link) -> ShareKit:
    """Everything to share a campaign with, made from one link."""
    tokens = tokens_of(own)
    token = tokens[own.channel]
    content = campaign.content_in(language())
    return ShareKit(
        title=content.title,
        text=content.share_text or promises.suggestion(content.title, _for_everybody(campaign)),
        own_url=deployment().address(f"/s/{token}"),
        urls={c.name: deployment().address(f"/s/{tokens[c]}") for c in CONTROLS},
        seen_url=url_for("share_links.seen", token=token),
        ran_url=url_for("share_links.ran", token=token),
        ran_picture_url=url_for("share_links.ran_without_scripts", token=token),
        share_url=url_for("share_links.share", token=token),
        poster_url=url_for("pages.poster", token=tokens[Channel.poster], lang=language()),
        named_poster_url=_named_poster_url(tokens[Channel.poster]),
        qr_url=url_for("pages.qr_svg", token=tokens[Channel.qr]),
        rules_url=url_for("pages.rules", slug=campaign.slug),
        campaign_title=content.title,
        wechat=_wechat_card(campaign, tokens) if in_wechat() else None,
    )


def tokens_of(own: Link) -> dict[Channel, str]:
    """The tokens on a reader's page, by their channels: his link as it is, and through each way
    of sharing it that the page offers."""
    return deployment().links.tokens(own, ways_of(own, is_wechat=in_wechat()))


def ways_of(own: Link, *, is_wechat: bool) -> tuple[Channel, ...]:
    return (own.channel, *CONTROLS, *(IN_WECHAT if is_wechat else ()))


def _named_poster_url(token: str) -> str | None:
    reader = customer()
    if reader is None or not typeface.settable(reader.name or ""):
        return None
    return url_for("pages.poster", token=token, lang=language(), name=1)


def let_wechat_in() -> None:
    """Let WeChat's own script run on the page of this answer, where it is shown in WeChat."""
    if in_wechat():
        allow("script-src", SDK)


def _wechat_card(campaign: Campaign, tokens: Mapping[Channel, str]) -> WechatCard:
    let_wechat_in()
    return WechatCard(
        url=deployment().address(f"/s/{tokens[Channel.wechat]}"),
        moments_url=deployment().address(f"/s/{tokens[Channel.moments]}"),
        picture_url=pictures.square_card_url(campaign),
        signature_url=url_for("wechat.signature"),
        sdk_url=SDK,
    )


def address_of(link: Link) -> str:
    """The public address of a share link."""
    return deployment().address(f"/s/{deployment().links.token(link)}")
