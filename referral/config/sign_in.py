"""How staff sign in beside a password, as the operator sets it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from referral.config.reading import LOOPBACK_HOSTS, ConfigError
from referral.roles import Role

OIDC_NAMES = ("ISSUER", "CLIENT_ID", "CLIENT_SECRET")
VALUE_LENGTH_MAX = 255


@dataclass(frozen=True)
class OidcSettings:
    """The brand's own provider of single sign-on."""

    issuer: str
    """Its address, written as it writes it itself: with or without a slash at the end."""
    client_id: str
    client_secret: str = field(repr=False)


def read_oidc(values: Mapping[str, str]) -> OidcSettings | None:
    """The settings that begin with REFERRAL_OIDC_, all of them or none. Raises `ConfigError`."""
    given = [name for name in OIDC_NAMES if values[name]]
    if not given:
        return None
    for name in OIDC_NAMES:
        if not values[name]:
            raise ConfigError(
                f"REFERRAL_OIDC_{name} is missing: REFERRAL_OIDC_{given[0]} needs it beside it."
            )
        if len(values[name]) > VALUE_LENGTH_MAX:
            raise ConfigError(f"REFERRAL_OIDC_{name} is too long.")
    if not _is_issuer(values["ISSUER"]):
        raise ConfigError(
            "REFERRAL_OIDC_ISSUER must be the provider's address, such as "
            "https://login.brand.example, with https and without ? or #."
        )
    return OidcSettings(*(values[name] for name in OIDC_NAMES))


def read_roles(value: str) -> frozenset[str]:
    """The roles that need a second factor. Raises `ConfigError`."""
    known = [role.value for role in Role]
    roles = [name.strip() for name in value.split(",") if name.strip()]
    for name in roles:
        if name not in known:
            raise ConfigError(
                f"REFERRAL_SECOND_FACTOR_ROLES: {name!r} is no role; "
                f"write some of {', '.join(known)}, separated by commas."
            )
    return frozenset(roles)


def _is_issuer(address: str) -> bool:
    try:
        parts = urlsplit(address)
        _ = parts.port
    except ValueError:
        return False
    is_safe = parts.scheme == "https" or (
        parts.scheme == "http" and parts.hostname in LOOPBACK_HOSTS
    )
    return bool(parts.hostname) and is_safe and not parts.query and not parts.fragment
