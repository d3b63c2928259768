"""Regions as people write them: by name in any of our languages, or by their ISO 3166 code."""

import re
from collections.abc import Mapping
from functools import cache

from babel import Locale

from referral import places
from referral.config import LANGUAGES

_BETWEEN = re.compile(r"[,;、，；\n]+")
_FORMAL = re.compile(
    r"(?:省|市|(?:维吾尔|維吾爾|壮族|壯族|回族)?自治[区區]|特[别別]行政[区區]| province)$"
)
"""What stands behind a province's name in full."""


def read(text: str) -> tuple[list[str], list[str]]:
    """The regions in a list parted by commas, each once, and what in it is none."""
    found: dict[str, None] = {}
    unknown: list[str] = []
    for each in filter(None, map(str.strip, _BETWEEN.split(text))):
        region = _region(each)
        if region is None:
            unknown.append(each)
        else:
            found[region] = None
    return list(found), unknown


def _region(text: str) -> str | None:
    if places.valid_region(text.upper()):
        return text.upper()
    name = text.casefold()
    return _names().get(name) or _names().get(_FORMAL.sub("", name))


@cache
def _names() -> Mapping[str, str]:
    """Every name of a region that is known, in lower case. A province comes before a country."""
    found: dict[str, str] = {}
    for tag in LANGUAGES:
        for region in places.PROVINCES:
            found.setdefault(places.place_name(region, tag).casefold(), region)
    for tag in LANGUAGES:
        for region, name in Locale.parse(tag, sep="-").territories.items():
            if places.valid_region(region):
                found.setdefault(name.casefold(), region)
    return found
