"""Forms: what was typed is kept as it was, and what is wrong with it is said beside the field."""

import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import TypeVar
from zoneinfo import ZoneInfo

from babel.numbers import get_currency_precision, list_currencies
from flask_babel import format_number, ngettext
from flask_babel import gettext as _
from werkzeug.datastructures import MultiDict

from referral import texts
from referral.catalog import PRICE_MAX
from referral.errors import Conflict, Problem
from referral.web.language import in_words

YEAR_MIN, YEAR_MAX = 2000, 2200
E = TypeVar("E", bound=StrEnum)
_GROUPED = re.compile(r"\d{1,3}([, ]\d{3})+")
_SPACES = re.compile(r"\s+")


class Form:
    """A form as it was sent, or as it is first shown.

    Every reading method returns the checked value, or None (text: "") with a sentence in `errors`
    under the field's name; the sentence under "" is about the form as a whole.
    """

    def __init__(self, typed: Mapping[str, str] | None = None) -> None:
        self.values: dict[str, str] = {
            name: value.replace("\0", "") for name, value in (typed or {}).items()
        }
        sent = typed if isinstance(typed, MultiDict) else None
        self.lists: MultiDict[str, str] = MultiDict(sent)
        self.errors: dict[str, str] = {}

    @property
    def ok(self) -> bool:
        return not self.errors

    def refuse(self, name: str, sentence: str) -> None:
        """Say what is wrong with a field; what was said first stays."""
        self.errors.setdefault(name, sentence)

    @contextmanager
    def refusing(self, fields: Mapping[type[Problem], str]) -> Iterator[None]:
        """What an action inside refuses is said beside a field; `fields` are by the problem.

        Of a name that is taken (a `Conflict`) the title says enough there, without its advice.
        """
        try:
            yield
        except tuple(fields) as problem:
            name = next(fields[kind] for kind in type(problem).__mro__ if kind in fields)
            is_taken = isinstance(problem, Conflict)
            self.refuse(name, _(problem.title) if is_taken else in_words(problem))

    def typed(self, name: str) -> str:
        """A field in one line: full-width digits and letters read as the ordinary ones."""
        value = unicodedata.normalize("NFKC", self.values.get(name, ""))
        return _SPACES.sub(" ", value).strip()

    def text(self, name: str, *, most: int, least: int = 0) -> str:
        """One line as it should be stored, without what is not seen."""
        return self._of_length(name, texts.one_line(self.values.get(name, "")), most, least)

    def paragraphs(self, name: str, *, most: int) -> str:
        """Several lines; an empty one parts two paragraphs."""
        return self._of_length(name, texts.paragraphs(self.values.get(name, "")), most, 0)

    def _of_length(self, name: str, value: str, most: int, least: int) -> str:
        if len(value) < least:
            self.refuse(name, _("Please fill this in."))
        elif len(value) > most:
            self.refuse(
                name,
                _(
                    "This has %(length)s characters; at most %(most)s fit.",
                    length=format_number(len(value)),
                    most=format_number(most),
                ),
            )
        return value

    def whole(self, name: str, *, low: int, high: int, optional: bool = False) -> int | None:
        """A whole number; thousands may be parted by commas or spaces."""
        value = self.typed(name)
        if not value and optional:
            return None
        digits = re.sub("[, ]", "", value) if _GROUPED.fullmatch(value) else value
        # The length first: a number of a million digits takes minutes to read.
        number = int(digits) if digits.isdecimal() and len(digits) <= len(str(high)) else None
        if number is None or not low <= number <= high:
            self.refuse(
                name,
                _(
                    "Please enter a whole number from %(low)s to %(high)s.",
                    low=format_number(low),
                    high=format_number(high),
                ),
            )
            return None
        return number

    def currency(self, name: str) -> str | None:
        """A currency's three letters."""
        value = self.typed(name).upper()
        if value not in list_currencies():
            self.refuse(name, _("Please enter a currency's three letters, such as CNY."))
            return None
        return value

    def price(self, name: str, currency: str | None) -> int | None:
        """An amount above zero in a currency's major units, as its minor units, exactly."""
        value = self.typed(name)
        whole, point, parts = value.partition(".")
        whole = re.sub("[, ]", "", whole) if _GROUPED.fullmatch(whole) else whole
        try:
            # Decimal would take "1e9", "Infinity" and "1_000" as well.
            if not re.fullmatch(r"[0-9]{1,15}(\.[0-9]{1,15})?", f"{whole}{point}{parts}"):
                raise InvalidOperation
            amount = Decimal(f"{whole}{point}{parts}")
        except InvalidOperation:
            self.refuse(name, _("Please write the price as a number with a point, such as 12.50."))
            return None
        if currency is None:
            return None
        places = get_currency_precision(currency)
        minor = amount.scaleb(places)
        if minor != minor.to_integral_value():
            self.refuse(name, self._too_fine(currency, places))
            return None
        if not 0 < minor <= PRICE_MAX:
            self.refuse(name, _("This price is not possible. Please check it."))
            return None
        return int(minor)

    @staticmethod
    def _too_fine(currency: str, places: int) -> str:
        if not places:
            return _("%(currency)s has no smaller unit; write a whole number.", currency=currency)
        return ngettext(
            "%(currency)s has %(num)s digit after the point.",
            "%(currency)s has %(num)s digits after the point.",
            places,
            currency=currency,
        )

    def moment(self, name: str, zone: ZoneInfo) -> datetime | None:
        """A date and time typed in `zone`, in UTC; None when left empty."""
        value = self.typed(name)
        if not value:
            return None
        try:
            local = datetime.fromisoformat(value)
        except ValueError:
            local = None
        if local is None or local.tzinfo is not None or not YEAR_MIN <= local.year < YEAR_MAX:
            self.refuse(name, _("Please enter a date and time such as 2026-11-30 09:00."))
            return None
        return local.replace(tzinfo=zone).astimezone(UTC)

    def day(self, name: str) -> date | None:
        """A date; None when left empty."""
        value = self.typed(name)
        if not value:
            return None
        try:
            day = date.fromisoformat(value)
        except ValueError:
            day = None
        if day is None or not YEAR_MIN <= day.year < YEAR_MAX:
            self.refuse(name, _("Please enter a date such as 2026-11-30."))
            return None
        return day

    def one_of(self, name: str, allowed: Collection[str]) -> str | None:
        """One of the values that are offered."""
        value = self.typed(name)
        if value not in allowed:
            self.refuse(name, _("Please choose one of these."))
            return None
        return value

    def choice(self, name: str, of: type[E], default: E) -> E:
        """One of the values of an enumeration; `default` where none was sent."""
        if not self.typed(name):
            return default
        chosen = self.one_of(name, [each.value for each in of])
        return of(chosen) if chosen else default

    def chosen(self, name: str, allowed: Collection[str]) -> list[str]:
        """Those of the offered values that were ticked, each once."""
        ticked: Sequence[str] = self.lists.getlist(name)
        return [value for value in dict.fromkeys(ticked) if value in allowed]


def as_typed(moment: datetime, zone: ZoneInfo) -> str:
    """A time as a date-and-time field shows it."""
    return moment.astimezone(zone).strftime("%Y-%m-%dT%H:%M")


def offset_of(args: Mapping[str, str], name: str = "offset") -> int:
    """The offset a list is asked for; anything that is none is the beginning."""
    value = args.get(name, "")
    return int(value) if value.isascii() and value.isdigit() and len(value) <= 9 else 0
