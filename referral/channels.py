"""Through which app a link came, where the link itself does not say: by what apps add to it.

A link that was copied, scanned or put on a poster says so itself. One that was forwarded out of a
browser's address bar does not; but WeChat writes into a forwarded address how it was forwarded,
and whoever taps a link in a chat mostly reads it in that app's own browser.
"""

import re
from functools import lru_cache
from typing import Protocol

from referral.links import Channel

_SILENT = {Channel.unknown, Channel.address}
"""What a link says that says nothing of an app."""
_WECHAT_ADDS = {
    "singlemessage": Channel.wechat,
    "groupmessage": Channel.wechat,
    "timeline": Channel.moments,
}
_BROWSERS = (
    (Channel.unknown, "wxwork/"),  # WeCom, which calls itself WeChat after that
    (Channel.wechat, "MicroMessenger/"),
    (Channel.qq, r"\b(?:pc)?(?:QQ|qq)/"),
    (Channel.weibo, r"__weibo__|\bWeibo\b"),
    (Channel.whatsapp, r"\bWhatsApp/|\[WA(?:4A|iOS)/"),
    (Channel.telegram, r"\bTelegram"),
    (Channel.line, r"\bLine/"),
    (Channel.facebook, r"\bFB(?:AN|AV|_IAB)/|\bMetaIAB Facebook"),
    (Channel.x, r"\bTwitter(?:Android)?\b"),
)
_BROWSER = re.compile("|".join(f"(?P<{channel.name}>{agent})" for channel, agent in _BROWSERS))
_AGENT_LENGTH_MAX = 512
_AGENTS_KEPT = 4096


class Query(Protocol):
    def get(self, name: str, default: str) -> str: ...


def arrived_through(said: Channel, query: Query, agent: str) -> Channel:
    """The channel of an opening. `said` is the link's own; it stands where it names one."""
    if said not in _SILENT:
        return said
    forwarded = _WECHAT_ADDS.get(query.get("from", ""))
    if forwarded is not None:
        return forwarded
    return _app(agent[:_AGENT_LENGTH_MAX]) or said


@lru_cache(_AGENTS_KEPT)
def _app(agent: str) -> Channel | None:
    """The app whose browser calls itself that; None for none that is a channel."""
    found = _BROWSER.search(agent)
    name = found.lastgroup if found else None
    return None if name in {None, Channel.unknown.name} else Channel.named(name)
