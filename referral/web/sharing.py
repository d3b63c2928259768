"""What a reader needs to pass a campaign on: his own link, in every form."""

from dataclasses import dataclass

from flask import url_for
from flask_babel import format_date, format_number, ngettext
from flask_babel import gettext as _

from referral import links
from referral.campaigns import Campaign
from referral.links import Channel, Link
from referral.rewards import ForWhom, Reward, RewardState, Rule, When
from referral.web.context import customer, deployment, visitor
from referral.web.language import language

CONTROLS = (Channel.sheet, Channel.copy, Channel.poster, Channel.qr)
"""The share controls on a page; the link behind each says which one it was."""


@dataclass(frozen=True)
class ShareKit:
    title: str
    text: str
    """A text to send along. It says that the sharer benefits, as it has to when she does."""
    own_url: str
    urls: dict[str, str]
    seen_url: str
    share_url: str
    poster_url: str
    qr_url: str
    rules_url: str
    campaign_title: str


def own_link(campaign: Campaign) -> Link:
    """The link this reader shares in a campaign."""
    signed_in = customer()
    return links.own_link(visitor(), campaign.id, signed_in.id if signed_in else None)


def share_kit(campaign: Campaign, own: Link) -> ShareKit:
    """Everything to share a campaign with, made from one link."""
    tokens = {channel: deployment().links.token(own.through(channel)) for channel in CONTROLS}
    token = deployment().links.token(own)
    content = campaign.content_in(language())
    return ShareKit(
        title=content.title,
        text=content.share_text or _suggestion(content.title, campaign.checked_rules),
        own_url=address_of(own),
        urls={c.name: deployment().address(f"/s/{t}") for c, t in tokens.items()},
        seen_url=url_for("pages.seen", token=token),
        share_url=url_for("pages.share", token=token),
        poster_url=url_for("pages.poster", token=tokens[Channel.poster], lang=language()),
        qr_url=url_for("pages.qr_svg", token=tokens[Channel.qr]),
        rules_url=url_for("pages.rules", slug=campaign.slug),
        campaign_title=content.title,
    )


def _suggestion(title: str, rules: list[Rule]) -> str:
    """What to write to a friend: no more than the rules pay, and all that they pay the sharer."""
    friend = any(rule.for_whom is not ForWhom.referrer for rule in rules)
    sharer = any(rule.for_whom is not ForWhom.person for rule in rules)
    if friend and sharer:
        return _("“%(title)s”: if you buy and claim one, we both get points.", title=title)
    if sharer:
        return _("“%(title)s”: if you buy and claim one, I get points.", title=title)
    return _("“%(title)s”: if you buy and claim one, you get points.", title=title)


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


def reward_state_text(reward: Reward) -> str:
    """Why a reward is in the state it is in."""
    return {
        RewardState.pending: _("Yours to spend from %(day)s", day=format_date(reward.available_at)),
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
            "A friend's link counts for %(num)s day after it was first opened; the first link "
            "opened counts.",
            "A friend's link counts for %(num)s days after it was first opened; the first link "
            "opened counts.",
            campaign.window_days,
        )
    )
    clauses.append(_("Who brought somebody in is settled at that person's first claim."))
    clauses.append(_("Only the friend whose link was used is thanked, nobody further up."))
    return clauses
