"""What a reader needs to pass a campaign on: his own link, in every form."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from flask import url_for
from flask_babel import format_date, format_number, ngettext
from flask_babel import gettext as _

from referral import links
from referral.campaigns import Campaign, CreditedTouch
from referral.links import Channel, Link
from referral.printing import typeface
from referral.rewards import ForWhom, Reward, RewardState, Rule, When
from referral.web import pictures
from referral.web.context import customer, deployment, in_wechat, now, visitor
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


def share_kit(campaign: Campaign, own: Link) -> ShareKit:
    """Everything to share a campaign with, made from one link."""
    tokens = tokens_of(own)
    token = tokens[own.channel]
    content = campaign.content_in(language())
    return ShareKit(
        title=content.title,
        text=content.share_text or suggestion(content.title, campaign.checked_rules),
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
    ways = (own.channel, *CONTROLS, *(IN_WECHAT if in_wechat() else ()))
    return {channel: deployment().links.token(own.through(channel)) for channel in ways}


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


def suggestion(title: str, rules: list[Rule]) -> str:
    """What to write to a friend: no more than the rules pay, and all that they pay the sharer."""
    friend, sharer = _who_benefits(rules)
    if friend and sharer:
        return _("“%(title)s”: if you buy and claim one, we both get points.", title=title)
    if sharer:
        return _("“%(title)s”: if you buy and claim one, I get points.", title=title)
    return _("“%(title)s”: if you buy and claim one, you get points.", title=title)


def disclosure(rules: list[Rule]) -> str:
    """The same for a poster, which has the title already."""
    friend, sharer = _who_benefits(rules)
    if friend and sharer:
        return _("If you buy and claim one, we both get points.")
    if sharer:
        return _("If you buy and claim one, I get points.")
    return _("If you buy and claim one, you get points.")


def _who_benefits(rules: list[Rule]) -> tuple[bool, bool]:
    """Whether the friend gets anything, and whether the sharer does."""
    return (
        any(rule.for_whom is not ForWhom.referrer for rule in rules),
        any(rule.for_whom is not ForWhom.person for rule in rules),
    )


def address_of(link: Link) -> str:
    """The public address of a share link."""
    return deployment().address(f"/s/{deployment().links.token(link)}")


def promise(rules: list[Rule]) -> list[str]:
    """What the rules of a campaign promise, a sentence each, in the reader's language."""
    return [sentence for rule in rules for sentence in _sentences(rule)]


def _sentences(rule: Rule) -> list[str]:
    amount = format_number(rule.amount)
    to_person = {
        When.claim: _("%(amount)s points for every package you claim", amount=amount),
        When.first_claim: _("%(amount)s points for your first claim", amount=amount),
        When.referred_first_claim: _(
            "%(amount)s points for your first claim when a friend's link brought you here",
            amount=amount,
        ),
    }
    to_referrer = {
        When.claim: _(
            "%(amount)s points to the friend who brought you, for every package you claim",
            amount=amount,
        ),
        When.first_claim: _(
            "%(amount)s points to the friend who brought you, for your first claim", amount=amount
        ),
        When.referred_first_claim: _(
            "%(amount)s points to the friend who brought you, for your first claim", amount=amount
        ),
    }
    said = []
    if rule.for_whom is not ForWhom.referrer:
        said.append(to_person[rule.when])
    if rule.for_whom is not ForWhom.person:
        said.append(to_referrer[rule.when])
    return said


def reward_text(rule_id: str, depth: int) -> str:
    """What a reward was for, in the words of its beneficiary."""
    when = rule_id.partition(":")[0]
    if depth:
        return _("A friend you brought in claimed a package")
    return {
        When.claim: _("Claimed a package"),
        When.first_claim: _("Your first claim"),
        When.referred_first_claim: _("First claim through a friend's link"),
    }.get(When(when), _("Reward"))


def spendable_text(available_at: datetime) -> str:
    """From when on something pending can be spent; it is moved some time after it is due."""
    if available_at <= now():
        return _("Yours to spend within a day")
    return _("Yours to spend from %(day)s", day=format_date(available_at, "long"))


def reward_state_text(reward: Reward) -> str:
    """Why a reward is in the state it is in."""
    return {
        RewardState.pending: spendable_text(reward.available_at),
        RewardState.available: "",
        RewardState.reversed: _("Taken back, because what earned it was undone"),
        RewardState.expired: _("Expired"),
    }[RewardState(reward.state)]


def terms(campaign: Campaign) -> list[str]:
    """The rules of a campaign for consumers, a clause each."""
    clauses = promise(campaign.checked_rules)
    if campaign.hold_days:
        clauses.append(
            ngettext(
                "Points can be spent after %(num)s day.",
                "Points can be spent after %(num)s days.",
                campaign.hold_days,
            )
        )
    clauses.append(
        ngettext(
            "A friend's link counts for %(num)s day after it was opened.",
            "A friend's link counts for %(num)s days after it was opened.",
            campaign.window_days,
        )
    )
    if campaign.touch == CreditedTouch.last:
        clauses.append(_("Of several links, the one opened last before the first claim counts."))
    else:
        clauses.append(_("Of several links, the one opened first counts."))
    clauses.append(_("Who brought somebody in is settled at that person's first claim."))
    clauses.append(_("Only the friend whose link was used is thanked, nobody further up."))
    return clauses
