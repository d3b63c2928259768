"""The settings of a deployment."""

from referral.config.config import KEEP_MONTHS_MAX, LANGUAGES, Config
from referral.config.reading import ConfigError
from referral.config.sign_in import OidcSettings
from referral.config.values import ValueSettings
from referral.config.wechat import WechatSettings

__all__ = [
    "KEEP_MONTHS_MAX",
    "LANGUAGES",
    "Config",
    "ConfigError",
    "OidcSettings",
    "ValueSettings",
    "WechatSettings",
]
