"""Languages: chosen by the reader, else by the browser, else the deployment's own."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode

from apiflask import APIFlask
from babel.lists import format_list
from babel.numbers import format_compact_decimal, get_currency_precision
from flask import Response, g, request
from flask_babel import (
    Babel,
    force_locale,
    format_currency,
    format_date,
    format_number,
    format_time,
    get_locale,
)
from flask_babel import gettext as _
from werkzeug.datastructures import LanguageAccept
from werkzeug.http import parse_accept_header

from referral.config import LANGUAGES
from referral.errors import Problem
from referral.places import place_name
from referral.web.context import customer, deployment

COOKIE = "referral_lang"
COOKIE_LIFETIME = timedelta(days=365)
OWN_NAMES = {"zh-Hans": "简体中文", "zh-Hant": "繁體中文", "en": "English"}
TRADITIONAL = {"tw", "hk", "mo", "hant"}
NO_QUERY: Mapping[str, str] = {}
HEADERS_KEPT = 1024
HEADER_LENGTH_MAX = 512
"""How much of an Accept-Language is looked at, and for how many the answer is kept."""


def set_up(app: APIFlask) -> None:
    Babel(
        app,
        default_translation_directories="translations",
        locale_selector=lambda: _locale(language()),
        timezone_selector=lambda: deployment().config.timezone,
    )
    app.after_request(_keep_choice)
    app.context_processor(_context)
    app.add_template_filter(_when, "when")
    app.add_template_filter(_day, "day")
    app.add_template_filter(_number, "number")
    app.add_template_filter(_short_number, "short")
    app.add_template_filter(money, "money")
    app.add_template_filter(_place, "place")
    app.add_template_filter(_places, "places")


def language() -> str:
    """The language of this answer: one of `LANGUAGES`."""
    if "language" not in g:
        asked = request.args.get("lang", "")
        kept = request.cookies.get(COOKIE, "")
        g.language = next(
            (tag for tag in (asked, kept) if tag in LANGUAGES),
            _negotiated() or deployment().config.lang,
        )
    return str(g.language)


@contextmanager
def speaking(tag: str) -> Iterator[None]:
    """Write in another of `LANGUAGES`, without keeping it as the reader's choice."""
    before = language()
    g.language = tag
    try:
        with force_locale(_locale(tag)):
            yield
    finally:
        g.language = before


def _locale(tag: str) -> str:
    """How a language writes dates. English is that of readers in Asia: day before month."""
    return "en_GB" if tag == "en" else tag.replace("-", "_")


def in_words(problem: Problem) -> str:
    """What is the matter and what to do, as running text. Chinese has no space in between."""
    between = "" if language().startswith("zh") else " "
    return f"{_(problem.title)}{between}{_(problem.advice)}"


def _negotiated() -> str | None:
    """The first language in Accept-Language that we have."""
    # Facebook asks for each language of a card by a header of its own.
    asked = request.headers.get("X-Facebook-Locale", "")
    return negotiated(asked) or negotiated(request.headers.get("Accept-Language", ""))


@lru_cache(HEADERS_KEPT)
def negotiated(accepted: str) -> str | None:
    """The first language in an Accept-Language that we have; None for none."""
    for tag in parse_accept_header(accepted[:HEADER_LENGTH_MAX], LanguageAccept).values():
        parts = tag.lower().replace("_", "-").split("-")
        if parts[0] == "zh":
            return "zh-Hant" if TRADITIONAL & set(parts) and "hans" not in parts else "zh-Hans"
        if parts[0] == "en":
            return "en"
    return None


def _keep_choice(response: Response) -> Response:
    asked = request.args.get("lang", "")
    is_page = response.mimetype == "text/html"
    # A picture in another language is wanted for somebody else: nobody reads this site in it.
    if is_page and asked in LANGUAGES and asked != request.cookies.get(COOKIE):
        response.set_cookie(
            COOKIE,
            asked,
            max_age=COOKIE_LIFETIME,
            httponly=True,
            samesite="Lax",
            secure=deployment().config.is_https,
        )
    if is_page:
        response.vary.update(["Accept-Language", "Cookie"])
    return response


def _context() -> dict[str, Any]:
    return {
        "brand": deployment().config.brand,
        "lang": language(),
        "languages": languages_of(_this_page(), request.args.to_dict()),
        "customer": customer(),
    }


def languages_of(path: str, query: Mapping[str, str] = NO_QUERY) -> list[tuple[str, str, str]]:
    """Every language with its own name and where a page is to be had in it."""
    return [
        (tag, OWN_NAMES[tag], f"{path}?{urlencode({**query, 'lang': tag})}") for tag in LANGUAGES
    ]


def _this_page() -> str:
    # What a form was sent to may answer to nothing else.
    return request.path if request.method in {"GET", "HEAD"} else "/"


def _when(moment: datetime) -> str:
    # Babel's own short and medium forms have a two-digit year and seconds.
    return f"{format_date(moment, 'medium')} {format_time(moment, 'short')}"


def _day(moment: date) -> str:
    return str(format_date(moment, "long"))


def _number(value: int) -> str:
    return format_number(value)


def _short_number(value: int) -> str:
    """A number where there is little room: ``12K``."""
    return format_compact_decimal(value, locale=get_locale())


def money(minor: int, currency: str) -> str:
    """An amount in minor units, in words of the reader's language."""
    return format_currency(minor / 10 ** get_currency_precision(currency), currency)


def _place(region: str | None) -> str:
    """A region in words; nothing for an unknown one."""
    return place_name(region, language()) if region else ""


def _places(regions: Sequence[str]) -> str:
    return format_list([_place(region) for region in regions], locale=get_locale())
