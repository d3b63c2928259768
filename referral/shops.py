"""Which shops a link may lead to by itself: the operator's list, and an address with a token.

A redirect that anybody could aim would lend the brand's name to every swindler, and a token is
handed to whoever is redirected to. So an address is compared as it is written, in the one form
every browser reads alike; whatever could be read in two ways is on no list.
"""

import re
from collections.abc import Iterable

PARAMETER = "via"
"""What the shop finds the opened link's token under, to report an order with."""
LOOPBACK = frozenset({"127.0.0.1", "localhost"})

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST = rf"{_LABEL}(?:\.{_LABEL})*"
_PORT = r"(?::(?P<port>[1-9][0-9]{0,4}))?"
_LISTED = re.compile(
    rf"(?P<wild>\*\.(?=[^.:]+\.))?(?P<host>{_HOST}){_PORT}", re.IGNORECASE | re.ASCII
)
"""A host, with its port where that is not the usual one; `*.` for all hosts below it, which has
to be a domain of somebody's own: two names at least."""
_ADDRESS = re.compile(
    rf"(?P<scheme>https?)://(?P<host>{_HOST}){_PORT}(?P<rest>(?:[/?#][!-\[\]-~]*)?)", re.ASCII
)
"""An address as it is stored: ASCII, small letters up to the path, no user, no backslash."""
_USUAL_PORTS = {"https": "443", "http": "80"}


class BadShop(ValueError):
    """An entry of the list is no host."""


def listed(entry: str) -> str:
    """An entry of the operator's list as it is compared. Raises `BadShop`."""
    found = _LISTED.fullmatch(entry)
    if found is None or len(found["host"]) > 253 or int(found["port"] or 0) > 65_535:
        raise BadShop(entry)
    return entry.lower().removesuffix(":443")


def is_listed(url: str | None, shops: Iterable[str]) -> bool:
    """Whether a link may lead to this address by itself, and hand it a token."""
    found = _ADDRESS.fullmatch(url or "")
    if found is None:
        return False
    scheme, host, port = found["scheme"], found["host"], found["port"]
    # A token in plain text is everybody's; on one's own machine there is nobody else.
    if scheme == "http" and host not in LOOPBACK:
        return False
    suffix = "" if port in {None, _USUAL_PORTS[scheme]} else f":{port}"
    return any(_fits(host, suffix, shop) for shop in shops)


def _fits(host: str, suffix: str, shop: str) -> bool:
    if shop.startswith("*."):
        return f"{host}{suffix}".endswith(shop[1:])
    return f"{host}{suffix}" == shop


def with_token(url: str, token: str) -> str:
    """The address with the token as its parameter `via`; the rest of it stays as it is."""
    url, hash_, fragment = url.partition("#")
    path, _, query = url.partition("?")
    parts = [
        part
        for part in query.split("&")
        if part and part != PARAMETER and not part.startswith(f"{PARAMETER}=")
    ]
    return f"{path}?{'&'.join([*parts, f'{PARAMETER}={token}'])}{hash_}{fragment}"
