"""Settings, read once from the environment.

Every setting has the prefix ``REFERRAL_``; docs/settings.md lists them. A missing or wrong one
raises `ConfigError` with one sentence a person can act on, before anything is opened.
"""

import os
import re
import secrets
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit
from zoneinfo import available_timezones

from babel.numbers import get_currency_precision, list_currencies

from referral import shops
from referral.db.url import BadDatabaseUrl, read_database_url
from referral.redis_server import BadAddress, read_address
from referral.sign_in_settings import (
    OIDC_NAMES,
    BadSetting,
    OidcSettings,
    read_oidc,
    read_roles,
)

LANGUAGES = ("zh-Hans", "zh-Hant", "en")
INTAKES = ("stream", "table", "direct")
SECRET_LENGTH_MIN = 16
KEEP_MONTHS_MAX = 120
CREDIT_LIMIT_MAX = 10_000_000
VALUE_PURCHASES = ("both", "claims", "orders")
NEW_CUSTOMER_COST_MAX = 10**9
WECHAT_NEEDED = ("APP_ID", "SECRET")
WECHAT_OPTIONAL = ("API", "OPEN", "PROOF")
_HOST = re.compile(r"(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]*)?", re.IGNORECASE | re.ASCII)
"""A host as names and numbers are written, and a port."""
LOOPBACK_HOSTS = {"127.0.0.1", "localhost", "::1"}


class ConfigError(Exception):
    """A setting is missing or wrong; the message says which one and what to do."""


@dataclass(frozen=True)
class WechatSettings:
    """The brand's official account at WeChat."""

    app_id: str
    secret: str = field(repr=False)
    api: str = "https://api.weixin.qq.com"
    """What our calls begin with; a proxy with a fixed address can stand in between."""
    open: str = "https://open.weixin.qq.com"
    """What the page begins with that people sign in at."""
    proof: str | None = None
    """The name of the file by which WeChat sees that the domain is the brand's."""


@dataclass(frozen=True)
class ValueSettings:
    """What a brand says of itself, so that it can be worked out what a customer is worth."""

    currency: str = "CNY"
    """What is counted: purchases in another currency are left out of values."""
    margin: int = 4_000
    """What is left of a purchase's amount, in basis points."""
    discount: int = 1_000
    """What money is worth less a year later, in basis points."""
    new_customer: int = 50_000
    """What one new customer costs in advertising, in minor units of `currency`."""
    purchases: str = "both"
    """What counts as a purchase: ``claims``, ``orders`` or ``both``."""


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
        config = cls(
            database_url=_database_url(
                setting("DATABASE_URL", f"sqlite:///{data_dir / 'referral.db'}")
            ),
            data_dir=data_dir,
            secret_keys=_secret_keys(setting("SECRET_KEYS"), data_dir),
            redis_url=_redis_url(setting("REDIS_URL")),
            base_url=_base_url(base_url),
            brand=setting("BRAND", "Referral"),
            lang=_language(setting("LANG", "zh-Hans")),
            timezone=_timezone(setting("TIMEZONE", "Asia/Shanghai")),
            trusted_proxies=_count("TRUSTED_PROXIES", setting("TRUSTED_PROXIES", "0")),
            geoip=_geoip(setting("GEOIP")),
            sender=setting("SENDER", "unset"),
            wechat=_wechat(
                {name: setting(f"WECHAT_{name}") for name in (*WECHAT_NEEDED, *WECHAT_OPTIONAL)}
            ),
            intake=_intake(setting("INTAKE"), setting("REDIS_URL")),
            shops=_shops(setting("SHOPS")),
            keep_visits_months=_keep_visits_months(setting("KEEP_VISITS_MONTHS")),
            credit_limit=_points("CREDIT_LIMIT", setting("CREDIT_LIMIT", "500")),
            credit_limit_day=_points("CREDIT_LIMIT_DAY", setting("CREDIT_LIMIT_DAY", "2000")),
            values=_values(
                currency=setting("VALUE_CURRENCY", "CNY").upper(),
                margin=setting("VALUE_MARGIN", "40"),
                discount=setting("VALUE_DISCOUNT", "10"),
                new_customer=setting("NEW_CUSTOMER_COST", "500"),
                purchases=setting("VALUE_PURCHASES", "both"),
            ),
            **_sign_in(
                {name: setting(f"OIDC_{name}") for name in OIDC_NAMES},
                setting("SECOND_FACTOR_ROLES"),
            ),
        )
        return _with_checked_sender(config)


def _database_url(value: str) -> str:
    try:
        return read_database_url(value)
    except BadDatabaseUrl as wrong:
        raise ConfigError(f"REFERRAL_DATABASE_URL {wrong}.") from None


def _intake(value: str, redis_url: str) -> str:
    if value not in ("", *INTAKES):
        raise ConfigError(f"REFERRAL_INTAKE: {value!r} is none of {', '.join(INTAKES)}.")
    if value == "stream" and not redis_url:
        raise ConfigError(
            "REFERRAL_INTAKE: visits go through a stream in Redis or Valkey; "
            "set REFERRAL_REDIS_URL as well, or leave this out."
        )
    return value or ("stream" if redis_url else "table")


def _redis_url(value: str) -> str | None:
    if not value:
        return None
    try:
        read_address(value)
    except BadAddress as wrong:
        raise ConfigError(f"REFERRAL_REDIS_URL {wrong}.") from None
    return re.sub(r"^valkey(s?)://", r"redis\1://", value)


def _base_url(value: str) -> str:
    parts = _address(value)
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


def _address(value: str) -> SplitResult | None:
    """The parts of an address; None for one with a broken host or a port that is no number."""
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        return None
    return parts


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


def _wechat(values: Mapping[str, str]) -> WechatSettings | None:
    """The settings that begin with REFERRAL_WECHAT_, all of them or none."""
    given = [name for name, value in values.items() if value]
    if not given:
        return None
    for name in WECHAT_NEEDED:
        if not values[name]:
            raise ConfigError(
                f"REFERRAL_WECHAT_{name} is missing: REFERRAL_WECHAT_{given[0]} needs it beside it."
            )
        if not re.fullmatch(r"[\w-]{4,128}", values[name], re.ASCII):
            raise ConfigError(
                f"REFERRAL_WECHAT_{name} is not as WeChat shows it: letters and digits only."
            )
    for name in ("API", "OPEN"):
        parts = _address(values[name])
        if values[name] and not (parts and parts.hostname and parts.scheme in {"http", "https"}):
            raise ConfigError(
                f"REFERRAL_WECHAT_{name} must be an address that starts with https://."
            )
    if values["PROOF"] and not re.fullmatch(r"MP_verify_\w{4,64}\.txt", values["PROOF"], re.ASCII):
        raise ConfigError(
            "REFERRAL_WECHAT_PROOF must be the name of WeChat's file, such as "
            "MP_verify_aBcDeFgH12345678.txt."
        )
    return WechatSettings(
        values["APP_ID"],
        values["SECRET"],
        **{name.lower(): values[name].rstrip("/") for name in WECHAT_OPTIONAL if values[name]},
    )


def _shops(value: str) -> tuple[str, ...]:
    """The hosts that are listed, each once."""
    entries = [entry.strip() for entry in value.split(",") if entry.strip()]
    try:
        return tuple(dict.fromkeys(shops.listed(entry) for entry in entries))
    except shops.BadShop as wrong:
        raise ConfigError(
            f"REFERRAL_SHOPS: {str(wrong)!r} is no host; write hosts in ASCII letters alone, "
            "separated by commas, such as shop.example or *.brand.example for all below it."
        ) from None


def _keep_visits_months(value: str) -> int | None:
    if not value:
        return None
    if not re.fullmatch(r"[0-9]{1,3}", value) or not 1 <= int(value) <= KEEP_MONTHS_MAX:
        raise ConfigError(
            f"REFERRAL_KEEP_VISITS_MONTHS must be a number from 1 to {KEEP_MONTHS_MAX}, not "
            f"{value!r}; leave it out to keep visits for ever."
        )
    return int(value)


def _values(
    *, currency: str, margin: str, discount: str, new_customer: str, purchases: str
) -> ValueSettings:
    if currency not in list_currencies():
        raise ConfigError(
            f"REFERRAL_VALUE_CURRENCY: {currency!r} is no currency's three letters, such as CNY."
        )
    if purchases not in VALUE_PURCHASES:
        raise ConfigError(
            f"REFERRAL_VALUE_PURCHASES: {purchases!r} is none of {', '.join(VALUE_PURCHASES)}."
        )
    places = get_currency_precision(currency)
    return ValueSettings(
        currency,
        _decimal("VALUE_MARGIN", margin, most=100, places=2),
        _decimal("VALUE_DISCOUNT", discount, most=1_000, places=2),
        _decimal("NEW_CUSTOMER_COST", new_customer, most=NEW_CUSTOMER_COST_MAX, places=places),
        purchases,
    )


def _decimal(name: str, value: str, *, most: int, places: int) -> int:
    """A number with at most so many digits behind the point, in units of the last of them."""
    shape = rf"[0-9]{{1,12}}(\.[0-9]{{1,{places}}})?" if places else "[0-9]{1,12}"
    if not re.fullmatch(shape, value) or Decimal(value) > most:
        digits = f" with at most {places} digits behind the point" if places else ""
        raise ConfigError(f"REFERRAL_{name} must be a number from 0 to {most}{digits}.")
    return int(Decimal(value).scaleb(places))


def _sign_in(oidc: Mapping[str, str], roles: str) -> dict[str, Any]:
    """How staff sign in."""
    try:
        return {"oidc": read_oidc(oidc), "second_factor_roles": read_roles(roles)}
    except BadSetting as wrong:
        raise ConfigError(str(wrong)) from None


def _with_checked_sender(config: Config) -> Config:
    """The demo sender shows one-time codes to anybody: only a local address may default to it."""
    if config.sender == "unset":
        if urlsplit(config.base_url).hostname not in LOOPBACK_HOSTS:
            raise ConfigError(
                "REFERRAL_SENDER must say how one-time codes are sent: smtp://user:password@host, "
                "https://your-sms-hook, or demo to show them on the page."
            )
        return Config(**{**config.__dict__, "sender": "demo"})
    parts = _address(config.sender)
    is_known = parts and parts.hostname and parts.scheme in {"smtp", "smtps", "http", "https"}
    if config.sender != "demo" and not is_known:
        raise ConfigError(
            "REFERRAL_SENDER must be demo, or an address that starts with smtp://, smtps:// or "
            "https://."
        )
    return config


def _secret_keys(value: str, data_dir: Path) -> tuple[str, ...]:
    """The listed keys, or one made on the first start and kept in the data folder."""
    if value:
        keys = tuple(key.strip() for key in value.split(",") if key.strip())
        if not keys or any(len(key) < SECRET_LENGTH_MIN for key in keys):
            raise ConfigError(
                f"REFERRAL_SECRET_KEYS: every key needs at least {SECRET_LENGTH_MIN} characters; "
                "separate several with commas, oldest first."
            )
        return keys
    path = data_dir / "secret-keys"
    try:
        if not path.exists():
            _make_secret_key(path)
        kept = tuple(key.strip() for key in path.read_text().split(",") if key.strip())
    except OSError as error:
        raise ConfigError(
            f"The file {path} cannot be made or read ({error.strerror}); name a folder that can in "
            "REFERRAL_DATA_DIR, or keys in REFERRAL_SECRET_KEYS."
        ) from None
    if not kept:
        raise ConfigError(f"The file {path} is empty; delete it to have a new key made.")
    return kept


def _make_secret_key(path: Path) -> None:
    """Write the file as a whole: of two processes starting together one makes it, both read it."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # mode 0600
    written = Path(name)
    with os.fdopen(handle, "w") as file:
        file.write(secrets.token_urlsafe(48))
    try:
        path.hardlink_to(written)
    except FileExistsError:
        pass
    except OSError:  # a file system without hard links
        written.rename(path)
    finally:
        written.unlink(missing_ok=True)
