"""The page of a code that nobody has scanned before, as it is kept for other such codes."""

from collections.abc import Hashable, Mapping

from markupsafe import Markup

from referral.batches import Entry
from referral.campaigns import Campaign
from referral.codes import Code
from referral.deployment import Deployment
from referral.links import Channel
from referral.ranges import Terms
from referral.web import kept, landing


def keep(
    opened: Deployment,
    page: str,
    variant: Hashable,
    code: Code,
    tokens: Mapping[Channel, str],
    nonce: str,
) -> None:
    """Keep the page of a fresh code, made for a browser on which nobody is signed in."""
    made = opened.showcase.running(opened.clock.now()).made
    if variant in made or len(made) >= landing.PAGES_KEPT_MAX:
        return
    texts = texts_of(code, tokens, nonce)
    cut = kept.cut(page, {**texts, "spelled": Markup(texts["spelled"])})  # noqa: S704 - all ours
    if cut is not None:
        made[variant] = cut


def variant_of(
    code: Code,
    batch: Entry,
    terms: Terms,
    campaign: Campaign | None,
    lang: str,
    *,
    in_wechat: bool,
) -> Hashable:
    """What the pages of fresh codes differ in, but for what is one code's or one reader's own."""
    number = None if campaign is None else campaign.id
    return lang, in_wechat, batch.id, code.label, terms.lot, terms.expires_on, number


def texts_of(code: Code, tokens: Mapping[Channel, str], nonce: str) -> dict[str, str]:
    """What is one code's and one reader's own on a page, by the names it is kept under."""
    return {**landing.texts_of(tokens, code.text, nonce), "spelled": spelled(code)}


def spelled(code: Code) -> str:
    """The code as the page has it, in groups."""
    return f"<span>{code.grouped.replace('-', '</span><i>-</i><span>')}</span>"
