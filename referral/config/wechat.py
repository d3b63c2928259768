"""The brand's official account at WeChat, as the operator sets it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from referral.config.reading import ConfigError, address_of

WECHAT_NEEDED = ("APP_ID", "SECRET")
WECHAT_OPTIONAL = ("API", "OPEN", "PROOF")


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


def read_wechat(values: Mapping[str, str]) -> WechatSettings | None:
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
        parts = address_of(values[name])
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
