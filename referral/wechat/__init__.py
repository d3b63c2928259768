"""WeChat: sign-in inside its browser and signed pages, over the brand's official account."""

from referral.wechat.official_account import (
    QUOTA_REST,
    SDK,
    OfficialAccount,
    WechatAway,
    WechatPreviewOnly,
    WechatSignInSpent,
    WechatTaken,
    sign,
)

__all__ = [
    "QUOTA_REST",
    "SDK",
    "OfficialAccount",
    "WechatAway",
    "WechatPreviewOnly",
    "WechatSignInSpent",
    "WechatTaken",
    "sign",
]
