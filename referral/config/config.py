"""Settings, read once from the environment.

Every setting has the prefix ``REFERRAL_``; docs/settings.md lists them. A missing or wrong one
raises `ConfigError` with one sentence a person can act on, before anything is opened.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from zoneinfo import available_timezones

from referral.config.addresses import (
    read_base_url,
    read_database,
    read_redis,
    read_sender,
    read_shops,
)
from referral.config.reading import ConfigError
from referral.config.secret_keys import read_secret_keys
from referral.config.sign_in import OIDC_NAMES, OidcSettings, read_oidc, read_roles
from referral.config.values import ValueSettings, read_values
from referral.config.wechat import WECHAT_NEEDED, WECHAT_OPTIONAL, WechatSettings, read_wechat

LANGUAGES = ("zh-Hans", "zh-Hant", "en")
INTAKES = ("stream", "table", "direct")
KEEP_MONTHS_MAX = 120
CREDIT_LIMIT_MAX = 10_000_000


@dataclass(frozen=True)
class Config:
    """The settings of one deployment. Build it with `from_env`, or field by field in tests."""

    database_url: str
    data_dir: Path
    secret_keys: tuple[str, ...]
    """Oldest first: all verify, the last one signs."""
    redis_url: str | None = None
    base_url: str = "http://127.0.0.1:8000"
    """What printed codes and share links begin with; no slash at the end."""
    brand: str = "Referral"
    lang: str = "zh-Hans"
    timezone: str = "Asia/Shanghai"
    """What pages show times in; everything stored is UTC."""
    trusted_proxies: int = 0
    """How many hops of X-Forwarded-For to believe."""
    geoip: Path | None = None
    sender: str = "demo"
    """How one-time codes travel: ``demo``, ``smtp://...``, ``smtps://...`` or ``https://...``."""
    wechat: WechatSettings | None = None
    intake: str = "direct"
    """How visits go in: through a ``stream`` in Redis or a ``table`` in the database, from which a
    worker stores them, or ``direct``, stored at once."""
    shops: tuple[str, ...] = ()
    """The hosts a campaign may redirect to, as `shops.listed` writes them."""
    keep_visits_months: int | None = None
    """For how many months visits are kept where the campaign says nothing; None: for ever."""
    values: ValueSettings = field(default_factory=ValueSettings)
    oidc: OidcSettings | None = None
    """The provider at which staff sign in."""
    second_factor_roles: frozenset[str] = frozenset()
    """Whose members do not get in with a password alone."""

    credit_limit: int = 500
    """How many points a member credits a customer at once without anybody's approval."""
    credit_limit_day: int = 2_000
    """How many a member credits on one day in all without it."""

    @property
    def is_https(self) -> bool:
        return self.base_url.startswith("https://")

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> "Config":
        """Read and check the settings. Raises `ConfigError`."""
        environ = os.environ if environ is None else environ

        def setting(name: str, default: str = "") -> str:
            return environ.get(f"REFERRAL_{name}", "").strip() or default

        data_dir = Path(setting("DATA_DIR", "./var")).resolve()
        try:
            data_dir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"REFERRAL_DATA_DIR: the folder {data_dir} cannot be made ({error.strerror}); "
                "name one that can be written to."
            ) from None
        base_url = setting("BASE_URL", f"http://127.0.0.1:{environ.get('PORT') or 8000}")
        return cls(
            database_url=read_database(
                setting("DATABASE_URL", f"sqlite:///{data_dir / 'referral.db'}")
            ),
            data_dir=data_dir,
            secret_keys=read_secret_keys(setting("SECRET_KEYS"), data_dir),
            redis_url=read_redis(setting("REDIS_URL")),
            base_url=read_base_url(base_url),
            brand=setting("BRAND", "Referral"),
            lang=_language(setting("LANG", "zh-Hans")),
            timezone=_timezone(setting("TIMEZONE", "Asia/Shanghai")),
            trusted_proxies=_count("TRUSTED_PROXIES", setting("TRUSTED_PROXIES", "0")),
            geoip=_geoip(setting("GEOIP")),
            sender=read_sender(setting("SENDER"), base_url),
            wechat=read_wechat(
                {name: setting(f"WECHAT_{name}") for name in (*WECHAT_NEEDED, *WECHAT_OPTIONAL)}
            ),
            intake=_intake(setting("INTAKE"), setting("REDIS_URL")),
            shops=read_shops(setting("SHOPS")),
            keep_visits_months=_keep_visits_months(setting("KEEP_VISITS_MONTHS")),
            credit_limit=_points("CREDIT_LIMIT", setting("CREDIT_LIMIT", "500")),
            credit_limit_day=_points("CREDIT_LIMIT_DAY", setting("CREDIT_LIMIT_DAY", "2000")),
            values=read_values(
                currency=setting("VALUE_CURRENCY", "CNY").upper(),
                margin=setting("VALUE_MARGIN", "40"),
                discount=setting("VALUE_DISCOUNT", "10"),
                new_customer=setting("NEW_CUSTOMER_COST", "500"),
                purchases=setting("VALUE_PURCHASES", "both"),
            ),
            oidc=read_oidc({name: setting(f"OIDC_{name}") for name in OIDC_NAMES}),
            second_factor_roles=read_roles(setting("SECOND_FACTOR_ROLES")),
        )


def _intake(value: str, redis_url: str) -> str:
    if value not in ("", *INTAKES):
        raise ConfigError(f"REFERRAL_INTAKE: {value!r} is none of {', '.join(INTAKES)}.")
    if value == "stream" and not redis_url:
        raise ConfigError(
            "REFERRAL_INTAKE: visits go through a stream in Redis or Valkey; "
            "set REFERRAL_REDIS_URL as well, or leave this out."
        )
    return value or ("stream" if redis_url else "table")


def _language(value: str) -> str:
    for known in LANGUAGES:
        if value.lower().replace("_", "-") == known.lower():
            return known
    raise ConfigError(f"REFERRAL_LANG must be one of {', '.join(LANGUAGES)}, not {value!r}.")


def _timezone(value: str) -> str:
    if value not in available_timezones():
        raise ConfigError(f"REFERRAL_TIMEZONE: {value!r} is no time zone; write Asia/Shanghai.")
    return value


def _count(name: str, value: str) -> int:
    if not value.isdecimal() or int(value) > 10:
        raise ConfigError(f"REFERRAL_{name} must be a number from 0 to 10, not {value!r}.")
    return int(value)


def _points(name: str, value: str) -> int:
    if not re.fullmatch(r"[0-9]{1,8}", value) or int(value) > CREDIT_LIMIT_MAX:
        raise ConfigError(
            f"REFERRAL_{name} must be a number of points from 0 to {CREDIT_LIMIT_MAX}, not "
            f"{value!r}; with 0 every credit by hand needs somebody's approval."
        )
    return int(value)


def _geoip(value: str) -> Path | None:
    if not value:
        return None
    path = Path(value)
    if not path.is_file():
        raise ConfigError(f"REFERRAL_GEOIP: there is no file {path}.")
    return path


def _keep_visits_months(value: str) -> int | None:
    if not value:
        return None
    if not re.fullmatch(r"[0-9]{1,3}", value) or not 1 <= int(value) <= KEEP_MONTHS_MAX:
        raise ConfigError(
            f"REFERRAL_KEEP_VISITS_MONTHS must be a number from 1 to {KEEP_MONTHS_MAX}, not "
            f"{value!r}; leave it out to keep visits for ever."
        )
    return int(value)
