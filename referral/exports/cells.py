"""Cells: what of a row can stand in a file without anything being run by whoever opens it."""

from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from babel.numbers import get_currency_precision

from referral.exports.kinds import Value

DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""What a spreadsheet may take for the beginning of a formula, in full width too: OWASP, CSV
Injection."""
TEXT_MAX = 32_000
"""A cell of a spreadsheet holds 32,767 characters."""


def safe(text: str) -> str:
    """A text that no spreadsheet takes for a formula: an apostrophe before it says that it is text.

    Also where the sign comes behind spaces, which some programs drop.
    """
    text = text.replace("\0", "")[:TEXT_MAX]
    return f"'{text}" if text.startswith(DANGEROUS) or text.lstrip().startswith(DANGEROUS) else text


def in_csv(value: Value, zone: ZoneInfo) -> str:
    """A cell of a CSV file. Numbers stay numbers, also below zero; times are of the brand's zone,
    with its distance from UTC."""
    if value is None:
        return ""
    if isinstance(value, str):
        return safe(value)
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, datetime):
        return value.astimezone(zone).isoformat(sep=" ", timespec="seconds")
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def major(minor: int, unit: str) -> int | Decimal:
    """An amount as people write it: of a currency in its major units, of all else as it is."""
    if len(unit) != 3 or not unit.isupper():
        return minor
    return Decimal(minor).scaleb(-get_currency_precision(unit))
