"""What settings are read with; what is wrong is said in one sentence that a person can act on."""

import re
from decimal import Decimal
from urllib.parse import SplitResult, urlsplit

LOOPBACK_HOSTS = {"127.0.0.1", "localhost", "::1"}


class ConfigError(Exception):
    """A setting is missing or wrong; the message says which one and what to do."""


def address_of(value: str) -> SplitResult | None:
    """The parts of an address; None for one with a broken host or a port that is no number."""
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        return None
    return parts


def read_decimal(name: str, value: str, *, most: int, places: int) -> int:
    """A number with at most so many digits behind the point, in units of the last of them."""
    shape = rf"[0-9]{{1,12}}(\.[0-9]{{1,{places}}})?" if places else "[0-9]{1,12}"
    if not re.fullmatch(shape, value) or Decimal(value) > most:
        digits = f" with at most {places} digits behind the point" if places else ""
        raise ConfigError(f"REFERRAL_{name} must be a number from 0 to {most}{digits}.")
    return int(Decimal(value).scaleb(places))
