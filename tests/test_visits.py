"""Visits: stored once each, and told apart by whether a machine or a person asked."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from werkzeug.datastructures import Headers

from referral import visits
from referral.batches import Batch
from referral.deployment import Deployment
from referral.links import Channel
from referral.visits import (
    Kind,
    Visit,
    VisitRow,
    engagement_id,
    machine_reason,
    new_event_id,
)
from tests.cast import add_product, issue

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 16_6 like Mac OS X) AppleWebKit/605.1.15"
ANDROID = "Mozilla/5.0 (Linux; Android 13; V2183A Build/TP1A; wv) AppleWebKit/537.36"
WEBVIEW = f"{ANDROID} (KHTML, like Gecko) Version/4.0 Chrome/111.0.5563.116 Mobile Safari/537.36"
MOBILE = f"{IPHONE} (KHTML, like Gecko) Mobile/15E148"
WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64)"
CHROME = f"{WINDOWS} AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"

PEOPLE = {
    "WeChat on iPhone": f"{MOBILE} MicroMessenger/8.0.42(0x18002a2f) NetType/WIFI Language/zh_CN",
    "WeChat on Android": f"{WEBVIEW} XWEB/5307 MMWEBSDK/20230805 MMWEBID/5862 "
    "MicroMessenger/8.0.42.2460(0x28002A35) WeChat/arm64 Weixin NetType/4G Language/zh_CN",
    "WeChat on Windows": f"{CHROME} NetType/WIFI MicroMessenger/7.0.20.1781(0x6700143B) "
    "WindowsWechat(0x63090719) XWEB/8391 Flue",
    "WeCom": f"{MOBILE} wxwork/4.1.10 MicroMessenger/7.0.1 Language/zh ColorScheme/Light",
    "QQ": f"{WEBVIEW} V1_AND_SQ_8.9.28_3700_YYB_D A_8092800 QQ/8.9.28.10155 NetType/WIFI",
    "QQ Browser": f"{ANDROID} Version/4.0 Chrome/89.0.4389.72 MQQBrowser/13.6 Mobile Safari/537.36",
    "Weibo": f"{MOBILE} Weibo (iPhone14,5__weibo__13.7.0__iphone__os16.5)",
    "Douyin": f"{MOBILE} aweme_26.1.0 JsSdk/2.0 NetType/WIFI Channel/App Store ByteLocale/zh "
    "Region/CN BytedanceWebview/d8a21c6 WKWebView/1",
    "Alipay": f"{WEBVIEW} UCBS/4.2 NebulaSDK/1.8.1 Nebula AlipayDefined(nt:WIFI) "
    "AliApp(AP/10.5.30) AlipayClient/10.5.30 Language/zh-Hans",
    "Taobao": f"{MOBILE} AliApp(TB/10.27.10) WindVane/8.7.2 1170x2532 WK",
    "DingTalk": f"{MOBILE} AliApp(DingTalk/7.0.50) com.laiwang.DingTalk/28723310 UT4Aplus/0.0.6 WK",
    "Feishu": f"{MOBILE} Lark/7.2.0 LarkLocale/zh_CN ChannelName/Feishu",
    "Xiaohongshu": f"{MOBILE} XHSDiscover/8.0 discover/8.0 xhswebview",
    "Baidu": f"{WEBVIEW} T7/13.35 SP-engine/3.1.0 baiduboxapp/13.35.5.10 (Baidu; P1 10) NABar/1.0",
    "WhatsApp": f"{WEBVIEW} WhatsApp/2.23.18.79",
    "LINE on iPhone": f"{MOBILE} Safari Line/13.13.0",
    "LINE on Android": f"{WEBVIEW} Line/13.13.1/IAB",
    "Telegram": f"{WEBVIEW} Telegram-Android/11.3.3 (Samsung SM-S918B; Android 14; SDK 34; HIGH)",
    "Facebook": f"{MOBILE} [FBAN/FBIOS;FBAV/428.0.0.26.108;FBBV/1;FBDV/iPhone14,5;FBLC/zh_CN]",
    "Instagram": f"{MOBILE} Instagram 298.0.0.17.110 (iPhone14,5; iOS 16_6; zh_CN; scale=3.00)",
    "KakaoTalk": f"{WEBVIEW};KAKAOTALK 2410210",
    "X": f"{MOBILE} Twitter for iPhone/10.4",
    "UC": f"{ANDROID} Version/4.0 Chrome/100.0 UCBrowser/15.5.8.1222 Mobile Safari/537.36",
    "Xiaomi": f"{ANDROID} Chrome/100.0.4896.127 Mobile Safari/537.36 XiaoMi/MiuiBrowser/17.5.7",
    "Huawei": f"{ANDROID} Chrome/99.0.4844.88 HuaweiBrowser/13.0.6.303 Mobile Safari/537.36",
    "HarmonyOS": "Mozilla/5.0 (Phone; OpenHarmony 5.0) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/114.0.0.0 Safari/537.36 ArkWeb/4.1.6.1 Mobile",
    "a Cubot phone": "Mozilla/5.0 (Linux; Android 9; CUBOT_X18_Plus) AppleWebKit/537.36 (KHTML, "
    "like Gecko) Chrome/120.0.0.0 Mobile Safari/537.36",
    "Chrome": CHROME,
    "Edge": f"{CHROME} Edg/126.0.0.0",
    "Firefox": "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0",
    "Safari": "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like "
    "Gecko) Version/17.5 Safari/605.1.15",
}

MACHINES = {
    "Googlebot": "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Baiduspider": "Mozilla/5.0 (compatible; Baiduspider/2.0; +http://www.baidu.com/search/"
    "spider.html)",
    "Baidu's renderer": f"{MOBILE} Safari/601.1 (compatible; Baiduspider-render/2.0; "
    "+http://www.baidu.com/search/spider.html)",
    "Sogou": "Sogou web spider/4.0(+http://www.sogou.com/docs/help/webmasters.htm#07)",
    "Bytespider": "Mozilla/5.0 (compatible; Bytespider; spider-feedback@bytedance.com)",
    "PetalBot": f"{ANDROID} (compatible; PetalBot;+https://webmaster.petalsearch.com)",
    "bingbot": "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
    "GPTBot": "Mozilla/5.0 AppleWebKit/537.36 (compatible; GPTBot/1.2; +https://openai.com/gptbot)",
    "headless Chrome": CHROME.replace("Chrome/", "HeadlessChrome/"),
    "WhatsApp's preview": "WhatsApp/2.23.20.0 A",
    "Telegram's preview": "TelegramBot (like TwitterBot)",
    "Facebook's preview": "facebookexternalhit/1.1 (+http://www.facebook.com/"
    "externalhit_uatext.php)",
    "iMessage's preview": "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_11_1) AppleWebKit/601.2.4 "
    "(KHTML, like Gecko) Version/9.0.1 Safari/601.2.4 facebookexternalhit/1.1 Facebot",
    "X's preview": "Twitterbot/1.0",
    "Slack's preview": "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
    "Discord's preview": "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)",
    "LinkedIn's preview": "LinkedInBot/1.0 (compatible; Mozilla/5.0; +http://www.linkedin.com)",
    "DingTalk's preview": "Mozilla/5.0 (compatible; DingTalkBot-LinkService/1.0 (+https://x))",
    "LINE's preview": "Line-Poker/1.0",
    "KakaoTalk's preview": "kakaotalk-scrap/1.0; +https://devtalk.kakao.com/t/scrap/33984",
    "Skype's preview": "SkypeUriPreview Preview/0.5",
    "WeChat's crawler": f"{ANDROID} Mpcrawler",
    "curl": "curl/8.5.0",
    "wget": "Wget/1.21.4",
    "Python": "python-requests/2.31.0",
    "Go": "Go-http-client/2.0",
    "okhttp": "okhttp/4.9.3",
    "Java": "Java/17.0.1",
    "axios": "axios/1.6.0",
}


@pytest.mark.parametrize("agent", PEOPLE.values(), ids=PEOPLE)
def test_a_persons_browser_is_a_person(agent: str) -> None:
    assert machine_reason("GET", Headers({"User-Agent": agent})) is None


@pytest.mark.parametrize("agent", MACHINES.values(), ids=MACHINES)
def test_a_crawler_or_preview_is_a_machine(agent: str) -> None:
    assert machine_reason("GET", Headers({"User-Agent": agent})) in {"fetcher", "crawler"}


@pytest.mark.parametrize(
    "method, headers, reason",
    [
        ("HEAD", {"User-Agent": CHROME}, "head"),
        ("GET", {}, "no-user-agent"),
        ("GET", {"User-Agent": ""}, "no-user-agent"),
        ("GET", {"User-Agent": "   "}, "no-user-agent"),
        ("GET", {"User-Agent": CHROME, "Sec-Purpose": "prefetch"}, "prefetch"),
        ("GET", {"User-Agent": CHROME, "Sec-Purpose": "prefetch;prerender"}, "prefetch"),
        ("GET", {"User-Agent": CHROME, "Purpose": "prefetch"}, "prefetch"),
        ("GET", {"User-Agent": CHROME, "Purpose": "Preview"}, "prefetch"),
        ("GET", {"User-Agent": CHROME, "X-Moz": "prefetch"}, "prefetch"),
        ("GET", {"user-agent": CHROME, "sec-purpose": "PREFETCH"}, "prefetch"),
        ("GET", {"User-Agent": CHROME, "Sec-Purpose": ""}, None),
        ("GET", {"User-Agent": CHROME, "Sec-Fetch-Mode": "navigate"}, None),
        ("POST", {"User-Agent": CHROME}, None),
    ],
)
def test_how_it_asks_tells_a_machine_too(
    method: str, headers: Mapping[str, str], reason: str | None
) -> None:
    assert machine_reason(method, Headers(headers)) == reason


def test_only_the_start_of_a_very_long_agent_is_looked_at() -> None:
    """The list of crawlers would take seconds over it, and anybody can send one."""
    agent = CHROME + " x" * 30_000 + " Googlebot/2.1"
    assert machine_reason("GET", Headers({"User-Agent": agent})) is None


# Storing


def stored(deployment: Deployment) -> list[VisitRow]:
    with deployment.db.read() as tx:
        return list(tx.scalars(sa.select(VisitRow).order_by(VisitRow.id)))


def test_a_visit_is_stored_as_it_came(deployment: Deployment) -> None:
    visit = Visit(Kind.open, NOON, new_event_id(), 2**62, 7, 2**61, 3, Channel.poster, 4, 5, "head")
    assert deployment.db.transact(lambda tx: visits.record(tx, [visit])) == 1
    [row] = stored(deployment)
    assert (row.kind, row.at, row.event_id) == ("open", NOON, visit.event_id)
    assert (row.visitor_id, row.campaign_id, row.parent_id, row.hop) == (2**62, 7, 2**61, 3)
    assert (row.channel, row.batch_id, row.code_index, row.machine) == ("poster", 4, 5, "head")


def test_a_visit_that_arrives_twice_is_stored_once(deployment: Deployment) -> None:
    first, second, third = (Visit(Kind.open, NOON, new_event_id(), n) for n in range(3))

    def work(*arriving: Visit) -> int:
        return deployment.db.transact(lambda tx: visits.record(tx, arriving))

    assert work(first, second) == 2
    assert work(second, third, third) == 1
    assert work(first) == 0
    assert work() == 0
    assert {row.event_id for row in stored(deployment)} == {
        visit.event_id for visit in (first, second, third)
    }


def test_one_engagement_a_visitor_a_campaign_and_a_day() -> None:
    same = engagement_id(1, 7, NOON)
    assert engagement_id(1, 7, NOON + timedelta(hours=11)) == same
    others = {
        engagement_id(2, 7, NOON),
        engagement_id(1, 8, NOON),
        engagement_id(1, 7, NOON + timedelta(hours=12)),
        engagement_id(17, 7, NOON),
    }
    assert len(others | {same}) == 5


# Seen before


@pytest.fixture
def batch(deployment: Deployment) -> Batch:
    add_product(deployment)
    return issue(deployment)


def scan(deployment: Deployment, batch: Batch, visitor: int, at: datetime, index: int = 5) -> None:
    visit = Visit(Kind.scan, at, new_event_id(), visitor=visitor, batch=batch.id, code_index=index)
    deployment.db.transact(lambda tx: visits.remember_scan(tx, visit))


def seen(deployment: Deployment, batch: Batch, visitor: int | None) -> tuple[int, datetime | None]:
    with deployment.db.read() as tx:
        found = visits.seen(tx, batch.id, 5, except_visitor=visitor)
    return found.devices, found.first_at


def test_a_code_nobody_scanned_was_not_seen(deployment: Deployment, batch: Batch) -> None:
    assert seen(deployment, batch, 1) == (0, None)


def test_other_devices_are_counted_once_each_from_their_first_scan(
    deployment: Deployment, batch: Batch
) -> None:
    for minute, visitor in enumerate([1, 2, 2, 3, 1]):
        scan(deployment, batch, visitor, NOON + timedelta(minutes=minute))
    scan(deployment, batch, 9, NOON - timedelta(days=1), index=6)
    assert seen(deployment, batch, 1) == (2, NOON + timedelta(minutes=1))
    assert seen(deployment, batch, 2) == (2, NOON)
    assert seen(deployment, batch, None) == (3, NOON)
    assert seen(deployment, batch, 77) == (3, NOON)
