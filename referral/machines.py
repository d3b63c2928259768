"""Telling machines from people: why a request is nobody's, by what it says of itself.

A person taken for a machine loses his link and his credit; a machine taken for a person is one
opening too many, without the engagement that follows a person's. So in doubt it is a person: what
says nothing but a browser's name is taken at its word.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Protocol

from crawlerdetect.providers import crawlers, exclusions


class Headers(Protocol):
    def get(self, name: str, default: str) -> str: ...


AGENT_LENGTH_MAX = 512
"""How much of a user agent is looked at: anybody can send a very long one."""

AGENTS_KEPT = 4096
"""For how many user agents each process keeps the answer."""

# Fetchers that look like browsers, or whose apps have an inner browser of nearly the same name.
_FETCHERS = re.compile(
    r"WeChat(?:Share|Bot)|MicroMessenger-?Bot|Mpcrawler|QQ-URL-?Manager|DingTalkBot|Heimdall|"
    r"Lark(?:Url)?Preview|TelegramBot|facebookexternalhit|Line(?:Bot|-Poker)|kakaotalk-scrap|"
    r"^(?:WhatsApp/|curl|Wget|Go-http|python|okhttp|Java|Apache-HttpClient|axios|node)|"
    # Tencent's checker of links has been cutting off the first letter for many years.
    r"^ozilla/|"
    # Tools that drive a browser or watch over sites with one.
    r"Playwright|Puppeteer|Selenium|Cypress/|splash Version|jsdom/|WindowsPowerShell|-User/|"
    r"ThousandEyes|Checkly|NewRelicSynthetics|Dotcom-Monitor|AppInsights|Silktide|yunjiankong",
    re.IGNORECASE,
)
# Whatever people browse with says one of these; an app that fetches by itself has no reason to.
# Facebook's inner browser on Android sometimes gives nothing but its own part.
_BROWSERS = re.compile(
    r"Mozilla/|AppleWebKit|Opera|UCWEB|Browser/|\bWAP\b|MIDP|NetFront|DoCoMo|"
    r"^(?:\[FB|(?:E?Links|Lynx|w3m)\b)",
    re.IGNORECASE,
)
# Machines say where to complain, or what they are compatible with; of browsers only old ones do.
_INTRODUCTIONS = re.compile(
    r"https?://|\w@[\w-]{2,}\.[a-z]{2,}|\bGoogle-[a-z]|-Google/|"
    r"\bcompatible[;)](?! ?(?:MSIE|Konqueror))",
    re.IGNORECASE,
)
# Parts that say nothing of who asks, though they may be on the list of crawlers: a phone can be
# called Spider 8 or XBot, and behind a browser's name WhatsApp, Outlook, Slack or a reader of
# novels is the app's inner browser.
_NAMES = re.compile(
    r"\(Linux;[^()]*?\bAndroid\b[^()]*|\b(?:com|cn|ru)(?:\.\w+)+(?=/)|\blibwww-FM/|"
    r"(?<=\s)(?:WhatsApp|Outlook-\w+|Slack|\w*Reader)/\S+"
)


def machine_reason(method: str, headers: Headers, *, of_page: bool = True) -> str | None:
    """Why a request does not come from a person's browser; None when it seems to.

    HEAD requests, prefetches, loads other than of a page (unless what was asked for is a part of
    one, `of_page` being False), missing user agents, preview fetchers and tools, known crawlers.
    """
    if method == "HEAD":
        return "head"
    if _PREFETCH.search(" ".join(headers.get(name, "") for name in PURPOSES)):
        return "prefetch"
    if of_page and _is_embedded(method, headers):
        return "embedded"
    return reason_of_agent(headers.get("User-Agent", ""))


def reason_of_agent(agent: str) -> str | None:
    """Why whoever calls itself that is no person's browser."""
    return _reason_of_agent(agent.strip()[:AGENT_LENGTH_MAX])


PURPOSES = ("Sec-Purpose", "Purpose", "X-Purpose", "X-Moz")
_PREFETCH = re.compile(r"prefetch|prerender|preview", re.IGNORECASE)


def _is_embedded(method: str, headers: Headers) -> bool:
    """Whether it is loaded as a picture or a frame of a page, or read by a page's script."""
    kind = headers.get("Sec-Fetch-Dest", "document")
    if kind == "empty":  # what our own page reports is sent by its script
        return method == "GET" and headers.get("Sec-Fetch-Mode", "navigate") != "navigate"
    return kind != "document"


@lru_cache(AGENTS_KEPT)
def _reason_of_agent(agent: str) -> str | None:
    if not agent:
        return "no-user-agent"
    if _FETCHERS.search(agent):
        return "fetcher"
    if _INTRODUCTIONS.search(agent) or is_listed(_NAMES.sub("", agent)):
        return "crawler"
    return None if _BROWSERS.search(agent) else "fetcher"


# The list of crawlers. Nearly all of its patterns are plain words or stand at the beginning: looked
# for as such they take a fraction of the time, most of all where an agent is made to be slow.

_PLAIN = re.compile(r"(?:[^\\^$.*+?{}\[\]|()]|\\\W)+")
_ESCAPED = re.compile(r"\\(\W)")


def _plain(patterns: Iterable[str]) -> tuple[str, ...]:
    """The patterns that are plain words, in lower case."""
    return tuple(_ESCAPED.sub(r"\1", one).lower() for one in patterns if _PLAIN.fullmatch(one))


def _others(patterns: Iterable[str], *, anchored: bool) -> re.Pattern[str]:
    """The patterns that are not, those that stand at the beginning or those anywhere."""
    return re.compile(
        "|".join(
            # What stands before a word does not decide whether it is there, and takes time with
            # the square of the length to look for.
            one.removeprefix(r"[a-z0-9\-_]*")
            for one in patterns
            if not _PLAIN.fullmatch(one) and _is_anchored(one) is anchored
        ),
        re.IGNORECASE,
    )


def _is_anchored(pattern: str) -> bool:
    return pattern.startswith("^") and "|" not in pattern


_LISTED_WORDS = _plain(crawlers.data)
_LISTED_ANYWHERE = _others(crawlers.data, anchored=False)
_LISTED_FIRST = _others(crawlers.data, anchored=True)
_BROWSERS_OWN = re.compile("|".join(exclusions.data), re.IGNORECASE)


def is_listed(agent: str) -> bool:
    """Whether the list of crawlers knows a user agent."""
    rest = _BROWSERS_OWN.sub("", agent)
    words = rest.lower()
    return (
        _LISTED_ANYWHERE.search(rest) is not None
        or _LISTED_FIRST.match(rest) is not None
        or any(word in words for word in _LISTED_WORDS)
    )
