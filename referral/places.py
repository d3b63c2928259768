"""Places: where an address is, as coarsely as anybody needs it, and what such a place is called.

A region is written as in ISO 3166: ``CN`` for a country, ``CN-GD`` for a part of one. Where an
address is comes from an mmdb file; without one every region is unknown, and nothing else changes.
"""

import gettext
import ipaddress
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache, lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import maxminddb
from babel import Locale
from maxminddb import InvalidDatabaseError

from referral.config import ConfigError
from referral.errors import N_, InvalidInput

REGION_LENGTH_MAX = 6
IPV4_BLOCK, IPV6_BLOCK = 24, 48
"""How many bits of an address say which block it is in."""
BLOCKS_KEPT = 4096
NO_BLOCK = "unknown"
"""The block of what is no address."""
RECORDS_TRIED = 200
"""In how many records a file has to name one country to be taken for a file of countries."""

TRANSLATIONS = Path(__file__).resolve().parent / "translations"

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_COUNTRY = re.compile(r"[A-Z]{2}")
_SUBDIVISION = re.compile(r"[A-Z0-9]{1,3}")
_WITH_PORT = re.compile(r"(\d+\.\d+\.\d+\.\d+):\d+|\[([^\]]+)\](?::\d+)?")
_NO_COUNTRIES = {"EU", "EZ", "QO", "UN", "XA", "XB", "ZZ"}
"""What Babel lists among the countries and is none."""
_ALSO_COUNTRIES = {"CN-HK": "HK", "CN-MO": "MO", "CN-TW": "TW"}
"""ISO 3166 has these twice; files of addresses know them by the second name."""

PROVINCES = {
    "CN-AH": N_("Anhui"),
    "CN-BJ": N_("Beijing"),
    "CN-CQ": N_("Chongqing"),
    "CN-FJ": N_("Fujian"),
    "CN-GD": N_("Guangdong"),
    "CN-GS": N_("Gansu"),
    "CN-GX": N_("Guangxi"),
    "CN-GZ": N_("Guizhou"),
    "CN-HA": N_("Henan"),
    "CN-HB": N_("Hubei"),
    "CN-HE": N_("Hebei"),
    "CN-HI": N_("Hainan"),
    "CN-HK": N_("Hong Kong"),
    "CN-HL": N_("Heilongjiang"),
    "CN-HN": N_("Hunan"),
    "CN-JL": N_("Jilin"),
    "CN-JS": N_("Jiangsu"),
    "CN-JX": N_("Jiangxi"),
    "CN-LN": N_("Liaoning"),
    "CN-MO": N_("Macao"),
    "CN-NM": N_("Inner Mongolia"),
    "CN-NX": N_("Ningxia"),
    "CN-QH": N_("Qinghai"),
    "CN-SC": N_("Sichuan"),
    "CN-SD": N_("Shandong"),
    "CN-SH": N_("Shanghai"),
    "CN-SN": N_("Shaanxi"),
    "CN-SX": N_("Shanxi"),
    "CN-TJ": N_("Tianjin"),
    "CN-TW": N_("Taiwan"),
    "CN-XJ": N_("Xinjiang"),
    "CN-XZ": N_("Tibet"),
    "CN-YN": N_("Yunnan"),
    "CN-ZJ": N_("Zhejiang"),
}


class BadRegion(InvalidInput):
    slug = "bad-region"
    title = N_("This is not a region we know.")
    advice = N_("Give a country such as CN, or a part of one such as CN-GD (ISO 3166).")


class Places:
    """Where addresses are. Threads may share it; the file is opened once, and mapped."""

    def __init__(self, path: Path | None) -> None:
        """Raises `ConfigError` for a file that is missing, broken or about something else."""
        self._reader = None if path is None else _opened(path)

    def region(self, address: str) -> str | None:
        """The region of an address; None where it is not known."""
        if self._reader is None:
            return None
        parsed = _parsed(address)
        if parsed is None:
            return None
        try:
            return _region_of(self._reader.get(parsed))
        except (InvalidDatabaseError, ValueError):
            return None  # a record that is broken; an IPv6 address, in a file of IPv4 ones

    @property
    def source(self) -> str | None:
        """What the file calls itself and the day it was made; None without a file."""
        if self._reader is None:
            return None
        said = self._reader.metadata()
        return f"{said.database_type} of {datetime.fromtimestamp(said.build_epoch, UTC):%Y-%m-%d}"


def in_market(market: Sequence[str], region: str | None) -> bool:
    """Whether a region may be inside a market: a list of regions, everywhere when empty.

    What is not known exactly enough is given the benefit of the doubt: an unknown region, and a
    country of which only a part is the market.
    """
    if not market or region is None:
        return True
    here = _ALSO_COUNTRIES.get(region, region)
    for each in market:
        there = _ALSO_COUNTRIES.get(each, each)
        if here == there or here.startswith(f"{there}-") or there.startswith(f"{here}-"):
            return True
    return False


def valid_region(text: str) -> bool:
    """Whether a text names a region: a country there is, or a part of one by its shape."""
    country, dash, subdivision = text.partition("-")
    if country not in _countries():
        return False
    if country == "CN" and dash:
        return text in PROVINCES
    return not dash or _SUBDIVISION.fullmatch(subdivision) is not None


def place_name(region: str, language_tag: str) -> str:
    """What a region is called in one of our languages: a Chinese province, else the country."""
    if region in PROVINCES:
        return _catalogue(language_tag).gettext(PROVINCES[region])
    country = region.partition("-")[0]
    return _names(language_tag).get(country, country)


@lru_cache(BLOCKS_KEPT)
def address_block(address: str) -> str:
    """The network an address is in, as people are given addresses: ``203.0.113.0/24``.

    `NO_BLOCK` for what is no address.
    """
    parsed = _parsed(address)
    if parsed is None:
        return NO_BLOCK
    bits = IPV4_BLOCK if parsed.version == 4 else IPV6_BLOCK
    return str(ipaddress.ip_network((int(parsed).to_bytes(parsed.max_prefixlen // 8), bits), False))


def _opened(path: Path) -> maxminddb.Reader:
    advice = "name a file of countries or cities in mmdb format, or leave the setting out."
    try:
        reader = maxminddb.open_database(path)
        tried = [record for _, record in islice(reader, RECORDS_TRIED)]
    except (InvalidDatabaseError, OSError, ValueError) as error:
        why = (
            error.strerror if isinstance(error, OSError) else "it is no mmdb file, or a broken one"
        )
        raise ConfigError(f"REFERRAL_GEOIP: {path} cannot be read ({why}); {advice}") from None
    if tried and not any(map(_region_of, tried)):
        kind = reader.metadata().database_type
        raise ConfigError(f"REFERRAL_GEOIP: {path} ({kind}) names no countries; {advice}")
    return reader


def _region_of(record: object) -> str | None:
    """The region in a record, in the shape of MaxMind's files or in the flat one of others."""
    if not isinstance(record, Mapping):
        return None
    country = _code_in(record.get("country")) or _code_in(record.get("country_code"))
    if country is None or not _COUNTRY.fullmatch(country):
        return None
    parts = record.get("subdivisions")
    part = _code_in(parts[0]) if isinstance(parts, list) and parts else None
    return f"{country}-{part}" if part and _SUBDIVISION.fullmatch(part) else country


def _code_in(value: object) -> str | None:
    found: Any = value.get("iso_code") if isinstance(value, Mapping) else value
    return found if isinstance(found, str) else None


def _parsed(address: str) -> Address | None:
    """An address, also one that a proxy wrote with its port, or IPv4 inside IPv6."""
    if found := _WITH_PORT.fullmatch(address):
        address = found[1] or found[2]
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        return parsed.ipv4_mapped
    return parsed


@cache
def _countries() -> frozenset[str]:
    listed = _names("en")
    return frozenset(c for c in listed if _COUNTRY.fullmatch(c) and c not in _NO_COUNTRIES)


@cache
def _names(language_tag: str) -> Mapping[str, str]:
    return Locale.parse(language_tag, sep="-").territories


@cache
def _catalogue(language_tag: str) -> gettext.NullTranslations:
    """Our own words in a language, also where no request says which one."""
    languages = [language_tag.replace("-", "_")]
    return gettext.translation("messages", TRANSLATIONS, languages, fallback=True)
