"""Where the service is reached, and where it reaches others."""

import re
from urllib.parse import urlsplit

from referral import shops
from referral.config.reading import LOOPBACK_HOSTS, ConfigError, address_of
from referral.db.url import BadDatabaseUrl, read_database_url
from referral.redis_server import BadAddress, read_address

_HOST = re.compile(r"(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]*)?", re.IGNORECASE | re.ASCII)
"""A host as names and numbers are written, and a port."""


def read_database(value: str) -> str:
    try:
        return read_database_url(value)
    except BadDatabaseUrl as wrong:
        raise ConfigError(f"REFERRAL_DATABASE_URL {wrong}.") from None


def read_redis(value: str) -> str | None:
    if not value:
        return None
    try:
        read_address(value)
    except BadAddress as wrong:
        raise ConfigError(f"REFERRAL_REDIS_URL {wrong}.") from None
    return re.sub(r"^valkey(s?)://", r"redis\1://", value)


def read_base_url(value: str) -> str:
    parts = address_of(value)
    has_host = parts is not None and parts.scheme in {"http", "https"} and parts.hostname
    rest = parts is not None and (parts.path.rstrip("/") or parts.query or parts.fragment)
    if parts is None or not has_host or rest:
        raise ConfigError(
            "REFERRAL_BASE_URL must be an address such as https://brand.example, "
            "with nothing after the host and port."
        )
    # What is printed is this host in capitals: those of ß are another host's.
    if not _HOST.fullmatch(parts.netloc):
        raise ConfigError(
            "REFERRAL_BASE_URL must have a host of ASCII letters alone, such as brand.example or "
            "xn--fiqs8s.example, and no user or password before it."
        )
    return value.rstrip("/")


def read_sender(value: str, base_url: str) -> str:
    """The demo sender shows one-time codes to anybody: only a local address may default to it."""
    if not value:
        if urlsplit(base_url).hostname not in LOOPBACK_HOSTS:
            raise ConfigError(
                "REFERRAL_SENDER must say how one-time codes are sent: smtp://user:password@host, "
                "https://your-sms-hook, or demo to show them on the page."
            )
        return "demo"
    parts = address_of(value)
    is_known = parts and parts.hostname and parts.scheme in {"smtp", "smtps", "http", "https"}
    if value != "demo" and not is_known:
        raise ConfigError(
            "REFERRAL_SENDER must be demo, or an address that starts with smtp://, smtps:// or "
            "https://."
        )
    return value


def read_shops(value: str) -> tuple[str, ...]:
    """The hosts that are listed, each once."""
    entries = [entry.strip() for entry in value.split(",") if entry.strip()]
    try:
        return tuple(dict.fromkeys(shops.listed(entry) for entry in entries))
    except shops.BadShop as wrong:
        raise ConfigError(
            f"REFERRAL_SHOPS: {str(wrong)!r} is no host; write hosts in ASCII letters alone, "
            "separated by commas, such as shop.example or *.brand.example for all below it."
        ) from None
