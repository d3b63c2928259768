"""GS1 Digital Link: the grammar of addresses that name a product, a lot or a single package.

The path is ``/01/{gtin}``, then any of ``/22/`` (variant), ``/10/`` (lot) and ``/21/`` (serial) in
that order, or ``/235/`` alone (a serial number of a third party's). What else a label carries,
such as the expiry date, stands in the query. After GS1 Digital Link URI syntax 1.6.
"""

import calendar
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import ClassVar
from urllib.parse import quote, unquote

from referral.errors import N_, InvalidInput
from referral.gs1.gtin import GTIN_LENGTH, BadGTIN, gtin14

GTIN = "01"
EXPIRY = "17"
DATES = frozenset({"11", "12", "13", "15", "16", EXPIRY})
"""Application identifiers whose value is a date."""
VALUE_LENGTH_MAX = 20
THIRD_PARTY_LENGTH_MAX = 28

_SET_82 = re.compile(r"[!\"%&'()*+,\-./0-9:;<=>?A-Z_a-z]+")
_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_YEARS_AHEAD = 50


class BadDigitalLink(InvalidInput):
    """An address that no label has: `detail` says in English what is wrong with it."""

    slug = "bad-digital-link"
    status = 400
    title = N_("This address is not one that stands on a package.")
    advice = N_("A part of it may be missing or changed. Please scan the code again.")


@dataclass(frozen=True)
class DigitalLink:
    """What an address names. Making one raises `BadDigitalLink` or `BadGTIN` if it cannot be."""

    gtin: str
    """Always 14 digits, the last of which checks them."""
    variant: str | None = None
    lot: str | None = None
    serial: str | None = None
    third_party: str | None = None
    expiry: str | None = None
    """As it is written, YYMMDD; `read_date` makes a date of it."""

    QUALIFIERS: ClassVar[dict[str, str]] = {
        "22": "variant",
        "10": "lot",
        "21": "serial",
        "235": "third_party",
    }
    """What follows a GTIN in the path, in the order in which it has to."""

    def __post_init__(self) -> None:
        # Elsewhere a shorter GTIN is filled up; here two spellings would be two addresses.
        if len(self.gtin) != GTIN_LENGTH:
            raise BadGTIN("In an address a GTIN has 14 digits: put zeros before a shorter one.")
        gtin14(self.gtin)
        for identifier, value in self._qualifiers():
            longest = THIRD_PARTY_LENGTH_MAX if identifier == "235" else VALUE_LENGTH_MAX
            if not is_value(value, longest):
                raise BadDigitalLink(
                    f"({identifier}) has 1 to {longest} of the 82 characters that GS1 allows."
                )
        if self.third_party is not None and (self.variant or self.lot or self.serial):
            raise BadDigitalLink("Beside (235) stands no variant, lot or serial number.")
        if self.expiry is not None:
            check_date(EXPIRY, self.expiry)

    @property
    def path(self) -> str:
        """The path, with everything encoded that means something in an address."""
        parts = [(GTIN, self.gtin), *self._qualifiers()]
        return "".join(f"/{identifier}/{quote(value, safe='')}" for identifier, value in parts)

    @property
    def query(self) -> str:
        return f"{EXPIRY}={self.expiry}" if self.expiry else ""

    def levels(self) -> Iterator["DigitalLink"]:
        """This, and what it is one of: up from the single package over its lot to the product."""
        named = {self.QUALIFIERS[key]: value for key, value in self._qualifiers()}
        while named:
            yield DigitalLink(self.gtin, **named)
            named.popitem()
        yield DigitalLink(self.gtin)

    def _qualifiers(self) -> list[tuple[str, str]]:
        named = [(key, getattr(self, name)) for key, name in self.QUALIFIERS.items()]
        return [(key, value) for key, value in named if value is not None]


def is_value(text: str, longest: int = VALUE_LENGTH_MAX) -> bool:
    """Whether a text can be a lot, variant or serial number: of GS1's 82 characters alone."""
    return len(text) <= longest and _SET_82.fullmatch(text) is not None


def parse(path: str, query: str = "") -> DigitalLink:
    """Read an address's path and query, both as they were sent, with their percent signs.

    One slash too many at the end is forgiven. Raises `BadDigitalLink`, `BadGTIN`.
    """
    segments = [_decoded(segment) for segment in path.removesuffix("/").split("/")[1:]]
    keys, values = segments[::2], segments[1::2]
    if len(keys) != len(values) or keys[:1] != [GTIN]:
        raise BadDigitalLink("The path is made of pairs and begins with /01/ and a GTIN.")
    order = list(DigitalLink.QUALIFIERS)
    if any(key not in order for key in keys[1:]):
        raise BadDigitalLink("After the GTIN the path has only (22), (10), (21) or (235).")
    places = [order.index(key) for key in keys[1:]]
    if places != sorted(set(places)):
        raise BadDigitalLink("After the GTIN come (22), (10) and (21), in this order, once each.")
    qualifiers = zip(keys[1:], values[1:], strict=True)
    named = {DigitalLink.QUALIFIERS[key]: value for key, value in qualifiers}
    return DigitalLink(values[0], **named, expiry=_attributes(query).get(EXPIRY))


def _attributes(query: str) -> dict[str, str]:
    """The application identifiers in a query; other parameters are none of ours."""
    found: dict[str, str] = {}
    for pair in re.split("[&;]", query):
        key, _, value = pair.partition("=")
        if not (key.isascii() and key.isdigit()):
            continue
        if key == GTIN or key in DigitalLink.QUALIFIERS:
            raise BadDigitalLink(f"({key}) belongs into the path, not into the query.")
        if key in found:
            raise BadDigitalLink(f"({key}) is there twice.")
        found[key] = _decoded(value.replace("+", " "))
        if key in DATES:
            check_date(key, found[key])
    return found


def _decoded(text: str) -> str:
    if _PERCENT.search(text):
        raise BadDigitalLink("A percent sign is followed by two hexadecimal digits.")
    return unquote(text, errors="replace")


# Dates


def check_date(identifier: str, value: str) -> None:
    """Raises `BadDigitalLink` for what is no date in the form YYMMDD; day 00 is one."""
    if not re.fullmatch(r"[0-9]{6}", value) or not 1 <= int(value[2:4]) <= 12:
        raise BadDigitalLink(f"({identifier}) is a date: year, month and day, two digits each.")
    # The century is not known here: in this one every fourth year is a leap year, 00 among them.
    if int(value[4:]) > calendar.monthrange(2000 + int(value[:2]), int(value[2:4]))[1]:
        raise BadDigitalLink(f"({identifier}) is a day that its month does not have.")


def read_date(value: str, today: date) -> date:
    """The date that six digits mean on `today`; day 00 is the last one of its month.

    As GS1 has it, the century is the one that brings the year into the 49 years before this one or
    the 50 after it. Raises `BadDigitalLink`.
    """
    check_date(EXPIRY, value)
    year, month, day = (int(value[place : place + 2]) for place in (0, 2, 4))
    century = today.year - today.year % 100
    distance = year - today.year % 100
    if distance > _YEARS_AHEAD:
        century -= 100
    elif distance < _YEARS_AHEAD - 99:
        century += 100
    year += century
    last = calendar.monthrange(year, month)[1]
    if day > last:  # 2100 has no 29 February, though the year 00 may have one
        raise BadDigitalLink(f"({EXPIRY}) is a day that its month does not have.")
    return date(year, month, day or last)
